// How much memory of its own this process really has: what an allocator cost, whoever it is.
#ifndef BENCH_FOOTPRINT_H_
#define BENCH_FOOTPRINT_H_

#include <stdbool.h>
#include <stddef.h>

// Bytes of anonymous memory, present or swapped out. Calls no malloc. False: the system does not
// tell (/proc/self/smaps_rollup, since Linux 4.14).
bool footprint_now(size_t *bytes);

#endif
