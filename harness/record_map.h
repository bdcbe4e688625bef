// Which slot of a program an address of the recorded process stands for: a hash map.
#ifndef HARNESS_RECORD_MAP_H_
#define HARNESS_RECORD_MAP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct record_map_entry {
  uint64_t address;  // 0: free
  uint32_t slot;
};

struct record_map {  // 0-initialised is an empty map
  struct record_map_entry *entries;
  size_t capacity;  // a power of two, or 0
  size_t count;
};

enum record_map_result { RECORD_MAP_ADDED, RECORD_MAP_PRESENT, RECORD_MAP_NO_MEMORY };

// `address` is not 0.
enum record_map_result record_map_add(struct record_map *map, uint64_t address, uint32_t slot);
// The slot that the address stands for; if it stood for none, *fresh is set, and the slot is to be
// set, too. NULL if memory is out. Valid until the map changes.
uint32_t *record_map_name(struct record_map *map, uint64_t address, bool *fresh);
// Takes the address out of the map. False if it was not in it.
bool record_map_take(struct record_map *map, uint64_t address, uint32_t *slot);
void record_map_clear(struct record_map *map);

#endif
