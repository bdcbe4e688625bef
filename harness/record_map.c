// Open addressing with linear probing. Taking an entry out moves later ones of its run back (Knuth,
// volume 3, 6.4, algorithm R), so that there are no tombstones and a lookup ends at the first free
// one.
#include "harness/record_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t home_of(const struct record_map *map, uint64_t address) {
  uint64_t mixed = (address ^ address >> 29) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(mixed >> 32) & (map->capacity - 1);
}

static size_t after(const struct record_map *map, size_t i) {
  return (i + 1) & (map->capacity - 1);
}

// Where the address is, or the free entry where it would be.
static size_t find(const struct record_map *map, uint64_t address) {
  size_t i = home_of(map, address);
  while (map->entries[i].address != 0 && map->entries[i].address != address) i = after(map, i);
  return i;
}

// All 0. Large ones in huge pages where there are any: each lookup is somewhere else.
static struct record_map_entry *make_entries(size_t capacity) {
  enum { HUGE_PAGE = 2 << 20 };
  size_t size = capacity * sizeof(struct record_map_entry);
  void *entries = NULL;
  if (size < HUGE_PAGE) return calloc(1, size);
  if (posix_memalign(&entries, HUGE_PAGE, size) != 0) return NULL;
  madvise(entries, size, MADV_HUGEPAGE);
  return memset(entries, 0, size);
}

static bool grow(struct record_map *map) {
  struct record_map larger = {.capacity = map->capacity ? 2 * map->capacity : 256,
                              .count = map->count};
  larger.entries = make_entries(larger.capacity);
  if (!larger.entries) return false;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->entries[i].address != 0)
      larger.entries[find(&larger, map->entries[i].address)] = map->entries[i];
  free(map->entries);
  *map = larger;
  return true;
}

uint32_t *record_map_name(struct record_map *map, uint64_t address, bool *fresh) {
  if (map->count >= map->capacity / 2 && !grow(map)) return NULL;
  struct record_map_entry *entry = &map->entries[find(map, address)];
  *fresh = entry->address == 0;
  map->count += *fresh;
  entry->address = address;
  return &entry->slot;
}

enum record_map_result record_map_add(struct record_map *map, uint64_t address, uint32_t slot) {
  bool fresh;
  uint32_t *named = record_map_name(map, address, &fresh);
  if (!named) return RECORD_MAP_NO_MEMORY;
  if (!fresh) return RECORD_MAP_PRESENT;
  *named = slot;
  return RECORD_MAP_ADDED;
}

bool record_map_take(struct record_map *map, uint64_t address, uint32_t *slot) {
  if (map->count == 0) return false;
  size_t hole = find(map, address);
  if (map->entries[hole].address == 0) return false;
  *slot = map->entries[hole].slot;
  map->count--;
  for (size_t i = after(map, hole); map->entries[i].address != 0; i = after(map, i)) {
    // It may move back only if the hole is not before its home.
    size_t distance = (i - home_of(map, map->entries[i].address)) & (map->capacity - 1);
    if (distance < ((i - hole) & (map->capacity - 1))) continue;
    map->entries[hole] = map->entries[i];
    hole = i;
  }
  map->entries[hole].address = 0;
  return true;
}

void record_map_clear(struct record_map *map) {
  free(map->entries);
  *map = (struct record_map){0};
}
