// A program as a malloc lab's trace (.rep), in any of the three dialects of its header; import.h
// tells of the form. Each allocation has an id of its own.
#ifndef HARNESS_EXPORT_REP_H_
#define HARNESS_EXPORT_REP_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "harness/program_file.h"

enum rep_dialect { REP_HEAP_SIZE, REP_IGNORE_RANGES, REP_MAX_LIVE_BYTES, REP_DIALECTS };
extern const char *const rep_dialect_names[REP_DIALECTS];

// What the form cannot say, and so is lost.
struct rep_losses {
  uint64_t operations;  // written
  uint64_t ids;
  uint64_t max_live_bytes;
  uint64_t alignments;  // requests for more than 16 bytes
  uint64_t zeroed;      // zeroed allocations, now plain
  uint64_t threads;     // operations of threads other than 0
  uint64_t uses;        // left out: writes to blocks
  uint64_t skipped;     // left out: releases that name nothing
  uint64_t unnamed;     // blocks that lost their slot; they stay, as in the program
};

// False with an error that names the operation, if the program has one that the form does not
// know: a reset, say. Nothing is written then.
bool export_rep(const struct program *program, enum rep_dialect dialect, FILE *to, const char *name,
                struct rep_losses *losses, struct file_error *error);

#endif
