// The oracle: runs a program on an allocator and the shadow model in step.
//
// Its answer is "clean", by returning, or one violation, by property_violated, which ends the
// process (see isolate.h for running it in a child). The same run gives the same answer.
//
//   tier      payloads            walk and check                         once more
//   fast      edges of blocks     at the end                             no
//   full      every byte          at intervals that about double the     one program in 16,
//                                 cost, around requests that must fail   by a hash of it, one way
//   paranoid  every byte          around every operation                 yes, each way
//
// Once more, at other addresses: the same program on a fresh heap that lies elsewhere and has other
// dirt must give the same offsets and the same walk. Where the strategy's heap has its place, only
// the dirt is another.
//
// Once more, without what was refused: the same program on a fresh heap, less the requests that
// were refused and the releases that were detected as misuses, must give the same offsets and the
// same walk. A request that moved memory between the allocator and its source is not left out: what
// the source has back may serve otherwise.
//
// A strategy that keeps state has one run in a process, and nothing is done once more: who runs
// several programs forks for each.
#ifndef HARNESS_ORACLE_H_
#define HARNESS_ORACLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/arena.h"
#include "harness/graph.h"
#include "harness/program.h"
#include "harness/property.h"
#include "harness/shadow.h"

enum tier { TIER_FAST, TIER_FULL, TIER_PARANOID };

// The tier with that name, in lower case. False if there is none.
bool tier_find(const char *name, enum tier *tier);

// What became of one operation, for those who watch.
struct step {
  size_t index;
  const struct operation *operation;
  bool skipped;  // the slot named nothing, or the strategy does not offer it
  bool refused;  // the allocator returned NULL
  intptr_t
      offset;   // of the block that the operation returned, released or used, from the heap's start
  size_t size;  // bytes of that block
};
typedef void step_observer(void *context, const struct step *step);

// What a walk showed of the heap between two operations, for those who tell states of heaps apart.
// A strategy whose blocks lie elsewhere shows next to nothing.
struct heap_view {
  bool fresh;                     // no operation was carried out since create
  bool beside;                    // the last ones were, by several threads
  enum operation_kind operation;  // the last one, if neither
  bool refused;                   // it was
  size_t live;                    // blocks
  size_t free_spans;
  size_t bytes;  // of all spans
  size_t free;   // of these, in free spans
  size_t largest_free;
  unsigned neighbours;  // bit 4 * a + b: a span of kind b begins where one of kind a ends
};
typedef void view_observer(void *context, const struct heap_view *view);

// The other addresses are no multiple of a larger alignment: offsets of strategies that serve one
// rightly differ there. Where heaps are not moved, nothing does.
#define ORACLE_ELSEWHERE_ALIGN ((size_t)(ARENA_SHIFT ? ARENA_SHIFT : PTRDIFF_MAX))

struct oracle_settings {
  enum tier tier;
  bool timed;
  bool twice;             // further passes for every program, in all tiers but fast
  size_t judged;          // so many operations begin a program that was judged: no walks there
  step_observer *before;  // operation not yet carried out: of the step, index and operation count
  step_observer *after;   // of an operation that violated nothing. Either may be NULL
  view_observer *viewed;  // each walk of the first pass, as often as the tier walks; or NULL
  void *context;          // of the observers
};

// What runs did. A property that was never exercised was not tested.
//
// `exercised` counts, in every pass and for every property, the checks that were made and could
// have failed on this strategy in this build: an allocator exists that would have been told of.
//
//   - A check that is void here counts nothing: that one block overlaps no other when it is alone,
//     that a refusal that the bound does not forbid was one, that a release was taken for a double
//     one where none was made, that nothing is touched in a build that does not see it.
//   - What is watched rather than asked counts per call of the allocator (crash, hang,
//     outside-heap, undefined-behaviour; touched-live-block while a block is live), per operation
//     beside other threads (race), and per copy (overlapping-copy).
//   - A run that ends in a violation has counted the check that failed. The other checks of threads
//     that ran then are lost.
//
// Counts of one property compare with themselves only: what one check covers differs from property
// to property. `differential` is no property of one strategy: it never
// counts here (differential.h).
struct run_counts {
  uint64_t operations;  // carried out; these three in first passes only
  uint64_t refused;
  uint64_t skipped;
  uint64_t acquisitions;  // from the source, create's included; these two in first passes only
  uint64_t injected;      // of these, refused by a fault
  uint64_t nanoseconds;   // CPU time of all operations in first passes, where settings.timed
  uint64_t exercised[PROPERTY_COUNT];
};

// What became of one operation in the first pass, for those that follow.
struct first_answer {
  intptr_t offset;  // of the step; or one of the values that none has
  size_t size;
  uint32_t left_out;  // refused, and nothing came or went: acquisitions that it asked for, plus 1;
                      // 0: not so
};

// What a fresh heap is like, for heaps that were met before.
struct fresh_heap {
  const struct strategy *strategy;  // NULL: an empty entry
  struct heap heap;
  size_t largest;  // block that can be had
  uint64_t walk;   // hash of the walk
  long walk_cost;  // in credit
};

// A heap that crashed is opened beside the one that lives on, and again while it is being opened.
enum { ORACLE_SPARES = 2 };

struct oracle {
  struct oracle_settings settings;
  struct arena arena;
  struct arena spares[ORACLE_SPARES];  // where heaps are reopened; like `arena`, or not initialised
  struct crash crash;
  struct shadow shadow;
  struct graph graph;
  struct source_stretch *stretches;  // of the accountant
  size_t stretches_capacity;
  struct first_answer *answers;  // of each operation in the first pass
  size_t answers_capacity;
  unsigned long copies;  // of watch_copies() that are counted already
  struct fresh_heap fresh[ORACLE_FRESH_HEAPS];
  struct run_counts counts;  // since oracle_init
};

// Ready for programs of any heap; memory is taken as they come. One oracle in the process at a
// time.
void oracle_init(struct oracle *self, const struct oracle_settings *settings);
void oracle_free(struct oracle *self);

// In a child that was forked after oracle_init: watches this process, too.
void oracle_watch(void);

// Takes what memory a run of the program will need, so that a child that is forked then need not.
// As oracle_run.
bool oracle_make_room(struct oracle *self, const struct strategy *strategy,
                      const struct program *program);

// Whether the strategy can be run on this program's heap: false, with errno and nothing run, only
// where memory for the heap cannot be had from the system or would be more than half of it.
bool oracle_run(struct oracle *self, const struct strategy *strategy,
                const struct program *program);

// The heap that the program asks for, as far as the strategy can live on it: its variant is one
// that there is, it is no smaller than the strategy's least one, and a strategy that needs pages,
// or a break, gets that.
struct heap oracle_heap(const struct strategy *strategy, const struct program *program);

// Whether the strategy offers such operations. Where it states a least heap, no source fails.
bool operation_offered(enum operation_kind kind, const struct strategy *strategy);
// Whether it is a request that C and POSIX leave open, and the strategy after them.
static inline bool operation_left_open(const struct operation *operation,
                                       const struct strategy *strategy) {
  return operation->size == 0 && strategy->traits & STRATEGY_C_EDGES &&
         (operation->kind == OP_ALLOCATE || operation->kind == OP_ALLOCATE_ZEROED ||
          operation->kind == OP_RESIZE);
}
// Of the operations that an OP_CRASH is followed by, the first of these dies.
bool operation_can_die(enum operation_kind kind);

// ## During a run, for observers and violation handlers

// The allocator of the run in progress and its heap; NULL outside a run.
const struct allocator *oracle_allocator(const struct arena **arena, const struct shadow **shadow);

// The fault injector of the run in progress: what OP_FAULT arms. NULL outside a run.
const struct source_faults *oracle_faults(void);

#endif
