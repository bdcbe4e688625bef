#include "freestanding/harness/space.h"

#include <stdlib.h>

#include "freestanding/world.h"
#include "harness/arena.h"
#include "harness/forbid.h"
#include "harness/lazy.h"

enum { WORD = 64, MIN_PAGE = 64, MAPS = 3, MAX_SKEW = 63, GRANULE = 512 };

static size_t used;  // bytes of the world's memory for heaps

static bool refused;

void space_begin(void) {
  used = 0;
  refused = false;
}

bool space_refused(void) { return refused; }

// A buffer that is moved, with what lies around it; or pages with the gaps between them.
static size_t addresses_for(uint64_t capacity) {
  size_t around = 2 * (size_t)ARENA_SHIFT + MAX_SKEW + ARENA_CANARY_SIZE + ARENA_AHEAD;
  if (capacity > SIZE_MAX / 2 / ARENA_COPIES) return SIZE_MAX;
  // What lies just behind it looks like a block's address: strategies are asked about that, too.
  return (ARENA_COPIES * (size_t)capacity + around + GRANULE - 1) & ~(size_t)(GRANULE - 1);
}

// Of arenas that lie one behind the other, each begins where such a one may.
static bool place(struct arena *self, uint64_t capacity) {
  size_t size;
  unsigned char *memory = world_heap(&size);
  size_t needed = addresses_for(capacity), start;
  if (!align_up(used, ARENA_ALIGN, &start) || start > size || needed > size - start) return false;
  self->base = self->mapping = memory + start;
  // Where there is room for one alone, it has all.
  self->size = ARENA_COPIES == 1 ? size - start : needed;
  self->mapping_size = self->size;
  used = start + self->size;
  return true;
}

bool arena_init(struct arena *self, uint64_t capacity) {
  *self = (struct arena){0};
  if (!place(self, capacity)) {
    refused = true;
    *self = (struct arena){0};
    return false;
  }
  size_t words = self->size / MIN_PAGE / WORD + 2;
  uint64_t *maps = calloc(MAPS * words, sizeof *maps);
  if (!maps) {
    arena_free(self);
    return false;
  }
  self->capacity = capacity;
  self->map_words = words;
  self->taken = maps;
  self->owned = maps + words;
  self->returned = maps + 2 * words;
  memory_forbid(self->base, self->size);
  return true;
}

// Addresses come back from the end alone; a run that needs those of others is told of no room.
void arena_free(struct arena *self) {
  if (!self->mapping) return;
  size_t size;
  unsigned char *memory = world_heap(&size);
  size_t start = (size_t)(self->base - memory);
  if (start + self->size == used) used = start;
  free(self->taken);
  *self = (struct arena){0};
}

bool arena_fits(const struct arena *self, const struct heap *heap) {
  return self->mapping && addresses_for(heap->capacity) <= self->size;
}

void *lazy_map(size_t size) { return calloc(1, size); }

void lazy_unmap(void *table, size_t size) {
  (void)size;
  free(table);
}
