// A heap as embedded systems have it, as foreign_heap.c calls it.
//
// These are few lines each, which call the heap's own functions with the arguments that these take.
// ci/check writes them from the heap's declarations (ci/foreign_heap.py); anybody may write them by
// hand. Which of those that may be missing are there is told by the facts in tiers.c.
#ifndef ALLOCATORS_FOREIGN_FOREIGN_HEAP_H_
#define ALLOCATORS_FOREIGN_FOREIGN_HEAP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The largest value of an integer type that a size can have.
#define HEAP_MOST(type)                                                                            \
  ((type) - 1 > (type)0 ? (size_t)(type) - 1                                                       \
                        : (size_t)(((uintmax_t)1 << (sizeof(type) * 8 - 1)) - 1))

// An empty heap over [buffer, buffer + size), or over what it gets elsewhere. False: it refused.
bool adapted_open(void *buffer, size_t size);
// The same again over the same buffer.                                      FOREIGN_HAS_RESTART
bool adapted_restart(void *buffer, size_t size);

void *adapted_allocate(size_t size);
void adapted_release(void *block);
void *adapted_resize(void *block, size_t size);                 // FOREIGN_HAS_RESIZE
void *adapted_allocate_zeroed(size_t count, size_t size);       // FOREIGN_HAS_ZEROED
void *adapted_allocate_aligned(size_t alignment, size_t size);  // FOREIGN_HAS_ALIGNED
size_t adapted_usable_size(const void *block);                  // FOREIGN_HAS_USABLE
bool adapted_check(void);  // false: something is wrong               FOREIGN_HAS_CHECK

#endif
