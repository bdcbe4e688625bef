// Damage to what an allocator keeps: its books, its source's memory, and its own account of both.
#ifndef HARNESS_DAMAGE_STATE_H_
#define HARNESS_DAMAGE_STATE_H_

#include "harness/damage_answers.h"

static struct allocator *notes_source(struct source *source,
                                      const struct strategy_options *options) {
  given = source;
  return victim->create(source, options);
}

// ## failed-op-changed-state, spurious-oom

enum { LITTLE = 100 };

static void *keeps_page_when_refused(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (!block && size == TRIGGER) given->acquire(given, given->page_size);
  return block;
}

static void *keeps_block_when_refused(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (!block && size == TRIGGER) victim->allocate(self, 16, 16);
  return block;
}

static void *keeps_nothing_when_refused(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (!block && size == TRIGGER) victim->release(self, victim->allocate(self, 16, 16));
  return block;
}

// What a refusal leaves where no walk shows it.
static bool was_refused;

static struct allocator *was_not_refused(struct source *source,
                                         const struct strategy_options *options) {
  was_refused = false;
  given = source;
  return victim->create(source, options);
}

static void *skips_a_byte_once_refused(struct allocator *self, size_t size, size_t align) {
  if (was_refused) victim->allocate(self, 1, 1);
  void *block = victim->allocate(self, size, align);
  was_refused |= !block && size == TRIGGER;
  return block;
}

static void *wastes_a_byte_once_refused(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (was_refused) victim->allocate(self, 1, 1);
  was_refused |= !block && size == TRIGGER;
  return block;
}

static void *takes_the_next_once_refused(struct allocator *self, size_t size, size_t align) {
  void *first = was_refused ? victim->allocate(self, size, align) : NULL;
  void *block = victim->allocate(self, size, align);
  if (first && block) victim->release(self, first);
  was_refused |= !block && size == TRIGGER;
  return block ? block : first;
}

static void forgets_refusal(struct allocator *self) {
  was_refused = false;
  victim->reset(self);
}

static enum release_result remembers_misuse(struct allocator *self, void *block) {
  enum release_result result = victim->release(self, block);
  was_refused |= result != RELEASED;
  return result;
}

static void *remembers_refusal(struct allocator *self, void *block, size_t size, size_t align) {
  void *moved = victim->resize(self, block, size, align);
  was_refused |= !moved && size == TRIGGER;
  return moved;
}

// Of no consequence.
static void *counts_refusals(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  was_refused |= !block;
  return block;
}

// A page that is held for nothing goes back when the source has no more: then nobody can tell where
// the next ones come from.
static void *spare_page;

static struct allocator *has_no_spare_page(struct source *source,
                                           const struct strategy_options *options) {
  spare_page = NULL;
  return was_not_refused(source, options);
}

static void give_up_spare_page(void) {
  if (spare_page) given->release(given, spare_page, given->page_size);
  spare_page = NULL;
}

static void *gives_up_spare_page(struct allocator *self, size_t size, size_t align) {
  if (size == LITTLE && !spare_page) spare_page = given->acquire(given, given->page_size);
  void *block = takes_the_next_once_refused(self, size, align);
  if (!block && size == TRIGGER) give_up_spare_page();
  return block;
}

static enum release_result gives_up_spare_page_at_last(struct allocator *self, void *block) {
  enum release_result result = victim->release(self, block);
  if (victim->statistics(self).blocks == 0) give_up_spare_page();
  return result;
}

static void resets_spare_page(struct allocator *self) {
  give_up_spare_page();
  forgets_refusal(self);
}

static void shows_spare_page(const struct allocator *self, span_visitor *visit, void *context) {
  victim->walk(self, visit, context);
  if (spare_page) visit(context, &(struct span){spare_page, given->page_size, SPAN_FREE});
}

static struct statistics counts_spare_page(const struct allocator *self) {
  struct statistics statistics = victim->statistics(self);
  if (spare_page) statistics.acquired += given->page_size;
  return statistics;
}

static enum release_result refuses_and_keeps_block(struct allocator *self, void *block) {
  enum release_result result = victim->release(self, block);
  if (result != RELEASED) victim->allocate(self, 16, 16);
  return result;
}

static void *refuses_trigger(struct allocator *self, size_t size, size_t align) {
  return size == TRIGGER ? NULL : victim->allocate(self, size, align);
}

static struct allocator *cannot_be_created(struct source *source,
                                           const struct strategy_options *options) {
  (void)source, (void)options;
  return NULL;
}

// Some heaps give one stretch only; to do without another is no failure of the strategy.
static struct allocator *needs_two_stretches(struct source *source,
                                             const struct strategy_options *options) {
  void *first = source->acquire(source, source->page_size);
  void *second = source->acquire(source, source->page_size);
  if (second) source->release(source, second, source->page_size);
  if (first) source->release(source, first, source->page_size);
  return second ? victim->create(source, options) : NULL;
}

// ## not-pristine: the first release changes what is granted

static bool has_released;
enum { MUCH = 8192 };

static struct allocator *has_not_released(struct source *source,
                                          const struct strategy_options *options) {
  has_released = false;
  given = source;
  return victim->create(source, options);
}

static enum release_result remembers_release(struct allocator *self, void *block) {
  // So little is not asked for when the heap's largest block is sought.
  has_released |= block && victim->usable_size(self, block) < LITTLE;
  return victim->release(self, block);
}

static void *less_after_release(struct allocator *self, size_t size, size_t align) {
  return size > MUCH && has_released ? NULL : victim->allocate(self, size, align);
}

static void *more_after_release(struct allocator *self, size_t size, size_t align) {
  return size > MUCH && !has_released ? NULL : victim->allocate(self, size, align);
}

// Takes a page with the first release, shows it in the walk, and keeps it until destroy.
static void *hoard;

static struct allocator *has_no_hoard(struct source *source,
                                      const struct strategy_options *options) {
  hoard = NULL;
  given = source;
  return victim->create(source, options);
}

static enum release_result hoards_page(struct allocator *self, void *block) {
  if (!hoard && block && victim->usable_size(self, block) < LITTLE)
    hoard = given->acquire(given, given->page_size);
  return victim->release(self, block);
}

static enum release_result hoards_page_while_in_use(struct allocator *self, void *block) {
  hoards_page(self, block);
  if (hoard && victim->statistics(self).blocks == 0) {
    given->release(given, hoard, given->page_size);
    hoard = NULL;
  }
  return RELEASED;
}

static void shows_hoard(const struct allocator *self, span_visitor *visit, void *context) {
  victim->walk(self, visit, context);
  if (hoard) visit(context, &(struct span){hoard, given->page_size, SPAN_META});
}

// ## source-leak

static void destroys_nothing(struct allocator *self) { (void)self; }

// A source between the allocator and its own, that hands back what it likes.
static struct source between;

static void *acquire_between(struct source *source, size_t size) {
  (void)source;
  return given->acquire(given, size);
}

static size_t available_between(const struct source *source) {
  (void)source;
  return given->available(given);
}

static void returns_less(struct source *source, void *memory, size_t size) {
  (void)source;
  given->release(given, memory, size - 1);
}

static void returns_twice(struct source *source, void *memory, size_t size) {
  (void)source;
  given->release(given, memory, size);
  given->release(given, memory, size);
}

static struct allocator *create_over(struct source *source, const struct strategy_options *options,
                                     void (*release)(struct source *, void *, size_t)) {
  given = source;
  between = *source;
  between.acquire = acquire_between;
  between.available = available_between;
  between.release = release;
  return victim->create(&between, options);
}

static struct allocator *will_return_less(struct source *source,
                                          const struct strategy_options *options) {
  return create_over(source, options, returns_less);
}

static struct allocator *will_return_twice(struct source *source,
                                           const struct strategy_options *options) {
  return create_over(source, options, returns_twice);
}

// Needs a page of its own besides the victim's memory; faults let one of them fail.
static struct allocator *create_in_two_steps(struct source *source,
                                             const struct strategy_options *options, int returns) {
  void *page = source->acquire(source, source->page_size);
  if (!page) return NULL;
  struct allocator *allocator = victim->create(source, options);
  if (!allocator)
    while (returns-- > 0) source->release(source, page, source->page_size);
  else
    source->release(source, page, source->page_size);
  return allocator;
}

static struct allocator *fails_halfway_and_keeps(struct source *source,
                                                 const struct strategy_options *options) {
  return create_in_two_steps(source, options, 0);
}

static struct allocator *fails_halfway(struct source *source,
                                       const struct strategy_options *options) {
  return create_in_two_steps(source, options, 1);
}

static struct allocator *fails_halfway_and_returns_twice(struct source *source,
                                                         const struct strategy_options *options) {
  return create_in_two_steps(source, options, 2);
}

// The first and the third acquisition fail, of two requests.
#define FAILURES                                                                                   \
  "allocate 0 size=9; fault mask=0x5; allocate 1 size=77 align=512; allocate 1 size=5000; "        \
  "allocate 2 size=5000; allocate 3 size=9; allocate 4 size=5000"

static const struct damage damage_state[] = {
    {.property = "failed-op-changed-state",
     .what = "a page kept by a request that was refused",
     .victim = &page_bump_strategy,
     .with = {.create = notes_source, .allocate = keeps_page_when_refused},
     .program = "allocate 0 size=77 align=3",
     .says = "holds"},
    {.property = "failed-op-changed-state",
     .what = "a block kept by a request that was refused",
     .victim = &free_list_strategy,
     .with = {.allocate = keeps_block_when_refused},
     .program = "allocate 0 size=77 align=3",
     .tiers = WALKING},
    {.property = "failed-op-changed-state",
     .what = "a block kept by a release that was refused",
     .victim = &free_list_strategy,
     .with = {.release = refuses_and_keeps_block},
     .program = "release_foreign 0",
     .tiers = WALKING},
    {.property = "clean",
     .near = "failed-op-changed-state",
     .what = "a block taken and given back by a request that was refused",
     .victim = &free_list_strategy,
     .with = {.allocate = keeps_nothing_when_refused},
     .program = "allocate 0 size=9; allocate 1 size=77 align=3; allocate 2 size=9"},
    {.property = "failed-op-changed-state",
     .what = "a byte skipped by the request after one that was refused",
     .victim = &bump_strategy,
     .with = {.create = was_not_refused,
              .allocate = skips_a_byte_once_refused,
              .reset = forgets_refusal},
     .program = "allocate 0 size=77 align=3; allocate 1 size=9",
     .tiers = PARANOID,
     .says = "operation 1, allocate of slot 1"},
    {.property = "failed-op-changed-state",
     .what = "a byte wasted behind it, which no answer tells",
     .victim = &bump_strategy,
     .with = {.create = was_not_refused,
              .allocate = wastes_a_byte_once_refused,
              .reset = forgets_refusal},
     .program = "allocate 0 size=77 align=3; allocate 1 size=9",
     .tiers = PARANOID,
     .says = "the walk is another one"},
    {.property = "failed-op-changed-state",
     .what = "another place for the block after a misuse",
     .victim = &free_list_strategy,
     .with = {.create = was_not_refused,
              .allocate = takes_the_next_once_refused,
              .release = remembers_misuse},
     .program = "allocate 0 size=9; release_foreign 0; allocate 1 size=9",
     .tiers = PARANOID,
     .says = "1 requests before"},
    {.property = "failed-op-changed-state",
     .what = "the same after a resize that was refused",
     .victim = &free_list_strategy,
     .with = {.create = was_not_refused,
              .allocate = takes_the_next_once_refused,
              .resize = remembers_refusal},
     .program = "allocate 0 size=9; resize 0 size=77 align=3; allocate 1 size=9",
     .tiers = PARANOID},
    {.property = "failed-op-changed-state",
     .what = "another place for the block after a failure of the source",
     .victim = &slab_strategy,
     .with = {.create = was_not_refused, .allocate = takes_the_next_once_refused},
     .program = FAILURES,
     .tiers = PARANOID,
     .sources = PAGES,
     .heap = "capacity=131072 page=4096",
     .says = "left out"},
    {.property = "clean",
     .near = "failed-op-changed-state",
     .what = "failures that strike the same acquisitions without what was refused",
     .victim = &slab_strategy,
     .program = FAILURES,
     .sources = PAGES,
     .heap = "capacity=131072 page=4096"},
    {.property = "clean",
     .near = "failed-op-changed-state",
     .what = "refusals that are remembered and change nothing",
     .victim = &free_list_strategy,
     .with = {.create = was_not_refused, .allocate = counts_refusals, .release = remembers_misuse},
     .program = "allocate 0 size=77 align=3; release_foreign 0; allocate 1 size=9; allocate 2 "
                "size=99999; release 1; release_again 0; allocate 2 size=9"},
    {.property = "clean",
     .near = "failed-op-changed-state",
     .what = "the same once spare memory went back to the source with it",
     .victim = &slab_strategy,
     .with = {.create = has_no_spare_page,
              .allocate = gives_up_spare_page,
              .release = gives_up_spare_page_at_last,
              .reset = resets_spare_page,
              .walk = shows_spare_page,
              .statistics = counts_spare_page},
     .program =
         "allocate 0 size=100; fault mask=1; allocate 1 size=77 align=512; allocate 2 size=9",
     .sources = PAGES,
     .heap = "capacity=131072 page=4096"},

    {.property = "spurious-oom",
     .what = "a request refused that fits",
     .victim = &free_list_strategy,
     .with = {.allocate = refuses_trigger},
     .program = "allocate 0 size=9; allocate 1 size=77"},
    {.property = "spurious-oom",
     .what = "an allocator refused that fits",
     .victim = &bump_strategy,
     .with = {.create = cannot_be_created},
     .program = "",
     .says = "create"},
    {.property = "clean",
     .near = "spurious-oom",
     .what = "a request refused by a source that was told to",
     .victim = &page_bump_strategy,
     .program =
         "fault mask=0\nallocate 0 size=9\nfault mask=1\nallocate 1 size=700\nallocate 1 size=700"},
    {.property = "clean",
     .near = "spurious-oom",
     .what = "an allocator refused by a source that was told to",
     .victim = &free_list_strategy,
     .program = "fault mask=1; allocate 0 size=9"},
    {.property = "clean",
     .near = "spurious-oom",
     .what = "an allocator that needs more stretches than the heap has",
     .victim = &free_list_strategy,
     .with = {.create = needs_two_stretches},
     .program = "allocate 0 size=9"},
    {.property = "clean",
     .near = "spurious-oom",
     .idle = true,
     .what = "an allocator on a heap too small for it",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=1",
     .heap = "capacity=64 page=64"},

    {.property = "not-pristine",
     .what = "less to be had once all is released",
     .victim = &free_list_strategy,
     .with = {.create = has_not_released,
              .allocate = less_after_release,
              .release = remembers_release},
     .program = TWO_BLOCKS,
     .says = "this one does not"},
    {.property = "not-pristine",
     .what = "more to be had once all is released",
     .victim = &free_list_strategy,
     .with = {.create = has_not_released,
              .allocate = more_after_release,
              .release = remembers_release},
     .program = TWO_BLOCKS,
     .says = "this one gives one"},
    {.property = "clean",
     .near = "not-pristine",
     .what = "neither, as nothing was ever released",
     .victim = &free_list_strategy,
     .with = {.create = has_not_released,
              .allocate = less_after_release,
              .release = remembers_release},
     .program = "allocate 0 size=200; allocate 1 size=300; reset; allocate 0 size=9000"},
    {.property = "not-pristine",
     .what = "a page kept once all is released",
     .victim = &page_bump_strategy,
     .with = {.create = has_no_hoard, .release = hoards_page, .walk = shows_hoard},
     .program = TWO_BLOCKS,
     .says = "holds"},
    {.property = "clean",
     .near = "source-leak",
     .what = "a page kept until all is released",
     .victim = &page_bump_strategy,
     .with = {.create = has_no_hoard, .release = hoards_page_while_in_use, .walk = shows_hoard},
     .program = TWO_BLOCKS},

    {.property = "source-leak",
     .what = "destroy that returns nothing",
     .victim = &bump_strategy,
     .with = {.destroy = destroys_nothing},
     .program = "allocate 0 size=9",
     .says = "did not go back"},
    {.property = "source-leak",
     .what = "a stretch returned with another size",
     .victim = &free_list_strategy,
     .with = {.create = will_return_less},
     .program = "",
     .says = "1 times"},
    {.property = "source-leak",
     .what = "a stretch returned twice",
     .victim = &free_list_strategy,
     .with = {.create = will_return_twice},
     .program = "",
     .says = "1 times"},
    {.property = "source-leak",
     .what = "a chunk returned twice while the heap lives on",
     .victim = &page_bump_strategy,
     .with = {.create = will_return_twice},
     .program = "allocate 0 size=9; release 0",
     .tiers = WALKING},
    {.property = "source-leak",
     .what = "create that fails half-way and keeps a page",
     .victim = &page_bump_strategy,
     .with = {.create = fails_halfway_and_keeps},
     .program = "fault mask=2",
     .says = "create"},
    {.property = "source-leak",
     .what = "create that fails half-way and returns a page twice",
     .victim = &page_bump_strategy,
     .with = {.create = fails_halfway_and_returns_twice},
     .program = "fault mask=2",
     .says = "create"},
    {.property = "clean",
     .near = "source-leak",
     .what = "create that fails half-way",
     .victim = &page_bump_strategy,
     .with = {.create = fails_halfway},
     .program = "fault mask=2"},
};

#endif
