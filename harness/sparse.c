#include "harness/sparse.h"

#include <stdlib.h>

enum { BITS = 64, FIRST_CAPACITY = 1024 };

static size_t home(const struct sparse *self, uintptr_t number) {
  return (size_t)(number * 0x9E3779B97F4A7C15u >> 20) & (self->capacity - 1);
}

// The entry of a word, or the empty one where it belongs.
static struct sparse_word *find(const struct sparse *self, uintptr_t number) {
  size_t i = home(self, number);
  while (self->words[i].bits && self->words[i].number != number) i = (i + 1) & (self->capacity - 1);
  return &self->words[i];
}

static void reserve(struct sparse *self) {
  if (4 * (self->count + 1) <= 3 * self->capacity) return;
  struct sparse old = *self;
  self->capacity = old.capacity ? 2 * old.capacity : FIRST_CAPACITY;
  self->words = calloc(self->capacity, sizeof *self->words);
  if (!self->words) abort();  // a shadow that forgets would be worse than none
  for (size_t i = 0; i < old.capacity; i++)
    if (old.words[i].bits) *find(self, old.words[i].number) = old.words[i];
  free(old.words);
}

static void remove_word(struct sparse *self, struct sparse_word *word) {
  size_t mask = self->capacity - 1, hole = (size_t)(word - self->words);
  for (size_t i = (hole + 1) & mask; self->words[i].bits; i = (i + 1) & mask) {
    size_t ideal = home(self, self->words[i].number);
    if (((i - ideal) & mask) < ((i - hole) & mask)) continue;
    self->words[hole] = self->words[i];
    hole = i;
  }
  self->words[hole].bits = 0;
  self->count--;
}

// The bits of [first, last] that lie in a word.
static uint64_t mask_within(uintptr_t number, uintptr_t first, uintptr_t last) {
  uint64_t mask = ~(uint64_t)0;
  if (number == first / BITS) mask &= ~(uint64_t)0 << first % BITS;
  if (number == last / BITS) mask &= ~(uint64_t)0 >> (BITS - 1 - last % BITS);
  return mask;
}

void sparse_free(struct sparse *self) {
  free(self->words);
  *self = (struct sparse){0};
}

void sparse_set(struct sparse *self, uintptr_t first, uintptr_t last, bool taken) {
  for (uintptr_t number = first / BITS; number <= last / BITS; number++) {
    uint64_t mask = mask_within(number, first, last);
    if (taken) reserve(self);
    if (self->capacity == 0) return;
    struct sparse_word *word = find(self, number);
    if (taken) {
      self->count += word->bits == 0;
      word->number = number;
      word->bits |= mask;
    } else if (word->bits) {
      word->bits &= ~mask;
      if (word->bits == 0) remove_word(self, word);
    }
  }
}

bool sparse_any(const struct sparse *self, uintptr_t first, uintptr_t last) {
  if (self->capacity == 0) return false;
  for (uintptr_t number = first / BITS; number <= last / BITS; number++)
    if (find(self, number)->bits & mask_within(number, first, last)) return true;
  return false;
}
