// Runs the oracle in a child process, so that a violation, a crash or an endless loop ends only
// that.
#ifndef HARNESS_ISOLATE_H_
#define HARNESS_ISOLATE_H_

#include <stdbool.h>

#include "harness/oracle.h"

struct isolate_settings {
  struct oracle_settings oracle;
  bool quiet;  // the child's stderr goes nowhere
  bool once;   // else a program on several threads runs up to 20 times, until it shows something
  int output;  // descriptor of the child's stdout; 0: the parent's
  unsigned seconds;  // of wall time, after which the run is given up; 0: 60
  // Called in the child with a violation, after it is printed; NULL: none.
  violation_handler *on_violation;
};

struct isolated_run {
  struct verdict verdict;
  struct run_counts counts;  // of the first of several runs; valid if clean
};

// False, with nothing learnt, if a child cannot be made, the heap's memory cannot be had, or the
// time was up with the allocator at work; then errno tells why (ETIMEDOUT). A child that dies
// without a verdict is a violation of `crash`; one whose allocator sleeps when the time is up, of
// `hang`.
bool isolate_run(struct isolated_run *run, const struct isolate_settings *settings,
                 const struct strategy *strategy, const struct program *program);

// The same for anything else that may end its process by a violation: `body` runs in the child, and
// leaves what it counted; the strategy's name is in whatever it announces. False from it: the
// heap's memory cannot be had.
typedef bool isolated_body(void *context, struct run_counts *counts);
bool isolate_call(struct isolated_run *run, const struct isolate_settings *settings,
                  isolated_body *body, void *context);

#endif
