#include "harness/concurrent.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "allocators/lock.h"
#include "harness/byte_map.h"
#include "harness/crew.h"
#include "harness/forbid.h"
#include "harness/payload.h"

enum { MAX_TASKS = 4096, MAX_SLOTS = 1 << 24, SPINS = 100 };

// A block as an operation finds it or leaves it. start 0: the slot names none.
struct extent {
  uintptr_t start;
  size_t size;
  uint64_t key;
  uint32_t serial;  // of the shadow's block; 0: it is younger than this stretch
};

// An operation of the stretch.
struct task {
  struct operation operation;
  size_t index;
  uint32_t previous;  // task on the same slot, + 1; 0: none, the shadow knows what the slot names
  bool last;          // on its slot
  bool skipped, refused, refusable;
  struct extent before, after;
};

static struct task tasks[MAX_TASKS];
static atomic_bool finished[MAX_TASKS];
static const struct task *_Atomic doing[WATCH_PLACES];

static struct byte_map bytes;  // of live blocks

// The stretch in progress.
static struct {
  struct run *run;
  size_t count;
} stretch;

// ## One operation, in its thread

static void write_payload(const struct run *run, const struct extent *block, size_t from) {
  if (run_at_least(run, TIER_FULL))
    payload_write((void *)block->start, from, block->size, block->key);
  else
    payload_write_edges((void *)block->start, block->size, block->key);
}

static intptr_t offset_of(const struct run *run, uintptr_t address) {
  return arena_offset(&run->oracle->arena, (const void *)address);
}

static void verify_content(struct run *run, const struct extent *block) {
  size_t wrong =
      run_verify_payload(run, (void *)block->start, block->size, block->size, block->key);
  if (wrong != PAYLOAD_INTACT)
    run_violated(run, PROPERTY_content,
                 "byte %zu of the live block at %#tx (%zu bytes) is not what was written", wrong,
                 offset_of(run, block->start), block->size);
}

// Which pages the source has given, other threads may be changing: any of the heap's will do, until
// all are still.
static void verify_address(struct run *run, const void *address, size_t size, size_t align) {
  const struct arena *arena = &run->oracle->arena;
  intptr_t offset = arena_offset(arena, address);
  if (address_of(address) & (align - 1))
    run_violated(run, PROPERTY_alignment, "%#tx is not aligned to %zu", offset, align);
  bool inside = run->heap.source == HEAP_FIXED
                    ? arena_holds(arena, address, size)
                    : range_within(address, size, arena->start, arena->pages * run->heap.page_size);
  if (!inside)
    run_violated(run, PROPERTY_bounds, "%#tx..%#tx is not inside what the source gave", offset,
                 offset + (intptr_t)size);
}

static void take_or_overlap(struct run *run, uintptr_t start, size_t size, enum property property) {
  if (byte_map_take(&bytes, start, size)) return;
  intptr_t offset = offset_of(run, start);
  run_violated(run, property, "%#tx..%#tx lies over a block that is live now", offset,
               offset + (intptr_t)size);
}

static void verify_zero(struct run *run, const void *block, size_t size) {
  size_t wrong = payload_verify_zero(block, size);
  if (wrong != PAYLOAD_INTACT)
    run_violated(run, PROPERTY_zeroed, "byte %zu of %zu at %#tx is not zero", wrong, size,
                 offset_of(run, (uintptr_t)block));
}

// The slot's block is `block` now; bytes below `kept` hold its payload already.
static void settle(struct run *run, struct task *task, void *block, size_t kept, uint64_t key) {
  const struct operation *op = &task->operation;
  size_t size = (size_t)op->size * op->count;
  if (task->refusable)
    run_violated(run, PROPERTY_oversize_accepted,
                 "returned %#tx for a request that must be refused",
                 offset_of(run, (uintptr_t)block));
  verify_address(run, block, size, run_align(run, op->align));
  take_or_overlap(run, (uintptr_t)block, size, PROPERTY_overlap);
  task->after.start = (uintptr_t)block;
  task->after.size = size;
  task->after.key = key;
  if (op->kind == OP_ALLOCATE_ZEROED) verify_zero(run, block, size);
  if (op->kind == OP_RESIZE && kept > 0) {
    size_t wrong = run_verify_payload(run, block, kept, task->before.size, key);
    if (wrong != PAYLOAD_INTACT)
      run_violated(run, PROPERTY_resize_prefix, "byte %zu of the %zu that must be kept is lost",
                   wrong, kept);
  }
  write_payload(run, &task->after, kept);
}

// A key that no block of the program has, those of the shadow included.
static uint64_t key_of(const struct task *task) {
  return ((uint64_t)1 << 32 | task->index) * 0xD1B54A32D192ED03u;
}

static void allocate(struct run *run, struct task *task) {
  const struct operation *op = &task->operation;
  const struct strategy *strategy = run->strategy;
  size_t size = (size_t)op->size, align = (size_t)op->align;
  task->refusable = run_must_refuse(run, op->count, op->size, op->align);
  watch_enter();
  void *block = op->kind == OP_ALLOCATE_ZEROED
                    ? strategy->allocate_zeroed(run->allocator, op->count, size, align)
                : op->kind == OP_RESIZE ? strategy->resize(run->allocator, NULL, size, align)
                                        : strategy->allocate(run->allocator, size, align);
  watch_leave();
  task->refused = !block;
  task->after.serial = 0;
  if (block)
    settle(run, task, block, 0, key_of(task));
  else
    task->after = task->before;
}

static void resize(struct run *run, struct task *task) {
  const struct operation *op = &task->operation;
  const struct extent *before = &task->before;
  size_t size = (size_t)op->size;
  if (!before->start) {
    allocate(run, task);
    return;
  }
  task->refusable = run_must_refuse(run, 1, op->size, op->align);
  verify_content(run, before);
  byte_map_give(&bytes, before->start, before->size);
  watch_enter();
  void *moved =
      run->strategy->resize(run->allocator, (void *)before->start, size, (size_t)op->align);
  watch_leave();
  task->refused = !moved;
  if (moved) {
    settle(run, task, moved, before->size < size ? before->size : size, before->key);
    return;
  }
  take_or_overlap(run, before->start, before->size, PROPERTY_overlap);
  verify_content(run, before);
}

static void release(struct run *run, struct task *task) {
  const struct extent *before = &task->before;
  task->skipped = !before->start;
  if (task->skipped) return;
  verify_content(run, before);
  byte_map_give(&bytes, before->start, before->size);
  watch_enter();
  enum release_result result = run->strategy->release(run->allocator, (void *)before->start);
  watch_leave();
  if (result != RELEASED)
    run_violated(run, PROPERTY_release_refused, "the live block at %#tx was taken for a %s release",
                 offset_of(run, before->start), result == RELEASE_DOUBLE ? "double" : "foreign");
  task->after.start = 0;
}

static void use(struct run *run, struct task *task) {
  struct extent *block = &task->after;
  task->skipped = !block->start;
  if (task->skipped) return;
  verify_content(run, block);
  watch_enter();
  size_t usable = run->strategy->usable_size(run->allocator, (void *)block->start);
  watch_leave();
  if (usable < block->size)
    run_violated(run, PROPERTY_usable_size, "is %zu, less than the %zu bytes asked for", usable,
                 block->size);
  if (!range_within((void *)block->start, usable, run->oracle->arena.base, run->oracle->arena.size))
    run_violated(run, PROPERTY_usable_size, "is %zu, more than what the source gave", usable);
  take_or_overlap(run, block->start + block->size, usable - block->size, PROPERTY_usable_size);
  block->size = usable;
  write_payload(run, block, 0);
}

// Until the task before on this slot has finished: what it did comes before what this one does.
static void wait_for(uint32_t previous) {
  for (unsigned i = 0; !atomic_load_explicit(&finished[previous], memory_order_acquire); i++) {
    if (i < SPINS)
      lock_pause();
    else
      lock_yield();
  }
  ORDER_AFTER(&finished[previous]);
}

static void carry_out(struct run *run, struct task *task) {
  if (task->previous) {
    wait_for(task->previous - 1);
    task->before = tasks[task->previous - 1].after;
  }
  task->after = task->before;
  atomic_store_explicit(&doing[watch_place()], task, memory_order_relaxed);
  watch_tick();
  enum operation_kind kind = task->operation.kind;
  if (!operation_offered(kind, run->strategy))
    task->skipped = true;
  else if (kind == OP_RESIZE)
    resize(run, task);
  else if (kind == OP_RELEASE)
    release(run, task);
  else if (kind == OP_USE)
    use(run, task);
  else
    allocate(run, task);
  atomic_store_explicit(&doing[watch_place()], NULL, memory_order_relaxed);
  size_t number = (size_t)(task - tasks);
  ORDER_BEFORE(&finished[number]);
  atomic_store_explicit(&finished[number], true, memory_order_release);
}

static unsigned thread_of(const struct run *run, const struct operation *operation) {
  return operation->thread & (run->heap.threads - 1);
}

static void work(void *context, unsigned thread) {
  struct run *run = context;
  for (size_t i = 0; i < stretch.count; i++)
    if (thread_of(run, &tasks[i].operation) == thread) carry_out(run, &tasks[i]);
}

const struct operation *concurrent_operation(unsigned place, size_t *index) {
  const struct task *task = atomic_load_explicit(&doing[place], memory_order_relaxed);
  if (!task) return NULL;
  *index = task->index;
  return &task->operation;
}

// ## The stretch: before

// One that is not offered is skipped, in whatever thread.
static bool side_by_side(const struct run *run, enum operation_kind kind) {
  unsigned traits = run->strategy->traits;
  if (!operation_offered(kind, run->strategy)) return true;
  if (kind == OP_ALLOCATE || kind == OP_ALLOCATE_ZEROED)
    return traits & (STRATEGY_CONCURRENT | STRATEGY_ALLOCATES_CONCURRENTLY);
  return (kind == OP_RELEASE || kind == OP_RESIZE || kind == OP_USE) &&
         traits & STRATEGY_CONCURRENT;
}

// Where the stretch that begins at run->index ends. *mixed: several threads have a part in it.
static size_t find_end(const struct run *run, bool *mixed) {
  size_t index = run->index, length = program_length(run->program);
  unsigned first = 0;
  *mixed = false;
  for (; index < length && index - run->index < MAX_TASKS; index++) {
    struct operation operation = record_operation(program_at(run->program, index));
    if (!side_by_side(run, operation.kind)) break;
    if (index == run->index) first = thread_of(run, &operation);
    *mixed |= thread_of(run, &operation) != first;
  }
  return index;
}

static struct extent named_by_shadow(const struct run *run, uint32_t slot) {
  const struct shadow_block *block = shadow_at(&run->oracle->shadow, slot);
  if (!block) return (struct extent){0};
  return (struct extent){block->start, block->size, block->key, block->serial};
}

static void prepare(struct run *run, size_t end) {
  static uint32_t *latest;  // task on each slot, + 1
  const struct shadow *shadow = &run->oracle->shadow;
  if (!latest) {
    latest = calloc(MAX_SLOTS, sizeof *latest);  // only what is used costs memory
    if (!latest) abort();
    ORDER_ATOMIC(finished);
    ORDER_ATOMIC(doing);
  }
  byte_map_cover(&bytes, run->oracle->arena.base, run->oracle->arena.size);
  for (size_t i = 0; i < shadow->count; i++)
    byte_map_take(&bytes, shadow->blocks[i].start, shadow->blocks[i].size);
  stretch.run = run;
  stretch.count = end - run->index;
  for (size_t i = 0; i < stretch.count; i++) {
    struct task *task = &tasks[i];
    *task = (struct task){.operation = record_request(program_at(run->program, run->index + i)),
                          .index = run->index + i,
                          .last = true};
    uint32_t slot = task->operation.slot &= run->heap.slots - 1;
    task->previous = latest[slot];
    latest[slot] = (uint32_t)i + 1;
    if (task->previous) {
      tasks[task->previous - 1].last = false;
    } else {
      task->before = named_by_shadow(run, slot);
      if (task->before.start) memory_grant_contents((void *)task->before.start, task->before.size);
    }
    atomic_store_explicit(&finished[i], false, memory_order_relaxed);
  }
  for (size_t i = 0; i < stretch.count; i++) latest[tasks[i].operation.slot] = 0;
}

static void announce(struct run *run) {
  const struct oracle_settings *settings = &run->oracle->settings;
  for (size_t i = 0; settings->before && i < stretch.count; i++)
    settings->before(settings->context,
                     &(struct step){.index = tasks[i].index, .operation = &tasks[i].operation});
}

// ## The stretch: after. All threads are still again.

static void count(struct run *run, const struct task *task, size_t *answers) {
  struct run_counts *counts = &run->oracle->counts;
  counts->operations += !task->skipped;
  counts->skipped += task->skipped;
  counts->refused += task->refused;
  if (task->skipped) return;
  run->calls++;
  if (memory_shows_races()) run_exercise(run, PROPERTY_race);
  enum operation_kind kind = task->operation.kind;
  bool former = task->before.start && kind != OP_ALLOCATE && kind != OP_ALLOCATE_ZEROED;
  if (former) run_exercise(run, PROPERTY_content);
  if (kind == OP_RELEASE) run_exercise(run, PROPERTY_release_refused);
  if (kind == OP_USE) run_exercise(run, PROPERTY_usable_size);
  if (kind == OP_RELEASE || kind == OP_USE) return;
  if (task->refusable) run_exercise(run, PROPERTY_oversize_accepted);
  if (task->refused) return;
  if (run_align(run, task->operation.align) > 1) run_exercise(run, PROPERTY_alignment);
  run_exercise(run, PROPERTY_bounds);
  // Before it there were others, or there are others now.
  if (run->oracle->shadow.count + *answers > former) run_exercise(run, PROPERTY_overlap);
  ++*answers;
  if (kind == OP_ALLOCATE_ZEROED) run_exercise(run, PROPERTY_zeroed);
  if (former) run_exercise(run, PROPERTY_resize_prefix);
}

static bool is_request(const struct task *task) {
  return !task->skipped && task->operation.kind != OP_RELEASE && task->operation.kind != OP_USE;
}

// Whether even all requests of the stretch at once would have fitted.
static void verify_refusals(struct run *run, size_t injected) {
  size_t need = run->claimed, requests = 0;
  const struct task *refused = NULL;
  for (size_t i = stretch.count; i-- > 0;) {
    const struct task *task = &tasks[i];
    const struct operation *op = &task->operation;
    if (!is_request(task) || task->refusable) continue;
    need = add_saturating(need,
                          run->strategy->footprint((size_t)op->size * op->count,
                                                   run_align(run, op->align), run->heap.page_size));
    if (task->refused) refused = task;
    requests++;
  }
  if (!run_promised(run, need) || (refused && (injected || run->oracle->arena.exhausted))) return;
  run->oracle->counts.exercised[PROPERTY_spurious_oom] += requests;
  if (!refused) return;
  run->index = refused->index;
  run_violated(run, PROPERTY_spurious_oom,
               "refused, although %zu bytes of %zu suffice by the strategy's bound for all that "
               "was asked for at that time",
               run_overhead(run) + need, (size_t)run->heap.capacity);
}

static void shadow_put(struct run *run, const struct task *task, const struct extent *block) {
  struct shadow *shadow = &run->oracle->shadow;
  run->index = task->index;
  if (!arena_holds(&run->oracle->arena, (void *)block->start, block->size))
    run_violated(run, PROPERTY_bounds, "%#tx..%#tx is not inside what the source gave",
                 offset_of(run, block->start), offset_of(run, block->start + block->size));
  struct shadow_block *added = shadow_add(shadow, block->start, block->size, task->operation.slot);
  if (!added)
    run_violated(run, PROPERTY_overlap, "%#tx..%#tx lies over another live block",
                 offset_of(run, block->start), offset_of(run, block->start + block->size));
  added->key = block->key;
  if (block->serial) added->serial = block->serial;
  memory_forbid((void *)block->start, block->size);
}

// What lives now, of all that the stretch was about. In the order of the program, as the last of
// several blocks in a slot is the one that it names.
static void update_shadow(struct run *run) {
  struct shadow *shadow = &run->oracle->shadow;
  for (size_t i = 0; i < stretch.count; i++)
    if (!tasks[i].previous && tasks[i].before.start)
      shadow_remove(shadow, shadow_at(shadow, tasks[i].operation.slot));
  for (size_t i = 0; i < stretch.count; i++) {
    const struct task *task = &tasks[i];
    bool resized = task->operation.kind == OP_RESIZE && task->before.start;
    bool anew = is_request(task) && !task->refused && !resized;
    bool changed = task->operation.kind == OP_RELEASE ? !task->skipped : resized && !task->refused;
    if (changed && task->before.serial) block_changes(run, task->before.serial);
    if (anew && task->before.start) shadow_put(run, task, &task->before);
    if (!task->last) continue;
    struct shadow_block *former = shadow_at(shadow, task->operation.slot);
    if (task->after.start)
      shadow_put(run, task, &task->after);
    else if (former)
      shadow_unname(shadow, former);
  }
  // Bits that are still set are those of the blocks that live.
  for (size_t i = 0; i < shadow->count; i++)
    byte_map_give(&bytes, shadow->blocks[i].start, shadow->blocks[i].size);
}

static void update_claims(struct run *run) {
  for (size_t i = 0; run->releases_again && i < stretch.count; i++)
    if (tasks[i].operation.kind == OP_RELEASE && !tasks[i].skipped)
      shadow_remember(&run->oracle->shadow, tasks[i].before.start, tasks[i].before.size);
  for (size_t i = 0; i < stretch.count; i++) {
    const struct operation *op = &tasks[i].operation;
    if (is_request(&tasks[i]) && !tasks[i].refused)
      run_claim(run, (void *)tasks[i].after.start, (size_t)op->size * op->count,
                run_align(run, op->align));
  }
  if (run->oracle->shadow.count == 0) run->claimed = 0;
}

// What no thread could tell while the others went on.
static void verify_all(struct run *run, const unsigned errors[2]) {
  const struct shadow *shadow = &run->oracle->shadow;
  if (memory_races() != errors[1])
    run_violated(run, PROPERTY_race, "see Valgrind's report of the accesses");
  if (memory_errors() != errors[0])
    run_violated(run, PROPERTY_touched_live_block, "see Valgrind's report of the access");
  if (!run_at_least(run, TIER_FULL)) return;
  inspect(run);
  for (size_t i = 0; i < shadow->count; i++) block_verify(run, &shadow->blocks[i]);
  verify_canaries(run);
}

static void report(struct run *run) {
  const struct oracle_settings *settings = &run->oracle->settings;
  for (size_t i = 0; settings->after && i < stretch.count; i++) {
    const struct task *task = &tasks[i];
    const struct extent *block = task->operation.kind == OP_RELEASE ? &task->before : &task->after;
    struct step step = {.index = task->index,
                        .operation = &task->operation,
                        .skipped = task->skipped,
                        .refused = task->refused};
    if (!task->skipped && !task->refused) {
      step.offset = offset_of(run, block->start);
      step.size = block->size;
    }
    settings->after(settings->context, &step);
  }
}

bool concurrent_run(struct run *run) {
  if (run->index < run->alone || run->crash_barrier) return false;
  bool mixed;
  size_t end = find_end(run, &mixed), injected = run->faults.injected;
  unsigned errors[2] = {memory_errors(), memory_races()};
  if (!mixed) {
    run->alone = end;
    return false;
  }
  prepare(run, end);
  announce(run);
  watch_races = true;
  bool worked = crew_work(run->heap.threads, work, run);
  watch_races = false;
  if (!worked) abort();
  run->phase = "quiescence";
  size_t answers = 0;
  for (size_t i = 0; i < stretch.count; i++) count(run, &tasks[i], &answers);
  verify_refusals(run, run->faults.injected - injected);
  update_shadow(run);
  update_claims(run);
  run->index = end - 1;
  run->view = (struct heap_view){.beside = true};
  verify_all(run, errors);
  run->phase = NULL;
  report(run);
  run->index = end;
  return true;
}

void concurrent_free(void) {
  byte_map_free(&bytes);
  crew_dismiss();
}
