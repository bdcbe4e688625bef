#include "harness/differential_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/forbid.h"
#include "harness/oracle.h"
#include "harness/program_file.h"
#include "harness/watch.h"

struct block {
  unsigned char *start;
  size_t size;
  size_t birth;  // index of the operation that it was given at
  uint64_t lineage;
  uint32_t slot;
};

// One contender at work.
struct play {
  const struct contender *contender;
  const struct strategy *strategy;
  const struct program *program;
  struct arena *arena;
  struct account *account;
  struct heap heap;
  struct allocator *allocator;
  struct source_limit limit;
  struct source_faults faults;
  struct block *blocks;  // live ones, in no order
  size_t count;
  uint32_t *slots;  // index of the block + 1; 0: the slot names nothing
  size_t claimed;   // as the stated bound counts
  void *released;   // by the last operation that changed anything; NULL: it was no release
  size_t index;
  const char *phase;  // NULL: the operation at index
};

static struct play *current;  // signals and sanitizers know no context

// ## The user: what blocks are for

enum { WORD = 8 };
typedef uint64_t __attribute__((may_alias, aligned(1))) user_word;

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

static SEES_FORBIDDEN uint64_t user_read(const unsigned char *bytes, size_t size) {
  uint64_t digest = size;
  size_t i = 0;
  for (; i + WORD <= size; i += WORD) digest = mix(digest, *(const user_word *)(bytes + i));
  for (; i < size; i++) digest = mix(digest, bytes[i]);
  return digest;
}

// The same bytes for the same seed and range.
static SEES_FORBIDDEN void user_write(unsigned char *bytes, size_t from, size_t to, uint64_t seed) {
  uint64_t word = mix(seed, from);
  size_t i = from;
  for (; i + WORD <= to; i += WORD) *(user_word *)(bytes + i) = word += 0x9E3779B97F4A7C15u;
  for (; i < to; i++) bytes[i] = (unsigned char)(word += 0x9E3779B97F4A7C15u);
}

// What is there next depends on what was there: an error lives on.
static SEES_FORBIDDEN void user_compute(unsigned char *bytes, size_t size, uint64_t seed) {
  uint64_t word = mix(seed, size);
  size_t i = 0;
  for (; i + WORD <= size; i += WORD) {
    user_word *at = (user_word *)(bytes + i);
    *at = *at * 5 + (word += 0x9E3779B97F4A7C15u);
  }
  for (; i < size; i++) bytes[i] = (unsigned char)(bytes[i] * 5u + (word += 0x9E3779B97F4A7C15u));
}

// ## Violations that no comparison is needed for

void account_describe(const struct program *program, size_t index, char *text, size_t size) {
  struct operation op = record_operation(program_at(program, index));
  if (operation_takes_slot(op.kind))
    snprintf(text, size, "operation %zu, %s of slot %u", index, operation_name(op.kind),
             op.slot & (program_heap(program).slots - 1));
  else
    snprintf(text, size, "operation %zu, %s", index, operation_name(op.kind));
}

static void on_watch(const struct watch_report *report) {
  static const enum property properties[] = {
      [WATCH_CRASH] = PROPERTY_crash,
      [WATCH_BAD_ACCESS] = PROPERTY_outside_heap,
      [WATCH_UNDEFINED] = PROPERTY_undefined_behaviour,
      [WATCH_OVERLAPPING] = PROPERTY_overlapping_copy,
      [WATCH_HANG] = PROPERTY_hang,
      [WATCH_RACE] = PROPERTY_race,
      [WATCH_ENDS] = PROPERTY_crash,
      [WATCH_TAKES] = PROPERTY_outside_heap,
  };
  const struct play *play = current;
  if (!play) return;
  watch_silence_others();
  struct verdict verdict = {.property = properties[report->event], .operation = play->index};
  char where[80];
  if (play->phase)
    snprintf(where, sizeof where, "%s", play->phase);
  else
    account_describe(play->program, play->index, where, sizeof where);
  snprintf(verdict.id, sizeof verdict.id, "%s", property_id(verdict.property));
  snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "%s: %s%s%s%s%s", where,
           property_text(verdict.property), report->what ? ": " : "",
           report->what ? report->what : "", report->site ? " in " : "",
           report->site ? report->site : "");
  snprintf(verdict.site, sizeof verdict.site, "%s", play->phase ? play->phase : "operation");
  bool printed_later = report->event == WATCH_BAD_ACCESS || report->event == WATCH_UNDEFINED ||
                       report->event == WATCH_RACE;
  if (printed_later)
    property_announce(&verdict, play->contender->name);
  else
    property_violated(&verdict, play->contender->name);
}

static void enter(void) {
  watch_tick();
  watch_enter();
}

// ## One contender

static struct block *block_at(const struct play *play, uint32_t slot) {
  uint32_t index = play->slots[slot];
  return index ? &play->blocks[index - 1] : NULL;
}

static void block_add(struct play *play, uint32_t slot, struct block block) {
  if (play->slots[slot]) play->blocks[play->slots[slot] - 1].slot = UINT32_MAX;
  block.slot = slot;
  play->blocks[play->count++] = block;
  play->slots[slot] = (uint32_t)play->count;
}

static void block_remove(struct play *play, struct block *block) {
  if (block->slot != UINT32_MAX) play->slots[block->slot] = 0;
  *block = play->blocks[--play->count];
  if (block != &play->blocks[play->count] && block->slot != UINT32_MAX)
    play->slots[block->slot] = (uint32_t)(block - play->blocks) + 1;
  if (play->count == 0) play->claimed = 0;
}

static bool is_foreign(const struct play *play) {
  return (play->strategy->traits & STRATEGY_FOREIGN) != 0;
}

static size_t footprint(const struct play *play, size_t size, size_t align) {
  if (align < play->strategy->min_align) align = play->strategy->min_align;
  return play->strategy->footprint(size, align, play->heap.page_size);
}

static size_t overhead(const struct play *play) {
  size_t bytes;
  return align_up(play->strategy->overhead, play->heap.page_size, &bytes) ? bytes : SIZE_MAX;
}

static enum duty duty_of(const struct play *play, const struct operation *op) {
  uint64_t total;
  if (op->size == 0 || __builtin_mul_overflow(op->count, op->size, &total) ||
      total > play->heap.capacity || op->align > play->strategy->max_align ||
      !is_power_of_two((size_t)op->align))
    return MUST_REFUSE;
  size_t need = add_saturating(add_saturating(overhead(play), play->claimed),
                               footprint(play, (size_t)total, (size_t)op->align));
  return need <= play->heap.capacity ? MUST_GIVE : MAY;
}

static bool is_usable(const struct play *play, const void *block, size_t size, uint64_t align) {
  return (address_of(block) & (align - 1)) == 0 &&
         (is_foreign(play) || arena_holds(play->arena, block, size));
}

// The answer to a request, but for what it means to the user. False if no block came of it.
static bool answer(struct play *play, struct observation *seen, const struct operation *op,
                   const void *block, size_t injected) {
  seen->answer = REFUSED;
  if (!block) {
    if (seen->duty == MUST_GIVE && (play->faults.injected != injected || play->arena->exhausted))
      seen->duty = MAY;
    return false;
  }
  size_t size = (size_t)(op->size * op->count);
  play->claimed = add_saturating(play->claimed, footprint(play, size, (size_t)op->align));
  play->released = NULL;
  seen->answer = UNUSABLE;
  // What must be refused has no size that anybody could believe.
  if (seen->duty == MUST_REFUSE || !is_usable(play, block, size, op->align)) return false;
  seen->answer = GIVEN;
  return true;
}

static void observe_contents(struct observation *seen, const struct block *block, size_t size) {
  seen->read = size;
  seen->digest = user_read(block->start, size);
}

static void allocate(struct play *play, struct observation *seen, const struct operation *op) {
  size_t injected = play->faults.injected, size = (size_t)op->size, align = (size_t)op->align;
  seen->duty = (uint8_t)duty_of(play, op);
  enter();
  void *start = op->kind == OP_ALLOCATE_ZEROED
                    ? play->strategy->allocate_zeroed(play->allocator, op->count, size, align)
                : op->kind == OP_ALLOCATE
                    ? play->strategy->allocate(play->allocator, size, align)
                    : play->strategy->resize(play->allocator, NULL, size, align);
  watch_leave();
  if (!answer(play, seen, op, start, injected)) return;
  struct block block = {start, size * op->count, play->index, mix(0, play->index + 1), 0};
  if (op->kind == OP_ALLOCATE_ZEROED) {
    observe_contents(seen, &block, block.size);
    user_compute(block.start, block.size, block.lineage);
  } else {
    user_write(block.start, 0, block.size, block.lineage);
  }
  block_add(play, op->slot, block);
}

static void resize(struct play *play, struct observation *seen, const struct operation *op) {
  struct block *block = block_at(play, op->slot);
  if (!block) {
    allocate(play, seen, op);
    return;
  }
  size_t injected = play->faults.injected, size = (size_t)op->size;
  seen->duty = (uint8_t)duty_of(play, op);
  enter();
  void *moved = play->strategy->resize(play->allocator, block->start, size, (size_t)op->align);
  watch_leave();
  if (!answer(play, seen, op, moved, injected)) {
    if (moved)
      block_remove(play, block);
    else
      observe_contents(seen, block, block->size);
    return;
  }
  size_t kept = block->size < size ? block->size : size;
  block->start = moved;
  block->size = size;
  block->lineage = mix(block->lineage, play->index + 1);
  observe_contents(seen, block, kept);
  user_compute(moved, kept, block->lineage);
  user_write(moved, kept, size, block->lineage);
}

static void release(struct play *play, struct observation *seen, const struct operation *op) {
  struct block *block = block_at(play, op->slot);
  if (!block) {
    seen->answer = SKIPPED;
    return;
  }
  observe_contents(seen, block, block->size);
  play->released = block->start;
  block_remove(play, block);
  enter();
  seen->said = (uint8_t)play->strategy->release(play->allocator, play->released);
  watch_leave();
}

static void release_again(struct play *play, struct observation *seen, const struct operation *op) {
  (void)op;
  if (!play->released) {
    seen->answer = SKIPPED;
    return;
  }
  enter();
  seen->said = (uint8_t)play->strategy->release(play->allocator, play->released);
  watch_leave();
}

static void release_foreign(struct play *play, struct observation *seen,
                            const struct operation *op) {
  static _Alignas(64) unsigned char elsewhere[128];
  enter();
  seen->said = (uint8_t)play->strategy->release(play->allocator, &elsewhere[64 + op->slot % 64]);
  watch_leave();
}

static void use(struct play *play, struct observation *seen, const struct operation *op) {
  struct block *block = block_at(play, op->slot);
  if (!block) {
    seen->answer = SKIPPED;
    return;
  }
  enter();
  size_t usable = play->strategy->usable_size(play->allocator, block->start);
  watch_leave();
  seen->usable =
      usable >= block->size && (is_foreign(play) || arena_holds(play->arena, block->start, usable));
  // What was asked for stays: how much more there is differs.
  if (seen->usable) user_write(block->start, block->size, usable, play->index);
}

static void see_last(struct play *play, const struct block *block) {
  struct observation *birth = &play->account->observations[block->birth];
  birth->last_lineage = block->lineage;
  birth->last_size = block->size;
  birth->last_digest = user_read(block->start, block->size);
}

// Before a call that ends all blocks.
static void abandon(struct play *play) {
  for (size_t i = 0; i < play->count; i++) {
    const struct block *block = &play->blocks[i];
    see_last(play, block);
    if (block->slot != UINT32_MAX) play->slots[block->slot] = 0;
  }
  play->count = 0;
  play->claimed = 0;
  play->released = NULL;
}

static void reset(struct play *play, struct observation *seen, const struct operation *op) {
  (void)seen, (void)op;
  abandon(play);
  enter();
  play->strategy->reset(play->allocator);
  watch_leave();
}

static void fault(struct play *play, struct observation *seen, const struct operation *op) {
  (void)seen;
  source_faults_arm(&play->faults, op->size, SIZE_MAX);
}

typedef void carry_out(struct play *play, struct observation *seen, const struct operation *op);

static carry_out *const actions[OP_KINDS] = {
    [OP_ALLOCATE] = allocate,
    [OP_ALLOCATE_ZEROED] = allocate,
    [OP_RELEASE] = release,
    [OP_RESIZE] = resize,
    [OP_USE] = use,
    [OP_RESET] = reset,
    [OP_FAULT] = fault,
    [OP_RELEASE_AGAIN] = release_again,
    [OP_RELEASE_FOREIGN] = release_foreign,
};

static void carry_out_all(struct play *play) {
  size_t length = program_length(play->program);
  for (; play->index < length; play->index++) {
    struct operation op = record_request(program_at(play->program, play->index));
    struct observation *seen = &play->account->observations[play->index];
    if (!actions[op.kind] || !operation_offered(op.kind, play->strategy)) continue;
    if (operation_left_open(&op, play->strategy)) continue;  // nobody can differ there
    op.slot &= play->heap.slots - 1;
    const struct block *block = operation_takes_slot(op.kind) ? block_at(play, op.slot) : NULL;
    seen->lineage = block ? block->lineage : 0;
    seen->answer = ANSWERED;
    actions[op.kind](play, seen, &op);
  }
}

static void create(struct play *play, struct source *source) {
  struct observation *seen = &play->account->creation;
  struct strategy_options options = {.variant = play->heap.variant};
  size_t least = footprint(play, 1, play->strategy->min_align);
  bool must = add_saturating(overhead(play), least) <= play->heap.capacity;
  play->phase = "create";
  enter();
  play->allocator = play->strategy->create(source, &options);
  watch_leave();
  play->phase = NULL;
  must &= !play->faults.injected && !play->arena->exhausted;
  seen->duty = must ? MUST_GIVE : MAY;
  seen->answer = play->allocator ? GIVEN : REFUSED;
}

static void play_all(struct play *play) {
  struct source *bottom = arena_open(play->arena, &play->heap, 0, ARENA_DIRT);
  source_limit_init(&play->limit, bottom, (size_t)play->heap.capacity);
  source_faults_init(&play->faults, &play->limit.base);
  // Faults before anything else strike create.
  for (; play->index < program_length(play->program); play->index++) {
    struct operation op = record_operation(program_at(play->program, play->index));
    if (op.kind != OP_FAULT || !operation_offered(OP_FAULT, play->strategy)) break;
    source_faults_arm(&play->faults, op.size, SIZE_MAX);
  }
  watch_lets_call = is_foreign(play);
  create(play, &play->faults.base);
  if (play->allocator) {
    carry_out_all(play);
    play->phase = "end";
    while (is_foreign(play) && play->count > 0) {
      struct block *block = &play->blocks[play->count - 1];
      see_last(play, block);
      enter();
      play->strategy->release(play->allocator, block->start);
      watch_leave();
      block_remove(play, block);
    }
    abandon(play);
    enter();
    play->strategy->destroy(play->allocator);
    watch_leave();
  }
  arena_close(play->arena);
}

static bool make_room(struct account *self, size_t length) {
  if (self->capacity < length + 1) {
    account_free(self);
    self->observations = malloc((length + 1) * sizeof *self->observations);
    if (!self->observations) return false;
    self->capacity = length + 1;
  }
  memset(self->observations, 0, length * sizeof *self->observations);
  self->creation = (struct observation){0};
  return true;
}

static bool arena_grow(struct arena *arena, const struct heap *heap) {
  if (arena_fits(arena, heap)) return true;
  arena_free(arena);
  return arena_init(arena, heap->capacity < ARENA_LEAST ? ARENA_LEAST : heap->capacity);
}

bool account_take(struct account *self, const struct contender *contender, struct arena *arena,
                  const struct program *program) {
  size_t length = program_length(program);
  struct play play = {.contender = contender,
                      .strategy = contender->strategy,
                      .program = program,
                      .arena = arena,
                      .account = self,
                      .heap = oracle_heap(contender->strategy, program)};
  if (contender->variant >= 0) play.heap.variant = (unsigned)contender->variant;
  if (!make_room(self, length) || !arena_grow(arena, &play.heap)) return false;
  play.blocks = malloc((length + 1) * sizeof *play.blocks);
  play.slots = calloc(play.heap.slots, sizeof *play.slots);
  bool able = play.blocks && play.slots;
  watch_install(on_watch);
  current = &play;
  if (able) play_all(&play);
  current = NULL;
  free(play.blocks);
  free(play.slots);
  return able;
}

void account_free(struct account *self) {
  free(self->observations);
  *self = (struct account){0};
}
