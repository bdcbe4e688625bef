// The heap behind malloc: a strategy of the house over the world's pool. The allocator under test
// has another one, which the world gives for that alone.
#ifndef FREESTANDING_LIBC_HEAP_H_
#define FREESTANDING_LIBC_HEAP_H_

#include <stdbool.h>

// Starts over: nothing is allocated. Before the first malloc, and where a run was left without
// giving back what it had.
void heap_begin(void);

// Whether a request was refused since then.
bool heap_refused(void);

#endif
