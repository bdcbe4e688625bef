#include "harness/preload/blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FIRST_CAPACITY = 1 << 14 };

// What a process of x86-64 or AArch64 can have, unless it asks for more.
#define ADDRESSES ((size_t)1 << 47)

static struct blocks_entry *make_entries(size_t capacity) {
  void *entries = mmap(NULL, capacity * sizeof(struct blocks_entry), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return entries == MAP_FAILED ? NULL : entries;
}

bool blocks_init(struct blocks *self) {
  *self = (struct blocks){.entries = make_entries(FIRST_CAPACITY), .capacity = FIRST_CAPACITY};
  if (!self->entries || !occupancy_init(&self->occupancy, 0, ADDRESSES)) return false;
  // Nobody wants two tebibytes of zeros in a core file.
  madvise(self->occupancy.bits, self->occupancy.bits_size, MADV_DONTDUMP);
  return true;
}

// Linear probing, Fibonacci hashing (Knuth, volume 3, 6.4). Entries are never taken out.
static struct blocks_entry *place_of(const struct blocks *self, uintptr_t start) {
  size_t i = (size_t)((start >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (self->capacity - 1);
  while (self->entries[i].start != 0 && self->entries[i].start != start)
    i = (i + 1) & (self->capacity - 1);
  return &self->entries[i];
}

// Released blocks are forgotten here: else a process that never uses an address again would fill
// the memory with them.
static void make_room(struct blocks *self) {
  if (2 * (self->count + 1) <= self->capacity) return;
  struct blocks old = *self;
  while (self->capacity < 8 * (self->live + 1)) self->capacity *= 2;
  self->entries = make_entries(self->capacity);
  if (!self->entries) abort();  // a shadow that forgets would be worse than none
  self->count = self->live;
  for (size_t i = 0; i < old.capacity; i++)
    if (old.entries[i].size != 0) *place_of(self, old.entries[i].start) = old.entries[i];
  munmap(old.entries, old.capacity * sizeof *old.entries);
}

bool blocks_add(struct blocks *self, uintptr_t start, size_t size) {
  if (start == 0 || start >= ADDRESSES || size > ADDRESSES - start ||
      !occupancy_take(&self->occupancy, start, size))
    return false;
  make_room(self);
  struct blocks_entry *entry = place_of(self, start);
  self->count += entry->start == 0;
  self->live++;
  *entry = (struct blocks_entry){start, size};
  return true;
}

struct blocks_entry *blocks_find(const struct blocks *self, uintptr_t start) {
  struct blocks_entry *entry = place_of(self, start);
  return entry->start != 0 ? entry : NULL;
}

void blocks_remove(struct blocks *self, struct blocks_entry *entry) {
  occupancy_give(&self->occupancy, entry->start, entry->size);
  entry->size = 0;
  self->live--;
}

const struct blocks_entry *blocks_overlapping(const struct blocks *self, uintptr_t start,
                                              size_t size) {
  for (size_t i = 0; i < self->capacity; i++) {
    const struct blocks_entry *entry = &self->entries[i];
    if (entry->size != 0 && entry->start < start + size && start < entry->start + entry->size)
      return entry;
  }
  return NULL;
}
