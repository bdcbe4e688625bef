// What each operation asks of the allocator, and what must be true of the answer.
#include "allocators/arithmetic.h"
#include "harness/forbid.h"
#include "harness/payload.h"
#include "harness/run.h"

// ## Payloads

static bool every_byte(const struct run *run) { return run_at_least(run, TIER_FULL); }

// Bytes below `from` are known to hold the pattern already, if all of them are looked at.
static void write_payload(const struct run *run, const struct shadow_block *block, size_t from) {
  void *start = (void *)block->start;
  memory_open(start, block->size);
  if (every_byte(run)) {
    payload_write(start, from, block->size, block->key);
  } else {
    payload_write_edges(start, block->size, block->key);
  }
  memory_forbid(start, block->size);
}

size_t run_verify_payload(const struct run *run, const void *start, size_t size, size_t written,
                          uint64_t key) {
  if (every_byte(run)) return payload_verify(start, 0, size, key);
  if (size == written) return payload_verify_edges(start, size, key);
  // What was between the edges is anything, and so may the end of what is left be.
  size_t whole = written < 2 * PAYLOAD_EDGE ? written : PAYLOAD_EDGE;
  return payload_verify(start, 0, size < whole ? size : whole, key);
}

void block_verify(struct run *run, const struct shadow_block *block) {
  const void *start = (const void *)block->start;
  memory_open(start, block->size);
  size_t wrong = run_verify_payload(run, start, block->size, block->size, block->key);
  memory_close(start, block->size);
  run_exercise(run, PROPERTY_content);
  if (wrong == PAYLOAD_INTACT) return;
  char name[BLOCK_NAME_SIZE];
  run_blame(run, (const unsigned char *)start + wrong, 1);
  run_violated(run, PROPERTY_content, "byte %zu of the live block of %s is not what was written",
               wrong, run_name_block(run, block, name));
}

// ## Requests

// C and POSIX leave open what becomes of it.
static bool is_open(const struct run *run, uint64_t size) {
  return size == 0 && run->strategy->traits & STRATEGY_C_EDGES;
}

bool run_must_refuse(const struct run *run, uint64_t count, uint64_t size, uint64_t align) {
  uint64_t total;
  return (size == 0 && !is_open(run, size)) || __builtin_mul_overflow(count, size, &total) ||
         total > run->heap.capacity || align > run->strategy->max_align ||
         !is_power_of_two((size_t)align);
}

size_t run_align(const struct run *run, uint64_t align) {
  return align < run->strategy->min_align ? run->strategy->min_align : (size_t)align;
}

// What must not change when a request is refused.
struct snapshot {
  bool taken;
  uint64_t walk;
  size_t bytes;
  size_t injected;
  struct traffic traffic;
};

static struct snapshot snapshot_take(struct run *run, bool likely) {
  struct snapshot before = {.bytes = run->account.bytes,
                            .injected = run->faults.injected,
                            .traffic = {run->account.changes, run->faults.requests}};
  if (run->strategy->traits & STRATEGY_REFUSALS_LEAVE_TRACES) return before;
  // Most requests are met; a walk before each of them is for the most patient.
  if ((likely || run_at_least(run, TIER_PARANOID)) && inspect_affordable(run)) {
    before.walk = inspect(run).hash;
    before.taken = true;
  }
  return before;
}

// The request that returned NULL: was that right, and did it change nothing?
static void verify_refusal(struct run *run, const struct snapshot *before, bool rightly) {
  const struct operation *op = &run->operation;
  run->refused = true;
  if (is_open(run, op->size)) return;
  run->without_effect = !(run->strategy->traits & STRATEGY_REFUSALS_LEAVE_TRACES);
  bool injected = run->faults.injected != before->injected;
  if (!rightly && !injected && !run->oracle->arena.exhausted) {
    size_t footprint = run->strategy->footprint((size_t)(op->size * op->count),
                                                run_align(run, op->align), run->heap.page_size);
    size_t need = add_saturating(run->claimed, footprint);
    if (run_promised(run, need)) {
      run_exercise(run, PROPERTY_spurious_oom);
      run_violated(run, PROPERTY_spurious_oom,
                   "refused, although %zu bytes of %zu suffice by the strategy's bound",
                   run_overhead(run) + need, (size_t)run->heap.capacity);
    }
  }
  if (!run->without_effect) return;
  // That tells something only where the source was asked.
  if (run->account.changes != before->traffic.changes ||
      run->faults.requests != before->traffic.requests)
    run_exercise(run, PROPERTY_failed_op_changed_state);
  if (run->account.bytes > before->bytes)
    run_violated(run, PROPERTY_failed_op_changed_state,
                 "refused, but the allocator holds %zu bytes of its source instead of %zu",
                 run->account.bytes, before->bytes);
  // Memory that served no block may have gone back: then the walk lacks it.
  if (before->taken && inspect_after(run, PROPERTY_failed_op_changed_state).hash != before->walk &&
      run->account.bytes == before->bytes)
    run_violated(run, PROPERTY_failed_op_changed_state,
                 "refused, but the walk is not what it was before");
}

void address_verify(struct run *run, const void *address, size_t size, size_t align) {
  const struct arena *arena = &run->oracle->arena;
  intptr_t offset = arena_offset(arena, address);
  run_blame(run, address, size);
  // No byte of a block of none can be misaligned.
  if (align > 1 && size > 0) run_exercise(run, PROPERTY_alignment);
  if (size > 0 && address_of(address) & (align - 1))
    run_violated(run, PROPERTY_alignment, "%#tx is not aligned to %zu", offset, align);
  bool inside = !(run->strategy->traits & STRATEGY_FOREIGN);
  if (inside) run_exercise(run, PROPERTY_bounds);
  // A block of no bytes may lie where the heap ends.
  if (inside && !arena_holds(arena, address, size) &&
      (size > 0 || !arena_holds(arena, (const unsigned char *)address - 1, 1)))
    run_violated(run, PROPERTY_bounds, "%#tx..%#tx is not inside what the source gave", offset,
                 offset + (intptr_t)size);
  run->guilty_size = 0;
}

static _Noreturn void overlaps(struct run *run, enum property property, uintptr_t start,
                               size_t size, const struct shadow_block *except) {
  const struct arena *arena = &run->oracle->arena;
  const struct shadow_block *other = shadow_overlapping(&run->oracle->shadow, start, size, except);
  intptr_t offset = arena_offset(arena, (void *)start);
  char name[BLOCK_NAME_SIZE] = "nothing that is known";
  uintptr_t from = start, to = start + size;
  if (other) {
    run_name_block(run, other, name);
    if (other->start > from) from = other->start;
    if (other->start + other->size < to) to = other->start + other->size;
  }
  run_blame(run, (void *)from, to > from ? to - from : 1);
  run_violated(run, property, "%#tx..%#tx lies over the live block of %s", offset,
               offset + (intptr_t)size, name);
}

void run_claim(struct run *run, const void *block, size_t size, size_t align) {
  if (run->claimed > run->heap.capacity && !run->releases_again) return;
  size_t footprint = run->strategy->footprint(size, align, run->heap.page_size);
  run->claimed = add_saturating(run->claimed, footprint);
  if (run->releases_again)
    shadow_forget(&run->oracle->shadow, address_of(block) - footprint,
                  address_of(block) + footprint);
}

// The block was given. Had it been refused, would that have been a violation?
static void claim(struct run *run, const void *block, size_t size, size_t align) {
  run_claim(run, block, size, align);
  if (run_promised(run, run->claimed)) run_exercise(run, PROPERTY_spurious_oom);
}

void run_note_block(struct run *run, const void *address, size_t size) {
  run->step.offset = arena_offset(&run->oracle->arena, address);
  run->step.size = size;
}

static void verify_zero(struct run *run, void *block, size_t size) {
  run_exercise(run, PROPERTY_zeroed);
  memory_open(block, size);
  size_t wrong = payload_verify_zero(block, size);
  if (wrong == PAYLOAD_INTACT) return;
  run_blame(run, (unsigned char *)block + wrong, 1);
  run_violated(run, PROPERTY_zeroed, "byte %zu of %zu at %#tx is not zero", wrong, size,
               arena_offset(&run->oracle->arena, block));
}

static _Noreturn void accepted_wrongly(struct run *run, const void *block) {
  run_blame(run, block, 1);
  run_violated(run, PROPERTY_oversize_accepted, "returned %#tx for a request that must be refused",
               arena_offset(&run->oracle->arena, block));
}

// The answer to a request for a new block.
static void settle(struct run *run, void *block, const struct snapshot *before, bool refusable) {
  const struct operation *op = &run->operation;
  if (refusable) run_exercise(run, PROPERTY_oversize_accepted);
  if (!block) {
    verify_refusal(run, before, refusable);
    return;
  }
  if (refusable) accepted_wrongly(run, block);
  size_t size = (size_t)op->size * op->count, align = run_align(run, op->align);
  address_verify(run, block, size, align);
  if (run->oracle->shadow.count > 0) run_exercise(run, PROPERTY_overlap);
  struct shadow_block *added = shadow_add(&run->oracle->shadow, address_of(block), size, op->slot);
  if (!added) overlaps(run, PROPERTY_overlap, address_of(block), size, NULL);
  if (op->kind == OP_ALLOCATE_ZEROED) verify_zero(run, block, size);
  claim(run, block, size, align);
  write_payload(run, added, 0);
  run_note_block(run, block, size);
}

static void allocate(struct run *run) {
  const struct operation *op = &run->operation;
  const struct strategy *strategy = run->strategy;
  size_t size = (size_t)op->size, align = (size_t)op->align;
  bool refusable = run_must_refuse(run, op->count, op->size, op->align);
  struct snapshot before = snapshot_take(run, refusable);
  run_enter(run);
  void *block = op->kind == OP_ALLOCATE_ZEROED
                    ? strategy->allocate_zeroed(run->allocator, op->count, size, align)
                    : strategy->allocate(run->allocator, size, align);
  run_leave(run);
  settle(run, block, &before, refusable);
}

// The answer to a resize to no bytes, which C leaves open: the block is gone, and NULL or a block
// of no bytes has come.
static void resized_to_nothing(struct run *run, struct shadow_block *block, void *moved,
                               size_t align) {
  struct shadow *shadow = &run->oracle->shadow;
  if (!moved) {
    run->refused = true;
    // In C it may also have been kept, and is out of reach then: memory that nobody lost.
    run->forgone =
        add_saturating(run->forgone, run->strategy->footprint(block->size, run->strategy->min_align,
                                                              run->heap.page_size));
    shadow_remove(shadow, block);
    if (shadow->count == 0) run->claimed = run->forgone;
    return;
  }
  address_verify(run, moved, 0, align);
  if (shadow->count > 1) run_exercise(run, PROPERTY_overlap);
  if (!shadow_move(shadow, block, address_of(moved), 0))
    overlaps(run, PROPERTY_overlap, address_of(moved), 0, block);
  claim(run, moved, 0, align);
  run_note_block(run, moved, 0);
}

static void resize(struct run *run) {
  const struct operation *op = &run->operation;
  struct shadow *shadow = &run->oracle->shadow;
  size_t size = (size_t)op->size, align = run_align(run, op->align);
  bool refusable = run_must_refuse(run, 1, op->size, op->align);
  struct shadow_block *block = shadow_at(shadow, op->slot);
  void *former = block ? (void *)block->start : NULL;
  if (block) block_verify(run, block);
  struct snapshot before = snapshot_take(run, refusable);
  if (block) memory_grant_contents(former, block->size);
  run_enter(run);
  void *moved = run->strategy->resize(run->allocator, former, size, (size_t)op->align);
  run_leave(run);
  if (!block) {
    settle(run, moved, &before, refusable);
    return;
  }
  if (refusable) run_exercise(run, PROPERTY_oversize_accepted);
  if (is_open(run, size) && !refusable) {
    resized_to_nothing(run, block, moved, align);
    return;
  }
  if (!moved) {
    memory_forbid(former, block->size);
    block_verify(run, block);
    verify_refusal(run, &before, refusable);
    return;
  }
  if (refusable) accepted_wrongly(run, moved);
  size_t old_size = block->size, kept = old_size < size ? old_size : size;
  address_verify(run, moved, size, align);
  block_changes(run, block->serial);
  if (shadow->count > 1) run_exercise(run, PROPERTY_overlap);
  if (!shadow_move(shadow, block, address_of(moved), size))
    overlaps(run, PROPERTY_overlap, address_of(moved), size, block);
  run_exercise(run, PROPERTY_resize_prefix);
  memory_open(moved, size);
  size_t wrong = run_verify_payload(run, moved, kept, old_size, block->key);
  if (wrong != PAYLOAD_INTACT) {
    const struct arena *arena = &run->oracle->arena;
    intptr_t from = arena_offset(arena, former), to = arena_offset(arena, moved);
    run_blame(run, (unsigned char *)moved + wrong, 1);
    run_violated(run, PROPERTY_resize_prefix,
                 "byte %zu of the %zu that must be kept is lost: the block of %zu bytes at %#tx %s "
                 "%#tx, of %zu bytes",
                 wrong, kept, old_size, from, from == to ? "is still at" : "moved to", to, size);
  }
  claim(run, moved, size, align);
  write_payload(run, block, kept);
  run_note_block(run, moved, size);
}

void block_release(struct run *run, struct shadow_block *block) {
  struct shadow *shadow = &run->oracle->shadow;
  block_verify(run, block);
  void *address = (void *)block->start;
  size_t size = block->size;
  memory_grant(address, size);
  block_changes(run, block->serial);
  shadow_remove(shadow, block);
  run_enter(run);
  enum release_result result = run->strategy->release(run->allocator, address);
  run_leave(run);
  run_exercise(run, PROPERTY_release_refused);
  if (result != RELEASED) run_blame(run, address, size);
  if (result != RELEASED)
    run_violated(run, PROPERTY_release_refused, "the live block at %#tx was taken for a %s release",
                 arena_offset(&run->oracle->arena, address),
                 result == RELEASE_DOUBLE ? "double" : "foreign");
  if (run->releases_again) shadow_remember(shadow, address_of(address), size);
  if (shadow->count == 0) run->claimed = run->forgone;
  verify_returned(run, PROPERTY_not_pristine);
}

static void release(struct run *run) {
  struct shadow_block *block = shadow_at(&run->oracle->shadow, run->operation.slot);
  if (!block) {
    run->step.skipped = true;
    return;
  }
  run_note_block(run, (void *)block->start, block->size);
  block_release(run, block);
}

static void use(struct run *run) {
  struct shadow_block *block = shadow_at(&run->oracle->shadow, run->operation.slot);
  if (!block) {
    run->step.skipped = true;
    return;
  }
  block_verify(run, block);
  void *address = (void *)block->start;
  run_enter(run);
  size_t usable = run->strategy->usable_size(run->allocator, address);
  run_leave(run);
  run_exercise(run, PROPERTY_usable_size);
  if (usable < block->size)
    run_violated(run, PROPERTY_usable_size, "is %zu, less than the %zu bytes asked for", usable,
                 block->size);
  if (!(run->strategy->traits & STRATEGY_FOREIGN) && usable > 0 &&
      !arena_holds(&run->oracle->arena, address, usable))
    run_violated(run, PROPERTY_usable_size, "is %zu, more than what the source gave", usable);
  run_note_block(run, address, usable);
  // The walk must vouch for bytes that nobody asked for: once they are written, what was lost there
  // would speak first.
  size_t asked = block->size;
  if (!shadow_move(&run->oracle->shadow, block, block->start, usable))
    overlaps(run, PROPERTY_usable_size, block->start, usable, block);
  if (usable > asked && run_at_least(run, TIER_FULL)) verify_usable(run, block, asked);
  write_payload(run, block, 0);
}

void blocks_abandon(struct run *run) {
  struct shadow *shadow = &run->oracle->shadow;
  size_t count = shadow->count;
  for (size_t i = 0; i < count; i++) {
    block_verify(run, &shadow->blocks[i]);
    memory_grant((void *)shadow->blocks[i].start, shadow->blocks[i].size);
  }
  shadow_clear(shadow);
  run->claimed = run->forgone = 0;
}

// To release again what reset released is a double release too.
static void remember_all(struct shadow *shadow) {
  for (size_t i = shadow->count < SHADOW_GHOSTS ? 0 : shadow->count - SHADOW_GHOSTS;
       i < shadow->count; i++)
    shadow_remember(shadow, shadow->blocks[i].start, shadow->blocks[i].size);
}

static void reset(struct run *run) {
  struct shadow *shadow = &run->oracle->shadow;
  if (run->releases_again) remember_all(shadow);
  blocks_abandon(run);
  run->marks_count = 0;
  run_enter(run);
  run->strategy->reset(run->allocator);
  run_leave(run);
  verify_returned(run, PROPERTY_reset);
  if (!run_at_least(run, TIER_FULL)) return;
  struct inspection now = inspect_after(run, PROPERTY_reset);
  // It may have kept memory of its source to have it at hand.
  if (run->account.bytes == run->fresh_bytes && now.hash != run->fresh_walk)
    run_violated(run, PROPERTY_reset, "the walk is not what it was after create");
}

static void fault(struct run *run) {
  source_faults_arm(&run->faults, run->operation.size, SIZE_MAX);
}

static void verify_detected(struct run *run, const void *address, enum release_result wanted,
                            enum property property) {
  uint64_t before = inspect_affordable(run) ? inspect(run).hash : 0;
  run->misuse = property;
  run_exercise(run, property);
  run_enter(run);
  enum release_result result = run->strategy->release(run->allocator, (void *)address);
  run_leave(run);
  run->misuse = PROPERTY_NONE;
  if (result != wanted)
    run_violated(run, property, "release of %#tx was %s",
                 arena_offset(&run->oracle->arena, address),
                 result == RELEASED ? "accepted" : "taken for another misuse");
  run->without_effect = true;
  if (before && inspect_after(run, PROPERTY_failed_op_changed_state).hash != before)
    run_violated(run, PROPERTY_failed_op_changed_state,
                 "the misuse was detected, but the walk is not what it was before");
}

static void release_again(struct run *run) {
  const struct shadow_ghost *ghost = shadow_ghost(&run->oracle->shadow, run->operation.slot);
  if (!ghost) {
    run->step.skipped = true;
    return;
  }
  run_note_block(run, (void *)ghost->start, ghost->size);
  verify_detected(run, (void *)ghost->start, RELEASE_DOUBLE, PROPERTY_double_release_missed);
}

// An address outside all memory of the allocator: past everything, where even a look is a crash;
// just past the highest stretch, where an off-by-one would accept it; or far from the heap.
static const void *foreign_address(const struct run *run, uint32_t which) {
  static _Alignas(64) unsigned char elsewhere[128];
  const struct arena *arena = &run->oracle->arena;
  if (which % 4 == 1) return arena->base + arena->size;
  if (which % 4 == 3 && run->account.count > 0) {
    const struct source_stretch *last = &run->account.stretches[run->account.count - 1];
    return (void *)((address_of(last->start) + last->size + 63) & ~(uintptr_t)63);
  }
  return &elsewhere[64 + which % 64];
}

static void release_foreign(struct run *run) {
  const void *address = foreign_address(run, run->operation.slot);
  verify_detected(run, address, RELEASE_FOREIGN, PROPERTY_foreign_release_missed);
}

// ## All of them

static const struct {
  void (*execute)(struct run *run);
  unsigned needs;  // any of these traits; 0: none
} operations[OP_KINDS] = {
    [OP_ALLOCATE] = {allocate, 0},
    [OP_ALLOCATE_ZEROED] = {allocate, STRATEGY_ZEROES},
    [OP_RELEASE] = {release, STRATEGY_RELEASES},
    [OP_RESIZE] = {resize, STRATEGY_RESIZES},
    [OP_USE] = {use, STRATEGY_SIZES},
    [OP_RESET] = {reset, STRATEGY_RESETS},
    [OP_FAULT] = {fault, 0},
    [OP_RELEASE_AGAIN] = {release_again, STRATEGY_DETECTS_DOUBLE_RELEASE},
    [OP_RELEASE_FOREIGN] = {release_foreign, STRATEGY_DETECTS_FOREIGN_RELEASE},
    [OP_MARK] = {operation_mark, STRATEGY_MARKS},
    [OP_ROLLBACK] = {operation_rollback, STRATEGY_MARKS},
    [OP_ROOT] = {operation_root, STRATEGY_COLLECTS | STRATEGY_PERSISTS},
    [OP_UNROOT] = {operation_root, STRATEGY_COLLECTS | STRATEGY_PERSISTS},
    [OP_LINK] = {operation_link, STRATEGY_COLLECTS},
    [OP_COLLECT] = {operation_collect, STRATEGY_COLLECTS},
    [OP_OVERRUN] = {operation_overrun, STRATEGY_DETECTS_OVERRUN},
    [OP_REOPEN] = {operation_reopen, STRATEGY_PERSISTS},
    [OP_CRASH] = {operation_crash, STRATEGY_PERSISTS},
};

bool operation_offered(enum operation_kind kind, const struct strategy *strategy) {
  if (strategy->traits & STRATEGY_COLLECTION) return kind == OP_FAULT;  // all else are verbs
  // Where memory never runs out, nor does it by chance.
  if (kind == OP_FAULT && strategy->least_heap != 0) return false;
  unsigned needs = operations[kind].needs;
  return needs == 0 || (strategy->traits & needs) != 0;
}

void operation_execute(struct run *run) {
  if (!operation_offered(run->operation.kind, run->strategy)) {
    run->step.skipped = true;
  } else {
    bool may_die = run->crash_barrier > 0;
    if (may_die) crash_begin(run);
    operations[run->operation.kind].execute(run);
    if (may_die) crash_end(run);
  }
  if (run->pass != PASS_FIRST) return;  // the same again
  run->oracle->counts.refused += run->refused;
  if (run->step.skipped)
    run->oracle->counts.skipped++;
  else
    run->oracle->counts.operations++;
}
