// What the allocator says of itself, compared with what is live: its check, its walk, and what a
// heap without blocks can still give.
#include <stdio.h>

#include "harness/run.h"

// In units of roughly a nanosecond: what an operation earns, and what a look at a span costs. With
// these a full run spends at most half of its time on walks.
enum { EARNED_BY_OPERATION = 12, COST_OF_SPAN = 20, COST_OF_WALK = 100 };

struct walker {
  struct run *run;
  enum property blame;  // what a span violates that contradicts what is live
  struct inspection seen;
  size_t spans;
  size_t bytes;
  size_t free;  // of these, in free spans
  size_t free_spans;
  size_t largest_free;
  unsigned neighbours;       // as in struct heap_view
  enum span_kind kind;       // of the span before
  const unsigned char *end;  // of the span before
  const unsigned char *start;
};

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

uint64_t span_hash(uint64_t hash, intptr_t offset, size_t size, enum span_kind kind) {
  return mix(mix(mix(hash, (uint64_t)offset), size), kind);
}

// A stretch that is free from end to end is as good as the source's: whether the allocator still
// holds it is nothing that a request could tell.
static bool is_spare(const struct run *run, const struct span *span) {
  if (span->kind != SPAN_FREE) return false;
  const struct source_stretch *stretch = source_account_find(&run->account, span->start, 1);
  return stretch && stretch->start == span->start && stretch->size == span->size;
}

static void examine(struct walker *walker, const struct span *span) {
  struct run *run = walker->run;
  const struct arena *arena = &run->oracle->arena;
  const unsigned char *start = span->start;
  intptr_t offset = arena_offset(arena, start), end = offset + (intptr_t)span->size;
  run_blame(run, start, span->size);
  if (span->size == 0 || !arena_holds(arena, start, span->size))
    run_violated(run, PROPERTY_walk, "span %#tx..%#tx is not inside what the source gave", offset,
                 end);
  if (start < walker->end && source_account_find(&run->account, walker->start, 1) ==
                                 source_account_find(&run->account, start, 1))
    run_violated(run, PROPERTY_walk, "span %#tx..%#tx does not come after the one before", offset,
                 end);
  bool live = span->kind == SPAN_BLOCK || span->kind == SPAN_USED;
  bool taken = occupancy_any(&run->oracle->shadow.occupancy, (uintptr_t)start, span->size, !live);
  // Where the heap ends a block of no bytes may begin, and is not in the span that shows it.
  if (live && !taken && !(run->strategy->traits & STRATEGY_C_EDGES))
    run_violated(run, walker->blame,
                 "the walk shows %#tx..%#tx as live, but no live block is there", offset, end);
  if (span->kind == SPAN_BLOCK &&
      !occupancy_any(&run->oracle->shadow.occupancy, (uintptr_t)start, 1, false))
    run_violated(run, walker->blame,
                 "the walk shows %#tx..%#tx as a block, but it does not begin with one", offset,
                 end);
  if (!live && taken) {
    char name[BLOCK_NAME_SIZE] = "";
    const struct shadow_block *block =
        shadow_overlapping(&run->oracle->shadow, (uintptr_t)start, span->size, NULL);
    if (block) run_name_block(run, block, name);
    run_violated(run, walker->blame, "the walk shows %#tx..%#tx as %s over live %s", offset, end,
                 span->kind == SPAN_FREE ? "free" : "the allocator's own", name);
  }
  run->guilty_size = 0;
  walker->seen.blocks += span->kind == SPAN_BLOCK;
  if (!is_spare(run, span))
    walker->seen.hash = span_hash(walker->seen.hash, offset, span->size, span->kind);
  walker->spans++;
  walker->bytes += span->size;
  if (span->kind == SPAN_FREE) {
    walker->free += span->size;
    walker->free_spans++;
    if (span->size > walker->largest_free) walker->largest_free = span->size;
  }
  if (start == walker->end) walker->neighbours |= 1u << (4 * walker->kind + span->kind);
  walker->kind = span->kind;
  walker->start = start;
  walker->end = start + span->size;
}

static void visit(void *context, const struct span *span) {
  watch_leave();  // what happens here is not the allocator's doing
  examine(context, span);
  watch_enter();
}

static void pay(struct run *run, size_t spans) {
  run->walk_cost = COST_OF_WALK + (long)spans * COST_OF_SPAN;
  run->credit -= run->walk_cost;
}

static void check_invariants(struct run *run) {
  run_enter(run);
  struct broken_invariant broken = run->strategy->check(run->allocator);
  run_leave(run);
  if (run->strategy->invariants && run->strategy->invariants[0])
    run_exercise(run, PROPERTY_invariant);
  if (broken.number) run_broken_invariant(run, &broken);
}

// They may cost as much as the walk itself: in the lesser tiers only where no operation is measured
// by it.
static void verify_statistics(struct run *run, const struct walker *walker) {
  if (run->strategy->traits & STRATEGY_FOREIGN) return;
  if (!run_at_least(run, TIER_PARANOID) && !run->phase) return;
  run_enter(run);
  struct statistics told = run->strategy->statistics(run->allocator);
  run_leave(run);
  run_exercise(run, PROPERTY_statistics);
  size_t live = run->oracle->shadow.count;
  if (told.acquired != walker->bytes)
    run_violated(run, PROPERTY_statistics, "%zu bytes are said to be acquired, the walk shows %zu",
                 told.acquired, walker->bytes);
  if (told.used != walker->bytes - walker->free)
    run_violated(run, PROPERTY_statistics, "%zu bytes are said to be in use, the walk shows %zu",
                 told.used, walker->bytes - walker->free);
  if (told.largest_free > walker->free)
    run_violated(run, PROPERTY_statistics,
                 "%zu bytes are said to be free in one piece, the walk shows %zu in all",
                 told.largest_free, walker->free);
  bool counts = run->strategy->traits & STRATEGY_WALKS_BLOCKS || told.blocks > 0;
  if (counts && told.blocks != live)
    run_violated(run, PROPERTY_statistics, "%zu blocks are said to be live, but %zu are",
                 told.blocks, live);
}

static void show(struct run *run, const struct walker *walker) {
  const struct oracle_settings *settings = &run->oracle->settings;
  struct heap_view view = run->view;
  view.live = run->oracle->shadow.count;
  view.free_spans = walker->free_spans;
  view.bytes = walker->bytes;
  view.free = walker->free;
  view.largest_free = walker->largest_free;
  view.neighbours = walker->neighbours;
  settings->viewed(settings->context, &view);
}

struct inspection inspect_after(struct run *run, enum property blame) {
  // From cause to effect: a wrong return makes the walk wrong, and a walk along broken links would
  // blame the wrong thing.
  verify_returns(run);
  check_invariants(run);
  struct walker walker = {.run = run, .blame = blame, .seen.hash = 1};
  run_exercise(run, PROPERTY_walk);
  if (blame != PROPERTY_walk) run_exercise(run, blame);
  run_enter(run);
  run->strategy->walk(run->allocator, visit, &walker);
  run_leave(run);
  if (walker.bytes != run->account.bytes)
    run_violated(run, PROPERTY_walk, "the spans have %zu bytes, but %zu were acquired",
                 walker.bytes, run->account.bytes);
  if (run->strategy->traits & STRATEGY_WALKS_BLOCKS &&
      walker.seen.blocks != run->oracle->shadow.count)
    run_violated(run, blame, "the walk shows %zu blocks, but %zu are live", walker.seen.blocks,
                 run->oracle->shadow.count);
  pay(run, walker.spans);
  verify_statistics(run, &walker);
  // Walks that judge a call come in the middle of an operation.
  if (run->shows && blame == PROPERTY_walk) show(run, &walker);
  return walker.seen;
}

struct inspection inspect(struct run *run) { return inspect_after(run, PROPERTY_walk); }

// Bytes that a block has beyond those that were asked for.
struct surplus {
  struct run *run;
  const struct shadow_block *block;
  uintptr_t start, end;
  size_t spans;
};

static void visit_usable(void *context, const struct span *span) {
  struct surplus *surplus = context;
  uintptr_t start = (uintptr_t)span->start;
  surplus->spans++;
  if (span->kind != SPAN_META && span->kind != SPAN_FREE) return;
  // A span that begins before that contradicts the block itself, not its usable size.
  if (start < surplus->start || start >= surplus->end) return;
  watch_leave();
  run_blame(surplus->run, span->start, span->size);
  run_violated(surplus->run, PROPERTY_usable_size, "is %zu, but %#tx, within that, is shown as %s",
               surplus->block->size, arena_offset(&surplus->run->oracle->arena, span->start),
               span->kind == SPAN_FREE ? "free" : "the allocator's own");
}

void verify_usable(struct run *run, const struct shadow_block *block, size_t asked) {
  struct surplus surplus = {run, block, block->start + asked, block->start + block->size, 0};
  check_invariants(run);
  run_enter(run);
  run->strategy->walk(run->allocator, visit_usable, &surplus);
  run_leave(run);
  pay(run, surplus.spans);
}

bool inspect_in_turn(struct run *run) {
  run->credit += EARNED_BY_OPERATION;
  if (run->credit <= 0 || !run_at_least(run, TIER_FULL)) return false;
  inspect(run);
  return true;
}

bool inspect_affordable(const struct run *run) {
  if (!run_at_least(run, TIER_FULL) || run_judged(run)) return false;
  return run_at_least(run, TIER_PARANOID) || run->credit > -run->walk_cost;
}

void verify_returns(struct run *run) {
  if (run->account.changes != run->returns_seen || run->account.errors > 0)
    run_exercise(run, PROPERTY_source_leak);
  run->returns_seen = run->account.changes;
  if (run->account.errors > 0)
    run_violated(run, PROPERTY_source_leak,
                 "%zu times memory went back to the source that it did not "
                 "give, or not in that size",
                 run->account.errors);
}

void verify_returned(struct run *run, enum property property) {
  bool promised = run->strategy->traits & STRATEGY_RETURNS_MEMORY;
  if (!promised || run->oracle->shadow.count > 0) return;
  run_exercise(run, property);
  if (run->account.bytes != run->fresh_bytes)
    run_violated(run, property, "the allocator holds %zu bytes of its source instead of %zu",
                 run->account.bytes, run->fresh_bytes);
}

void verify_canaries(struct run *run) {
  const struct arena *arena = &run->oracle->arena;
  run_exercise(run, PROPERTY_outside_heap);
  const void *damage = arena_damage(arena);
  if (!damage) return;
  char where[64] = "";
  const struct source_stretch *last = NULL;  // the stretch that ends before it
  for (size_t i = 0; i < run->account.count; i++)
    if ((uintptr_t)run->account.stretches[i].start < (uintptr_t)damage)
      last = &run->account.stretches[i];
  if (last && (uintptr_t)last->start + last->size <= (uintptr_t)damage)
    snprintf(where, sizeof where, ", %zu bytes past the end of %#tx..%#tx",
             (size_t)((uintptr_t)damage - (uintptr_t)last->start - last->size),
             arena_offset(arena, last->start),
             arena_offset(arena, last->start) + (intptr_t)last->size);
  run_blame(run, damage, 1);
  run_violated(run, PROPERTY_outside_heap, "the byte at %#tx, outside the heap%s, was overwritten",
               run->guilty, where);
}

// ## The largest block of a heap without blocks, told by behaviour

static void *ask(struct run *run, size_t size) {
  run_enter(run);
  void *block = run->strategy->allocate(run->allocator, size, run->strategy->min_align);
  run_leave(run);
  return block;
}

static void give_back(struct run *run, void *block) {
  run_enter(run);
  if (run->strategy->traits & STRATEGY_RELEASES)
    run->strategy->release(run->allocator, block);
  else
    run->strategy->reset(run->allocator);
  run_leave(run);
}

static bool can_have(struct run *run, size_t size) {
  if (size == 0) return true;
  void *block = ask(run, size);
  if (!block) return false;
  address_verify(run, block, size, run->strategy->min_align);
  give_back(run, block);
  return true;
}

// For measuring a fresh heap. An answer that is wrong counts as none, and what a refusal leaves
// behind is reset: both are for the program to find, whose operations can be named.
bool could_have(struct run *run, size_t size) {
  if (size == 0) return true;
  if (run->strategy->traits & STRATEGY_RESETS) {
    run_enter(run);
    run->strategy->reset(run->allocator);
    run_leave(run);
  }
  void *block = ask(run, size);
  if (!block) return false;
  bool right = arena_holds(&run->oracle->arena, block, size);
  give_back(run, block);
  return right;
}

size_t find_largest(struct run *run, bool (*can)(struct run *run, size_t size)) {
  size_t low = 0, high = (size_t)run->heap.capacity + 1;  // low can be had, high cannot
  // What an empty heap keeps for itself is mostly little: search from that end, then halve.
  for (size_t kept = 64; kept < high; kept *= 4) {
    if (can(run, high - 1 - kept)) {
      low = high - 1 - kept;
      break;
    }
    high -= kept;
  }
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (can(run, middle))
      low = middle;
    else
      high = middle;
  }
  return low;
}

void verify_largest(struct run *run, enum property property) {
  run_exercise(run, property);
  if (!can_have(run, run->fresh->largest))
    run_violated(run, property, "a fresh heap gives a block of %zu bytes, this one does not",
                 run->fresh->largest);
  if (can_have(run, run->fresh->largest + 1))
    run_violated(run, property,
                 "a fresh heap gives no block of more than %zu bytes, this one gives one",
                 run->fresh->largest);
}
