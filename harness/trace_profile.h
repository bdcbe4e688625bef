// What traces are made from: how large blocks are, how long they live, and who asks for them. A
// profile is a JSON document: either what `assay stats --json` prints of a trace, or by hand:
//
//   {
//     "sizes": [[16, 64, 9], [4096, 4096, 1]],     from, to, weight; bytes
//     "lifetimes": [[1, 100, 5], [5000, 9000, 1]], from, to, weight; operations
//     "leaked": 0.01,            share of the blocks that is never released (0)
//     "resized": 0.05,           share of the operations that resize (0), to one of the sizes
//     "zeroed": 0.1,             share of the allocations that is zeroed (0)
//     "alignments": [[16, 1]],   alignment, weight (16)
//     "threads": 4,              all alike (1)
//     "cross_thread": 0.2,       share of the releases that is another thread's (0)
//     "operations": 100000       how many, unless the command line says
//   }
#ifndef HARNESS_TRACE_PROFILE_H_
#define HARNESS_TRACE_PROFILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/file.h"
#include "harness/program.h"
#include "harness/trace_stats.h"

// Numbers to be drawn: a range by its weight, and all of a range alike.
struct ranges {
  struct range {
    uint64_t low, high;
    uint64_t until;  // the weights up to and with this one
  } *all;
  size_t count, room;
};

static inline uint64_t ranges_total(const struct ranges *ranges) {
  return ranges->count ? ranges->all[ranges->count - 1].until : 0;
}

struct profile {
  uint64_t operations;  // 0: not told
  struct ranges sizes;
  struct ranges lifetimes[STATS_CLASSES];  // by the logarithm of the size
  double leaked[STATS_CLASSES];            // shares, 0 .. 1, here and below
  struct ranges resized_to;
  double resized;  // of allocations and resizes
  double growing;  // of resizes; less than 0: not told
  double zeroed;
  struct ranges pieces;  // of zeroed allocations; empty: 1
  struct ranges alignments;
  struct ranges threads;
  double cross_thread;
};

// From a document. False with the error that says what is wrong where; nothing to clear then.
bool profile_parse(struct profile *profile, const char *bytes, size_t size, const char *name,
                   struct file_error *error);
// Of a program: exactly that of its statistics.
bool profile_program(struct profile *profile, const struct program *program, const char *name,
                     struct file_error *error);
void profile_clear(struct profile *profile);

#endif
