// Damage to what an allocator says: of releases and resets, and of itself when it is walked or
// checked.
#ifndef HARNESS_DAMAGE_REPORTS_H_
#define HARNESS_DAMAGE_REPORTS_H_

#include "harness/damage_state.h"

// ## reset, and releases that are none

static void resets_nothing(struct allocator *self) { (void)self; }

static void resets_all_but_one(struct allocator *self) {
  victim->reset(self);
  victim->allocate(self, 16, 16);
}

static void hoards_page_at_reset(struct allocator *self) {
  if (!hoard && victim->statistics(self).blocks > 0)
    hoard = given->acquire(given, given->page_size);
  victim->reset(self);
}

static enum release_result accepts_release(struct allocator *self, void *block) {
  victim->release(self, block);
  return RELEASED;
}

static enum release_result says_foreign(struct allocator *self, void *block) {
  return victim->release(self, block) == RELEASED ? RELEASED : RELEASE_FOREIGN;
}

static enum release_result says_double(struct allocator *self, void *block) {
  return victim->release(self, block) == RELEASED ? RELEASED : RELEASE_DOUBLE;
}

static enum release_result reads_foreign(struct allocator *self, void *block) {
  damage_by_reading(address_of(block));
  return victim->release(self, block);
}

// As a comparison with the end of the heap that is off by one.
static enum release_result accepts_the_end(struct allocator *self, void *block) {
  return block == heap_of(self).end ? RELEASED : victim->release(self, block);
}

static enum release_result refuses_release(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASE_DOUBLE;
}

static enum release_result takes_null_for_foreign(struct allocator *self, void *block) {
  return block ? victim->release(self, block) : RELEASE_FOREIGN;
}

static enum release_result takes_null_for_nothing(struct allocator *self, void *block) {
  return block ? victim->release(self, block) : RELEASED;
}

static size_t usable_of_blocks_only(const struct allocator *self, const void *block) {
  return block ? victim->usable_size(self, block) : 0;
}

static size_t usable_header_of_null(const struct allocator *self, const void *block) {
  return block ? victim->usable_size(self, block) : 16;
}

// ## invariant

static enum release_result forgets_left_neighbour(struct allocator *self, void *block) {
  bool damages = victim->usable_size(self, block) < LITTLE;
  enum release_result result = victim->release(self, block);
  if (damages) ((size_t *)block)[-2] ^= 32;  // the first word of free_list's header
  return result;
}

static struct broken_invariant breaks_the_second(const struct allocator *self) {
  struct broken_invariant broken = victim->check(self);
  return victim->statistics(self).blocks == 2 ? (struct broken_invariant){2, self} : broken;
}

// ## walk: the victim's, retold

struct retold {
  span_visitor *visit;
  void *context;
  struct span last;
};

static void hide_free(void *context, const struct span *span) {
  struct retold *retold = context;
  if (span->kind != SPAN_FREE) retold->visit(retold->context, span);
}

static void show_as_free(void *context, const struct span *span) {
  struct retold *retold = context;
  struct span shown = *span;
  if (shown.kind == SPAN_BLOCK) shown.kind = SPAN_FREE;
  retold->visit(retold->context, &shown);
}

static void show_as_block(void *context, const struct span *span) {
  struct retold *retold = context;
  struct span shown = *span;
  if (shown.kind == SPAN_FREE) shown.kind = SPAN_BLOCK;
  retold->visit(retold->context, &shown);
}

static void show_twice(void *context, const struct span *span) {
  struct retold *retold = context;
  retold->visit(retold->context, span);
  if (span->kind == SPAN_FREE) retold->visit(retold->context, span);
}

static void show_past_the_end(void *context, const struct span *span) {
  struct retold *retold = context;
  struct span shown = *span;
  if (shown.kind == SPAN_FREE) shown.size = (size_t)1 << 30;
  retold->visit(retold->context, &shown);
}

static void show_two_as_one(void *context, const struct span *span) {
  struct retold *retold = context;
  if (span->kind == SPAN_BLOCK) {
    retold->visit(retold->context, &(struct span){span->start, 8, SPAN_BLOCK});
    retold->visit(retold->context,
                  &(struct span){(const char *)span->start + 8, span->size - 8, SPAN_BLOCK});
  } else {
    retold->visit(retold->context, span);
  }
}

static void show_in_pieces(void *context, const struct span *span) {
  struct retold *retold = context;
  if (span->kind == SPAN_BLOCK || span->size < 2) {
    retold->visit(retold->context, span);
  } else {
    retold->visit(retold->context, &(struct span){span->start, 1, span->kind});
    retold->visit(retold->context,
                  &(struct span){(const char *)span->start + 1, span->size - 1, span->kind});
  }
}

#define RETELL(name, how)                                                                          \
  static void name(const struct allocator *self, span_visitor *visit, void *context) {             \
    struct retold retold = {.visit = visit, .context = context};                                   \
    victim->walk(self, how, &retold);                                                              \
  }
RETELL(walks_less, hide_free)
RETELL(walks_live_as_free, show_as_free)
RETELL(walks_free_as_live, show_as_block)
RETELL(walks_twice, show_twice)
RETELL(walks_too_far, show_past_the_end)
RETELL(walks_one_as_two, show_two_as_one)
RETELL(walks_in_pieces, show_in_pieces)

// ## statistics: of two live blocks

#define RECOUNT(name, what)                                                                        \
  static struct statistics name(const struct allocator *self) {                                    \
    struct statistics told = victim->statistics(self);                                             \
    if (told.blocks == 2) what;                                                                    \
    return told;                                                                                   \
  }
RECOUNT(acquired_less, told.acquired -= 1)
RECOUNT(uses_more, told.used += 1)
RECOUNT(one_more_free, told.largest_free = told.acquired - told.used + 1)
RECOUNT(all_free_in_one, told.largest_free = told.acquired - told.used)
RECOUNT(one_block_more, told.blocks += 1)
RECOUNT(no_blocks, told.blocks = 0)

static const struct damage damage_reports[] = {
    {.property = "reset",
     .what = "reset that does nothing",
     .victim = &bump_strategy,
     .with = {.reset = resets_nothing},
     .program = "allocate 0 size=9; reset",
     .says = "operation 1",
     .tiers = WALKING},
    {.property = "reset",
     .what = "the same at the end",
     .victim = &bump_strategy,
     .with = {.reset = resets_nothing},
     .program = "allocate 0 size=9",
     .says = "reset of all"},
    {.property = "reset",
     .what = "reset that keeps a block",
     .victim = &free_list_strategy,
     .with = {.reset = resets_all_but_one},
     .program = "allocate 0 size=9; reset",
     .tiers = WALKING,
     .says = "operation 1"},
    {.property = "reset",
     .what = "reset that takes a page",
     .victim = &page_bump_strategy,
     .with = {.create = has_no_hoard, .reset = hoards_page_at_reset, .walk = shows_hoard},
     .program = "allocate 0 size=9; reset",
     .says = "bytes of its source instead of"},
    {.property = "clean",
     .near = "reset",
     .what = "reset of nothing, and twice",
     .victim = &bump_strategy,
     .program = "reset; allocate 0 size=9; reset; reset; allocate 0 size=30000"},

    {.property = "double-release-missed",
     .what = "a second release accepted",
     .victim = &free_list_strategy,
     .with = {.release = accepts_release},
     .program = "allocate 0 size=77; release 0; release_again 0",
     .says = "was accepted"},
    {.property = "double-release-missed",
     .what = "a second release taken for a foreign one",
     .victim = &free_list_strategy,
     .with = {.release = says_foreign},
     .program = "allocate 0 size=77; release 0; release_again 0",
     .says = "another misuse"},
    {.property = "double-release-missed",
     .what = "a release after reset accepted",
     .victim = &free_list_strategy,
     .with = {.release = accepts_release},
     .program = "allocate 0 size=77; reset; release_again 0"},
    {.property = "clean",
     .near = "double-release-missed",
     .idle = true,
     .what = "a second release once the memory serves another block",
     .victim = &free_list_strategy,
     .with = {.release = accepts_release},
     .program = "allocate 0 size=77; release 0; allocate 0 size=20; release_again 0"},
    {.property = "foreign-release-missed",
     .what = "a foreign release accepted",
     .victim = &free_list_strategy,
     .with = {.release = accepts_release},
     .program = "release_foreign 0"},
    {.property = "foreign-release-missed",
     .what = "a foreign release taken for a double one",
     .victim = &free_list_strategy,
     .with = {.release = says_double},
     .program = "release_foreign 1"},
    {.property = "foreign-release-missed",
     .what = "the address where the heap ends accepted",
     .victim = &free_list_strategy,
     .with = {.release = accepts_the_end},
     .program = "release_foreign 3"},
    {.property = "foreign-release-missed",
     .what = "a foreign address looked at before it is refused",
     .victim = &free_list_strategy,
     .with = {.release = reads_foreign},
     .program = "release_foreign 1"},
    {.property = "clean",
     .near = "foreign-release-missed",
     .what = "the address where the heap ends refused",
     .victim = &free_list_strategy,
     .program = "release_foreign 3"},
    {.property = "clean",
     .near = "double-release-missed",
     .idle = true,
     .what = "a second release of what was never released",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; release_again 0"},
    {.property = "release-refused",
     .what = "the release of a live block refused",
     .victim = &free_list_strategy,
     .with = {.release = refuses_release},
     .program = "allocate 0 size=77; release 0",
     .says = "taken for a double release"},
    {.property = "release-refused",
     .what = "the release of NULL refused",
     .victim = &free_list_strategy,
     .with = {.release = takes_null_for_foreign},
     .program = TWO_BLOCKS,
     .says = "NULL was taken for a foreign release"},
    {.property = "usable-size",
     .what = "a usable size of NULL",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_header_of_null},
     .program = TWO_BLOCKS,
     .says = "usable size of NULL"},
    {.property = "clean",
     .near = "release-refused",
     .what = "NULL accepted by both, other addresses outside the heap not",
     .victim = &free_list_strategy,
     .with = {.release = takes_null_for_nothing, .usable_size = usable_of_blocks_only},
     .program = "allocate 0 size=77; use 0; release_foreign 0; release 0; release_foreign 1"},
    {.property = "clean",
     .near = "double-release-missed",
     .what = "all misuses seen, all releases accepted",
     .victim = &free_list_strategy,
     .program =
         "allocate 0 size=77\nallocate 1 size=77\nallocate 2 size=77\nrelease 1\nrelease_again 0\n"
         "release 0\nrelease_again 0\nrelease_again 1\nrelease_foreign 0\nrelease_foreign "
         "1\nrelease_foreign 3\nrelease 2\n"
         "release_again 1\nallocate 0 size=300\nrelease_again 2\nreset\nrelease_again 0"},

    {.property = "invariant:damaged.I3",
     .what = "a header that forgets its left neighbour",
     .victim = &free_list_strategy,
     .with = {.release = forgets_left_neighbour},
     .program = "allocate 0 size=200; allocate 1 size=77; release 1",
     .says = "I3 does not hold at"},
    {.property = "invariant:damaged.I2",
     .what = "an invariant that two blocks break",
     .victim = &free_list_strategy,
     .with = {.check = breaks_the_second},
     .program = TWO_BLOCKS,
     .tiers = PARANOID,
     .says = "operation 1, allocate of slot 1"},
    {.property = "clean",
     .near = "invariant",
     .what = "the same with one block",
     .victim = &free_list_strategy,
     .with = {.check = breaks_the_second},
     .program = "allocate 0 size=9; release 0; allocate 1 size=9"},

    {.property = "walk",
     .what = "free memory not shown",
     .victim = &free_list_strategy,
     .with = {.walk = walks_less},
     .program = "",
     .says = "were acquired"},
    {.property = "walk",
     .what = "a live block shown as free",
     .victim = &free_list_strategy,
     .with = {.walk = walks_live_as_free},
     .program = "allocate 0 size=9",
     .says = "as free over live slot 0 at"},
    {.property = "walk",
     .what = "free memory shown as a block",
     .victim = &free_list_strategy,
     .with = {.walk = walks_free_as_live},
     .program = "",
     .says = "no live block is there"},
    {.property = "walk",
     .what = "a span shown twice",
     .victim = &bump_strategy,
     .with = {.walk = walks_twice},
     .program = "",
     .says = "does not come after"},
    {.property = "walk",
     .what = "a span that does not end with the heap",
     .victim = &bump_strategy,
     .with = {.walk = walks_too_far},
     .program = "",
     .says = "is not inside"},
    {.property = "walk",
     .what = "one block shown as two",
     .victim = &free_list_strategy,
     .with = {.walk = walks_one_as_two},
     .program = "allocate 0 size=77",
     .says = "2 blocks, but 1"},
    {.property = "statistics",
     .what = "a byte less acquired",
     .victim = &free_list_strategy,
     .with = {.statistics = acquired_less},
     .program = TWO_BLOCKS,
     .tiers = PARANOID,
     .says = "operation 1, allocate of slot 1"},
    {.property = "statistics",
     .what = "a byte more in use, noticed at the end",
     .victim = &free_list_strategy,
     .with = {.statistics = uses_more},
     .program = "allocate 0 size=100; allocate 1 size=77",
     .says = "to be in use"},
    {.property = "statistics",
     .what = "one byte more free than there is",
     .victim = &free_list_strategy,
     .with = {.statistics = one_more_free},
     .program = "allocate 0 size=100; allocate 1 size=77",
     .says = "in one piece"},
    {.property = "statistics",
     .what = "one block too many",
     .victim = &free_list_strategy,
     .with = {.statistics = one_block_more},
     .program = "allocate 0 size=100; allocate 1 size=77",
     .says = "3 blocks"},
    {.property = "statistics",
     .what = "no blocks, from one that shows each",
     .victim = &free_list_strategy,
     .with = {.statistics = no_blocks},
     .program = "allocate 0 size=100; allocate 1 size=77",
     .says = "0 blocks"},
    {.property = "clean",
     .near = "statistics",
     .what = "all that is free, in one piece",
     .victim = &free_list_strategy,
     .with = {.statistics = all_free_in_one},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "walk",
     .what = "all but blocks shown in pieces",
     .victim = &free_list_strategy,
     .with = {.walk = walks_in_pieces},
     .program = "allocate 0 size=77; allocate 1 size=9; use 0; release 0; resize 1 size=40"},
};

#endif
