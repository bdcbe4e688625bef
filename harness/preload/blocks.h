// The live blocks of a process by address, in memory that comes from the system alone.
//
// Which bytes are taken is the shadow model's occupancy (harness/occupancy.h), here over all
// addresses that a process can have. A block that was released is remembered for a while, so that a
// second release can be told from one of an address that never was a block.
#ifndef HARNESS_PRELOAD_BLOCKS_H_
#define HARNESS_PRELOAD_BLOCKS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/occupancy.h"

struct blocks_entry {
  uintptr_t start;  // 0: empty
  size_t size;      // 0: released
};

struct blocks {
  struct occupancy occupancy;
  struct blocks_entry *entries;  // open addressing, a power of two
  size_t capacity, count;        // entries that are not empty
  size_t live;
};

// False: the system has no memory for it.
bool blocks_init(struct blocks *self);

// False, and nothing changed: it overlaps a live block, or lies where no address is.
bool blocks_add(struct blocks *self, uintptr_t start, size_t size);

// The entry of a live or a released block; NULL: none. Valid until the next add.
struct blocks_entry *blocks_find(const struct blocks *self, uintptr_t start);

// The live block of this entry is released. Its entry stays.
void blocks_remove(struct blocks *self, struct blocks_entry *entry);

// A live block that overlaps the range; NULL: none. Linear: for diagnoses only.
const struct blocks_entry *blocks_overlapping(const struct blocks *self, uintptr_t start,
                                              size_t size);

#endif
