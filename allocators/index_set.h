// A set of small numbers as a bitmap, where the last member at or before any number is found at
// once.
//
// The lowest level has a bit for each number; each further one tells which words of the level below
// are not zero, up to a single word. A search goes up to a word with members further left, and down
// again to the last of them: two steps per level, however far away it is. (The shape is that of P.
// van Emde Boas, "Preserving Order in a Forest in Less than Logarithmic Time", FOCS 1975, with the
// fan-out of a machine word.)
#ifndef ALLOCATORS_INDEX_SET_H_
#define ALLOCATORS_INDEX_SET_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/memory.h"

#define INDEX_SET_WORD sizeof(size_t)
#define INDEX_SET_BITS (INDEX_SET_WORD * 8)

enum { INDEX_SET_LEVELS = 10 };  // enough for all addresses, in units of four words

struct index_set {
  size_t *levels[INDEX_SET_LEVELS];
  size_t words[INDEX_SET_LEVELS];  // of each level
};

// A set for numbers below `count`, in memory from `start` on (aligned for a size_t). Returns where
// that ends: each level has at most one word that is not full, and so all have at most
// count / (INDEX_SET_BITS - 1) / 8 bytes and INDEX_SET_LEVELS + 1 words. Nothing is written there.
static inline uintptr_t index_set_lay_out(struct index_set *self, uintptr_t start, size_t count) {
  for (size_t level = 0; level < INDEX_SET_LEVELS; level++) {
    count = (count + INDEX_SET_BITS - 1) / INDEX_SET_BITS;
    self->words[level] = count;
    self->levels[level] = (size_t *)start;
    start += count * INDEX_SET_WORD;
  }
  return start;
}

static inline void index_set_clear(struct index_set *self) {
  for (size_t level = 0; level < INDEX_SET_LEVELS; level++)
    memset(self->levels[level], 0, self->words[level] * INDEX_SET_WORD);
}

static inline size_t index_set_bit(size_t index) { return (size_t)1 << index % INDEX_SET_BITS; }

static inline size_t index_set_top(size_t word) { return 63 - (size_t)__builtin_clzll(word); }

static inline bool index_set_has(const struct index_set *self, size_t index) {
  return (self->levels[0][index / INDEX_SET_BITS] & index_set_bit(index)) != 0;
}

static inline void index_set_add(struct index_set *self, size_t index) {
  size_t before = 0;
  for (size_t level = 0; before == 0 && level < INDEX_SET_LEVELS; level++) {
    size_t *word = &self->levels[level][index / INDEX_SET_BITS];
    before = *word;
    *word |= index_set_bit(index);
    index /= INDEX_SET_BITS;
  }
}

static inline void index_set_remove(struct index_set *self, size_t index) {
  size_t after = 0;
  for (size_t level = 0; after == 0 && level < INDEX_SET_LEVELS; level++) {
    size_t *word = &self->levels[level][index / INDEX_SET_BITS];
    *word &= ~index_set_bit(index);
    after = *word;
    index /= INDEX_SET_BITS;
  }
}

// The last member at or before `index`; 0 if there is none.
static inline size_t index_set_last(const struct index_set *self, size_t index) {
  size_t level = 0, place = index % INDEX_SET_BITS;
  size_t found = self->levels[0][index / INDEX_SET_BITS] & SIZE_MAX >> (INDEX_SET_BITS - 1 - place);
  while (found == 0 && ++level < INDEX_SET_LEVELS) {
    index /= INDEX_SET_BITS;
    found = self->levels[level][index / INDEX_SET_BITS] & (index_set_bit(index) - 1);
  }
  if (found == 0) return 0;
  index = index / INDEX_SET_BITS * INDEX_SET_BITS + index_set_top(found);
  while (level-- != 0) index = index * INDEX_SET_BITS + index_set_top(self->levels[level][index]);
  return index;
}

// A word that is not as the level below it says, or NULL; or the lowest level, if it has not just
// as many members.
static inline const size_t *index_set_damage(const struct index_set *self, size_t members) {
  for (size_t i = 0; i < self->words[0]; i++)
    members -= (size_t)__builtin_popcountll(self->levels[0][i]);
  if (members != 0) return self->levels[0];
  for (size_t level = 1; level < INDEX_SET_LEVELS; level++)
    for (size_t i = 0; i < self->words[level] * INDEX_SET_BITS; i++) {
      const size_t *word = &self->levels[level][i / INDEX_SET_BITS];
      bool filled = i < self->words[level - 1] && self->levels[level - 1][i] != 0;
      if (((*word & index_set_bit(i)) != 0) != filled) return word;
    }
  return NULL;
}

#endif
