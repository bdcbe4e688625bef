// Runs the oracle in a child process, so that a violation, a crash or an endless loop ends only
// that.
#ifndef HARNESS_ISOLATE_H_
#define HARNESS_ISOLATE_H_

#include <stdbool.h>

#include "harness/oracle.h"

struct isolate_settings {
  struct oracle_settings oracle;
  bool quiet;        // the child's stderr goes nowhere
  unsigned seconds;  // wall time after which it counts as a hang; 0: 60
  // Called in the child with a violation, after it is printed; NULL: none.
  violation_handler *on_violation;
};

struct isolated_run {
  struct verdict verdict;
  struct run_counts counts;  // valid if clean
};

// False, with nothing learnt, if a child cannot be made or the heap's memory cannot be had; then
// errno tells why. A child that dies without a verdict is a violation of `crash`, or of `hang` if
// by its time limit.
bool isolate_run(struct isolated_run *run, const struct isolate_settings *settings,
                 const struct strategy *strategy, const struct program *program);

#endif
