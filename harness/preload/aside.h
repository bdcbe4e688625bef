// Memory for calls that the strategy cannot serve: those of a signal handler that interrupts the
// allocator, and those that the allocator's own beginning causes.
//
// Blocks lie in one reserved stretch and are never given back; the calls are few.
#ifndef HARNESS_PRELOAD_ASIDE_H_
#define HARNESS_PRELOAD_ASIDE_H_

#include <stdbool.h>
#include <stddef.h>

// Zeroed. `align` is a power of two. NULL: the stretch is full, or cannot be had.
void *aside_allocate(size_t size, size_t align);
bool aside_owns(const void *block);
size_t aside_size(const void *block);  // as it was asked for

// A block of the strategy's that is to be released as soon as the allocator is left.
void aside_defer_release(void *block);
// One of these, or NULL.
void *aside_take_deferred(void);

#endif
