// Strategies for tests that end an allocator with live blocks: an adapter to a foreign allocator
// cannot do that, so what it has live is tracked, and released before destroy.
#ifndef ALLOCATORS_TRACKED_H_
#define ALLOCATORS_TRACKED_H_

#include "allocators/check.h"
#include "allocators/strategy.h"

enum { TRACKED_MOST = 1 << 16 };

static const struct strategy *tracked_inner;
static void *tracked_blocks[TRACKED_MOST];
static size_t tracked_count;

static inline void *tracked_note(void *block) {
  CHECK(tracked_count < TRACKED_MOST);
  if (block != NULL) tracked_blocks[tracked_count++] = block;
  return block;
}

static inline void tracked_forget(const void *block) {
  for (size_t i = tracked_count; i-- > 0;)
    if (tracked_blocks[i] == block) {
      tracked_blocks[i] = tracked_blocks[--tracked_count];
      return;
    }
}

static inline void *tracked_allocate(struct allocator *self, size_t size, size_t align) {
  return tracked_note(tracked_inner->allocate(self, size, align));
}

static inline void *tracked_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                            size_t align) {
  return tracked_note(tracked_inner->allocate_zeroed(self, count, size, align));
}

static inline enum release_result tracked_release(struct allocator *self, void *block) {
  tracked_forget(block);
  return tracked_inner->release(self, block);
}

static inline void *tracked_resize(struct allocator *self, void *block, size_t size, size_t align) {
  void *moved = tracked_inner->resize(self, block, size, align);
  if (moved == NULL) return NULL;
  tracked_forget(block);
  return tracked_note(moved);
}

static inline void tracked_destroy(struct allocator *self) {
  while (tracked_count > 0) tracked_inner->release(self, tracked_blocks[--tracked_count]);
  tracked_inner->destroy(self);
}

// The strategy as a test may use it, for one allocator at a time.
static inline const struct strategy *tracked(const struct strategy *strategy) {
  static struct strategy wrapped;
  if ((strategy->traits & STRATEGY_FOREIGN) == 0) return strategy;
  tracked_inner = strategy;
  wrapped = *strategy;
  wrapped.allocate = tracked_allocate;
  wrapped.allocate_zeroed = tracked_allocate_zeroed;
  wrapped.release = tracked_release;
  wrapped.resize = tracked_resize;
  wrapped.destroy = tracked_destroy;
  return &wrapped;
}

#endif
