// What the fuzz targets of the testbed's own parsers demand, as properties of allocators are
// announced. DEMAND_ID, to be defined before this is included, says of which parser.
#ifndef FUZZ_DEMAND_H_
#define FUZZ_DEMAND_H_

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/program_file.h"

static inline void demand(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "ERROR: %s\nASSERTION FAILED: " DEMAND_ID "\n", what);
  abort();
}

// Of a trace that came from what a process did: only what was allocated is released or resized.
static inline void demand_consistent(const struct program *program,
                                     const struct trace_header *header) {
  struct heap heap = program_heap(program);
  bool *live = calloc(heap.slots, sizeof *live);
  if (!live) abort();
  uint64_t blocks = 0, peak = 0;
  for (size_t i = 0; i < program_length(program); i++) {
    struct operation operation = record_operation(program_at(program, i));
    demand(operation.slot < heap.slots, "a slot is beyond the heap's");
    demand(operation.kind == OP_RELEASE || operation.size > 0, "a request is for 0 bytes");
    bool *named = &live[operation.slot];
    switch (operation.kind) {
    case OP_ALLOCATE:
    case OP_ALLOCATE_ZEROED:
      demand(!*named, "a live slot is allocated into");
      *named = true;
      if (++blocks > peak) peak = blocks;
      break;
    case OP_RELEASE:
      demand(*named, "an empty slot is released");
      *named = false;
      blocks--;
      break;
    case OP_RESIZE:
      demand(*named, "an empty slot is resized");
      break;
    default:
      demand(false, "an operation that no process performs");
    }
  }
  // Less only by requests that no heap meets.
  demand(peak >= header->peak_blocks, "more blocks lived than the program shows");
  demand(header->records == program->count, "the header counts wrongly");
  free(live);
}

#endif
