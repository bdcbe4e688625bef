#include "harness/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/collection.h"
#include "harness/concurrent.h"
#include "harness/cpu_time.h"
#include "harness/forbid.h"
#include "harness/run.h"

enum { SECOND_DIRT = 0x5A, ONCE_MORE_ONE_IN = 16, CANARIES_EACH = 8 };

// Finding the largest block of a fresh heap makes all of it dirty several times over. Of one that
// grows as it likes, it tells nothing; and one that keeps state is fresh once.
#define LARGEST_CAPACITY ((size_t)1 << 24)

// ## One pass

struct source *run_open_sources(struct run *run, struct source *bottom) {
  struct oracle *oracle = run->oracle;
  source_limit_init(&run->limit, bottom, (size_t)run->heap.capacity);
  source_account_init(&run->account, &run->limit.base, oracle->stretches,
                      oracle->stretches_capacity);
  run->account.grows = run->heap.grows;
  source_faults_init(&run->faults, &run->account.base);
  run->returns_seen = 0;
  return &run->faults.base;
}

struct source *run_open_heap(struct run *run) {
  bool elsewhere = run->pass == PASS_ELSEWHERE;
  bool moves = elsewhere && !(run->strategy->traits & STRATEGY_PLACED);
  return run_open_sources(run, arena_open(&run->oracle->arena, &run->heap, moves,
                                          elsewhere ? SECOND_DIRT : ARENA_DIRT));
}

void run_create(struct run *run, struct source *source) {
  struct strategy_options options = {.variant = run->heap.variant};
  run->phase = "create";
  run_enter(run);
  run->allocator = run->strategy->create(source, &options);
  run_leave(run);
  // The bound is about requests: it says that create succeeds where the smallest of them fits.
  size_t least = run->strategy->footprint(1, run->strategy->min_align, run->heap.page_size);
  bool promised =
      run_promised(run, least) && !run->faults.injected && !run->oracle->arena.exhausted;
  if (promised) run_exercise(run, PROPERTY_spurious_oom);
  if (run->allocator) return;
  verify_returns(run);
  run_exercise(run, PROPERTY_source_leak);
  if (run->account.bytes > 0)
    run_violated(run, PROPERTY_source_leak, "failed, but kept %zu bytes of its source",
                 run->account.bytes);
  if (promised)
    run_violated(run, PROPERTY_spurious_oom,
                 "failed on %zu bytes, although the bound says that %zu suffice",
                 (size_t)run->heap.capacity, run_overhead(run) + least);
}

void run_destroy(struct run *run) {
  run->phase = "destroy";
  run_enter(run);
  run->strategy->destroy(run->allocator);
  run_leave(run);
  verify_returns(run);
  run_exercise(run, PROPERTY_source_leak);
  if (run->account.bytes > 0) {
    const struct source_stretch *first = &run->account.stretches[0];
    run_blame(run, first->start, first->size);
    run_violated(run, PROPERTY_source_leak,
                 "%zu bytes did not go back to the source, from %#tx..%#tx on", run->account.bytes,
                 run->guilty, run->guilty + (intptr_t)first->size);
  }
  verify_canaries(run);
  run->phase = NULL;
}

static bool promises_largest(const struct run *run) {
  return run->strategy->traits & (STRATEGY_RESETS | STRATEGY_COALESCES) &&
         run->heap.capacity <= LARGEST_CAPACITY && !run->heap.grows &&
         !(run->strategy->traits & STRATEGY_KEEPS_STATE);
}

static bool same_heap(const struct heap *a, const struct heap *b) {
  return a->source == b->source && a->capacity == b->capacity && a->page_size == b->page_size &&
         a->skew == b->skew && a->variant == b->variant;
}

// Whether an allocator made for this question gives this much.
static bool fresh_gives(struct run *run, size_t size) {
  run_create(run, run_open_heap(run));
  bool gives = false;
  if (run->allocator) {
    run->phase = "fresh heap";
    gives = could_have(run, size);
    run_destroy(run);
  }
  arena_close(&run->oracle->arena);
  return gives;
}

// What a fresh heap is like, found on an allocator of its own and remembered.
static struct fresh_heap *learn_fresh(struct run *run) {
  const struct heap *heap = &run->heap;
  uint64_t hash =
      heap->capacity * 31 + heap->page_size + heap->skew * 7 + heap->variant * 3 + heap->source;
  struct fresh_heap *known =
      &run->oracle->fresh[(hash * 0x9E3779B97F4A7C15u >> 32) % ORACLE_FRESH_HEAPS];
  if (known->strategy == run->strategy && same_heap(&known->heap, heap)) return known;
  run_create(run, run_open_heap(run));
  *known = (struct fresh_heap){.strategy = run->strategy, .heap = *heap};
  if (run->allocator) {
    run->phase = "fresh heap";
    known->walk = inspect(run).hash;
    known->walk_cost = run->walk_cost;
    known->largest = find_largest(run, could_have);
    run_destroy(run);
  }
  arena_close(&run->oracle->arena);
  // The questions change the answer where what is released or reset does not come back.
  if (known->largest > 0 &&
      (!fresh_gives(run, known->largest) || fresh_gives(run, known->largest + 1)))
    known->largest = find_largest(run, fresh_gives);
  return known;
}

// NULL is no block: to release it does nothing, and none of it is usable.
static void ask_about_nothing(struct run *run) {
  const struct strategy *strategy = run->strategy;
  run->phase = "release of NULL";
  if (strategy->traits & STRATEGY_RELEASES) {
    run_enter(run);
    enum release_result result = strategy->release(run->allocator, NULL);
    run_leave(run);
    run_exercise(run, PROPERTY_release_refused);
    if (result != RELEASED)
      run_violated(run, PROPERTY_release_refused, "NULL was taken for a %s release",
                   result == RELEASE_DOUBLE ? "double" : "foreign");
  }
  run->phase = "usable size of NULL";
  if (strategy->traits & STRATEGY_SIZES) {
    run_enter(run);
    size_t usable = strategy->usable_size(run->allocator, NULL);
    run_leave(run);
    run_exercise(run, PROPERTY_usable_size);
    if (usable != 0) run_violated(run, PROPERTY_usable_size, "is %zu, and not 0", usable);
  }
}

// Everything released: is the heap as it was?
static void empty(struct run *run) {
  const struct strategy *strategy = run->strategy;
  struct shadow *shadow = &run->oracle->shadow;
  if (strategy->traits & STRATEGY_COLLECTS) {
    run->phase = "collection of all";
    collect_everything(run);
    inspect(run);
    if (strategy->traits & STRATEGY_COALESCES && run->fresh)
      verify_largest(run, PROPERTY_not_pristine);
  }
  run->phase = "release of all";
  if (strategy->traits & STRATEGY_RELEASES) {
    while (shadow->count > 0) block_release(run, &shadow->blocks[shadow->count - 1]);
    inspect(run);
    if (strategy->traits & STRATEGY_COALESCES && run->fresh)
      verify_largest(run, PROPERTY_not_pristine);
    verify_returned(run, PROPERTY_not_pristine);
  }
  if (strategy->traits & STRATEGY_RESETS) {
    run->phase = "reset of all";
    blocks_abandon(run);
    run_enter(run);
    strategy->reset(run->allocator);
    run_leave(run);
    verify_returned(run, PROPERTY_reset);
    if (run->fresh) verify_largest(run, PROPERTY_reset);
  }
}

static void step(struct run *run, const struct record *record) {
  const struct oracle_settings *settings = &run->oracle->settings;
  bool first = run->pass == PASS_FIRST, compares = !first || run->noted;
  run->operation = record_request(record);
  run->refused = run->without_effect = false;
  run->step = (struct step){.index = run->index, .operation = &run->operation};
  if (compares && !pass_begins(run)) return;
  if (settings->before && first) settings->before(settings->context, &run->step);
  operation_execute(run);
  run->step.refused = run->refused;
  run_over(run);
  if (compares) pass_ends(run);
  run->walked = 0;
  if (run_judged(run)) {
    // What it did to others shows in what comes after it.
  } else if (run_at_least(run, TIER_PARANOID)) {
    run->walked = inspect(run).hash;
    for (size_t i = 0; i < run->oracle->shadow.count; i++)
      block_verify(run, &run->oracle->shadow.blocks[i]);
    verify_canaries(run);
  } else if (run_at_least(run, TIER_FULL)) {
    inspect_in_turn(run);
    if (run->heap.source == HEAP_FIXED && run->index % CANARIES_EACH == 0) verify_canaries(run);
  }
  if (settings->after && first) settings->after(settings->context, &run->step);
}

void run_count_calls(struct run *run) {
  uint64_t *exercised = run->oracle->counts.exercised;
  exercised[PROPERTY_crash] += run->calls;
  exercised[PROPERTY_hang] += run->calls;
  exercised[PROPERTY_outside_heap] += run->calls;
  if (MEMORY_SHOWS_UNDEFINED) exercised[PROPERTY_undefined_behaviour] += run->calls;
  run->calls = 0;
  unsigned long copies = watch_copies();
  exercised[PROPERTY_overlapping_copy] += copies - run->oracle->copies;
  run->oracle->copies = copies;
}

static void count_acquisitions(struct run *run) {
  if (run->pass != PASS_FIRST) return;
  run->oracle->counts.acquisitions += run->faults.requests;
  run->oracle->counts.injected += run->faults.injected;
}

// The allocator and its memory are dropped.
void run_abandon_heap(struct run *run) {
  shadow_clear(&run->oracle->shadow);
  arena_close(&run->oracle->arena);
  run->allocator = NULL;
  run->phase = NULL;
  run_count_calls(run);
}

static void run_once(struct run *run) {
  const struct program *program = run->program;
  struct oracle *oracle = run->oracle;
  size_t length = program_length(program);
  run->index = run->alone = 0;
  run->credit = 0;
  run->walked = 0;
  run->fresh = promises_largest(run) ? learn_fresh(run) : NULL;
  shadow_begin(&oracle->shadow, run->heap.slots, run->strategy->min_align < 8,
               (run->strategy->traits & STRATEGY_FOREIGN) != 0);
  graph_begin(&oracle->graph);
  run->marks_count = 0;
  run->crash_barrier = 0;
  bool threaded = concurrent_possible(run->strategy, &run->heap);
  struct source *source = run_open_heap(run);
  // Faults before anything else strike create.
  for (; run->index < length; run->index++) {
    struct operation operation = record_operation(program_at(program, run->index));
    if (operation.kind != OP_FAULT || !operation_offered(OP_FAULT, run->strategy)) break;
    source_faults_arm(&run->faults, operation.size, SIZE_MAX);
    if (run->noted) oracle->answers[run->index] = (struct first_answer){0};
  }
  run_create(run, source);
  if (!run->allocator) {
    pass_walk(run, 0);
    count_acquisitions(run);
  } else {
    run->fresh_bytes = run->account.bytes;
    run->claimed = run->forgone = 0;
    // Whether it is known already depends on earlier programs. Nothing else may: not what a walk is
    // thought to cost either, nor that the first operation can borrow one.
    if (run->fresh && (!run_at_least(run, TIER_PARANOID) || oracle->settings.judged > 0)) {
      run->fresh_walk = run->fresh->walk;
      run->walk_cost = run->fresh->walk_cost;
    } else {
      run->fresh_walk = inspect(run).hash;
    }
    run->credit = 0;
    run->phase = NULL;
    run->shows = oracle->settings.viewed && run->pass == PASS_FIRST;
    run->view = (struct heap_view){.fresh = true};
    uint64_t start = oracle->settings.timed ? cpu_time() : 0;
    while (run->index < length) {
      if (threaded && concurrent_run(run)) continue;
      step(run, program_at(program, run->index));
      if (run->difference.found) {
        run_abandon_heap(run);
        return;
      }
      run->index++;
    }
    if (oracle->settings.timed && run->pass == PASS_FIRST)
      oracle->counts.nanoseconds += cpu_time() - start;
    run->phase = "end";
    pass_walk(run, run->walked && !threaded ? run->walked : inspect(run).hash);
    run->shows = false;
    count_acquisitions(run);
    source_faults_arm(&run->faults, 0, SIZE_MAX);
    // Destroy must cope with live blocks as well as without.
    if (run->pass == PASS_FIRST) {
      ask_about_nothing(run);
      empty(run);
    }
    run->phase = "end";
    while (run->strategy->traits & STRATEGY_FOREIGN && oracle->shadow.count > 0)
      block_release(run, &oracle->shadow.blocks[oracle->shadow.count - 1]);
    blocks_abandon(run);
    verify_canaries(run);
    run_destroy(run);
  }
  run_abandon_heap(run);
}

// Which passes follow the first one.
struct passes {
  bool elsewhere, without_refused;
  bool either;  // the first of them only if the second has nothing to leave out
};

static void run_passes(struct run *run, const struct passes *passes) {
  run->noted = passes->elsewhere || passes->without_refused;
  run_once(run);
  bool without_refused = passes->without_refused && run->left_out > 0;
  if (passes->elsewhere && !(passes->either && without_refused)) {
    run->pass = PASS_ELSEWHERE;
    run_once(run);
  }
  if (without_refused) {
    run->pass = PASS_WITHOUT_REFUSED;
    run_once(run);
    if (!run->difference.found) return;
    // Is that what made the difference?
    const struct difference difference = run->difference;
    run->difference.found = false;
    run->pass = PASS_AGAIN;
    run_once(run);
    run->difference = difference;
    pass_differs(run);
  }
}

static bool releases_again(const struct program *program) {
  for (size_t i = 0; i < program_length(program); i++)
    if (record_kind(program_at(program, i)) == OP_RELEASE_AGAIN) return true;
  return false;
}

static uint64_t hash_program(const struct program *program) {
  uint64_t hash = program->count;
  for (size_t i = 0; i < program->count; i++) {
    const struct record *record = &program->records[i];
    hash = (hash ^ record->size ^ (uint64_t)record->slot << 32 ^ (uint64_t)record->thread << 16 ^
            (uint64_t)record->align << 8 ^ record->code) *
           0x9E3779B97F4A7C15u;
  }
  return hash ^ hash >> 32;
}

// ## The oracle

bool tier_find(const char *name, enum tier *tier) {
  static const char *const names[] = {"fast", "full", "paranoid"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    *tier = (enum tier)i;
    return true;
  }
  return false;
}

static void *grow(void *memory, size_t count, size_t size) {
  void *grown = realloc(memory, count * size);
  if (!grown) abort();
  return grown;
}

bool run_prepare(struct oracle *self, const struct heap *heap, size_t length) {
  if (!arena_fits(&self->arena, heap)) {
    shadow_free(&self->shadow);
    arena_free(&self->arena);
    uint64_t capacity = heap->capacity < ARENA_LEAST ? ARENA_LEAST : heap->capacity;
    if (!arena_init(&self->arena, capacity)) return false;
    if (!shadow_init(&self->shadow, self->arena.base, self->arena.size)) return false;
  }
  size_t stretches =
      heap->source == HEAP_FIXED ? 1 : (size_t)(heap->capacity / heap->page_size) + 1;
  if (stretches < ORACLE_STRETCHES) stretches = ORACLE_STRETCHES;
  if (self->stretches_capacity < stretches) {
    self->stretches = grow(self->stretches, stretches, sizeof *self->stretches);
    self->stretches_capacity = stretches;
  }
  if (self->answers_capacity < length) {
    self->answers_capacity = ORACLE_SPARE_ANSWERS * length;
    self->answers = grow(self->answers, self->answers_capacity, sizeof *self->answers);
  }
  return true;
}

void oracle_init(struct oracle *self, const struct oracle_settings *settings) {
  *self = (struct oracle){.settings = *settings};
  run_watch();
}

void oracle_free(struct oracle *self) {
  shadow_free(&self->shadow);
  arena_free(&self->arena);
  for (int i = 0; i < ORACLE_SPARES; i++) arena_free(&self->spares[i]);
  crash_free(&self->crash);
  graph_free(&self->graph);
  free(self->stretches);
  free(self->answers);
  concurrent_free();
  *self = (struct oracle){0};
}

static unsigned variants_of(const struct strategy *strategy) {
  unsigned count = 0;
  while (strategy->variants && strategy->variants[count]) count++;
  return count ? count : 1;
}

struct heap oracle_heap(const struct strategy *strategy, const struct program *program) {
  if (strategy->traits & STRATEGY_COLLECTION)
    return strategy->driver->oracle->heap(strategy, program);
  return run_fit_heap(strategy, program_heap(program));
}

struct heap run_fit_heap(const struct strategy *strategy, struct heap heap) {
  heap.variant %= variants_of(strategy);
  if (strategy->needs & SOURCE_RECLAIMS) heap.source = HEAP_PAGES;
  if (strategy->needs & SOURCE_PERSISTS) heap.source = HEAP_FIXED;
  if (strategy->needs & SOURCE_CONTIGUOUS) {
    heap.source = HEAP_FIXED;
    heap.skew = 0;
    heap.grows = true;
  }
  if (heap.capacity < strategy->least_heap) heap.capacity = strategy->least_heap;
  if (strategy->most_heap != 0 && heap.capacity > strategy->most_heap)
    heap.capacity = strategy->most_heap;
  if (heap.source == HEAP_PAGES)
    heap.capacity -= heap.capacity % heap.page_size;
  else
    heap.page_size = 1;
  if (heap.capacity == 0) heap.capacity = heap.page_size;
  return heap;
}

// Whether a program has its further passes, and all of them.
static bool once_more(const struct oracle *self, const struct program *program, bool *all,
                      uint64_t *turn) {
  bool some = false;
  *all = self->settings.tier == TIER_PARANOID;
  *turn = 0;
  if (self->settings.tier == TIER_FULL) {
    *turn = self->settings.twice ? 0 : hash_program(program);
    *all = self->settings.twice;
    some = *turn % ONCE_MORE_ONE_IN == 0;
  }
  return *all || some;
}

bool run_once_more(const struct oracle *self, const struct program *program) {
  bool all;
  uint64_t turn;
  return once_more(self, program, &all, &turn);
}

bool run_goes_elsewhere(const struct strategy *strategy) {
  return strategy->max_align <= ORACLE_ELSEWHERE_ALIGN || strategy->traits & STRATEGY_PLACED;
}

static struct passes choose_passes(const struct oracle *self, const struct strategy *strategy,
                                   const struct program *program) {
  bool all;
  uint64_t turn;
  bool more = once_more(self, program, &all, &turn);
  return (struct passes){
      .elsewhere = more && run_goes_elsewhere(strategy),
      .without_refused = all || (more && turn / ONCE_MORE_ONE_IN % 2 == 0),
      .either = !all,
  };
}

void oracle_watch(void) { run_watch(); }

bool oracle_make_room(struct oracle *self, const struct strategy *strategy,
                      const struct program *program) {
  if (strategy->traits & STRATEGY_COLLECTION)
    return strategy->driver->oracle->make_room(self, strategy, program);
  struct heap heap = oracle_heap(strategy, program);
  return run_prepare(self, &heap, program_length(program));
}

bool oracle_run(struct oracle *self, const struct strategy *strategy,
                const struct program *program) {
  if (strategy->traits & STRATEGY_COLLECTION)
    return strategy->driver->oracle->run(self, strategy, program);
  // Not on the stack: where a fault has left the allocator, and the stack is that of others by
  // then, it is told of the run all the same.
  static struct run run;
  run = (struct run){.oracle = self,
                     .strategy = strategy,
                     .program = program,
                     .heap = oracle_heap(strategy, program),
                     .releases_again = strategy->traits & STRATEGY_DETECTS_DOUBLE_RELEASE &&
                                       releases_again(program)};
  if (!run_prepare(self, &run.heap, program_length(program))) return false;
  struct passes passes = choose_passes(self, strategy, program);
  // Threads meet differently each time, foreign blocks lie anywhere, and who keeps state is not the
  // same in the next pass.
  if (concurrent_possible(strategy, &run.heap) ||
      strategy->traits & (STRATEGY_FOREIGN | STRATEGY_KEEPS_STATE))
    passes = (struct passes){0};
  watch_lets_call = strategy->traits & STRATEGY_FOREIGN;
  self->copies = watch_copies();
  run_in_progress = &run;
  run_passes(&run, &passes);
  run_in_progress = NULL;
  return true;
}

const struct source_faults *oracle_faults(void) {
  if (!run_in_progress) return NULL;
  return run_in_progress->told_faults ? run_in_progress->told_faults : &run_in_progress->faults;
}

const struct allocator *oracle_allocator(const struct arena **arena, const struct shadow **shadow) {
  if (!run_in_progress) return NULL;
  *arena = &run_in_progress->oracle->arena;
  *shadow = &run_in_progress->oracle->shadow;
  return run_in_progress->allocator;
}
