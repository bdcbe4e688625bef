// Heaps that outlive their process: closed and opened at another address, or cut off by a crash.
#include <stdlib.h>
#include <string.h>

#include "harness/payload.h"
#include "harness/run.h"

// ## Roots

static intptr_t root_of(struct run *run, const struct allocator *allocator,
                        const struct arena *arena) {
  run_enter(run);
  const void *root = run->strategy->root(allocator);
  run_leave(run);
  return root ? arena_offset(arena, root) : INTPTR_MIN;
}

// Collectors are told of roots when they collect; a persistent heap keeps one.
void operation_root(struct run *run) {
  struct shadow_block *block = shadow_at(&run->oracle->shadow, run->operation.slot);
  bool sets = run->operation.kind == OP_ROOT;
  if (!block) {
    run->step.skipped = true;
    return;
  }
  run_note_block(run, (void *)block->start, block->size);
  if (run->strategy->traits & STRATEGY_COLLECTS)
    graph_set_root(&run->oracle->graph, block->serial, sets);
  if (run->strategy->traits & STRATEGY_PERSISTS) {
    const void *root = sets ? (const void *)block->start : NULL;
    run_enter(run);
    run->strategy->set_root(run->allocator, root);
    run_leave(run);
    run_exercise(run, PROPERTY_recovery);
    if (root_of(run, run->allocator, &run->oracle->arena) !=
        (root ? arena_offset(&run->oracle->arena, root) : INTPTR_MIN))
      run_violated(run, PROPERTY_recovery, "the root is not what was set");
  }
}

// ## Closing and opening

// Of the same size as the one in use, so that the shadow covers either.
static struct arena *spare(struct run *run, unsigned which) {
  struct arena *arena = &run->oracle->spares[which];
  uint64_t capacity = run->oracle->arena.capacity;
  if (arena->capacity != capacity) {
    arena_free(arena);
    if (!arena_init(arena, capacity)) abort();
  }
  return arena;
}

static unsigned shift_of(const struct arena *arena) { return arena->start == arena->base ? 0 : 1; }

void operation_reopen(struct run *run) {
  struct oracle *oracle = run->oracle;
  struct arena *there = spare(run, 0);
  uint64_t walk = inspect(run).hash;
  intptr_t root = root_of(run, run->allocator, &oracle->arena);
  run_enter(run);
  run->strategy->close(run->allocator);
  run_leave(run);
  run->marks_count = 0;
  if (run->account.bytes != oracle->arena.held)
    run_violated(run, PROPERTY_recovery, "closed, but memory went back to the source");
  verify_canaries(run);
  arena_adopt(there, &run->heap, shift_of(&oracle->arena), oracle->arena.dirt,
              arena_buffer(&oracle->arena), oracle->arena.held);
  arena_close(&oracle->arena);
  struct arena left = oracle->arena;
  oracle->arena = *there;
  *there = left;
  const struct source_faults armed = run->faults;
  struct source *source = run_open_sources(run, &oracle->arena.source);
  run->faults.mask = armed.mask;
  run->faults.from = armed.from;
  run->faults.acquisitions = armed.acquisitions;
  run->faults.injected = armed.injected;
  run->faults.requests = armed.requests;
  shadow_rebase(&oracle->shadow, oracle->arena.base);
  for (size_t i = 0; i < oracle->shadow.count; i++)
    memory_forbid((void *)oracle->shadow.blocks[i].start, oracle->shadow.blocks[i].size);
  run_exercise(run, PROPERTY_recovery);
  run_enter(run);
  run->allocator =
      run->strategy->open(source, &(struct strategy_options){.variant = run->heap.variant});
  run_leave(run);
  if (!run->allocator) run_violated(run, PROPERTY_recovery, "the closed heap does not open");
  if (inspect_after(run, PROPERTY_recovery).hash != walk)
    run_violated(run, PROPERTY_recovery, "the walk is not what it was before the heap was closed");
  if (root_of(run, run->allocator, &oracle->arena) != root)
    run_violated(run, PROPERTY_recovery, "the root is not what it was before the heap was closed");
}

// ## Crashes

void operation_crash(struct run *run) {
  run->crash_barrier = run->operation.count;
  run->crash_mask = run->operation.size;
}

bool operation_can_die(enum operation_kind kind) {
  return kind <= OP_RESIZE || kind == OP_RESET || kind == OP_ROOT || kind == OP_UNROOT;
}

// What an operation that dies found, or would have left.
struct moment {
  uint64_t walk;
  intptr_t root;
  struct shadow_block *blocks;
  size_t count;
};
static struct moment before;
static struct shadow_block former;  // what the operation's slot named before; size 0: nothing
static bool inside;                 // whether the operation died before it was over

static struct moment moment_now(struct run *run) {
  const struct shadow *shadow = &run->oracle->shadow;
  struct moment moment = {.count = shadow->count};
  moment.walk = inspect(run).hash;
  moment.root = root_of(run, run->allocator, &run->oracle->arena);
  moment.blocks = malloc((shadow->count + 1) * sizeof *moment.blocks);
  if (!moment.blocks) abort();
  memcpy(moment.blocks, shadow->blocks, shadow->count * sizeof *moment.blocks);
  return moment;
}

void crash_begin(struct run *run) {
  if (run->crash_barrier == 0 || !operation_can_die(run->operation.kind)) return;
  struct oracle *oracle = run->oracle;
  const struct shadow_block *named = shadow_at(&oracle->shadow, run->operation.slot);
  former = named ? *named : (struct shadow_block){0};
  before = moment_now(run);
  oracle->arena.crash = &oracle->crash;
  if (!crash_arm(&oracle->crash, arena_buffer(&oracle->arena), oracle->arena.held,
                 run->crash_barrier, run->crash_mask))
    abort();
}

static void hash_span(void *context, const struct span *span) {
  struct {
    const struct arena *arena;
    uint64_t hash;
  } *walk = context;
  walk->hash =
      span_hash(walk->hash, arena_offset(walk->arena, span->start), span->size, span->kind);
}

static uint64_t walk_of(struct run *run, struct allocator *allocator, const struct arena *arena) {
  struct {
    const struct arena *arena;
    uint64_t hash;
  } walk = {arena, 1};
  run_enter(run);
  struct broken_invariant broken = run->strategy->check(allocator);
  run_leave(run);
  if (broken.number)
    run_violated(run, PROPERTY_recovery, "after the crash I%u does not hold: %s", broken.number,
                 run->strategy->invariants[broken.number - 1]);
  run_enter(run);
  run->strategy->walk(allocator, hash_span, &walk);
  run_leave(run);
  return walk.hash;
}

// Where a block lies in the reopened heap.
static unsigned char *place_of(const struct run *run, const struct shadow_block *block,
                               const struct arena *arena) {
  return (unsigned char *)(address_of(arena->base) +
                           (block->start - address_of(run->oracle->arena.base)));
}

// Contents in the reopened heap, of all blocks but one. The block of the operation itself may hold
// anything beyond what it had before.
static void verify_contents(struct run *run, const struct moment *moment, const struct arena *arena,
                            const struct shadow_block *except) {
  for (size_t i = 0; i < moment->count; i++) {
    const struct shadow_block *block = &moment->blocks[i];
    if (block == except) continue;
    size_t size = block->size, written = size;
    if (moment != &before && block->slot == (run->operation.slot & (run->heap.slots - 1)) &&
        run->operation.kind != OP_ROOT && run->operation.kind != OP_UNROOT) {
      written = block->serial == former.serial ? former.size : 0;
      if (size > written) size = written;
    }
    const unsigned char *start = place_of(run, block, arena);
    bool zeroed = run->operation.kind == OP_ALLOCATE_ZEROED && size < block->size && inside;
    if (zeroed && payload_verify_zero(start, block->size) != PAYLOAD_INTACT)
      run_violated(run, PROPERTY_recovery, "after the crash the block at %#tx is not all zero",
                   arena_offset(arena, start));
    size_t wrong = run_verify_payload(run, start, size, written, block->key);
    if (wrong != PAYLOAD_INTACT)
      run_violated(run, PROPERTY_recovery,
                   "after the crash byte %zu of the block at %#tx is not what was written", wrong,
                   arena_offset(arena, start));
  }
}

// ## Life after a crash

// What a walk shows may be right, and what the next requests are served from wrong. So a few of
// them are made of the heap that was found.
enum { LATER_REQUESTS = 2, LATER_ALIGN = 64 };

struct later {
  struct run *run;
  const struct moment *found;
  const struct arena *arena;
  struct allocator *allocator;
  const struct shadow_block *released;  // of the blocks found; NULL: none
  struct shadow_block given[LATER_REQUESTS];
  size_t count;  // of those given
};

static void verify_apart(const struct later *later, const unsigned char *start, size_t size,
                         const struct shadow_block *blocks, size_t count,
                         const struct arena *arena) {
  for (size_t i = 0; i < count; i++) {
    const unsigned char *other = place_of(later->run, &blocks[i], arena);
    if (&blocks[i] == later->released || start + size <= other || other + blocks[i].size <= start)
      continue;
    intptr_t from = arena_offset(later->arena, start), to = arena_offset(later->arena, other);
    run_violated(later->run, PROPERTY_recovery,
                 "after the crash %#tx..%#tx was given out over the live block at %#tx..%#tx", from,
                 from + (intptr_t)size, to, to + (intptr_t)blocks[i].size);
  }
}

static void ask_later(struct later *later, size_t size, size_t align) {
  struct run *run = later->run;
  run_enter(run);
  unsigned char *block = run->strategy->allocate(later->allocator, size, align);
  run_leave(run);
  if (!block) return;
  intptr_t offset = arena_offset(later->arena, block);
  run->guilty = offset;
  run->guilty_size = size;
  if (address_of(block) & (align - 1))
    run_violated(run, PROPERTY_recovery,
                 "after the crash a block is given at %#tx, not aligned to %zu", offset, align);
  if (!arena_holds(later->arena, block, size))
    run_violated(run, PROPERTY_recovery,
                 "after the crash %#tx..%#tx is given, which is not inside the heap", offset,
                 offset + (intptr_t)size);
  verify_apart(later, block, size, later->found->blocks, later->found->count, later->arena);
  verify_apart(later, block, size, later->given, later->count, &run->oracle->arena);
  run->guilty_size = 0;
  struct shadow_block *given = &later->given[later->count++];
  *given = (struct shadow_block){
      .start = (uintptr_t)block, .size = size, .key = (later->count) * 0x9E3779B97F4A7C15u};
  memory_open(block, size);
  payload_write_edges(block, size, given->key);
  memory_forbid(block, size);
}

// The block at the root, or the first one.
static void release_later(struct later *later) {
  struct run *run = later->run;
  const struct moment *found = later->found;
  if (!(run->strategy->traits & STRATEGY_RELEASES) || found->count == 0) return;
  const struct shadow_block *block = &found->blocks[0];
  for (size_t i = 0; i < found->count; i++)
    if (arena_offset(&run->oracle->arena, (void *)found->blocks[i].start) == found->root)
      block = &found->blocks[i];
  unsigned char *start = place_of(run, block, later->arena);
  later->released = block;
  memory_grant(start, block->size);
  run_enter(run);
  enum release_result result = run->strategy->release(later->allocator, start);
  run_leave(run);
  if (result != RELEASED)
    run_violated(run, PROPERTY_recovery, "after the crash the release of %#tx was refused",
                 arena_offset(later->arena, start));
}

static size_t live_bytes(const struct moment *moment) {
  size_t bytes = 0;
  for (size_t i = 0; i < moment->count; i++) bytes += moment->blocks[i].size;
  return bytes;
}

// As much as the operation that died took or gave is asked for, then as much as a block had that is
// released.
static void live_on(struct run *run, const struct moment *found, const struct moment *after,
                    struct allocator *allocator, const struct arena *arena) {
  const struct strategy *strategy = run->strategy;
  struct later later = {.run = run, .found = found, .arena = arena, .allocator = allocator};
  for (size_t i = 0; i < found->count; i++)
    memory_forbid(place_of(run, &found->blocks[i], arena), found->blocks[i].size);
  size_t had = live_bytes(&before), has = live_bytes(after);
  size_t changed = had < has ? has - had : had - has;
  ask_later(&later, changed > 0 ? changed : 1, strategy->min_align);
  release_later(&later);
  if (later.released)
    ask_later(&later, later.released->size,
              strategy->max_align < LATER_ALIGN ? strategy->max_align : LATER_ALIGN);
  for (size_t i = 0; i < later.count; i++) {
    const void *block = (const void *)later.given[i].start;
    memory_open(block, later.given[i].size);
    if (payload_verify_edges(block, later.given[i].size, later.given[i].key) != PAYLOAD_INTACT)
      run_violated(run, PROPERTY_recovery,
                   "bytes of the block that was given at %#tx after the crash changed",
                   arena_offset(arena, block));
  }
  for (size_t i = 0; i < found->count; i++)
    memory_open(place_of(run, &found->blocks[i], arena), found->blocks[i].size);
  verify_contents(run, found, arena, later.released);
}

// Opens what a crash left, which must be one of the moments. Then again, with a crash while
// opening.
static void recover(struct run *run, const struct moment *const moments[2], unsigned depth) {
  struct oracle *oracle = run->oracle;
  struct crash *crash = &oracle->crash;
  struct arena *arena = spare(run, depth);
  struct source *bottom = arena_adopt(arena, &run->heap, shift_of(&oracle->arena),
                                      oracle->arena.dirt, crash->image, crash->size);
  bool again = depth + 1 < ORACLE_SPARES;
  if (again) {
    if (!crash_arm(crash, arena_buffer(arena), arena->held, run->crash_barrier, run->crash_mask))
      abort();
    arena->crash = crash;
  }
  run->misuse = PROPERTY_recovery;  // whatever goes wrong here
  run_enter(run);
  struct allocator *allocator =
      run->strategy->open(bottom, &(struct strategy_options){.variant = run->heap.variant});
  run_leave(run);
  if (again) crash_finish(crash);
  if (!allocator)
    run_violated(run, PROPERTY_recovery, "what the crash at barrier %u left does not open",
                 run->crash_barrier);
  uint64_t walk = walk_of(run, allocator, arena);
  intptr_t root = root_of(run, allocator, arena);
  const struct moment *found = NULL;
  for (int i = 0; i < 2; i++)
    if (moments[i]->walk == walk && moments[i]->root == root) found = moments[i];
  if (!found)
    run_violated(run, PROPERTY_recovery,
                 "what the crash at barrier %u left is neither the state before nor that after",
                 run->crash_barrier);
  verify_contents(run, found, arena, NULL);
  if (depth == 0) live_on(run, found, moments[1], allocator, arena);
  run_enter(run);
  run->strategy->close(allocator);
  run_leave(run);
  run->misuse = PROPERTY_NONE;
  arena_close(arena);
  const struct moment *const same[2] = {found, found};
  if (again) recover(run, same, depth + 1);
}

void crash_end(struct run *run) {
  struct oracle *oracle = run->oracle;
  if (run->crash_barrier == 0 || !oracle->crash.armed) return;
  crash_finish(&oracle->crash);
  inside = oracle->crash.inside;
  oracle->arena.crash = NULL;
  run_over(run);
  struct moment after = moment_now(run);
  const struct moment *const moments[2] = {&before, &after};
  run_exercise(run, PROPERTY_recovery);
  recover(run, moments, 0);
  free(before.blocks);
  free(after.blocks);
  run->crash_barrier = 0;
}
