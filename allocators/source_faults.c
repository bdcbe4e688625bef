// A fault injector: a source that refuses when it is told to.
//
// One refusal placed at each acquisition in turn visits every out-of-memory path of an allocator; a
// mask lets a fuzzer choose several; `from` is a machine whose memory has run out for good.
#include "allocators/arithmetic.h"
#include "allocators/source.h"
#include "allocators/source_decorator.h"

#define MASK_BITS 64

static bool is_armed(const struct source_faults *self, size_t acquisition) {
  return acquisition >= self->from
             ? self->from != SIZE_MAX
             : acquisition < MASK_BITS && (self->mask >> acquisition & 1) != 0;
}

// As far as can be told without asking for it.
static bool would_be_met(const struct source *inner, size_t size) {
  return size != 0 && size % inner->page_size == 0 && size <= inner->available(inner);
}

static void *acquire_or_fail(struct source *base, size_t size) {
  struct source_faults *self = (struct source_faults *)base;
  size_t acquisition = self->acquisitions++;
  self->requests++;
  if (is_armed(self, acquisition) && would_be_met(self->inner, size)) {
    self->injected++;
    return NULL;
  }
  return self->inner->acquire(self->inner, size);
}

static void release_to_inner(struct source *base, void *memory, size_t size) {
  struct source_faults *self = (struct source_faults *)base;
  self->inner->release(self->inner, memory, size);
}

static size_t available_without_faults(const struct source *base) {
  const struct source_faults *self = (const struct source_faults *)base;
  return self->inner->available(self->inner);
}

void source_faults_arm(struct source_faults *self, uint64_t mask, size_t from) {
  self->mask = mask;
  self->from = from;
  self->acquisitions = 0;
}

void source_faults_init(struct source_faults *self, struct source *inner) {
  *self = (struct source_faults){.base = source_like("faults", inner), .inner = inner};
  self->base.acquire = acquire_or_fail;
  self->base.release = release_to_inner;
  self->base.available = available_without_faults;
  source_faults_arm(self, 0, SIZE_MAX);
}
