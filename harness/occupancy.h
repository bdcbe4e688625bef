// Which bytes of an address range belong to live blocks.
//
// One bit for each granule of 8 bytes, so that a query costs one word for 512 bytes, and nothing
// depends on how many blocks live. Where blocks need not be aligned to a granule, two may share
// one: granules that are covered in part then have a mask of bytes in a hash table.
#ifndef HARNESS_OCCUPANCY_H_
#define HARNESS_OCCUPANCY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/sparse.h"

struct occupancy_partial {
  size_t granule;  // index + 1; 0: empty entry
  uint8_t mask;    // bit i: byte i is taken
};

struct occupancy {
  uintptr_t base;
  size_t size;     // bytes covered
  uint64_t *bits;  // lazily backed: only words that were written cost memory
  size_t bits_size;
  bool shared_granules;
  bool anywhere;         // what is taken need not lie in the range: `sparse` has it, not `bits`
  struct sparse sparse;  // by address / granule
  struct occupancy_partial *partials;  // open addressing, a power of two
  size_t partials_capacity;
  size_t partials_count;
};

// Covers [base, base + size), `base` a multiple of 8, with nothing taken. False if memory is out.
bool occupancy_init(struct occupancy *self, uintptr_t base, size_t size);
void occupancy_free(struct occupancy *self);

// Whether blocks may share a granule; only while nothing is taken.
void occupancy_share_granules(struct occupancy *self, bool shared);

// Whether blocks may lie outside the range; only while nothing is taken. They share no granule
// then.
void occupancy_allow_anywhere(struct occupancy *self, bool anywhere);

// Takes [start, start + size), which must lie inside the range, if not anywhere, and not be empty.
// False, and nothing changed, if any byte of it is taken.
bool occupancy_take(struct occupancy *self, uintptr_t start, size_t size);
// Gives back what was taken as such, or a part of it.
void occupancy_give(struct occupancy *self, uintptr_t start, size_t size);

// Whether some byte in the range is taken; whole granules only if `inner`: then a granule that the
// range covers in part does not count.
bool occupancy_any(const struct occupancy *self, uintptr_t start, size_t size, bool inner);

// Bytes of memory in use for the given extent of the range: the size of the side table and of the
// bits.
size_t occupancy_memory(const struct occupancy *self, size_t extent);

static inline void occupancy_prefetch(const struct occupancy *self, uintptr_t start) {
  __builtin_prefetch(&self->bits[(start - self->base) >> 9], 1);
}

#endif
