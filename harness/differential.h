// Differential mode: one program on several strategies side by side. Where what they state says
// that they must agree, disagreement is a finding with the id `differential`, named after both.
//
// The oracle compares an allocator with a model; here allocators are compared with each other, as
// compilers are in McKeeman, "Differential Testing for Software" (Digital Technical Journal 10(1),
// 1998) and Yang et al., "Finding and Understanding Bugs in C Compilers" (PLDI 2011). There is no
// model, no pattern and no walk: the program's user computes with the blocks it is given, reading
// what they hold, and what comes out must not depend on who gave them.
//
//   what is compared            where
//   given or refused            requests that the stated bound of the one that refused says must be
//                               met, and those that the contract of the one that gave says must not
//   address                     aligned as asked for and inside the heap, or not
//   contents                    of zeroed blocks when they are given, of others when they are
//                               resized, released, reset or live at the end
//   usable size                 at least what was asked for, or not
//   releases                    live blocks; a second one right after the first and a foreign one,
//                               between those that promise to detect it
//
// Two that rightly differed once, as one is larger than the other or offers more, do not agree on
// what a slot holds from then on. Each block therefore has a lineage, the operations that made it
// what it is, and only contents of equal lineage are compared. Operations that only few kinds offer
// (marks, collections, persistence, overruns) are carried out by none.
#ifndef HARNESS_DIFFERENTIAL_H_
#define HARNESS_DIFFERENTIAL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/arena.h"
#include "harness/program.h"
#include "harness/property.h"

// One side of the comparison.
struct contender {
  const char *name;
  const struct strategy *strategy;
  int variant;  // of the strategy; -1: the one that the program says
};

// What a comparison did. What was never compared was not tested.
struct comparison_counts {
  uint64_t operations;  // carried out, by all contenders together
  uint64_t given, refused, contents, zeroed, usable, releases;  // compared, between two of them
};

// What one contender gave and saw, operation by operation. Private to differential.c.
struct account;

enum { CONTENDERS_MAX = 64 };

// 0-initialised and with its contenders set it is ready. Names must outlive it.
struct differential {
  struct contender contenders[CONTENDERS_MAX];
  size_t count;  // 2 .. CONTENDERS_MAX
  struct comparison_counts counts;
  struct arena arena;
  struct account *accounts;
  char *names;  // that differential_choose was given
};

struct disagreement {
  bool found;
  size_t first, second;           // the contenders that disagree
  struct verdict verdict;         // its site has the names of both
  char names[VERDICT_SITE_SIZE];  // `first,second`: what to announce the verdict under
};

// Fills in the contenders from names with commas between them, each a name of the registry and
// perhaps a variant (`free_list:best_fit`), or from `all`, every clean strategy. False, with an
// error in one line in `error`: a name is unknown, or they are fewer than two or too many.
bool differential_choose(struct differential *self, const char *names, char *error, size_t size);

// Runs the program on each, and compares: the first operation on which two disagree, if any. Where
// several pairs do, the answer that fewest gave is the first one's. False, with errno, if memory
// cannot be had. If an allocator crashes or hangs the process ends with that violation.
bool differential_run(struct differential *self, const struct program *program,
                      struct disagreement *found);

void differential_free(struct differential *self);

#endif
