// Bare replay: a program on an allocator without an oracle, as fast as it goes. What validated
// replay is compared with.
#ifndef HARNESS_REPLAY_H_
#define HARNESS_REPLAY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/arena.h"
#include "harness/program.h"

struct replay {
  uint64_t operations;
  uint64_t refused;
  uint64_t nanoseconds;  // CPU time of the operations alone
};

// The first operation that the strategy does not offer, by its traits; program_length if it offers
// all.
size_t replay_unsupported(const struct strategy *strategy, const struct program *program);

// On the same memory that the oracle would give: `arena` is made to fit if it does not; a zeroed
// one does. False with errno if memory is out, or if the allocator cannot be created (ENOSPC).
bool replay_bare(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program);

#endif
