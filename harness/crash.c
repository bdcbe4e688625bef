#include "harness/crash.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/forbid.h"

enum { WORD = 8, MASK_BITS = 64 };

bool crash_arm(struct crash *self, const void *memory, size_t size, unsigned barrier,
               uint64_t mask) {
  if (self->capacity < size) {
    unsigned char *lasting = realloc(self->lasting, size);
    if (lasting) self->lasting = lasting;
    unsigned char *image = realloc(self->image, size);
    if (image) self->image = image;
    if (!lasting || !image) return false;
    self->capacity = size;
  }
  self->armed = true;
  self->taken = self->inside = false;
  self->barrier = barrier;
  self->seen = 0;
  self->mask = mask;
  self->memory = memory;
  self->size = size;
  memory_copy(self->lasting, memory, size);
  return true;
}

// Offsets [*from, *to) of the aligned word that the byte at `offset` belongs to.
static void word_around(const struct crash *self, size_t offset, size_t *from, size_t *to) {
  size_t phase = (address_of(self->memory) + offset) % WORD;
  *from = offset > phase ? offset - phase : 0;
  *to = offset + (WORD - phase);
  if (*to > self->size) *to = self->size;
}

static void take(struct crash *self) {
  memory_copy(self->image, self->memory, self->size);
  unsigned pending = 0;
  for (size_t from = 0, to; from < self->size; from = to) {
    word_around(self, from, &from, &to);
    if (memcmp(self->image + from, self->lasting + from, to - from) == 0) continue;
    if ((self->mask >> pending++ % MASK_BITS & 1) == 0)
      memcpy(self->image + from, self->lasting + from, to - from);
  }
  self->taken = true;
}

void crash_barrier(struct crash *self, const void *start, size_t size) {
  if (!self->armed || self->taken) return;
  if (++self->seen == self->barrier) {
    take(self);
    self->inside = true;
    return;
  }
  // A barrier for bytes outside the heap makes nothing last.
  if (!range_within(start, size, self->memory, self->size)) return;
  size_t offset = address_of(start) - address_of(self->memory);
  memory_copy(self->lasting + offset, self->memory + offset, size);
}

void crash_finish(struct crash *self) {
  if (self->armed && !self->taken) take(self);
  self->armed = false;
}

void crash_free(struct crash *self) {
  free(self->lasting);
  free(self->image);
  *self = (struct crash){0};
}
