// Open addressing with linear probing. Taking an entry out moves later ones of its run back (Knuth,
// volume 3, 6.4, algorithm R), so that there are no tombstones and a lookup ends at the first free
// one.
#include "harness/record_map.h"

#include <stdlib.h>

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

static bool grow(struct record_map *map) {
  struct record_map larger = {.capacity = map->capacity ? 2 * map->capacity : 256,
                              .count = map->count};
  larger.entries = calloc(larger.capacity, sizeof *larger.entries);
  if (!larger.entries) return false;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->entries[i].address != 0)
      larger.entries[find(&larger, map->entries[i].address)] = map->entries[i];
  free(map->entries);
  *map = larger;
  return true;
}

enum record_map_result record_map_add(struct record_map *map, uint64_t address, uint32_t slot) {
  if (map->count >= map->capacity / 2 && !grow(map)) return RECORD_MAP_NO_MEMORY;
  struct record_map_entry *entry = &map->entries[find(map, address)];
  if (entry->address != 0) return RECORD_MAP_PRESENT;
  *entry = (struct record_map_entry){.address = address, .slot = slot};
  map->count++;
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
