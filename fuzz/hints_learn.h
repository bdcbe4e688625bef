// How the target fills the hints (hints.h) for the mutator.
#ifndef FUZZ_HINTS_LEARN_H_
#define FUZZ_HINTS_LEARN_H_

#include "allocators/strategy.h"
#include "fuzz/hints.h"
#include "harness/oracle.h"

// What can be told of a strategy without an allocator.
void hints_describe(struct hints *hints, const struct strategy *strategy);

struct hints_learner {
  struct hints *hints;
  bool places;    // whether it matters where blocks of this program lie
  intptr_t last;  // offset that was returned before
};
// Before each program. Places that differ from run to run, as those of foreign allocators do and
// those that several threads are given, are not learned: the search must not differ.
void hints_begin(struct hints_learner *learner, const struct strategy *strategy,
                 const struct program *program);
// A step_observer, for `after`: notes answers.
void hints_learn(void *learner, const struct step *step);

#endif
