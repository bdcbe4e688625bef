// How large the live blocks of a foreign allocator are that does not tell.
//
// An open hash table by address with linear probing (Knuth, TAOCP vol. 3, 6.4, algorithms L and R),
// in pages of its own, never more than half full. Safe to be used by several threads at once.
#ifndef ALLOCATORS_FOREIGN_BLOCK_SIZES_H_
#define ALLOCATORS_FOREIGN_BLOCK_SIZES_H_

#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/lock.h"

struct block_size {
  uintptr_t address;  // 0: an empty place
  size_t size;
};

// All zero is an empty one.
struct block_sizes {
  struct lock lock;
  struct block_size *places;
  size_t mask;  // places - 1; their number is a power of two
  size_t count;
};

enum { BLOCK_SIZES_LEAST = 1 << 10 };

static inline size_t block_sizes_home(const struct block_sizes *self, uintptr_t address) {
  return (size_t)((uint64_t)address * 0x9E3779B97F4A7C15u >> 20) & self->mask;
}

static inline size_t block_sizes_find(const struct block_sizes *self, uintptr_t address) {
  size_t i = block_sizes_home(self, address);
  while (self->places[i].address != 0 && self->places[i].address != address)
    i = (i + 1) & self->mask;
  return i;
}

// By no function of the C library: whoever watches what an allocator calls would take it for the
// allocator's (harness/watch_calls.c). NULL: the system has no memory.
static inline void *block_sizes_map(size_t size) {
#ifdef SYS_mmap2
  const long number = SYS_mmap2;
#else
  const long number = SYS_mmap;
#endif
  long at =
      syscall(number, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  return at == -1 ? NULL : (void *)at;
}

// False if the system has no memory for it.
static inline bool block_sizes_grow(struct block_sizes *self) {
  struct block_sizes old = *self;
  size_t number = old.places ? 2 * (old.mask + 1) : BLOCK_SIZES_LEAST;
  void *places = block_sizes_map(number * sizeof *old.places);
  if (!places) return false;
  self->places = places;
  self->mask = number - 1;
  if (!old.places) return true;
  for (size_t i = 0; i <= old.mask; i++)
    if (old.places[i].address != 0)
      self->places[block_sizes_find(self, old.places[i].address)] = old.places[i];
  munmap(old.places, (old.mask + 1) * sizeof *old.places);
  return true;
}

static inline void block_sizes_put(struct block_sizes *self, const void *block, size_t size) {
  lock_acquire(&self->lock);
  // Without room a block counts as none: less is limited then.
  if ((self->places && 2 * self->count <= self->mask) || block_sizes_grow(self)) {
    struct block_size *place = &self->places[block_sizes_find(self, address_of(block))];
    self->count += place->address == 0;
    *place = (struct block_size){address_of(block), size};
  }
  lock_release(&self->lock);
}

// The size, and the block is forgotten; 0 if it is not known.
static inline size_t block_sizes_take(struct block_sizes *self, const void *block) {
  size_t size = 0;
  lock_acquire(&self->lock);
  size_t hole = self->places ? block_sizes_find(self, address_of(block)) : 0;
  if (self->places && self->places[hole].address != 0) {
    size = self->places[hole].size;
    self->count--;
    // Whoever stands between his home and his place beyond the hole moves into it.
    for (size_t i = (hole + 1) & self->mask; self->places[i].address != 0;
         i = (i + 1) & self->mask) {
      size_t home = block_sizes_home(self, self->places[i].address);
      if (((i - home) & self->mask) < ((i - hole) & self->mask)) continue;
      self->places[hole] = self->places[i];
      hole = i;
    }
    self->places[hole].address = 0;
  }
  lock_release(&self->lock);
  return size;
}

static inline void block_sizes_clear(struct block_sizes *self) {
  if (self->places) munmap(self->places, (self->mask + 1) * sizeof *self->places);
  self->places = NULL;
  self->mask = self->count = 0;
}

#endif
