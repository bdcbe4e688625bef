// Small-scope exhaustive mode: every program up to a length, over a handful of sizes and
// alignments, on a small heap.
//
// Most bugs show in small cases (the small-scope hypothesis: Jackson and Damon, "Elements of Style:
// Analyzing a Software Design Feature with a Counterexample Detector", IEEE TSE 22(7), 1996), so
// all of them are tried: bounded-exhaustive testing as in Korat (Boyapati, Khurshid and Marinov,
// ISSTA 2002) and SmallCheck (Runciman, Naylor and Lindblad, Haskell 2008), shortest programs
// first. Each program is judged by the oracle from create to destroy, so whatever is found is what
// `assay run` would find in it.
//
// Not run are programs that others stand for, and nothing else:
//
//   renamed    a new block takes the lowest slot that names nothing. Slots are names: to permute
//              them changes no call that the allocator sees
//   skipped    an operation that would be skipped, or was, ends a program. It calls nothing:
//              without it the program is a shorter one
//   idle       a fault right before another fault, or at the end, strikes nothing, as the later one
//              replaces it, and sources are asked for nothing behind the end
//   violating  what begins with a program that violates a property shows the same violation
//
// Not in the alphabet are other ways to say the same to an allocator's caller: resize of a slot
// that names nothing, and allocating into one that names a block.
//
// Operations do not commute (the order of two releases decides what merges with what), and a
// refused request is not taken to change nothing: both are for the oracle to judge.
#ifndef HARNESS_ENUMERATE_H_
#define HARNESS_ENUMERATE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/isolate.h"
#include "harness/oracle.h"
#include "harness/program.h"

enum { ENUMERATE_DEPTH = 16, ENUMERATE_SLOTS = 8, ENUMERATE_VALUES = 8, ENUMERATE_FINDINGS = 64 };

// What programs are made of. All of it is the caller's to fill in.
struct alphabet {
  bool kinds[OP_KINDS];  // those that the strategy does not offer are left out; no OP_CRASH
  uint64_t sizes[ENUMERATE_VALUES], aligns[ENUMERATE_VALUES];  // all with all; resize: the first
                                                               // alignment only
  unsigned sizes_count, aligns_count;
  struct heap heap;  // `slots` of it is set to hold the slots below
  unsigned slots;    // named blocks at a time, at most; 1 .. ENUMERATE_SLOTS
};

enum pruned { PRUNED_RENAMED, PRUNED_SKIPPED, PRUNED_IDLE, PRUNED_VIOLATING, PRUNED_KINDS };

// Of the programs of one length.
struct depth_counts {
  uint64_t programs;              // judged
  uint64_t refused;               // whose last operation was refused
  uint64_t pruned[PRUNED_KINDS];  // would-be last operations that were not tried
};

struct enumeration_finding {
  struct verdict verdict;
  struct record records[ENUMERATE_DEPTH + 1];  // the heap's first
  size_t length;                               // in operations
};

struct enumeration {
  // To be set by the caller.
  const struct strategy *strategy;
  struct alphabet alphabet;
  unsigned depth;  // 1 .. ENUMERATE_DEPTH
  enum tier tier;
  unsigned findings_max;  // stop at so many that differ in their signatures
  double budget;          // seconds of CPU time; 0: no limit
  int progress;           // descriptor to tell of progress once a second; -1: none
  // Set by enumerate.
  unsigned complete;  // all programs up to this length were judged
  bool interrupted;   // by the budget or by SIGINT
  double seconds;     // CPU time
  struct depth_counts depths[ENUMERATE_DEPTH + 1];
  struct run_counts counts;  // of the last operations' programs, all of each
  struct enumeration_finding findings[ENUMERATE_FINDINGS];
  unsigned findings_count;
  uint64_t violations;  // programs that violate, findings or not
};

// The smallest heap on which the strategy gives two of the alphabet's largest blocks at once, told
// by trying, in a child; what its stated bound says if that fails. The alphabet's heap has all
// else.
size_t enumerate_smallest_heap(const struct strategy *strategy, const struct alphabet *alphabet);

// False, with errno: the heap's memory cannot be had, no process, or (ENOSPC) no allocator can be
// created on such a heap.
bool enumerate(struct enumeration *self);

#endif
