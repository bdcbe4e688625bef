// Failures of the source at every acquisition in turn.
//
// A program is run once to learn which of its operations ask the source, and how often. Then each
// of these acquisitions is refused in turn: once by itself, and once with all that follow it. This
// is how SQLite tests that it survives the loss of memory at any point ("How SQLite Is Tested",
// section 3.1); the second way is a machine whose memory has run out for good.
//
// Each run is that of a program which stands for itself: OP_FAULT is put where the acquisition is,
// and faults of the program's own stay in force. So a finding is such a program, and reproduces
// without this file. A record can refuse the first 64 acquisitions of an operation; what lies
// beyond is counted as out of reach.
//
// The programs run on one thread, whatever their heap says: else the n-th acquisition would be
// another one each time.
#ifndef HARNESS_EXHAUST_FAULTS_H_
#define HARNESS_EXHAUST_FAULTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/isolate.h"

// What was covered.
struct fault_coverage {
  uint64_t programs;
  uint64_t acquisitions;  // of all programs, with nothing more refused than they say themselves
  uint64_t out_of_reach;  // of these, not refused
  uint64_t runs;          // the ones that count included
  uint64_t operations;    // carried out in clean runs
  uint64_t refused;       // of these, that the allocator refused
  uint64_t injected;      // acquisitions that were refused in clean runs
  uint64_t violations;
};

// A run that violated something.
struct fault_finding {
  size_t acquisition;  // the one refused, from 1; 0: none, the program violates something as it is
  bool all;            // with all that follow it
  const struct program *program;
  const struct isolated_run *run;
};

struct fault_exhaustion {
  struct isolate_settings settings;
  const struct strategy *strategy;
  void (*found)(void *context, const struct fault_finding *finding);
  // Called now and then, of `total` runs of the program. NULL: none.
  void (*progress)(void *context, size_t runs, size_t total);
  void *context;
  const volatile bool *stop;  // as in batch.h
  // Results, added up over programs.
  struct fault_coverage coverage;
  bool stopped;
};

// False, with errno, if not all of it could be run. Where a program ends the process that runs many
// but not one of its own, errno is 0.
bool exhaust_faults(struct fault_exhaustion *self, const struct program *program);

#endif
