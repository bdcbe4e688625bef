// The minimiser: the smallest program that violates the same property.
//
// Works on operations (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating
// Failure-Inducing Input", TSE 2002), then on the heap, sizes, alignments and slots, and again,
// until no single step helps: fewer operations before smaller sizes before plainer alignments and
// heaps. Removing any one operation of the result loses the bug, which is verified last, each
// candidate in a process of its own; so does, in programs of up to 40, removing any two. A
// candidate counts only if it violates the very same property id; one that slips to another is
// refused. Deterministic.
#ifndef HARNESS_MINIMIZE_H_
#define HARNESS_MINIMIZE_H_

#include <stdbool.h>
#include <stddef.h>

#include "harness/isolate.h"

struct minimization {
  struct isolate_settings settings;
  const struct strategy *strategy;
  const char *property;  // id to keep; NULL: whatever the program violates now
  // Called now and then; false stops: the best so far is the result. NULL: none.
  bool (*progress)(void *context, size_t operations, size_t runs);
  void *context;
  // Instead of the oracle on the strategy: as isolate_run, and as deterministic. NULL: none. Only
  // what the strategy makes of a heap's size matters then.
  bool (*judge)(void *judge_context, const struct program *program, struct isolated_run *run);
  void *judge_context;
  // Results.
  struct verdict verdict;  // of the minimised program; PROPERTY_NONE: the given one is clean
  size_t runs;
  bool complete;  // a local minimum was reached
};

// Minimises in place. False if the program does not violate the property (`verdict` tells what it
// does instead), or if it could not be run at all (errno; `runs` is 0): the program is unchanged
// then.
bool minimize(struct minimization *self, struct program *program);

#endif
