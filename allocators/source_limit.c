// A limit on what another source grants: how a small machine is made out of a large one.
#include "allocators/arithmetic.h"
#include "allocators/source.h"
#include "allocators/source_decorator.h"

static size_t available_within_limit(const struct source *base) {
  const struct source_limit *self = (const struct source_limit *)base;
  size_t inner = self->inner->available(self->inner);
  if (self->limit == SIZE_MAX) return inner;
  // A limit need be no multiple of the page size, but what can be granted is.
  size_t room = align_down(self->limit - self->granted, base->page_size);
  return room < inner ? room : inner;
}

static void *acquire_within_limit(struct source *base, size_t size) {
  struct source_limit *self = (struct source_limit *)base;
  if (size > self->limit - self->granted) return NULL;
  void *memory = self->inner->acquire(self->inner, size);
  if (memory == NULL) return NULL;
  if (self->granted == 0) self->held = memory;
  self->granted += size;
  return memory;
}

static void release_within_limit(struct source *base, void *memory, size_t size) {
  struct source_limit *self = (struct source_limit *)base;
  self->granted -= size;
  if (memory == self->held) self->held = NULL;
  self->inner->release(self->inner, memory, size);
}

// What is held from before counts from when it is first asked for. It is one stretch, so if it was
// granted in this life, nothing else was before it.
static void *held_within_limit(struct source *base, size_t *size) {
  struct source_limit *self = (struct source_limit *)base;
  void *memory = self->inner->held(self->inner, size);
  if (memory == NULL || memory == self->held) return memory;
  if (*size > self->limit - self->granted) return NULL;
  self->held = memory;
  self->granted += *size;
  return memory;
}

void source_limit_init(struct source_limit *self, struct source *inner, size_t limit) {
  *self =
      (struct source_limit){.base = source_like("limit", inner), .inner = inner, .limit = limit};
  self->base.acquire = acquire_within_limit;
  self->base.release = release_within_limit;
  self->base.available = available_within_limit;
  if (inner->held != NULL) self->base.held = held_within_limit;
}
