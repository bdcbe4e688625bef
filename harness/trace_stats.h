// What a trace asks of an allocator: how often what, of which sizes, for how long, and how much of
// it at once. It is read, not run: every request counts as met, but those beyond
// PROGRAM_MAX_CAPACITY.
#ifndef HARNESS_TRACE_STATS_H_
#define HARNESS_TRACE_STATS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "harness/buckets.h"
#include "harness/program.h"

enum { STATS_SAMPLES = 512, STATS_CLASSES = 37, STATS_COUNTS = 17, STATS_THREADS = 1 << 16 };

struct size_count {
  uint64_t size;
  uint64_t count;
};

// Of blocks whose first size has the same base-2 logarithm.
struct size_class {
  uint64_t leaked;       // not released before the end
  struct buckets lived;  // operations from allocation to release
};

struct trace_stats {
  uint64_t operations;
  uint64_t kinds[OP_KINDS];
  uint64_t ignored;          // operations that name nothing live
  uint64_t beyond;           // requests beyond PROGRAM_MAX_CAPACITY; they count nowhere else
  uint64_t not_followed;     // rollbacks and the like, which may end lives unseen
  uint64_t requested_bytes;  // of all allocations, and what resizes added
  uint64_t allocations;
  uint64_t peak_bytes, peak_blocks, peak_operation;  // the first at which the bytes were at peak
  uint64_t end_bytes, end_blocks, unnamed_blocks;    // live at the end; without a slot

  struct size_count *sizes;  // of allocations, ascending
  size_t sizes_count;
  uint64_t counts[STATS_COUNTS];  // of zeroed allocations, by how many pieces
  uint64_t alignments[256];       // of allocations, by code; see align_decode

  uint64_t growing, shrinking;
  struct buckets resized_to;

  struct buckets lived_operations, lived_bytes;  // bytes: allocated meanwhile
  struct size_class *classes;                    // STATS_CLASSES of them

  // The most of each part of the trace, all parts as long as the first.
  uint64_t sample_length;
  size_t samples;
  struct sample {
    uint64_t bytes, blocks;
  } live[STATS_SAMPLES];

  uint64_t *threads;  // operations, by thread; STATS_THREADS of them
  uint64_t threads_count;
  uint64_t cross_releases, cross_resizes;  // of blocks that another thread allocated
};

// False if memory is out. To be cleared either way.
bool trace_stats(struct trace_stats *stats, const struct program *program);
void trace_stats_clear(struct trace_stats *stats);

static inline unsigned size_class_of(uint64_t size) {
  unsigned log2 = size ? 63u - (unsigned)__builtin_clzll(size) : 0;
  return log2 < STATS_CLASSES ? log2 : STATS_CLASSES - 1;
}

// The size of which so large a part (0 .. 1) of the allocations is at most that; 0: there are none.
uint64_t trace_size_quantile(const struct trace_stats *stats, double part);
// The same of buckets, to the greatest of the bucket; the greatest of all exactly.
uint64_t buckets_quantile(const struct buckets *buckets, double part);

// The members of a JSON object, without its braces.
void trace_stats_print(const struct trace_stats *stats, FILE *to);

#endif
