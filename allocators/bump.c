// Bump: an offset that only grows, until reset takes every block back at once.
//
// The oldest allocator there is, and the fastest: one addition and one comparison. It cannot
// release a single block, which is no loss where all blocks die together (a request, a frame, a
// compiler pass). As an arena with a lifetime: D. R. Hanson, "Fast Allocation and Deallocation of
// Memory Based on Object Lifetimes", Software: Practice and Experience 20(1), 1990. As the
// allocation area of a copying collector: R. Jones, A. Hosking and E. Moss, "The Garbage Collection
// Handbook", 7.1 (sequential allocation).
//
// Layout, placement and invariants: bump_internal.h.
#include "allocators/bump_internal.h"
#include "allocators/memory.h"

struct allocator {
  struct bump bump;
  size_t used;  // the offset: bytes of the buffer that are gone, padding included
};

static struct allocator *bump_create(struct source *source,
                                     const struct strategy_options *options) {
  struct bump bump;
  struct allocator *self =
      bump_open(&bump, source, options, sizeof(struct allocator), _Alignof(struct allocator));
  if (self != NULL) *self = (struct allocator){bump, 0};
  return self;
}

static void *bump_allocate(struct allocator *self, size_t size, size_t align) {
  size_t start;
  if (!bump_place(&self->bump, self->used, size, align, &start)) return NULL;
  self->used = start + size;
  return self->bump.buffer + start;
}

static void *bump_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = bump_allocate(self, bytes, align);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static void bump_reset(struct allocator *self) { self->used = 0; }

static struct broken_invariant bump_check_all(const struct allocator *self) {
  return bump_check(&self->bump, self, sizeof *self, self->used);
}

static void bump_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (bump_check_all(self).number == 0) bump_walk_spans(&self->bump, self->used, visit, context);
}

static struct statistics bump_statistics(const struct allocator *self) {
  return bump_count(&self->bump, self->used);
}

static void bump_destroy(struct allocator *self) { fixed_heap_release(self->bump.heap); }

static const char *const invariants[] = {BUMP_INVARIANTS};

const struct strategy bump_strategy = {
    .name = "bump",
    .summary = "an offset that only grows; reset takes every block back at once",
    .traits = STRATEGY_RESETS | STRATEGY_ZEROES,
    .min_align = 1,
    .max_align = BUMP_MAX_ALIGN,
    .overhead = sizeof(struct allocator) + _Alignof(struct allocator) - 1,
    .invariants = invariants,
    .create = bump_create,
    .allocate = bump_allocate,
    .allocate_zeroed = bump_allocate_zeroed,
    .reset = bump_reset,
    .check = bump_check_all,
    .walk = bump_walk,
    .statistics = bump_statistics,
    .destroy = bump_destroy,
    .footprint = bump_footprint,
};
