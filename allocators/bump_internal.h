// What bump and bump_atomic have in common: all but the offset, which in one of them is atomic.
//
//      heap.start                buffer             buffer + used       buffer + capacity
//      |                         |                  |                   |
//      +---------+---------------+------------------+-------------------+
//      | padding | the allocator | blocks, padding  |       free        |
//      +---------+---------------+------------------+-------------------+
//
// Nothing is known about a single block, so the buffer needs no alignment: a block is aligned by
// its address, not by its offset.
#ifndef ALLOCATORS_BUMP_INTERNAL_H_
#define ALLOCATORS_BUMP_INTERNAL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define BUMP_MAX_ALIGN ((size_t)1 << 16)

// What does not change between create and destroy.
struct bump {
  struct fixed_heap heap;
  // I1: the buffer begins where the allocator ends, and ends where the heap ends
  unsigned char *buffer;
  size_t capacity;
  // I2: the offset is at most the capacity (each strategy keeps it in its own way)
};

#define BUMP_INVARIANTS                                                                            \
  "the buffer begins where the allocator ends, and ends where the heap ends",                      \
      "the offset is at most the capacity (each strategy keeps it in its own way)", NULL

// Takes a heap and finds the place in it for an allocator of `state_size` bytes. NULL, with nothing
// held, if there is none.
static inline void *bump_open(struct bump *self, struct source *source,
                              const struct strategy_options *options, size_t state_size,
                              size_t state_align) {
  if (options->variant != 0) return NULL;
  struct fixed_heap heap;
  if (!fixed_heap_acquire(&heap, source, options)) return NULL;
  uintptr_t state;
  if (!align_up(address_of(heap.start), state_align, &state) ||
      !range_within((void *)state, state_size, heap.start, heap.size)) {
    fixed_heap_release(heap);
    return NULL;
  }
  size_t meta = state - address_of(heap.start) + state_size;
  *self = (struct bump){heap, heap.start + meta, heap.size - meta};
  return self->buffer - state_size;
}

// Where a block can start when `used` bytes of the buffer are gone; false if it does not fit.
// Padding and size are compared with what is left, never added to an address, so nothing can wrap.
static inline bool bump_place(const struct bump *self, size_t used, size_t size, size_t align,
                              size_t *start) {
  size_t room = self->capacity - used;
  // 0 is the largest number once 1 is taken off, so each comparison sees to both ends. One branch
  // for all three: none is ever taken in practice, and this is the whole cost of the strategy.
  if (((align & (align - 1)) != 0) | (align - 1 >= BUMP_MAX_ALIGN) | (size - 1 >= room))
    return false;
  size_t padding = -(address_of(self->buffer) + used) & (align - 1);
  if (padding > room - size) return false;
  *start = used + padding;
  return true;
}

static inline struct broken_invariant bump_check(const struct bump *self, const void *state,
                                                 size_t state_size, size_t used) {
  uintptr_t buffer = address_of(state) + state_size;
  if (address_of(self->buffer) != buffer ||
      !range_within(self->buffer, self->capacity, self->heap.start, self->heap.size) ||
      buffer + self->capacity != address_of(self->heap.start) + self->heap.size)
    return (struct broken_invariant){1, state};
  if (used > self->capacity) return (struct broken_invariant){2, state};
  return (struct broken_invariant){0, NULL};
}

// Only where all invariants hold: what is damaged has no spans.
static inline void bump_walk_spans(const struct bump *self, size_t used, span_visitor *visit,
                                   void *context) {
  size_t meta = (size_t)(self->buffer - self->heap.start);
  visit_span(visit, context, self->heap.start, meta, SPAN_META);
  visit_span(visit, context, self->buffer, used, SPAN_USED);
  visit_span(visit, context, self->buffer + used, self->capacity - used, SPAN_FREE);
}

static inline struct statistics bump_count(const struct bump *self, size_t used) {
  size_t left = self->capacity - used;
  return (struct statistics){
      .acquired = self->heap.size, .used = self->heap.size - left, .largest_free = left};
}

// At worst a block starts one byte past a multiple of its alignment.
static inline size_t bump_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  if (size == 0 || !is_power_of_two(align) || align > BUMP_MAX_ALIGN) return SIZE_MAX;
  return add_saturating(size, align - 1);
}

#endif
