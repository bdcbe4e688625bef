// Which granules of the whole address space are taken: for blocks that may lie anywhere.
//
// A hash table of words, each with the bits of 64 granules in a row, so that memory and time depend
// on what is taken and not on where it lies (linear probing; deletion by shifting back, D. E.
// Knuth, TAOCP vol. 3, 6.4, algorithm R).
#ifndef HARNESS_SPARSE_H_
#define HARNESS_SPARSE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sparse_word {
  uintptr_t number;  // of the word: granule / 64
  uint64_t bits;     // 0: an empty entry
};

struct sparse {
  struct sparse_word *words;  // a power of two
  size_t capacity, count;
};

void sparse_free(struct sparse *self);

// Granules [first, last] are taken from now on, or not any more. Aborts if memory is out.
void sparse_set(struct sparse *self, uintptr_t first, uintptr_t last, bool taken);
bool sparse_any(const struct sparse *self, uintptr_t first, uintptr_t last);

#endif
