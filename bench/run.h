// Runs a plan on a strategy, on the C library's malloc (whichever is loaded), or on next to
// nothing, with the same loop: bare calls, and one byte written in each page of a block when it is
// handed out.
#ifndef BENCH_RUN_H_
#define BENCH_RUN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/source.h"
#include "allocators/strategy.h"
#include "bench/plan.h"

enum run_api {
  RUN_STRATEGY,  // what it does not offer is made of what it does: a resize is a move, a reset
                 // releases each block, zeroed blocks are written
  RUN_LIBC,
  RUN_LOOP,  // hands out the same memory over and over: what the loop costs by itself
  RUN_RAW,   // hands out fresh pages of one mapping, one after the other
};

// Pages, with all that a strategy may need of its source. Counts what is taken, and costs next to
// nothing.
struct run_source {
  struct source base;
  struct source_pages pages;
  size_t acquired, peak;  // bytes
};

struct run {
  const struct plan *plan;
  enum run_api api;
  const struct strategy *strategy;
  struct allocator *allocator;
  struct run_source source;
  unsigned char **slots;
  uint64_t *sizes;        // RUN_STRATEGY without resize: bytes of the block in each slot
  unsigned char *memory;  // RUN_LOOP, RUN_RAW: what is handed out
  size_t at;              // RUN_RAW: how much of it was
  uint64_t refused;
  size_t next;  // step
};

// What the run itself needs. False, with a reason, if the strategy cannot run this plan.
bool run_prepare(struct run *self, const struct plan *plan, enum run_api api,
                 const struct strategy *strategy, char *reason, size_t reason_size);

// The allocator, before step 0. False, with a reason, if there is none.
bool run_open(struct run *self, unsigned variant, char *reason, size_t reason_size);

// Runs on to step `end`.
void run_until(struct run *self, size_t end);

// Runs the steps from plan->start on until they are done, or over and over if they are a cycle
// until so much CPU time has passed. Returns how many were run.
uint64_t run_timed(struct run *self, uint64_t budget, uint64_t *nanoseconds);

// Runs the steps from plan->start to the last one, each by itself between two readings of the
// clock: `spent` of a step is ticks (ticks.h). Of RUN_STRATEGY and RUN_LIBC. Blocks are touched in
// between, as ever.
void run_clocked(struct run *self, uint32_t *spent);

// Usable bytes of all live blocks; 0: the strategy does not tell.
size_t run_usable(const struct run *self);

void run_source_init(struct run_source *self, size_t page_size);

// Zeroed memory that no malloc gave, and that is present already.
void *run_memory(size_t size);

#endif
