// The story of one run, for those who explain it: what each operation did, which blocks lived where
// and how long, and what the allocator said of its heap before each operation and in the end.
//
// It is written down while the run goes on, in memory that outlives its process: a run that ends by
// a crash or never has a story up to there.
#ifndef HARNESS_STORY_H_
#define HARNESS_STORY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/isolate.h"

enum story_result { STEP_NOT_REACHED, STEP_BEGUN, STEP_DONE, STEP_SKIPPED, STEP_REFUSED };

struct story_step {
  enum story_result result;
  intptr_t start;  // of the block that it returned, released or used
  size_t size;     // 0: no block. Of collections, how many elements there are after it, if known
};

// A block at one place. One that resize moves or changes has another life then.
struct story_life {
  uint32_t slot;    // SHADOW_NO_SLOT: none names it in the end. Of collections, the block's number
  uint32_t serial;  // of the block
  intptr_t start;
  size_t size;
  size_t begin, end;  // operations; SIZE_MAX: it lives to the end of the story
};

struct story_span {
  intptr_t start;
  size_t size;
  enum span_kind kind;
  uint32_t slot;  // of the live block that begins there; SHADOW_NO_SLOT: none
};

// The allocator's own account at some time.
struct story_state {
  size_t before;        // this operation; the program's length: after all of them
  bool end;             // at the end of the story, when the violation was found
  bool whole;           // else the walk did not come to its end
  unsigned broken;      // the invariant that its check found broken; 0: none
  size_t first, count;  // of the story's spans
};

struct story {
  const struct strategy *strategy;
  const struct strategy *walked;  // whose account of the heap is told: of a collection, the one
                                  // that it is on
  const struct program *program;
  struct isolated_run run;
  // The first violation that a look around every operation finds, where that is an earlier
  // operation than the one that the run ends in; else property is PROPERTY_NONE. What shows late
  // may have been done long before.
  struct verdict first;
  size_t length;  // steps
  struct story_step *steps;
  struct story_life *lives;  // by `begin`
  size_t lives_count;
  struct story_state *states;  // in the order of time
  size_t states_count;
  struct story_span *spans;
  size_t live_bytes, live_count;  // in the end, by the shadow model
  // Private.
  void *memory;
  size_t memory_size;
};

// Each state is a walk: so many operations before the guilty one have theirs.
enum { STORY_STATES = 64 };

// Runs the program and writes its story down. On several threads it is tried some 50 times, until
// the run shows something. `twice` is set. False, with errno, as isolate_run. Call story_free.
bool story_tell(struct story *story, enum tier tier, bool quiet, const struct strategy *strategy,
                const struct program *program);
void story_free(struct story *story);

static inline bool story_of_collection(const struct story *story) {
  return story->walked != story->strategy;
}

// As one JSON object, on one line; schema in reports/README.md. `same` of `runs` replays showed the
// same property.
void story_print_json(const struct story *story, const char *path, const char *strategy,
                      const char *tier, uint64_t same, uint64_t runs);

#endif
