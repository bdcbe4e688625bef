// Chance: splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
// OOPSLA 2014). The same state, the same numbers.
#ifndef FUZZ_CHANCE_H_
#define FUZZ_CHANCE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
  uint64_t state;
};

static inline uint64_t draw(struct chance *chance) {
  uint64_t z = chance->state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// 0 .. limit - 1. Without a division where that will do: there are many draws in a mutation.
static inline uint64_t below(struct chance *chance, uint64_t limit) {
  uint64_t drawn = draw(chance);
  return limit <= UINT32_MAX ? (drawn >> 32) * limit >> 32 : drawn % limit;
}

// The same, of what is counted in memory.
static inline size_t index_below(struct chance *chance, size_t limit) {
  return (size_t)below(chance, limit);
}

static inline bool one_in(struct chance *chance, unsigned n) { return below(chance, n) == 0; }

#endif
