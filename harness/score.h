// Utilisation and throughput: the two figures that a malloc lab grades a heap by.
//
// Utilisation is the most payload that was live at a time by the most memory that the heap had of
// its source, which for one that grows by sbrk is its size at the end. Throughput counts requests
// by CPU time of the calls alone: payloads are not touched, as course drivers do not either.
// Nothing is checked here but that requests are met: what a heap that is wrong scores means
// nothing.
#ifndef HARNESS_SCORE_H_
#define HARNESS_SCORE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/program.h"

enum { SCORE_ROUNDS_MAX = 25 };

struct score {
  uint64_t operations;  // requests and releases of a run
  size_t peak_live;     // bytes
  size_t peak_heap;     // bytes
  size_t libc_heap;  // bytes; 0: not known, as malloc is not the one of glibc, or had enough before
  double seconds;    // CPU time of a run, median of the rounds
  double libc_seconds;  // the same of the C library's malloc, round by round beside it
  unsigned rounds;
  char reason[128];  // why there is no score, or empty
};

// In a child process, which has at most `limit` seconds of CPU time, and ten times that of wall
// time; rounds go on until `seconds` of CPU time are spent. What the strategy does not offer is
// made of what it does: a resize is allocate, copy and release. `heap`: bytes. A score with a
// reason has no figures.
void score_run(struct score *score, const struct strategy *strategy, const struct program *program,
               size_t heap, unsigned seconds, unsigned limit);

#endif
