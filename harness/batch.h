// Many programs under the oracle in one child process: what costs a process is only a violation.
//
// The child runs one after the other until one of them ends it. That one is then run by itself (see
// isolate.h), so that its verdict depends on nothing that ran before, and a new child goes on
// behind it.
#ifndef HARNESS_BATCH_H_
#define HARNESS_BATCH_H_

#include <stdbool.h>
#include <stddef.h>

#include "harness/isolate.h"

struct batch {
  struct isolate_settings settings;  // `quiet` and `once` are taken as set
  const struct strategy *strategy;
  size_t count;  // of programs
  // Makes program `index` of them, in the child as well as in the parent; always the same one.
  void (*make)(void *context, size_t index, struct program *program);
  // Called in the parent for each program that violates something. NULL: none.
  void (*violated)(void *context, size_t index, const struct program *program,
                   const struct isolated_run *run);
  // Called in the parent four times a second with how many programs have been run. NULL: none.
  void (*progress)(void *context, size_t done);
  void *context;
  const volatile bool *stop;  // set by a signal handler: no further program. NULL: none
  // Results.
  size_t runs;
  size_t violations;
  struct run_counts counts;  // of clean runs
  bool stopped;              // by `stop`
};

// False if not all programs could be run: a child cannot be made, memory for a heap cannot be had,
// or a program ended the child but not the process of its own. Then errno tells why (0 in the last
// case), and `runs` is the index of the program that is to blame.
bool batch_run(struct batch *self);

#endif
