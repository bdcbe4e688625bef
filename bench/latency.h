// How long each single operation of a workload takes, the rare long ones above all.
//
// The workload runs several times, each time in a child of its own and so from the same state: the
// same operation then does the same, and the least of its times is its own. What is left out that
// way is what the machine did meanwhile (interrupts, other processes), which on a shared one is
// most of the tail; not left out is what the allocator causes each time, system calls and page
// faults included.
#ifndef BENCH_LATENCY_H_
#define BENCH_LATENCY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/run.h"

enum { LATENCY_RUNS = 5 };

// Shares of the operations, and the time in ns that so many do not exceed; the clock's own cost is
// taken off.
#define LATENCY_QUANTILES {0.5, 0.9, 0.99, 0.999, 0.9999, 1}
enum { LATENCY_QUANTILE_COUNT = 6 };

struct latency {
  size_t operations;
  double quantiles[LATENCY_QUANTILE_COUNT];
  size_t worst_step;  // of the plan
  double clock;       // ns that a reading of the clock costs
  double step;        // ns that it is right to
  uint64_t refused;
};

// False, with a reason, if the strategy cannot run the plan. `run` has been prepared.
bool latency_measure(struct latency *result, struct run *run, unsigned variant, char *reason,
                     size_t reason_size);

#endif
