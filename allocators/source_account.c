// An accountant: a shadow of what was acquired from another source, as a sorted table.
//
// It believes neither side. A release that matches no acquired stretch is counted, and is kept from
// the inner source, which might not survive it.
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/source.h"
#include "allocators/source_decorator.h"

// How many stretches start at or below an address: a binary search for the upper bound.
static size_t rank_of(const struct source_account *self, const void *address) {
  size_t low = 0;
  size_t high = self->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (address_of(self->stretches[middle].start) <= address_of(address))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void insert_stretch(struct source_account *self, void *start, size_t size) {
  size_t rank = rank_of(self, start);
  struct source_stretch *place = self->stretches + rank;
  memmove(place + 1, place, (self->count - rank) * sizeof *place);
  *place = (struct source_stretch){start, size};
  self->count++;
}

static void remove_stretch(struct source_account *self, size_t rank) {
  struct source_stretch *place = self->stretches + rank;
  self->count--;
  memmove(place, place + 1, (self->count - rank) * sizeof *place);
}

// Where stretches that adjoin are one, this one may only be its end.
static bool extend_stretch(struct source_account *self, const unsigned char *start, size_t size) {
  size_t rank = self->grows ? rank_of(self, start) : 0;
  if (rank == 0) return false;
  struct source_stretch *below = self->stretches + rank - 1;
  if (below->start + below->size != start) return false;
  below->size += size;
  return true;
}

static void book(struct source_account *self, void *memory, size_t size) {
  if (!extend_stretch(self, memory, size)) insert_stretch(self, memory, size);
  self->changes++;
  self->bytes += size;
  if (self->bytes > self->peak) self->peak = self->bytes;
}

static void *acquire_accounted(struct source *base, size_t size) {
  struct source_account *self = (struct source_account *)base;
  if (self->count == self->capacity) return NULL;
  void *memory = self->inner->acquire(self->inner, size);
  if (memory != NULL) book(self, memory, size);
  return memory;
}

static void *held_accounted(struct source *base, size_t *size) {
  struct source_account *self = (struct source_account *)base;
  if (self->count == self->capacity) return NULL;
  void *memory = self->inner->held(self->inner, size);
  if (memory != NULL && source_account_find(self, memory, 1) == NULL) book(self, memory, *size);
  return memory;
}

static void release_accounted(struct source *base, void *memory, size_t size) {
  struct source_account *self = (struct source_account *)base;
  size_t rank = rank_of(self, memory);
  struct source_stretch *stretch = rank == 0 ? NULL : self->stretches + rank - 1;
  if (stretch != NULL && stretch->start == memory && stretch->size == size) {
    remove_stretch(self, rank - 1);
  } else if (stretch != NULL && self->grows && size != 0 &&
             address_of(memory) - address_of(stretch->start) + size == stretch->size) {
    stretch->size -= size;
  } else {
    self->errors++;
    return;
  }
  self->changes++;
  self->bytes -= size;
  self->inner->release(self->inner, memory, size);
}

static size_t available_to_account(const struct source *base) {
  const struct source_account *self = (const struct source_account *)base;
  return self->count == self->capacity ? 0 : self->inner->available(self->inner);
}

const struct source_stretch *source_account_find(const struct source_account *self,
                                                 const void *start, size_t size) {
  size_t rank = rank_of(self, start);
  if (rank == 0) return NULL;
  const struct source_stretch *stretch = self->stretches + rank - 1;
  return range_within(start, size, stretch->start, stretch->size) ? stretch : NULL;
}

void source_account_init(struct source_account *self, struct source *inner,
                         struct source_stretch *table, size_t capacity) {
  *self = (struct source_account){
      .base = source_like("account", inner),
      .inner = inner,
      .stretches = table,
      .capacity = capacity,
  };
  self->base.acquire = acquire_accounted;
  self->base.release = release_accounted;
  self->base.available = available_to_account;
  if (inner->held != NULL) self->base.held = held_accounted;
}
