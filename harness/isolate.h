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
  bool impatient;    // hangs are told after some hundredths of a second already
  // Called in the child with a violation, after it is printed; NULL: none.
  violation_handler *on_violation;
};

struct isolated_run {
  struct verdict verdict;
  struct run_counts counts;  // of the first of several runs; valid if clean
};

// False, with nothing learnt, if a child cannot be made, the heap's memory cannot be had, or the
// time was up with the allocator at work; then errno tells why (ETIMEDOUT). A child that dies
// without a verdict is a violation of `crash`; one whose allocator sleeps when the time is up, or
// that has not even noticed so ten seconds later, of `hang`.
bool isolate_run(struct isolated_run *run, const struct isolate_settings *settings,
                 const struct strategy *strategy, const struct program *program);

// The same for anything else that may end its process by a violation: `body` runs in the child, and
// leaves what it counted; the strategy's name is in whatever it announces. False from it: the
// heap's memory cannot be had.
typedef bool isolated_body(void *context, struct run_counts *counts);
bool isolate_call(struct isolated_run *run, const struct isolate_settings *settings,
                  isolated_body *body, void *context);

// ## Rows of runs, most of which are clean
//
// A process for each run costs many times what a run costs. So one child goes on with the caller's
// own code from row_run on, run after run, until one is not clean; the parent then gets to know the
// child's answers one by one and, as its code is the same, asks the same questions. What is between
// two calls must therefore depend on nothing but answers, and do nothing that a process which is
// about to end may not do: row_inside tells.

struct isolated_row {
  struct isolate_settings settings;  // without output and on_violation
  const struct strategy *strategy;
  bool alone;  // each run in a child of its own: for last words
  // Private.
  bool inside;
  size_t clean;  // answers of the child that were not asked for yet
  bool pending;  // and this one after them
  struct isolated_run last;
  int error;
};

// As isolate_run; of a run only the verdict is told. Returns in the child as well.
bool row_run(struct isolated_row *self, const struct program *program, struct isolated_run *run);
// Whether the caller is the child.
static inline bool row_inside(const struct isolated_row *self) { return self->inside; }
// The end of the row, and of the child if the caller is one.
void row_end(struct isolated_row *self);

#endif
