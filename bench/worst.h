// What single operations cost when many blocks are free.
#ifndef BENCH_WORST_H_
#define BENCH_WORST_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/strategy.h"

enum { WORST_REQUESTS = 1000 };

// Nanoseconds.
struct worst {
  double pair_median, pair_worst;  // over requests: allocation and release, repeated
  double allocate[WORST_REQUESTS], release[WORST_REQUESTS];  // of each the first time
};

// On a heap with so many free blocks that cannot be merged. `strategy` NULL: the C library's
// malloc. False, with a reason, if the strategy cannot do that.
bool worst_measure(struct worst *result, const struct strategy *strategy, unsigned variant,
                   size_t free_blocks, char *reason, size_t reason_size);

#endif
