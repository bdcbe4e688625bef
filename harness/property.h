// Properties: what must hold, each with a stable id that is the identity of a bug everywhere.
#ifndef HARNESS_PROPERTY_H_
#define HARNESS_PROPERTY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROPERTY_LIST(X)                                                                           \
  X(alignment, "alignment", "a block is not aligned as asked for")                                 \
  X(bounds, "bounds", "a block is not inside the memory that the source gave")                     \
  X(overlap, "overlap", "a block overlaps another live block")                                     \
  X(content, "content", "bytes of a block changed while it lived")                                 \
  X(zeroed, "zeroed", "a block that must be zero is not")                                          \
  X(resize_prefix, "resize-prefix", "resize did not keep the block's bytes")                       \
  X(usable_size, "usable-size", "the usable size is not the block's to write")                     \
  X(oversize_accepted, "oversize-accepted", "a request that must be refused returned memory")      \
  X(failed_op_changed_state, "failed-op-changed-state",                                            \
    "a refused request changed what was there")                                                    \
  X(spurious_oom, "spurious-oom", "refused although the stated bound says that it fits")           \
  X(not_pristine, "not-pristine", "with everything released the heap is not as it was")            \
  X(source_leak, "source-leak", "memory did not go back to the source as it came")                 \
  X(reset, "reset", "after reset the heap is not as after create")                                 \
  X(rollback, "rollback", "after rollback the heap is not as at the mark")                         \
  X(reachable_collected, "reachable-collected", "a block was collected that can be reached")       \
  X(garbage_kept, "garbage-kept", "a precise collection left a block that none can reach")         \
  X(recovery, "recovery", "a heap that was reopened is not the one that was left")                 \
  X(overrun_missed, "overrun-missed", "a write past a block's end was not detected")               \
  X(double_release_missed, "double-release-missed", "a second release was not detected")           \
  X(foreign_release_missed, "foreign-release-missed", "a foreign release was not detected")        \
  X(release_refused, "release-refused", "the release of a live block was refused")                 \
  X(nondeterministic, "nondeterministic", "the same program gave another result")                  \
  X(touched_live_block, "touched-live-block", "the allocator accessed a live block's bytes")       \
  X(overlapping_copy, "overlapping-copy", "memcpy was called on ranges that overlap")              \
  X(outside_heap, "outside-heap", "the allocator accessed memory outside its heap")                \
  X(invariant, "invariant", "a numbered invariant of the strategy does not hold")                  \
  X(walk, "walk", "the walk contradicts what is live")                                             \
  X(statistics, "statistics", "the statistics contradict the walk")                                \
  X(undefined_behaviour, "undefined-behaviour", "a sanitizer reported the allocator's code")       \
  X(crash, "crash", "the allocator crashed")                                                       \
  X(hang, "hang", "an operation of the allocator does not end")                                    \
  X(race, "race", "two threads access the same bytes, one writes, and nothing orders them")        \
  X(differential, "differential", "two strategies disagree where both promise the same")           \
  X(model, "model", "a collection is not what the model of it is")                                 \
  X(leak, "leak", "a collection that was dropped has not released all of its blocks")              \
  X(misuse, "misuse", "a collection asked its allocator for what makes no sense")

enum property {
  PROPERTY_NONE,  // clean
#define X(name, id, text) PROPERTY_##name,
  PROPERTY_LIST(X)
#undef X
      PROPERTY_COUNT
};

// The id ("resize-prefix"); "clean" for PROPERTY_NONE. That of an invariant is completed by the
// strategy's name and the number: `invariant:free_list.I3`.
const char *property_id(enum property property);
const char *property_text(enum property property);
// The property with that id, or that an id `invariant:...` belongs to; PROPERTY_NONE if there is
// none.
enum property property_find(const char *id);

enum { VERDICT_ID_SIZE = 64, VERDICT_TEXT_SIZE = 320, VERDICT_SITE_SIZE = 96 };

// What the oracle found: clean or one violation.
struct verdict {
  enum property property;
  char id[VERDICT_ID_SIZE];           // "clean", "overlap", "invariant:free_list.I3"
  char diagnosis[VERDICT_TEXT_SIZE];  // in words
  char site[VERDICT_SITE_SIZE];  // where it showed: the operation, and the allocator's function if
                                 // known
  size_t operation;              // index of the operation; program_length: after the last one
  intptr_t guilty;               // the bytes that it shows in, from the heap's start
  size_t guilty_size;            // 0: there are none to name
};

// A hash of strategy, id and site: equal for two programs that show the same bug in the same place.
uint32_t verdict_signature(const struct verdict *verdict, const char *strategy);

// Prints the violation as one line that starts with `ERROR:` and one `ASSERTION FAILED: <id>`, and
// hands the verdict to the handler. For violations that somebody else, a sanitizer, will end the
// process for.
void property_announce(const struct verdict *verdict, const char *strategy);

// Announces the violation from a function of the property's own, so that stacks differ, and aborts.
_Noreturn void property_violated(const struct verdict *verdict, const char *strategy);

// Called with each violation, after it is printed. NULL: none. One for the process.
typedef void violation_handler(const struct verdict *verdict);
void property_on_violation(violation_handler *handler);

#endif
