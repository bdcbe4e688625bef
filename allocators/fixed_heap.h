// One stretch of memory for life: how strategies with a heap of fixed size take theirs.
#ifndef ALLOCATORS_FIXED_HEAP_H_
#define ALLOCATORS_FIXED_HEAP_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/arithmetic.h"
#include "allocators/source.h"
#include "allocators/strategy.h"

struct fixed_heap {
  struct source *source;
  unsigned char *start;
  size_t size;
};

// Takes what the options ask for, in whole pages. False, with nothing held, if the source refuses.
static inline bool fixed_heap_acquire(struct fixed_heap *self, struct source *source,
                                      const struct strategy_options *options) {
  size_t wanted = options->heap_size;
  if (wanted == 0) {
    wanted = align_down(source->available(source), source->page_size);
    if (source->available(source) == SIZE_MAX) wanted = STRATEGY_DEFAULT_HEAP_SIZE;
  }
  size_t size;
  if (!align_up(wanted, source->page_size, &size)) return false;
  unsigned char *start = source->acquire(source, size);
  if (start == NULL) return false;
  *self = (struct fixed_heap){source, start, size};
  return true;
}

// `self` is a copy on the caller's stack, as the original usually lies in the heap that goes.
static inline void fixed_heap_release(struct fixed_heap self) {
  self.source->release(self.source, self.start, self.size);
}

#endif
