// Workloads that a heap is scored by, made in code after the kinds that courses and papers have:
// random sizes, neighbours that merge, two sizes that leave holes, a block that grows, and sizes
// and lifetimes as programs have them. See P. Wilson, M. Johnstone, M. Neely and D. Boles, "Dynamic
// Storage Allocation: A Survey and Critical Review" (1995).
#ifndef HARNESS_SCORE_WORKLOADS_H_
#define HARNESS_SCORE_WORKLOADS_H_

#include <stdbool.h>
#include <stddef.h>

#include "harness/program.h"

struct score_workload {
  const char *name;
  const char *summary;
};

// Ended by an entry without a name.
extern const struct score_workload score_workloads[];

// The same program each time; it ends with nothing live, and asks for no more than some MiB at a
// time. Replaces what `program` was. False if memory is out.
bool score_workload_make(struct program *program, size_t index);

#endif
