// A checker as course drivers have it: a list of all live blocks, which each operation walks. What
// the shadow model is compared with.
#ifndef BENCH_NAIVE_H_
#define BENCH_NAIVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/arena.h"
#include "harness/program.h"

enum naive_depth {
  NAIVE_RANGES,  // a new block is compared with the range of each live one, and one that goes is
                 // looked for among them; its own bytes are verified
  NAIVE_BYTES,   // and after each operation all bytes of all live blocks are verified
};

// Allocations and releases of the program up to operation `end`; CPU nanoseconds of those from
// `start` on, allocator included. Ends the process (2) if the allocator is wrong, or memory is out.
uint64_t naive_replay(struct arena *arena, const struct strategy *strategy,
                      const struct program *program, enum naive_depth depth, size_t start,
                      size_t end);

#endif
