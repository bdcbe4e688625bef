// System: the C library's allocator as a strategy, the reference that others are measured against.
//
// Whatever library the process was linked with or preloads answers here: glibc's is D. Lea's and W.
// Gloger's (D. Lea, "A Memory Allocator", 1996), a sanitizer's is its own. The blocks lie where
// that library put them. The source gives only the room for this adapter's own count, and says how
// much may be live at once: without that a program with a small heap could take the machine's
// memory.
#define _POSIX_C_SOURCE 200112L
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

//   memory
//   | padding | struct allocator | rest of a page |
struct allocator {
  struct source *source;
  // I1: the adapter lies where it must in the memory that it acquired
  unsigned char *memory;
  size_t size;
  size_t limit;  // of `live`, as far as requests can tell beforehand
  // I2: no block is live if no byte is
  _Atomic size_t live;    // bytes, by usable size
  _Atomic size_t blocks;  // that were given out and not released
};

static const char *const invariants[] = {
    "the adapter lies where it must in the memory that it acquired",
    "no block is live if no byte is",
    NULL,
};

static size_t gap_before(const unsigned char *memory) {
  return (0 - address_of(memory)) & (_Alignof(struct allocator) - 1);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && size <= PTRDIFF_MAX && is_power_of_two(align) && align <= MAX_ALIGN;
}

// What the library aligns without being asked. For blocks smaller than that it may align less.
static bool is_natural(size_t size, size_t align) {
  return align <= _Alignof(max_align_t) && align <= size;
}

// ## The count

static bool reserve(struct allocator *self, size_t size) {
  size_t before = atomic_fetch_add_explicit(&self->live, size, memory_order_relaxed);
  if (before <= self->limit && size <= self->limit - before) return true;
  atomic_fetch_sub_explicit(&self->live, size, memory_order_relaxed);
  return false;
}

// A block for which `size` bytes were reserved has come, or has not.
static void *settle(struct allocator *self, void *block, size_t size) {
  size_t usable = block == NULL ? 0 : malloc_usable_size(block);
  atomic_fetch_add_explicit(&self->live, usable - size, memory_order_relaxed);
  if (block != NULL) atomic_fetch_add_explicit(&self->blocks, 1, memory_order_relaxed);
  return block;
}

static void forget(struct allocator *self, size_t usable) {
  atomic_fetch_sub_explicit(&self->live, usable, memory_order_relaxed);
  atomic_fetch_sub_explicit(&self->blocks, 1, memory_order_relaxed);
}

// ## The table

static struct allocator *system_create(struct source *source,
                                       const struct strategy_options *options) {
  size_t size = sizeof(struct allocator) + _Alignof(struct allocator) - 1;
  if (options->variant != 0 || !align_up(size, source->page_size, &size)) return NULL;
  size_t limit = source->available(source);
  if (options->heap_size != 0 && options->heap_size < limit) limit = options->heap_size;
  if (limit < size) return NULL;
  unsigned char *memory = source->acquire(source, size);
  if (memory == NULL) return NULL;
  struct allocator *self = (struct allocator *)(memory + gap_before(memory));
  self->source = source;
  self->memory = memory;
  self->size = size;
  self->limit = limit - size;
  atomic_init(&self->live, 0);
  atomic_init(&self->blocks, 0);
  return self;
}

static void *obtain(size_t size, size_t align) {
  if (is_natural(size, align)) return malloc(size);
  void *block;
  size_t least = align < sizeof(void *) ? sizeof(void *) : align;
  return posix_memalign(&block, least, size) == 0 ? block : NULL;
}

static void *system_allocate(struct allocator *self, size_t size, size_t align) {
  if (!is_request(size, align) || !reserve(self, size)) return NULL;
  return settle(self, obtain(size, align), size);
}

static void *system_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                    size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes) || !is_request(bytes, align) || !reserve(self, bytes))
    return NULL;
  if (is_natural(bytes, align)) return settle(self, calloc(count, size), bytes);
  void *block = settle(self, obtain(bytes, align), bytes);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static enum release_result system_release(struct allocator *self, void *block) {
  if (block == NULL) return RELEASED;
  forget(self, malloc_usable_size(block));
  free(block);
  return RELEASED;
}

static size_t system_usable_size(const struct allocator *self, const void *block) {
  (void)self;
  return malloc_usable_size((void *)block);
}

static void *system_resize(struct allocator *self, void *block, size_t size, size_t align) {
  if (block == NULL) return system_allocate(self, size, align);
  if (!is_request(size, align) || !reserve(self, size)) return NULL;
  size_t usable = malloc_usable_size(block);
  void *moved = is_natural(size, align) ? realloc(block, size) : obtain(size, align);
  if (settle(self, moved, size) == NULL) return NULL;
  if (!is_natural(size, align)) {
    memcpy(moved, block, usable < size ? usable : size);
    free(block);
  }
  forget(self, usable);
  return moved;
}

static struct broken_invariant system_check(const struct allocator *self) {
  if (address_of(self) != address_of(self->memory) + gap_before(self->memory) ||
      !range_within(self, sizeof *self, self->memory, self->size))
    return (struct broken_invariant){1, self};
  if (atomic_load(&self->live) == 0 && atomic_load(&self->blocks) != 0)
    return (struct broken_invariant){2, self};
  return (struct broken_invariant){0, NULL};
}

static void system_walk(const struct allocator *self, span_visitor *visit, void *context) {
  visit_span(visit, context, self->memory, self->size, SPAN_META);
}

static struct statistics system_statistics(const struct allocator *self) {
  return (struct statistics){
      .acquired = self->size, .used = self->size, .blocks = atomic_load(&self->blocks)};
}

static void system_destroy(struct allocator *self) {
  struct source *source = self->source;
  source->release(source, self->memory, self->size);
}

// How large the library's blocks are is not known, and so nothing is promised.
static size_t system_footprint(size_t size, size_t align, size_t page_size) {
  (void)size, (void)align, (void)page_size;
  return SIZE_MAX;
}

const struct strategy system_strategy = {
    .name = "system",
    .summary = "the C library's own allocator, as the reference",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_ZEROES | STRATEGY_SIZES |
              STRATEGY_CONCURRENT | STRATEGY_FOREIGN,
    .min_align = 8,
    .max_align = MAX_ALIGN,
    .overhead = sizeof(struct allocator) + _Alignof(struct allocator) - 1,
    .invariants = invariants,
    .create = system_create,
    .allocate = system_allocate,
    .allocate_zeroed = system_allocate_zeroed,
    .release = system_release,
    .resize = system_resize,
    .usable_size = system_usable_size,
    .check = system_check,
    .walk = system_walk,
    .statistics = system_statistics,
    .destroy = system_destroy,
    .footprint = system_footprint,
};
