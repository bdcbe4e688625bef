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
  uint64_t nanoseconds;  // CPU time of the operations alone; of several threads, their waiting for
                         // each other included
  uint64_t wall;         // nanoseconds from the first operation to the last
  unsigned threads;
};

struct replay_settings {
  unsigned threads;  // that carry out the operations; 0 or 1: the calling one does, in their order
  // Called now and then, outside what is timed: so many operations are done. NULL: nobody asks.
  void (*told)(void *context, size_t done);
  void *context;
};

// The first operation that the strategy does not offer, by its traits; program_length if it offers
// all.
size_t replay_unsupported(const struct strategy *strategy, const struct program *program);

// ## Threads
//
// On several threads an operation runs on thread `thread` modulo their number. Each thread does its
// own in the order of the program; an operation on a slot waits for the one before on that slot;
// and no thread is further ahead than some thousand operations, so that what lives at once is much
// as it was.

// On how many threads a program can be replayed as it was recorded: a power of two that is at least
// 2, and no more than there are cores if there are more; 1 if the program has just one.
unsigned replay_threads(const struct program *program);

// Whether the strategy serves several threads at once with all that the program asks for.
bool replay_serves_threads(const struct strategy *strategy, const struct program *program);

// ## Replay

// On the same memory that the oracle would give: `arena` is made to fit if it does not; a zeroed
// one does. False with errno if memory is out, threads are (EAGAIN), or if the allocator cannot be
// created (ENOSPC).
bool replay_with(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program, const struct replay_settings *settings);

// The same on the calling thread, and without a word.
bool replay_bare(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program);

#endif
