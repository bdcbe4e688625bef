// Atomic bump: bump whose offset is claimed by compare and swap, for several threads at once.
//
// A thread reads the offset, works out where its block would end, and swaps the offset for that end
// if nobody was faster; else it tries again from what it found. Lock-free: of several threads that
// try at once, one succeeds, whatever becomes of the others (M. Herlihy, "Wait-Free
// Synchronization", ACM TOPLAS 13(1), 1991). An unconditional fetch-and-add would be wait-free, but
// a request that fails would have moved the offset, and the padding of an aligned block is not
// known before it is placed.
//
// ## Memory orders
//
// Relaxed, all of them. The ranges that two threads get are disjoint since all changes of one
// atomic object have a single order, whatever else is seen when (C17 5.1.2.4, 7.17.3), and each
// swap claims from the value that it replaces. No thread learns anything through the offset that
// another one has written: what create wrote (the buffer's bounds) reached every thread by whatever
// handed it the allocator, and a block's contents reach others by whatever hands them the block.
// Memory comes to be used again only by reset, for which the contract asks that all threads be
// still; what made them still orders their last writes before the next first one. An offset that
// was swapped to can not come back meanwhile (the ABA problem), as it only grows.
//
// Layout, placement and invariants: bump_internal.h.
#include <stdatomic.h>

#include "allocators/bump_internal.h"
#include "allocators/memory.h"

_Static_assert(ATOMIC_LONG_LOCK_FREE == 2 && sizeof(size_t) <= sizeof(long),
               "an offset is swapped without a lock");

struct allocator {
  struct bump bump;
  _Atomic size_t used;  // the offset: bytes of the buffer that are gone, padding included
};

static size_t used_now(const struct allocator *self) {
  return atomic_load_explicit(&self->used, memory_order_relaxed);
}

static struct allocator *atomic_create(struct source *source,
                                       const struct strategy_options *options) {
  struct bump bump;
  struct allocator *self =
      bump_open(&bump, source, options, sizeof(struct allocator), _Alignof(struct allocator));
  if (self == NULL) return NULL;
  self->bump = bump;
  atomic_init(&self->used, 0);
  return self;
}

static void *atomic_allocate(struct allocator *self, size_t size, size_t align) {
  size_t used = used_now(self), start;
  do {
    if (!bump_place(&self->bump, used, size, align, &start)) return NULL;
  } while (!atomic_compare_exchange_weak_explicit(&self->used, &used, start + size,
                                                  memory_order_relaxed, memory_order_relaxed));
  return self->bump.buffer + start;
}

static void *atomic_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                    size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = atomic_allocate(self, bytes, align);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static void atomic_reset(struct allocator *self) {
  atomic_store_explicit(&self->used, 0, memory_order_relaxed);
}

static struct broken_invariant atomic_check(const struct allocator *self) {
  return bump_check(&self->bump, self, sizeof *self, used_now(self));
}

static void atomic_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (atomic_check(self).number == 0) bump_walk_spans(&self->bump, used_now(self), visit, context);
}

static struct statistics atomic_statistics(const struct allocator *self) {
  return bump_count(&self->bump, used_now(self));
}

static void atomic_destroy(struct allocator *self) { fixed_heap_release(self->bump.heap); }

static const char *const invariants[] = {BUMP_INVARIANTS};

const struct strategy bump_atomic_strategy = {
    .name = "bump_atomic",
    .summary = "bump with an offset that threads claim by compare and swap, without a lock",
    .traits = STRATEGY_RESETS | STRATEGY_ZEROES | STRATEGY_ALLOCATES_CONCURRENTLY,
    .min_align = 1,
    .max_align = BUMP_MAX_ALIGN,
    .overhead = sizeof(struct allocator) + _Alignof(struct allocator) - 1,
    .invariants = invariants,
    .create = atomic_create,
    .allocate = atomic_allocate,
    .allocate_zeroed = atomic_allocate_zeroed,
    .reset = atomic_reset,
    .check = atomic_check,
    .walk = atomic_walk,
    .statistics = atomic_statistics,
    .destroy = atomic_destroy,
    .footprint = bump_footprint,
};
