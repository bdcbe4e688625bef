#include "bench/bare_bump.h"

#include <stdint.h>

static void init(struct bare_bump *self, void *buffer, size_t size) {
  self->start = self->at = buffer;
  self->end = self->start + size;
}

static void *allocate(struct bare_bump *self, size_t size, size_t align) {
  uintptr_t at = ((uintptr_t)self->at + align - 1) & ~(uintptr_t)(align - 1);
  if (at > (uintptr_t)self->end || size > (uintptr_t)self->end - at) return NULL;
  self->at = (unsigned char *)at + size;
  return (unsigned char *)at;
}

static void reset(struct bare_bump *self) { self->at = self->start; }

struct bare_bump_table *bare_bump_table(void) {
  static struct bare_bump_table table = {init, allocate, reset};
  return &table;
}
