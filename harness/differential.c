#include "harness/differential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/registry.h"
#include "harness/forbid.h"
#include "harness/oracle.h"
#include "harness/program_file.h"
#include "harness/watch.h"

enum answer {
  NOT_ASKED,  // not offered, or there is no allocator
  SKIPPED,    // the slot names nothing
  REFUSED,
  GIVEN,
  UNUSABLE,  // given, but not aligned or not inside the heap: it is not touched
  ANSWERED,  // what is no request
};

enum duty { MAY, MUST_GIVE, MUST_REFUSE };

// What one contender did at one operation.
struct observation {
  uint8_t answer, duty, said;  // of enum answer, duty and release_result
  bool usable;                 // OP_USE: the size is at least what was asked for
  uint64_t lineage;            // of the slot's block before; 0: it named none
  uint64_t digest;             // of what the user read
  size_t read;                 // bytes of that
  // Of the block that was given here, if it was reset or live at the end.
  uint64_t last_lineage, last_digest;
  size_t last_size;
};

struct block {
  unsigned char *start;
  size_t size;
  size_t birth;  // index of the operation that it was given at
  uint64_t lineage;
  uint32_t slot;
};

struct account {
  struct observation *observations;  // of each operation
  size_t capacity;
  struct observation creation;
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

static SEES_FORBIDDEN void user_write(unsigned char *bytes, size_t from, size_t to, uint64_t seed) {
  for (size_t i = from; i < to; i++)
    bytes[i] = (unsigned char)((seed + i) * 0x9E3779B97F4A7C15u >> 56);
}

// What is there next depends on what was there: an error lives on.
static SEES_FORBIDDEN void user_compute(unsigned char *bytes, size_t size, uint64_t seed) {
  for (size_t i = 0; i < size; i++)
    bytes[i] = (unsigned char)(bytes[i] * 5u + ((seed + i) * 0x9E3779B97F4A7C15u >> 56));
}

// ## Violations that no comparison is needed for

static void describe(const struct play *play, size_t index, char *text, size_t size) {
  if (play->phase) {
    snprintf(text, size, "%s", play->phase);
    return;
  }
  struct operation op = record_operation(program_at(play->program, index));
  if (operation_takes_slot(op.kind))
    snprintf(text, size, "operation %zu, %s of slot %u", index, operation_name(op.kind),
             op.slot & (play->heap.slots - 1));
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
  };
  const struct play *play = current;
  if (!play) return;
  watch_silence_others();
  struct verdict verdict = {.property = properties[report->event], .operation = play->index};
  char where[80];
  describe(play, play->index, where, sizeof where);
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
    struct operation op = record_operation(program_at(play->program, play->index));
    struct observation *seen = &play->account->observations[play->index];
    if (!actions[op.kind] || !operation_offered(op.kind, play->strategy)) continue;
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
  source_limit_init(&play->limit, bottom, play->heap.capacity);
  source_faults_init(&play->faults, &play->limit.base);
  // Faults before anything else strike create.
  for (; play->index < program_length(play->program); play->index++) {
    struct operation op = record_operation(program_at(play->program, play->index));
    if (op.kind != OP_FAULT) break;
    source_faults_arm(&play->faults, op.size, SIZE_MAX);
  }
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

// False if memory cannot be had.
static bool take_account(struct differential *self, size_t which, const struct program *program) {
  const struct contender *contender = &self->contenders[which];
  struct account *account = &self->accounts[which];
  size_t length = program_length(program);
  struct play play = {.contender = contender,
                      .strategy = contender->strategy,
                      .program = program,
                      .arena = &self->arena,
                      .account = account,
                      .heap = oracle_heap(contender->strategy, program)};
  if (contender->variant >= 0) play.heap.variant = (unsigned)contender->variant;
  if (account->capacity < length + 1) {
    free(account->observations);
    *account = (struct account){.observations = malloc((length + 1) * sizeof(struct observation))};
    if (!account->observations) return false;
    account->capacity = length + 1;
  }
  memset(account->observations, 0, length * sizeof(struct observation));
  account->creation = (struct observation){0};
  if (!arena_fits(&self->arena, &play.heap)) {
    arena_free(&self->arena);
    size_t capacity = play.heap.capacity < (size_t)1 << 20 ? (size_t)1 << 20 : play.heap.capacity;
    if (!arena_init(&self->arena, capacity)) return false;
  }
  play.blocks = malloc((length + 1) * sizeof *play.blocks);
  play.slots = calloc(play.heap.slots, sizeof *play.slots);
  bool able = play.blocks && play.slots;
  current = &play;
  if (able) play_all(&play);
  current = NULL;
  free(play.blocks);
  free(play.slots);
  return able;
}

// ## The comparison

// What two observations disagree on; NULL: nothing.
struct difference {
  const char *what;  // for the site: a few words
  bool swapped;      // the second of them is the one to be named first
  char text[VERDICT_TEXT_SIZE / 2];
};

static bool differ(struct difference *difference, const char *what, bool swapped) {
  difference->what = what;
  difference->swapped = swapped;
  return true;
}

static bool is_request(enum operation_kind kind) {
  return kind == OP_ALLOCATE || kind == OP_ALLOCATE_ZEROED || kind == OP_RESIZE;
}

static bool is_given(const struct observation *seen) {
  return seen->answer == GIVEN || seen->answer == UNUSABLE;
}

static bool compare_answers(struct comparison_counts *counts, const struct observation *a,
                            const struct observation *b, struct difference *difference) {
  if (is_given(a) == is_given(b)) {
    counts->given += is_given(a);
    counts->refused += !is_given(a);
    return is_given(a) && a->answer != b->answer && a->duty != MUST_REFUSE &&
           b->duty != MUST_REFUSE && differ(difference, "gave unusable", a->answer == GIVEN);
  }
  const struct observation *giver = is_given(a) ? a : b, *refuser = is_given(a) ? b : a;
  if (refuser->duty == MUST_GIVE) return differ(difference, "refused", refuser == b);
  if (giver->duty == MUST_REFUSE) return differ(difference, "gave", giver == b);
  return false;
}

static bool compare_observations(struct comparison_counts *counts, enum operation_kind kind,
                                 const struct observation *a, const struct observation *b,
                                 struct difference *difference) {
  if (a->answer == NOT_ASKED || b->answer == NOT_ASKED) return false;
  bool same = a->lineage == b->lineage;
  if (is_request(kind)) {
    if (compare_answers(counts, a, b, difference)) return true;
    // Contents: of a zeroed block, or of what was resized, or was not.
    bool both = a->answer == b->answer && a->answer != UNUSABLE &&
                (kind == OP_ALLOCATE_ZEROED ? a->answer == GIVEN : same && a->lineage);
    if (!both) return false;
    counts->contents += kind != OP_ALLOCATE_ZEROED;
    counts->zeroed += kind == OP_ALLOCATE_ZEROED;
    return a->digest != b->digest && differ(difference, "contents", false);
  }
  if (a->answer == SKIPPED || b->answer == SKIPPED) return false;
  counts->releases += kind == OP_RELEASE || kind == OP_RELEASE_AGAIN || kind == OP_RELEASE_FOREIGN;
  if (a->said != b->said) {
    uint8_t right = kind == OP_RELEASE         ? RELEASED
                    : kind == OP_RELEASE_AGAIN ? RELEASE_DOUBLE
                                               : RELEASE_FOREIGN;
    return differ(difference, "release", a->said == right);
  }
  if (!same) return false;
  if (kind == OP_USE) {
    counts->usable++;
    return a->usable != b->usable && differ(difference, "usable size", a->usable);
  }
  counts->contents += kind == OP_RELEASE;
  return a->digest != b->digest && differ(difference, "contents", false);
}

static bool compare_last(struct comparison_counts *counts, const struct observation *a,
                         const struct observation *b, struct difference *difference) {
  if (!a->last_lineage || a->last_lineage != b->last_lineage) return false;
  counts->contents++;
  return a->last_digest != b->last_digest && differ(difference, "last contents", false);
}

// How many contenders have the same contents as this one, itself included.
static size_t supporters(const struct differential *self, size_t index, size_t which, bool last) {
  const struct observation *one = &self->accounts[which].observations[index];
  size_t count = 0;
  for (size_t i = 0; i < self->count; i++) {
    const struct observation *other = &self->accounts[i].observations[index];
    count +=
        last ? other->last_lineage == one->last_lineage && other->last_digest == one->last_digest
             : other->answer == one->answer && other->lineage == one->lineage &&
                   other->read == one->read && other->digest == one->digest;
  }
  return count;
}

static const char *said(uint8_t result) {
  static const char *const texts[] = {
      [RELEASED] = "a live block",
      [RELEASE_DOUBLE] = "released before",
      [RELEASE_FOREIGN] = "none of its blocks",
      [RELEASE_OVERRUN] = "overrun",
  };
  return result < sizeof texts / sizeof *texts ? texts[result] : "something else";
}

static void explain_answer(const struct differential *self, const struct observation *first,
                           const struct observation *second, const struct difference *difference,
                           const struct disagreement *found, char *text, size_t size) {
  const char *one = self->contenders[found->first].name;
  const char *other = self->contenders[found->second].name;
  if (strcmp(difference->what, "refused") == 0)
    snprintf(text, size, "%s refused what %s gave, although %s", one, other,
             second->duty == MUST_GIVE ? "the bounds of both say that it fits"
                                       : "its own bound says that it fits");
  else if (strcmp(difference->what, "gave") == 0)
    snprintf(text, size, "%s gave what %s refused, although %s", one, other,
             second->duty == MUST_REFUSE ? "the contract says that both must refuse it"
                                         : "its own contract says that it must refuse it");
  else if (strcmp(difference->what, "gave unusable") == 0)
    snprintf(text, size,
             "%s gave an address that is not aligned or not inside its heap, %s a good one", one,
             other);
  else if (strcmp(difference->what, "usable size") == 0)
    snprintf(text, size, "on %s the usable size is not the user's to write, on %s it is", one,
             other);
  else
    snprintf(text, size, "%s says that it was %s, %s that it was %s", one, said(first->said), other,
             said(second->said));
}

// Makes the difference at an operation a disagreement of the two.
static void disagree(const struct differential *self, const struct program *program, size_t index,
                     size_t a, size_t b, const struct difference *difference,
                     struct disagreement *found) {
  bool last = strcmp(difference->what, "last contents") == 0;
  bool contents = last || strcmp(difference->what, "contents") == 0;
  size_t for_a = 0, for_b = 0;
  if (contents) {
    for_a = supporters(self, index, a, last);
    for_b = supporters(self, index, b, last);
  }
  bool swapped = contents ? for_b < for_a : difference->swapped;
  found->found = true;
  found->first = swapped ? b : a;
  found->second = swapped ? a : b;
  const char *one = self->contenders[found->first].name;
  const char *other = self->contenders[found->second].name;
  const struct observation *first = &self->accounts[found->first].observations[index];
  const struct observation *second = &self->accounts[found->second].observations[index];
  struct operation op = record_operation(program_at(program, index));
  struct play place = {.program = program, .heap = program_heap(program)};
  char where[80], text[VERDICT_TEXT_SIZE];
  describe(&place, index, where, sizeof where);
  if (contents) {
    size_t size = last ? first->last_size : first->read;
    int length = snprintf(text, sizeof text,
                          "the %zu bytes that the user %s are not the same on %s and %s", size,
                          last                            ? "was left with"
                          : op.kind == OP_ALLOCATE_ZEROED ? "finds in the zeroed block"
                                                          : "had in the block",
                          one, other);
    if (self->count > 2)
      snprintf(text + length, sizeof text - (size_t)length, " (as %zu of %zu have them)",
               swapped ? for_a : for_b, self->count);
  } else
    explain_answer(self, first, second, difference, found, text, sizeof text);
  struct verdict *verdict = &found->verdict;
  *verdict = (struct verdict){.property = PROPERTY_differential, .operation = index};
  snprintf(verdict->id, sizeof verdict->id, "%s", property_id(PROPERTY_differential));
  snprintf(verdict->diagnosis, sizeof verdict->diagnosis, "%s: %s", where, text);
  snprintf(found->names, sizeof found->names, "%s,%s", one, other);
  snprintf(verdict->site, sizeof verdict->site, "%s %s: %s", operation_name(op.kind),
           difference->what, found->names);
}

static void disagree_on_creation(const struct differential *self, const struct program *program,
                                 size_t failed, size_t created, struct disagreement *found) {
  const char *one = self->contenders[failed].name, *other = self->contenders[created].name;
  found->found = true;
  found->first = failed;
  found->second = created;
  struct verdict *verdict = &found->verdict;
  *verdict =
      (struct verdict){.property = PROPERTY_differential, .operation = program_length(program)};
  snprintf(verdict->id, sizeof verdict->id, "%s", property_id(PROPERTY_differential));
  snprintf(found->names, sizeof found->names, "%s,%s", one, other);
  snprintf(verdict->diagnosis, sizeof verdict->diagnosis,
           "create: %s failed on a heap that %s lives on, although its own bound says that it "
           "suffices",
           one, other);
  snprintf(verdict->site, sizeof verdict->site, "create: %s", found->names);
}

// Whether a pair disagrees here: at the operation, or on the last of the block that it gave.
static bool compare_at(struct differential *self, const struct program *program, size_t index,
                       bool last, struct disagreement *found) {
  enum operation_kind kind = record_kind(program_at(program, index));
  for (size_t a = 0; a < self->count; a++)
    for (size_t b = a + 1; b < self->count; b++) {
      const struct observation *of_a = &self->accounts[a].observations[index];
      const struct observation *of_b = &self->accounts[b].observations[index];
      struct difference difference;
      if (last ? !compare_last(&self->counts, of_a, of_b, &difference)
               : !compare_observations(&self->counts, kind, of_a, of_b, &difference))
        continue;
      disagree(self, program, index, a, b, &difference, found);
      return true;
    }
  return false;
}

static void compare(struct differential *self, const struct program *program,
                    struct disagreement *found) {
  for (size_t a = 0; a < self->count; a++)
    for (size_t b = 0; b < self->count; b++)
      if (self->accounts[a].creation.answer == REFUSED &&
          self->accounts[a].creation.duty == MUST_GIVE &&
          self->accounts[b].creation.answer == GIVEN) {
        disagree_on_creation(self, program, a, b, found);
        return;
      }
  for (int last = 0; last <= 1; last++)
    for (size_t i = 0; i < program_length(program); i++)
      if (compare_at(self, program, i, last, found)) return;
}

// ## All of them

static bool choose_one(struct contender *contender, char *name, char *error, size_t size) {
  char *variant = strchr(name, ':');
  if (variant) *variant++ = 0;
  const struct registry_entry *entry = registry_find(name);
  if (!entry) {
    snprintf(error, size, "unknown strategy '%s'; `assay list` shows them", name);
    return false;
  }
  *contender = (struct contender){entry->name, entry->strategy, -1};
  if (!variant) return true;
  const char *const *variants = entry->strategy->variants;
  for (int i = 0; variants && variants[i]; i++)
    if (strcmp(variants[i], variant) == 0) contender->variant = i;
  if (contender->variant >= 0) {
    variant[-1] = ':';
    contender->name = name;
    return true;
  }
  snprintf(error, size, "%s has no variant '%s'; `assay list` shows them", name, variant);
  return false;
}

bool differential_choose(struct differential *self, const char *names, char *error, size_t size) {
  self->count = 0;
  if (strcmp(names, "all") == 0) {
    for (const struct registry_entry *entry = registry; entry->name; entry++)
      if (!entry->bug && self->count < CONTENDERS_MAX)
        self->contenders[self->count++] = (struct contender){entry->name, entry->strategy, -1};
  } else {
    char *list = self->names = strdup(names);
    if (!list) abort();
    for (char *name; (name = strsep(&list, ","));) {
      if (self->count == CONTENDERS_MAX) {
        snprintf(error, size, "more than %d strategies", CONTENDERS_MAX);
        return false;
      }
      if (!choose_one(&self->contenders[self->count++], name, error, size)) return false;
    }
  }
  if (self->count >= 2) return true;
  snprintf(error, size, "comparing takes two strategies at least");
  return false;
}

bool differential_run(struct differential *self, const struct program *program,
                      struct disagreement *found) {
  *found = (struct disagreement){0};
  if (!self->accounts) {
    self->accounts = calloc(self->count, sizeof *self->accounts);
    if (!self->accounts) return false;
    watch_install(on_watch);
  }
  for (size_t i = 0; i < self->count; i++) {
    if (!take_account(self, i, program)) return false;
    self->counts.operations += program_length(program);
  }
  compare(self, program, found);
  return true;
}

void differential_free(struct differential *self) {
  for (size_t i = 0; self->accounts && i < self->count; i++) free(self->accounts[i].observations);
  free(self->accounts);
  free(self->names);
  arena_free(&self->arena);
  *self = (struct differential){0};
}
