// Judges a program in a world: the oracle's verdict at tier `full`, as on any host.
//
// A run that violates something is left where it is, and whatever memory it had is forgotten: each
// program begins with a heap and a harness of its own.
#ifndef FREESTANDING_JUDGE_H_
#define FREESTANDING_JUDGE_H_

#include <stdbool.h>

#include "allocators/strategy.h"
#include "harness/oracle.h"
#include "harness/program.h"

struct judgement {
  const char *unfit;  // why the program cannot be judged in this world; NULL: it was
  struct verdict verdict;
};

// Before each program, and before any memory for it is taken: starts over.
void judge_begin(void);

// Judges it; what it violates is printed as everywhere. False if the harness itself failed, which
// is told on the console: then nothing that follows can be trusted.
bool judge(struct judgement *judgement, const struct strategy *strategy,
           const struct program *program);

// What is run instead of each strategy from now on; NULL: itself. It must keep all promises of it.
void judge_through(const struct strategy *(*instead)(const struct strategy *strategy));

// What runs did since judge_begin.
const struct run_counts *judge_counts(void);

#endif
