// Explains a run to people: each operation with its result, the guilty one marked, and the
// allocator's state at that point.
#ifndef HARNESS_EXPLAIN_H_
#define HARNESS_EXPLAIN_H_

#include <stdbool.h>
#include <stdio.h>

#include "harness/isolate.h"

struct explanation {
  enum tier tier;
  // Stop in explain_guilty_operation() before the operation with this index: for debuggers, which
  // want the run in their own process, not in a child. SIZE_MAX: no.
  size_t stop_before;
};

// Runs the program in a child and prints to stdout. False with errno as isolate_run.
bool explain(struct isolated_run *run, const struct explanation *how,
             const struct strategy *strategy, const struct program *program);

// Runs in this process, calls explain_guilty_operation before operation `stop_before`, and ends the
// process with the violation if there is one.
void explain_in_debugger(const struct explanation *how, const struct strategy *strategy,
                         const struct program *program);

// Where a debugger sets its breakpoint; does nothing.
void explain_guilty_operation(const struct allocator *allocator, const struct step *step);

#endif
