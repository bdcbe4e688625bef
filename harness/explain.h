// Explains a run to people: each operation with its result, the guilty one marked, and the heap
// around it; or stops right there, in a debugger.
#ifndef HARNESS_EXPLAIN_H_
#define HARNESS_EXPLAIN_H_

#include <stdbool.h>
#include <stdio.h>

#include "harness/story.h"

// Prints to stdout.
void explain(const struct story *story);

// ## For debuggers, which want the run in their own process

// Runs in this process, calls explain_guilty_operation before operation `operation`, and ends the
// process with the violation if there is one.
void explain_in_debugger(enum tier tier, size_t operation, const struct strategy *strategy,
                         const struct program *program);

// Where a debugger sets its first breakpoint; does nothing.
void explain_guilty_operation(const struct allocator *allocator, const struct step *step);

// The allocator's function that the operation is about to call, from then on.
typedef void explain_entry(void);
extern explain_entry *explain_call;

// Whether the operation has such a function.
bool explain_has_entry(const struct strategy *strategy, const struct program *program,
                       size_t operation);

#endif
