// Stretches of a program on several threads at once.
//
// Where the heap has `threads` and the strategy promises to serve several at once, operation i runs
// on thread `thread` modulo `threads`, each thread does its own in the order of the program, and an
// operation on a slot waits until the one before on that slot has finished. So what is done with
// which block is still defined, releases by another thread included; nothing else is. All other
// operations are quiescent points: what is before them finishes first, what is behind waits.
//
//   each operation, in its thread   alignment, bounds, overlap, content, zeroed, resize-prefix,
//                                   usable-size, oversize-accepted, release-refused
//   at quiescent points             all that a run of one thread checks there: the shadow model,
//                                   contents, walk, invariants, canaries; spurious-oom
//   by TSan, drd or helgrind        race
//
// Overlap among threads is told by a map of bytes: a block's owner sets its bits after allocate has
// returned it, and clears them before release is called, so that a bit that is set belongs to a
// block that lives now. Threads are ordered by nothing but the slots that they hand over and what
// the allocator does: a lock of the harness around each call would hide every race.
//
// What is not checked while threads run: that refused requests change nothing, that live blocks are
// not touched at the very instruction, and that both passes give the same answers.
#ifndef HARNESS_CONCURRENT_H_
#define HARNESS_CONCURRENT_H_

#include <stdbool.h>
#include <stddef.h>

#include "harness/run.h"

// Whether programs on such a heap may run on several threads.
static inline bool concurrent_possible(const struct strategy *strategy, const struct heap *heap) {
  // References between blocks are booked one by one, blocks of adapters lie anywhere, and those of
  // no bytes have none that two threads could meet in.
  const unsigned without = STRATEGY_COLLECTS | STRATEGY_FOREIGN | STRATEGY_C_EDGES;
  const unsigned with = STRATEGY_CONCURRENT | STRATEGY_ALLOCATES_CONCURRENTLY;
  return heap->threads > 1 && strategy->traits & with && !(strategy->traits & without);
}

// If that is so: carries out the operations from run->index on that may run side by side, and moves
// run->index behind them. False, and nothing done, if the next one is to be carried out by itself.
bool concurrent_run(struct run *run);

// The operation that the thread at a place of the watch is in, and its index; NULL if it is in
// none of a concurrent stretch.
const struct operation *concurrent_operation(unsigned place, size_t *index);

// Frees what runs have left behind to be used again, threads included.
void concurrent_free(void);

#endif
