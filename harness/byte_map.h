// Which bytes of an address range are taken, for several threads at once: one bit each.
//
// Atomic, but relaxed: it orders nothing, so that no race of those who use the bytes is hidden.
#ifndef HARNESS_BYTE_MAP_H_
#define HARNESS_BYTE_MAP_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct byte_map {
  _Atomic uint64_t *words;  // lazily backed: only words that were written cost memory
  uintptr_t base;
  size_t size;  // bytes covered
};

// Covers [base, base + size), both multiples of 64, of which nothing is taken: called anew, what
// was taken must have been given back. All zero is a map of nothing.
void byte_map_cover(struct byte_map *self, const void *base, size_t size);
void byte_map_free(struct byte_map *self);

// False if some byte of it was taken; then the map is of no use any more.
bool byte_map_take(struct byte_map *self, uintptr_t start, size_t size);
void byte_map_give(struct byte_map *self, uintptr_t start, size_t size);

#endif
