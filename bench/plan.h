// A workload as the loops of run.c take it: steps decoded beforehand and known to make sense, with
// what they amount to.
#ifndef BENCH_PLAN_H_
#define BENCH_PLAN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind { STEP_ALLOCATE, STEP_ZEROED, STEP_RELEASE, STEP_RESIZE, STEP_RESET };

struct step {
  uint32_t slot;
  uint8_t kind;   // enum step_kind
  uint8_t count;  // STEP_ZEROED: of pieces
  uint8_t align_log2;
  uint8_t unused;
  uint64_t size;  // bytes, of a piece
};

struct plan {
  size_t steps;
  size_t start;        // those before it fill the heap, and count for nothing
  bool cyclic;         // those from start on can follow on themselves
  uint32_t slots;      // each names at most one live block
  unsigned kinds;      // bit k: some step is of kind k
  size_t page_size;    // of the source that strategies get; 0: the machine's
  size_t peak_bytes;   // most requested bytes live at once
  size_t peak_blocks;  // most blocks live at once
  size_t peak_step;    // after this step they first are
  size_t largest;      // bytes of the largest request
  size_t handed_out;   // bytes of all requests together
  char error[256];     // why there is no plan, or empty
  struct step step[];
};

// The plan of a workload: one that plan_names tells, or a file that `assay replay` reads. Made by a
// child process in memory that both share, so that this one's malloc has nothing to do with it.
// Never NULL; a plan with an error has no steps.
const struct plan *plan_make(const char *workload);

// The workloads that are no files, ended by NULL.
extern const char *const plan_names[];

#endif
