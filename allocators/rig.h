// What the tests of strategies put under an allocator, and how they look at it.
//
//   buffer | pages  <-  limit  <-  dirt  <-  account  <-  faults  <-  the allocator
#ifndef ALLOCATORS_RIG_H_
#define ALLOCATORS_RIG_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "allocators/source.h"
#include "allocators/strategy.h"

// Fresh memory is never zero by luck. And it lasts as long as the test does, in which nobody dies.
struct dirt {
  struct source base;
  struct source *inner;
  size_t stretches;  // acquired now
  void *last;        // acquired
  size_t last_size;
};

static inline void *dirt_acquire(struct source *base, size_t size) {
  struct dirt *self = (struct dirt *)base;
  void *memory = self->inner->acquire(self->inner, size);
  if (memory == NULL) return NULL;
  self->stretches++;
  self->last = memory;
  self->last_size = size;
  return memset(memory, 0xA5, size);
}

static inline void dirt_release(struct source *base, void *memory, size_t size) {
  struct dirt *self = (struct dirt *)base;
  self->stretches--;
  self->inner->release(self->inner, memory, size);
}

static inline void dirt_persist(struct source *base, const void *start, size_t size) {
  (void)base, (void)start, (void)size;
}

static inline void *dirt_held(struct source *base, size_t *size) {
  const struct dirt *self = (struct dirt *)base;
  *size = self->last_size;
  return self->stretches == 1 ? self->last : NULL;
}

static inline size_t dirt_available(const struct source *base) {
  const struct source *inner = ((const struct dirt *)base)->inner;
  return inner->available(inner);
}

#define RIG_MEMORY ((size_t)1 << 20)
#define RIG_STRETCHES 1024

struct rig_layout {
  const char *name;
  size_t page_size;  // 0: a buffer, else pages of that size
  size_t offset;     // of the buffer from an aligned address
  size_t size;       // of the buffer, or the limit on pages
};

struct rig {
  struct source_buffer buffer;
  struct source_pages pages;
  struct source_limit limit;
  struct dirt dirt;
  struct source_account account;
  struct source_faults faults;
  struct source_stretch stretches[RIG_STRETCHES];
};

static _Alignas(65536) unsigned char rig_memory[RIG_MEMORY];

static inline struct source *rig_init(struct rig *self, const struct rig_layout *layout) {
  struct source *innermost = &self->buffer.base;
  if (layout->page_size == 0) {
    CHECK(layout->offset + layout->size <= RIG_MEMORY);
    source_buffer_init(&self->buffer, rig_memory + layout->offset, layout->size);
  } else {
    CHECK(source_pages_init(&self->pages, layout->page_size));
    innermost = &self->pages.base;
  }
  source_limit_init(&self->limit, innermost, layout->size);
  self->dirt = (struct dirt){.base = self->limit.base, .inner = &self->limit.base};
  self->dirt.base.traits |= SOURCE_PERSISTS;
  self->dirt.base.persist = dirt_persist;
  self->dirt.base.held = dirt_held;
  self->dirt.base.traits &= ~(unsigned)SOURCE_ZEROED;
  self->dirt.base.acquire = dirt_acquire;
  self->dirt.base.release = dirt_release;
  self->dirt.base.available = dirt_available;
  source_account_init(&self->account, &self->dirt.base, self->stretches, RIG_STRETCHES);
  source_faults_init(&self->faults, &self->account.base);
  return &self->faults.base;
}

// After destroy, or a create that failed.
static inline void rig_check_empty(const struct rig *self) {
  CHECK(self->account.bytes == 0);
  CHECK(self->account.errors == 0);
}

// ## Walks as pictures that can be compared

// More than any heap of the tests has: a walk that shows more does not end.
#define PICTURE_LIMIT ((size_t)1 << 20)

// All zero at first, as static ones are; grows as needed, and keeps its memory for the next walk.
struct picture {
  struct span *spans;
  size_t capacity;
  size_t count;
  size_t bytes[SPAN_FREE + 1];  // by kind
};

static inline void picture_reserve(struct picture *self, size_t count) {
  if (count <= self->capacity) return;
  if (count > PICTURE_LIMIT) {
    fprintf(stderr, "rig.h: a walk shows more than %zu spans (PICTURE_LIMIT)\n", PICTURE_LIMIT);
    exit(1);
  }
  self->capacity = count < 512 ? 1024 : 2 * count;
  self->spans = realloc(self->spans, self->capacity * sizeof *self->spans);
  CHECK(self->spans != NULL);
}

static inline void picture_add(void *context, const struct span *span) {
  struct picture *self = context;
  CHECK(span->size > 0);
  picture_reserve(self, self->count + 1);
  self->spans[self->count++] = *span;
  self->bytes[span->kind] += span->size;
}

static inline void picture_copy(struct picture *self, const struct picture *from) {
  picture_reserve(self, from->count);
  self->count = from->count;
  memcpy(self->bytes, from->bytes, sizeof self->bytes);
  if (from->count != 0) memcpy(self->spans, from->spans, from->count * sizeof *self->spans);
}

static inline void picture_take(struct picture *self, const struct strategy *strategy,
                                const struct allocator *allocator) {
  self->count = 0;
  memset(self->bytes, 0, sizeof self->bytes);
  strategy->walk(allocator, picture_add, self);
}

static inline bool pictures_equal(const struct picture *a, const struct picture *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++)
    if (a->spans[i].start != b->spans[i].start || a->spans[i].size != b->spans[i].size ||
        a->spans[i].kind != b->spans[i].kind)
      return false;
  return true;
}

// Leaves out stretches that are free from end to end, or were when they went back: they are as good
// as the source's.
static inline void picture_drop_spare(struct picture *self, const struct source_account *account) {
  size_t kept = 0;
  for (size_t i = 0; i < self->count; i++) {
    const struct span *span = &self->spans[i];
    const struct source_stretch *stretch = source_account_find(account, span->start, 1);
    bool spare =
        span->kind == SPAN_FREE &&
        (stretch == NULL || (stretch->start == span->start && stretch->size == span->size));
    if (!spare) self->spans[kept++] = *span;
  }
  self->count = kept;
}

// The span that begins at `start`, or NULL.
static inline const struct span *picture_find(const struct picture *self, const void *start) {
  for (size_t i = 0; i < self->count; i++)
    if (self->spans[i].start == start) return &self->spans[i];
  return NULL;
}

// ## Pseudo-random numbers (G. Marsaglia, "Xorshift RNGs", 2003)

static inline uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

#endif
