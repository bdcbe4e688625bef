// A trace in the making: blocks take slots, and what lived at most makes the heap.
//
// - A slot is used again after its release; there are as many as blocks lived at once.
// - A request beyond PROGRAM_MAX_CAPACITY stays as it is, to be refused; it counts in no peak.
// - The heap is a fixed buffer that any sensible strategy finds roomy: the power of two of at least
//   four times what lived at most, with 64 bytes for each block's header, and at least 1 MiB.
#ifndef HARNESS_TRACE_BUILD_H_
#define HARNESS_TRACE_BUILD_H_

#include <stdbool.h>
#include <stdint.h>

#include "harness/program_file.h"

enum { TRACE_USUAL_ALIGN = 16 };  // of malloc and realloc

struct trace_block {
  uint64_t size;
  uint64_t align;
  uint32_t next_free;  // slot
};

struct trace_build {
  struct program *program;
  struct trace_header *header;  // its peaks are kept, the rest is the caller's

  struct trace_block *blocks;  // by slot
  uint32_t count, room;
  uint32_t free_slot;

  uint64_t live_bytes, live_blocks;
  uint64_t live_room, peak_room;  // with headers and alignment
};

// All of these give NULL, or what is wrong: words without a place.

// Clears the program and begins it with a heap that the end will set.
const char *trace_build_begin(struct trace_build *build, struct program *program,
                              struct trace_header *header);
// The heap; the program is whole then. Without it, trace_build_clear.
void trace_build_end(struct trace_build *build);
void trace_build_clear(struct trace_build *build);

// An allocation, zeroed or not, of `count` pieces of `size` bytes; count * size must not overflow.
// The slot is set.
const char *trace_build_allocate(struct trace_build *build, struct operation *operation);
// The slot is one that a block lives in.
const char *trace_build_release(struct trace_build *build, uint32_t slot, uint32_t thread);
const char *trace_build_resize(struct trace_build *build, uint32_t slot, uint64_t size,
                               uint64_t align, uint32_t thread);

#endif
