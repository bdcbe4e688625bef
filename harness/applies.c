#include "harness/applies.h"

#include <stddef.h>

#include "harness/oracle.h"

enum { THREADS = STRATEGY_CONCURRENT | STRATEGY_ALLOCATES_CONCURRENTLY };

// What is not listed is asked of every strategy.
static const struct {
  enum property property;
  unsigned any, and_any;  // at least one trait of each; 0: that asks for none
  unsigned none;          // and none of these
} rules[] = {
    {PROPERTY_bounds, 0, 0, STRATEGY_FOREIGN},
    {PROPERTY_zeroed, STRATEGY_ZEROES, 0, 0},
    {PROPERTY_resize_prefix, STRATEGY_RESIZES, 0, 0},
    {PROPERTY_usable_size, STRATEGY_SIZES, 0, 0},
    {PROPERTY_failed_op_changed_state, 0, 0, STRATEGY_REFUSALS_LEAVE_TRACES},
    {PROPERTY_not_pristine, STRATEGY_COALESCES | STRATEGY_RETURNS_MEMORY,
     STRATEGY_RELEASES | STRATEGY_COLLECTS, 0},
    {PROPERTY_reset, STRATEGY_RESETS, 0, 0},
    {PROPERTY_rollback, STRATEGY_MARKS, 0, 0},
    {PROPERTY_reachable_collected, STRATEGY_COLLECTS, 0, 0},
    {PROPERTY_garbage_kept, STRATEGY_COLLECTS, 0, 0},
    {PROPERTY_recovery, STRATEGY_PERSISTS, 0, 0},
    {PROPERTY_overrun_missed, STRATEGY_DETECTS_OVERRUN, 0, 0},
    {PROPERTY_double_release_missed, STRATEGY_DETECTS_DOUBLE_RELEASE, 0, 0},
    {PROPERTY_foreign_release_missed, STRATEGY_DETECTS_FOREIGN_RELEASE, 0, 0},
    {PROPERTY_release_refused, STRATEGY_RELEASES, 0, 0},
    {PROPERTY_nondeterministic, 0, 0, STRATEGY_FOREIGN | STRATEGY_KEEPS_STATE},
    {PROPERTY_touched_live_block, 0, 0, STRATEGY_FOREIGN},
    {PROPERTY_statistics, 0, 0, STRATEGY_FOREIGN},
    {PROPERTY_race, THREADS, 0, STRATEGY_COLLECTS | STRATEGY_FOREIGN | STRATEGY_C_EDGES},
    // Of two strategies, not of one.
    {PROPERTY_differential, 0, 0, ~0u},
    {PROPERTY_model, STRATEGY_COLLECTION, 0, 0},
    {PROPERTY_leak, STRATEGY_COLLECTION, 0, 0},
    {PROPERTY_misuse, STRATEGY_COLLECTION, 0, 0},
};

// What a collection is asked, and the strategy beneath it on the way.
static bool applies_to_collections(enum property property) {
  switch (property) {
  case PROPERTY_alignment:
  case PROPERTY_bounds:
  case PROPERTY_overlap:
  case PROPERTY_failed_op_changed_state:
  case PROPERTY_spurious_oom:
  case PROPERTY_source_leak:
  case PROPERTY_release_refused:
  case PROPERTY_nondeterministic:
  case PROPERTY_overlapping_copy:
  case PROPERTY_outside_heap:
  case PROPERTY_invariant:
  case PROPERTY_walk:
  case PROPERTY_statistics:
  case PROPERTY_undefined_behaviour:
  case PROPERTY_crash:
  case PROPERTY_hang:
  case PROPERTY_model:
  case PROPERTY_leak:
  case PROPERTY_misuse:
    return true;
  default:
    return false;
  }
}

bool property_applies(enum property property, const struct strategy *strategy) {
  if (strategy->traits & STRATEGY_COLLECTION) return applies_to_collections(property);
  if (property == PROPERTY_invariant) return strategy->invariants && strategy->invariants[0];
  // A bound that promises no request at all.
  if (property == PROPERTY_spurious_oom)
    return strategy->footprint(1, strategy->min_align, 1) != SIZE_MAX;
  if (property == PROPERTY_nondeterministic && strategy->max_align > ORACLE_ELSEWHERE_ALIGN &&
      !(strategy->traits & STRATEGY_PLACED))
    return false;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (rules[i].property != property) continue;
    unsigned traits = strategy->traits;
    return (!rules[i].any || traits & rules[i].any) &&
           (!rules[i].and_any || traits & rules[i].and_any) && !(traits & rules[i].none);
  }
  return true;
}
