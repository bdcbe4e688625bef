// Damage to lifetimes that end by rollback or collection, to heaps that outlive their process, and
// to the detection of overruns.
#ifndef HARNESS_DAMAGE_LIFETIMES_H_
#define HARNESS_DAMAGE_LIFETIMES_H_

#include "harness/damage_state.h"

extern const struct strategy arena_strategy, mark_sweep_strategy, mapped_heap_strategy;
extern const struct strategy system_strategy;

// ## rollback

static void rolls_nothing_back(struct allocator *self, struct mark mark) { (void)self, (void)mark; }

static void leaves_a_byte(struct allocator *self, struct mark mark) {
  victim->rollback(self, mark);
  victim->allocate(self, 1, 1);
}

// Marks for a strategy that has none: a log of what was allocated, and is released by rollback.
static struct {
  void *blocks[1024];  // NULL: released since
  size_t count;
} logged;

static struct allocator *creates_log(struct source *source,
                                     const struct strategy_options *options) {
  logged.count = 0;
  return victim->create(source, options);
}

static void *logs_allocation(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (block && logged.count < sizeof logged.blocks / sizeof *logged.blocks)
    logged.blocks[logged.count++] = block;
  return block;
}

static bool log_has(const void *block, void *instead) {
  for (size_t i = 0; i < logged.count; i++) {
    if (logged.blocks[i] != block) continue;
    logged.blocks[i] = instead;
    return true;
  }
  return false;
}

static enum release_result logs_release(struct allocator *self, void *block) {
  log_has(block, NULL);
  return victim->release(self, block);
}

static enum release_result releases_all_the_same(struct allocator *self, void *block) {
  return log_has(block, NULL) ? victim->release(self, block) : RELEASED;
}

static void *logs_resize(struct allocator *self, void *block, size_t size, size_t align) {
  void *moved = victim->resize(self, block, size, align);
  if (moved) log_has(block, moved);
  return moved;
}

static struct mark marks_log(struct allocator *self) {
  (void)self;
  return (struct mark){.amount = logged.count};
}

static void releases_log(struct allocator *self, struct mark mark) {
  while (logged.count > mark.amount) {
    void *block = logged.blocks[--logged.count];
    if (block) victim->release(self, block);
  }
}

// Makes a strategy one with marks, with release and rollback.
#define WITH_LOG                                                                                   \
  .traits = STRATEGY_MARKS, .create = creates_log, .allocate = logs_allocation,                    \
  .resize = logs_resize, .mark = marks_log

// ## collections

static size_t misses_last_roots(struct allocator *self, const struct collection *collection) {
  struct collection fewer = *collection;
  fewer.roots_count--;
  return victim->collect(self, &fewer);
}

static size_t misses_all_roots(struct allocator *self, const struct collection *collection) {
  struct collection fewer = *collection;
  fewer.roots_count = 0;
  return victim->collect(self, &fewer);
}

static const struct collection *whole;

static struct words all_but_one(void *context, const void *block) {
  struct words words = whole->trace(context, block);
  words.count--;
  return words;
}

static size_t misses_last_word(struct allocator *self, const struct collection *collection) {
  struct collection fewer = *collection;
  whole = collection;
  fewer.trace = all_but_one;
  return victim->collect(self, &fewer);
}

static size_t collects_nothing(struct allocator *self, const struct collection *collection) {
  (void)self, (void)collection;
  return 0;
}

static size_t collects_nothing_in_doubt(struct allocator *self,
                                        const struct collection *collection) {
  return collection->precise ? victim->collect(self, collection) : 0;
}

static size_t miscounts(struct allocator *self, const struct collection *collection) {
  return victim->collect(self, collection) + 1;
}

// ## Persistence

static void forgets_to_persist(struct source *self, const void *start, size_t size) {
  (void)self, (void)start, (void)size;
}

static struct allocator *creates_without_barriers(struct source *source,
                                                  const struct strategy_options *options) {
  static struct source_limit forgetful;
  source_limit_init(&forgetful, source, SIZE_MAX);
  forgetful.base.persist = forgets_to_persist;
  return victim->create(&forgetful.base, options);
}

static struct allocator *opens_nothing(struct source *source,
                                       const struct strategy_options *options) {
  (void)source, (void)options;
  return NULL;
}

static struct allocator *opens_without_a_block(struct source *source,
                                               const struct strategy_options *options) {
  struct allocator *self = victim->open(source, options);
  victim->allocate(self, 16, 16);
  return self;
}

// What a heap that was opened last serves its requests from: as right by any walk as it can be.
static struct allocator *opened;

static struct allocator *notes_opened(struct source *source,
                                      const struct strategy_options *options) {
  return opened = victim->open(source, options);
}

static struct allocator *opened_nothing(struct source *source,
                                        const struct strategy_options *options) {
  opened = NULL;
  return victim->create(source, options);
}

static void find_block(void *context, const struct span *span) {
  struct span *block = context;
  if (span->kind == SPAN_BLOCK && !block->start) *block = *span;
}

static struct span first_block(const struct allocator *self) {
  struct span block = {0};
  victim->walk(self, find_block, &block);
  return block;
}

static void *gives_live_block_once_opened(struct allocator *self, size_t size, size_t align) {
  struct span block = first_block(self);
  return self == opened && block.start ? at(address_of(block.start))
                                       : victim->allocate(self, size, align);
}

static void *gives_end_once_opened(struct allocator *self, size_t size, size_t align) {
  return self == opened ? heap_of(self).end - 16 : victim->allocate(self, size, align);
}

static void *gives_askew_once_opened(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size, align);
  return block && self == opened && align > 16 ? block + 16 : block;
}

static void *writes_live_block_once_opened(struct allocator *self, size_t size, size_t align) {
  struct span block = first_block(self);
  if (self == opened && block.start) flip_unseen(address_of(block.start));
  return victim->allocate(self, size, align);
}

static enum release_result refuses_once_opened(struct allocator *self, void *block) {
  return self == opened ? RELEASE_FOREIGN : victim->release(self, block);
}

static void *gives_nothing_once_opened(struct allocator *self, size_t size, size_t align) {
  return self == opened ? NULL : victim->allocate(self, size, align);
}

static void *gives_the_next_once_opened(struct allocator *self, size_t size, size_t align) {
  void *first = self == opened ? victim->allocate(self, size, align) : NULL;
  void *block = victim->allocate(self, size, align);
  if (first) victim->release(self, first);
  return block;
}

static void *has_no_root(const struct allocator *self) {
  (void)self;
  return NULL;
}

// ## Overruns

// Of the block that was allocated last.
static unsigned char *canary;

static void *places_canary(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size == SIZE_MAX ? size : size + 1, align);
  if (block) {
    canary = block + size;
    *canary = 0x77;
  }
  return block;
}

static enum release_result checks_canary(struct allocator *self, void *block) {
  bool changed = canary && *canary != 0x77;
  canary = NULL;
  enum release_result result = victim->release(self, block);
  return changed ? RELEASE_OVERRUN : result;
}

static enum release_result says_overrun(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASE_OVERRUN;
}

// ## Rows

#define ONE_DIES                                                                                   \
  "allocate 0 size=90; allocate 1 size=40; root 0; crash barrier=2 mask=0x5; allocate 2 size=24"

enum { DETECTS_OVERRUN = STRATEGY_DETECTS_OVERRUN };

static const struct damage damage_lifetimes[] = {
    {.property = "rollback",
     .what = "rollback that does nothing",
     .victim = &arena_strategy,
     .with = {.rollback = rolls_nothing_back},
     .program = "mark; allocate 0 size=9; rollback 0",
     .tiers = WALKING,
     .says = "operation 2"},
    {.property = "rollback",
     .what = "the same behind an older block",
     .victim = &arena_strategy,
     .with = {.rollback = rolls_nothing_back},
     .program = "allocate 0 size=9; mark; allocate 1 size=900; rollback 0",
     .tiers = WALKING},
    {.property = "rollback",
     .what = "rollback that leaves a byte",
     .victim = &arena_strategy,
     .with = {.rollback = leaves_a_byte},
     .program = "allocate 0 size=9; mark; allocate 1 size=900; rollback 0",
     .tiers = WALKING},
    {.property = "clean",
     .near = "rollback",
     .what = "rollback of nothing, twice, and past an inner mark",
     .victim = &arena_strategy,
     .program =
         "mark; rollback 0; allocate 0 size=9; mark; allocate 1 size=3000; mark; rollback 1; "
         "rollback 1; allocate 2 size=9; rollback 0; rollback 0; reset; rollback 0"},
    {.property = "clean",
     .near = "rollback",
     .idle = true,
     .what = "older blocks released or resized since the mark",
     .victim = &free_list_strategy,
     .with = {WITH_LOG, .release = logs_release, .rollback = releases_log},
     .program =
         "allocate 0 size=9; allocate 1 size=40; allocate 2 size=9; mark; release 0; "
         "allocate 3 size=9; rollback 0; rollback 0; allocate 0 size=300; mark; resize 1 size=900; "
         "allocate 3 size=9; rollback 1; rollback 0; release 1; release_again 0; rollback 0"},
    {.property = "rollback",
     .what = "a younger block released since the mark, and another one kept",
     .victim = &free_list_strategy,
     .with = {WITH_LOG, .release = logs_release, .rollback = rolls_nothing_back},
     .program = "allocate 0 size=9; mark; allocate 1 size=9; allocate 2 size=9; release 1; "
                "rollback 0",
     .tiers = WALKING,
     .says = "operation 5"},
    {.property = "double-release-missed",
     .what = "release of a block that rollback has released",
     .victim = &free_list_strategy,
     .with = {WITH_LOG, .release = releases_all_the_same, .rollback = releases_log},
     .program = "mark; allocate 0 size=9; rollback 0; release_again 0",
     .says = "was accepted"},
    {.property = "rollback",
     .what = "rollback to no block that keeps memory",
     .victim = &arena_strategy,
     .with = {.traits = STRATEGY_RETURNS_MEMORY},
     .program = "mark; allocate 0 size=900; rollback 0",
     .heap = "capacity=32768 page=512 variant=1",
     .says = "bytes of its source instead of"},
    {.property = "reset",
     .what = "reset that keeps memory",
     .victim = &arena_strategy,
     .with = {.traits = STRATEGY_RETURNS_MEMORY},
     .program = "allocate 0 size=900; reset",
     .heap = "capacity=32768 page=512 variant=1",
     .says = "operation 1, reset: the allocator holds"},

    {.property = "reachable-collected",
     .what = "the last range of roots missed",
     .victim = &mark_sweep_strategy,
     .with = {.collect = misses_last_roots},
     .program = "allocate 0 size=9; root 0; collect",
     .says = "operation 2"},
    {.property = "reachable-collected",
     .what = "the last reference of a block missed",
     .victim = &mark_sweep_strategy,
     .with = {.collect = misses_last_word},
     .program = "allocate 0 size=9; allocate 1 size=9; root 0; link 0 reference=4 to=1; collect"},
    {.property = "reachable-collected",
     .what = "all roots missed when words may be anything",
     .victim = &mark_sweep_strategy,
     .with = {.collect = misses_all_roots},
     .program = "allocate 0 size=900; root 0; collect noise=5"},
    {.property = "clean",
     .near = "reachable-collected",
     .what = "a block collected whose only reference was overwritten",
     .victim = &mark_sweep_strategy,
     .program = "allocate 0 size=9; allocate 1 size=9; allocate 2 size=9; root 0; link 0 "
                "reference=4 to=1; link 0 reference=4 to=2; collect"},
    {.property = "clean",
     .near = "reachable-collected",
     .idle = true,
     .what = "all collected, without a root",
     .victim = &mark_sweep_strategy,
     .program = "allocate 0 size=9; allocate 1 size=9; link 0 reference=4 to=1; collect"},
    {.property = "clean",
     .near = "garbage-kept",
     .idle = true,
     .what = "a collection of nothing but what can be reached",
     .victim = &mark_sweep_strategy,
     .program = "collect"},
    {.property = "garbage-kept",
     .what = "collect that does nothing",
     .victim = &mark_sweep_strategy,
     .with = {.collect = collects_nothing},
     .program = "allocate 0 size=9; root 0; allocate 1 size=9; collect",
     .says = "no root reaches"},
    {.property = "garbage-kept",
     .what = "the same at the end",
     .victim = &mark_sweep_strategy,
     .with = {.collect = collects_nothing},
     .program = "allocate 0 size=9",
     .says = "collection of all"},
    {.property = "walk",
     .what = "collect that counts one too many",
     .victim = &mark_sweep_strategy,
     .with = {.collect = miscounts},
     .program = "allocate 0 size=9; collect",
     .says = "were told of"},
    {.property = "clean",
     .near = "garbage-kept",
     .what = "garbage kept in doubt",
     .victim = &mark_sweep_strategy,
     .with = {.collect = collects_nothing_in_doubt},
     .program = "allocate 0 size=9; allocate 1 size=9; link 1 to=0; collect noise=3; collect; "
                "allocate 2 size=40; root 2; link 2 to=2; collect; unroot 2; collect"},

    {.property = "recovery",
     .what = "no barriers",
     .victim = &mapped_heap_strategy,
     .with = {.create = creates_without_barriers},
     .program = "allocate 0 size=90; allocate 1 size=9; crash barrier=15 mask=0x5555; resize 0 "
                "size=2000; crash barrier=15 mask=0xff; resize 0 size=20; crash barrier=15 "
                "mask=0xaaaa; resize 0 size=3000"},
    {.property = "recovery",
     .what = "a heap that does not open",
     .victim = &mapped_heap_strategy,
     .with = {.open = opens_nothing},
     .program = "allocate 0 size=9; reopen",
     .says = "operation 1"},
    {.property = "recovery",
     .what = "a heap that opens with one more block",
     .victim = &mapped_heap_strategy,
     .with = {.open = opens_without_a_block},
     .program = "allocate 0 size=9; reopen"},
    {.property = "recovery",
     .what = "the same after a crash",
     .victim = &mapped_heap_strategy,
     .with = {.open = opens_without_a_block},
     .program = "allocate 0 size=9; crash barrier=1 mask=0x0; release 0",
     .says = "neither"},
    {.property = "recovery",
     .what = "a live block given out by the heap that a crash left",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing,
              .open = notes_opened,
              .allocate = gives_live_block_once_opened},
     .program = ONE_DIES,
     .says = "was given out over the live block"},
    {.property = "recovery",
     .what = "the end of that heap given out",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing, .open = notes_opened, .allocate = gives_end_once_opened},
     .program = ONE_DIES,
     .says = "not inside the heap"},
    {.property = "recovery",
     .what = "a block of it at the wrong alignment",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing, .open = notes_opened, .allocate = gives_askew_once_opened},
     .program = ONE_DIES,
     .says = "not aligned to 64"},
    {.property = "recovery",
     .what = "a live block of it written to by the next request",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing,
              .open = notes_opened,
              .allocate = writes_live_block_once_opened},
     // Valgrind sees the write itself, and says so.
     .program = ONE_DIES},
    {.property = "recovery",
     .what = "the release of a live block of it refused",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing, .open = notes_opened, .release = refuses_once_opened},
     .program = ONE_DIES,
     .says = "was refused"},
    {.property = "clean",
     .near = "recovery",
     .what = "all requests refused by it",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing,
              .open = notes_opened,
              .allocate = gives_nothing_once_opened},
     .program = ONE_DIES},
    {.property = "clean",
     .near = "recovery",
     .what = "other places than the first that it could give",
     .victim = &mapped_heap_strategy,
     .with = {.create = opened_nothing,
              .open = notes_opened,
              .allocate = gives_the_next_once_opened},
     .program = ONE_DIES},
    {.property = "recovery",
     .what = "a root that is forgotten",
     .victim = &mapped_heap_strategy,
     .with = {.root = has_no_root},
     .program = "allocate 0 size=9; root 0"},
    {.property = "clean",
     .near = "recovery",
     .what = "crashes at every barrier, and reopening",
     .victim = &mapped_heap_strategy,
     .program = "allocate 0 size=90; root 0; crash barrier=1 mask=0x5; resize 0 size=900; reopen; "
                "crash barrier=2 mask=0xffff; release 0; zeroed 1 count=3 size=50; crash barrier=3 "
                "mask=0x3; unroot 1; crash barrier=4 mask=0x1; allocate 2 size=60; crash barrier=1 "
                "mask=0x0; reset; reopen; crash barrier=2 mask=0x7"},

    {.property = "overrun-missed",
     .what = "a write past the end accepted",
     .victim = &free_list_strategy,
     .with = {.traits = DETECTS_OVERRUN},
     .program = "allocate 0 size=24; overrun 0",
     .says = "was accepted"},
    {.property = "overrun-missed",
     .what = "blocks side by side: a write past the end is one into the next",
     .victim = &bump_strategy,
     .with = {.traits = DETECTS_OVERRUN, .release = says_overrun},
     .program = "allocate 0 size=24; allocate 1 size=24; overrun 0",
     .says = "there is no place"},
    {.property = "clean",
     .near = "overrun-missed",
     .what = "a write past the end of a block outside the source's memory detected",
     .victim = &system_strategy,
     .with = {.traits = DETECTS_OVERRUN, .allocate = places_canary, .release = checks_canary},
     .program = "allocate 0 size=24; overrun 0; allocate 0 size=47; release 0"},
    {.property = "clean",
     .near = "overrun-missed",
     .what = "a write past the end detected",
     .victim = &free_list_strategy,
     .with = {.traits = DETECTS_OVERRUN, .allocate = places_canary, .release = checks_canary},
     .program = "allocate 0 size=24; overrun 0; allocate 0 size=47; release 0"},
};

#endif
