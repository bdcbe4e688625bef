// Damage by touching what is not the allocator's, by not coming back, and by not being one thing.
#ifndef HARNESS_DAMAGE_ACCESS_H_
#define HARNESS_DAMAGE_ACCESS_H_

#include "harness/damage_reports.h"

// ## touched-live-block

static void *writes_live(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_writing(first_live()->start + 1);
  return victim->allocate(self, size, align);
}

static void *reads_live(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading(first_live()->start + first_live()->size / 2);
  return victim->allocate(self, size, align);
}

static void *decides_by_live(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER && damage_by_reading(first_live()->start) == 0) return NULL;
  return victim->allocate(self, size, align);
}

static void *reads_before_live(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading(first_live()->start - 1);
  return victim->allocate(self, size, align);
}

static void *copies_live(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size, align);
  if (size == TRIGGER) copy(block, at(first_live()->start), 8);
  return block;
}

static void *fills_what_it_returns(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size, align);
  if (block) memset(block, 0, size);
  for (size_t i = 0; block && i < size; i++)
    if (damage_by_reading(address_of(block) + i) != 0) return NULL;
  return block;
}

static enum release_result fills_what_is_released(struct allocator *self, void *block) {
  if (block) memset(block, 0xDD, victim->usable_size(self, block));
  return victim->release(self, block);
}

// ## overlapping-copy

static void *copies(struct allocator *self, size_t size, size_t align, size_t distance,
                    void *(*how)(void *, const void *, size_t)) {
  unsigned char *block = victim->allocate(self, size, align);
  if (block && size == TRIGGER) how(block + distance, block, TRIGGER / 2);
  return block;
}

static void *copies_one_too_near(struct allocator *self, size_t size, size_t align) {
  return copies(self, size, align, TRIGGER / 2 - 1, copy);
}
static void *copies_next_to(struct allocator *self, size_t size, size_t align) {
  return copies(self, size, align, TRIGGER / 2, copy);
}
static void *copies_onto_itself(struct allocator *self, size_t size, size_t align) {
  return copies(self, size, align, 0, copy);
}
static void *moves_one_up(struct allocator *self, size_t size, size_t align) {
  return copies(self, size, align, 1, move);
}
static void *copies_one_down(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size, align);
  if (block && size == TRIGGER) copy(block, block + 1, TRIGGER - 1);
  return block;
}

// ## outside-heap

static void *writes_past_the_end(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_writing(address_of(heap_of(self).end));
  return victim->allocate(self, size, align);
}
static void *writes_past_the_end_unseen(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) flip_unseen(address_of(heap_of(self).end) + 63);
  return victim->allocate(self, size, align);
}
static void *reads_past_the_end(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading(address_of(heap_of(self).end));
  return victim->allocate(self, size, align);
}
static void *writes_below(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_writing(address_of(heap_of(self).start) - 1);
  return victim->allocate(self, size, align);
}
static void *reads_below(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading(address_of(heap_of(self).start) - 1);
  return victim->allocate(self, size, align);
}
static void *writes_both_ends(struct allocator *self, size_t size, size_t align) {
  struct extent heap = heap_of(self);
  if (size == TRIGGER) {
    damage_by_reading(address_of(heap.start));
    damage_by_writing(address_of(heap.end) - 1);
  }
  return victim->allocate(self, size, align);
}

static void destroys_and_writes_past_the_end(struct allocator *self) {
  uintptr_t end = address_of(heap_of(self).end);
  flip_unseen(end);
  victim->destroy(self);
}

// The page of the only block goes back with it.
static enum release_result writes_after_return(struct allocator *self, void *block) {
  enum release_result result = victim->release(self, block);
  damage_by_writing(address_of(block));
  return result;
}
static enum release_result writes_after_return_unseen(struct allocator *self, void *block) {
  enum release_result result = victim->release(self, block);
  flip_unseen(address_of(block));
  return result;
}
static enum release_result writes_before_return(struct allocator *self, void *block) {
  if (block) damage_by_writing(address_of(block));
  return victim->release(self, block);
}

// ## undefined-behaviour, crash, hang

static void *overflows(struct allocator *self, size_t size, size_t align) {
  volatile int most = 0x7fffffff;
  if (size == TRIGGER) most = most + 1;
  return victim->allocate(self, size, align);
}

static void *wraps(struct allocator *self, size_t size, size_t align) {
  volatile unsigned most = 0xffffffff;
  if (size == TRIGGER) most = most + 1;
  return victim->allocate(self, size, align);
}

static void *decides_by_dirt(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size, align);
  if (size == TRIGGER && *(volatile unsigned char *)block == 0xA5) block++;
  return block;
}

static void *writes_to_null(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) *(size_t *)at(0) = 1;
  return victim->allocate(self, size, align);
}
static void *reads_nowhere(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading(UINTPTR_MAX / 4 + 1);
  return victim->allocate(self, size, align);
}

static __attribute__((noinline)) unsigned deepen(unsigned depth) {
  volatile unsigned char frame[256];
  frame[0] = (unsigned char)depth;
  return depth == UINT32_MAX ? 0 : deepen(depth + 1) + frame[0];
}
static void *recurses(struct allocator *self, size_t size, size_t align) {
  volatile unsigned start = 0;
  if (size == TRIGGER) start = deepen(start);
  return victim->allocate(self, size, align);
}

static __attribute__((noinline)) unsigned deepen_to(unsigned depth, unsigned end) {
  volatile unsigned char frame[256];
  frame[0] = (unsigned char)depth;
  return depth == end ? 0 : deepen_to(depth + 1, end) + frame[0];
}
static void *recurses_far(struct allocator *self, size_t size, size_t align) {
  volatile unsigned start = 0;
  if (size == TRIGGER) start = deepen_to(start, 1000);
  return victim->allocate(self, size, align);
}

static void *returns_late(struct allocator *self, size_t size, size_t align) {
  for (volatile unsigned i = 0; size == TRIGGER && i < 1000000;) i = i + 1;
  return victim->allocate(self, size, align);
}
static void *never_returns(struct allocator *self, size_t size, size_t align) {
  volatile bool forever = size == TRIGGER;
  while (forever) {
  }
  return victim->allocate(self, size, align);
}

// ## nondeterministic

static void *one_up_if(bool condition, struct allocator *self, size_t size, size_t align) {
  unsigned char *block = victim->allocate(self, size + 1, align);
  return block && condition ? block + 1 : block;
}

static void *counts_in_static(struct allocator *self, size_t size, size_t align) {
  static unsigned calls;
  return size == TRIGGER ? one_up_if(calls++ % 2, self, size, align)
                         : victim->allocate(self, size, align);
}

static void *counts_all_its_life(struct allocator *self, size_t size, size_t align) {
  static unsigned calls;
  if (size != TRIGGER) return victim->allocate(self, size, align);
  for (unsigned i = 0; i < calls; i++) victim->allocate(self, 1, 1);
  calls++;
  return victim->allocate(self, size, align);
}

static void *asks_its_address(struct allocator *self, size_t size, size_t align) {
  return size == TRIGGER ? one_up_if(address_of(self) >> 20 & 1, self, size, align)
                         : victim->allocate(self, size, align);
}

static void *asks_the_dirt(struct allocator *self, size_t size, size_t align) {
  bool odd = *(heap_of(self).end - 1) & 1;
  return size == TRIGGER ? one_up_if(odd, self, size, align) : victim->allocate(self, size, align);
}

static void *asks_and_does_not_mind(struct allocator *self, size_t size, size_t align) {
  static unsigned calls;
  volatile uintptr_t noise = address_of(self) + calls++;
  (void)noise;
  return victim->allocate(self, size, align);
}

// Tries again every other time that it was refused.
static struct allocator *created_by_chance(struct source *source,
                                           const struct strategy_options *options) {
  static unsigned refusals;
  struct allocator *allocator = victim->create(source, options);
  return allocator || refusals++ % 2 == 0 ? allocator : victim->create(source, options);
}

// All answers are the same, but what is left free is not.
static void *wastes_by_chance(struct allocator *self, size_t size, size_t align) {
  static unsigned calls;
  void *block = victim->allocate(self, size, align);
  if (size == TRIGGER && calls++ % 2) victim->allocate(self, 1, 1);
  return block;
}

static const struct damage damage_access[] = {
    {.property = "touched-live-block",
     .what = "a write to another block",
     .victim = &bump_strategy,
     .with = {.allocate = writes_live},
     .program = TWO_BLOCKS,
     .builds = ASAN | VALGRIND,
     .says = "operation 1, allocate of slot 1"},
    {.property = "content",
     .what = "the same where only its effect is seen",
     .victim = &bump_strategy,
     .with = {.allocate = writes_live},
     .program = TWO_BLOCKS,
     .builds = PLAIN | MSAN},
    {.property = "touched-live-block",
     .what = "a read of another block",
     .victim = &free_list_strategy,
     .with = {.allocate = reads_live},
     .program = TWO_BLOCKS,
     .builds = ASAN | VALGRIND,
     .says = "operation 1, allocate of slot 1"},
    {.property = "touched-live-block",
     .what = "a copy of another block",
     .victim = &free_list_strategy,
     .with = {.allocate = copies_live},
     .program = TWO_BLOCKS,
     .builds = ASAN | VALGRIND,
     .says = "operation 1, allocate of slot 1"},
    {.property = "undefined-behaviour",
     .what = "a decision by what another block holds",
     .victim = &free_list_strategy,
     .with = {.allocate = decides_by_live},
     .program = TWO_BLOCKS,
     .builds = MSAN},
    {.property = "clean",
     .near = "touched-live-block",
     .what = "a read of the byte before another block",
     .victim = &free_list_strategy,
     .with = {.allocate = reads_before_live},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "touched-live-block",
     .what = "all bytes of a block written and read before it is returned",
     .victim = &free_list_strategy,
     .with = {.allocate = fills_what_it_returns},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "touched-live-block",
     .what = "all bytes of a block written when it is released",
     .victim = &free_list_strategy,
     .with = {.release = fills_what_is_released},
     .program = TWO_BLOCKS},

    {.property = "overlapping-copy",
     .what = "memcpy upwards, one byte too near",
     .victim = &bump_strategy,
     .with = {.allocate = copies_one_too_near},
     .program = TWO_BLOCKS,
     .says = "37 bytes higher"},
    {.property = "overlapping-copy",
     .what = "memcpy downwards by one byte",
     .victim = &free_list_strategy,
     .with = {.allocate = copies_one_down},
     .program = TWO_BLOCKS,
     .says = "1 bytes lower"},
    {.property = "clean",
     .near = "overlapping-copy",
     .what = "memcpy to where the original ends",
     .victim = &bump_strategy,
     .with = {.allocate = copies_next_to},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "overlapping-copy",
     .idle = true,
     .what = "memcpy onto the original itself",
     .victim = &bump_strategy,
     .with = {.allocate = copies_onto_itself},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "overlapping-copy",
     .idle = true,
     .what = "memmove on ranges that overlap",
     .victim = &bump_strategy,
     .with = {.allocate = moves_one_up},
     .program = TWO_BLOCKS},

    {.property = "outside-heap",
     .what = "a write just past the end",
     .victim = &bump_strategy,
     .with = {.allocate = writes_past_the_end},
     .program = TWO_BLOCKS},
    {.property = "outside-heap",
     .what = "the same, told as a write",
     .victim = &bump_strategy,
     .with = {.allocate = writes_past_the_end},
     .program = TWO_BLOCKS,
     .builds = ASAN,
     .says = ", it wrote at"},
    {.property = "outside-heap",
     .what = "a write a little past the end that only the canary sees",
     .victim = &bump_strategy,
     .with = {.allocate = writes_past_the_end_unseen},
     .program = TWO_BLOCKS},
    {.property = "outside-heap",
     .what = "a read past the end",
     .victim = &bump_strategy,
     .with = {.allocate = reads_past_the_end},
     .program = TWO_BLOCKS,
     .builds = ASAN,
     .says = ", it read, and no harm was seen, at"},
    {.property = "outside-heap",
     .what = "a read below, told as one",
     .victim = &bump_strategy,
     .with = {.allocate = reads_below},
     .program = TWO_BLOCKS,
     .builds = PLAIN | ASAN,
     .says = ", it read"},
    {.property = "outside-heap",
     .what = "a read below",
     .victim = &bump_strategy,
     .with = {.allocate = reads_below},
     .program = TWO_BLOCKS,
     .says = "operation 1, allocate of slot 1"},
    {.property = "outside-heap",
     .what = "a write below",
     .victim = &bump_strategy,
     .with = {.allocate = writes_below},
     .program = TWO_BLOCKS},
    {.property = "outside-heap",
     .what = "the same, told as a write",
     .victim = &bump_strategy,
     .with = {.allocate = writes_below},
     .program = TWO_BLOCKS,
     .builds = PLAIN | ASAN,
     .says = ", it wrote"},
    {.property = "outside-heap",
     .what = "a write below a heap that begins anywhere",
     .victim = &bump_strategy,
     .with = {.allocate = writes_below},
     .program = TWO_BLOCKS,
     .sources = FIXED,
     .heap = "capacity=32768 skew=13"},
    {.property = "outside-heap",
     .what = "a write past the end by destroy",
     .victim = &bump_strategy,
     .with = {.destroy = destroys_and_writes_past_the_end},
     .program = TWO_BLOCKS},
    {.property = "outside-heap",
     .what = "a write to a page that went back",
     .victim = &page_bump_strategy,
     .with = {.release = writes_after_return},
     .program = "allocate 0 size=77; release 0; allocate 1 size=9",
     .heap = "capacity=32768 page=64"},
    {.property = "outside-heap",
     .what = "the same where only the canary sees it",
     .victim = &page_bump_strategy,
     .with = {.release = writes_after_return_unseen},
     .program = "allocate 0 size=77; release 0; allocate 1 size=9",
     .heap = "capacity=32768 page=64"},
    {.property = "clean",
     .near = "outside-heap",
     .what = "a write to a page that is about to go back",
     .victim = &page_bump_strategy,
     .with = {.release = writes_before_return},
     .program = "allocate 0 size=77; release 0; allocate 1 size=9"},
    {.property = "clean",
     .near = "outside-heap",
     .what = "the first byte of the heap read, the last one written",
     .victim = &bump_strategy,
     .with = {.allocate = writes_both_ends},
     .program = TWO_BLOCKS},

    {.property = "undefined-behaviour",
     .what = "a sum that overflows",
     .victim = &bump_strategy,
     .with = {.allocate = overflows},
     .program = "allocate 0 size=77",
     .builds = ASAN,
     .says = "cannot be represented"},
    {.property = "undefined-behaviour",
     .what = "a decision by what fresh memory holds",
     .victim = &bump_strategy,
     .with = {.allocate = decides_by_dirt},
     .program = "allocate 0 size=77",
     .builds = MSAN},

    {.property = "clean",
     .near = "undefined-behaviour",
     .what = "a sum that wraps",
     .victim = &bump_strategy,
     .with = {.allocate = wraps},
     .program = "allocate 0 size=77"},

    {.property = "clean",
     .near = "crash",
     .what = "a recursion that ends",
     .victim = &bump_strategy,
     .with = {.allocate = recurses_far},
     .program = "allocate 0 size=77"},
    {.property = "clean",
     .near = "hang",
     .what = "a loop that ends",
     .victim = &bump_strategy,
     .with = {.allocate = returns_late},
     .program = "allocate 0 size=77"},
    {.property = "crash",
     .what = "a write through NULL",
     .victim = &bump_strategy,
     .with = {.allocate = writes_to_null},
     .program = "allocate 0 size=77",
     .says = "operation 0, allocate of slot 0"},
    {.property = "crash",
     .what = "a read through a pointer to nowhere",
     .victim = &bump_strategy,
     .with = {.allocate = reads_nowhere},
     .program = "allocate 0 size=77",
     .sources = FIXED,
     .builds = PLAIN | ASAN | MSAN},
    {.property = "crash",
     .what = "a recursion without end",
     .victim = &bump_strategy,
     .with = {.allocate = recurses},
     .program = "allocate 0 size=77",
     .tiers = FULL,
     .sources = FIXED,
     .builds = PLAIN | ASAN},
    {.property = "hang",
     .what = "a loop without end",
     .victim = &bump_strategy,
     .with = {.allocate = never_returns},
     .program = "allocate 0 size=9; allocate 1 size=77",
     .tiers = FULL,
     .sources = FIXED,
     .says = "operation 1, allocate of slot 1"},

    {.property = "nondeterministic",
     .what = "an answer that static state decides",
     .victim = &bump_strategy,
     .with = {.allocate = counts_in_static},
     .program = "allocate 0 size=77",
     .tiers = PARANOID},
    {.property = "nondeterministic",
     .what = "the same behind a request that was refused, which is not to blame",
     .victim = &bump_strategy,
     .with = {.allocate = counts_all_its_life, .max_align = (size_t)1 << 22},
     .program = "allocate 0 size=9 align=3; allocate 0 size=77",
     .tiers = PARANOID,
     .says = "operation 1, allocate of slot 0"},
    {.property = "nondeterministic",
     .what = "an answer that the heap's address decides",
     .victim = &bump_strategy,
     .with = {.allocate = asks_its_address},
     .program = "allocate 0 size=77",
     .tiers = PARANOID},
    {.property = "nondeterministic",
     .what = "an answer that fresh memory decides",
     .victim = &bump_strategy,
     .with = {.allocate = asks_the_dirt},
     .program = "allocate 0 size=77",
     .tiers = PARANOID,
     .builds = PLAIN | ASAN | VALGRIND},
    {.property = "nondeterministic",
     .what = "the same answers, but other free memory",
     .victim = &bump_strategy,
     .with = {.allocate = wastes_by_chance},
     .program = "allocate 0 size=9; allocate 1 size=77",
     .tiers = PARANOID,
     .says = "the walk is not"},
    {.property = "nondeterministic",
     .what = "an allocator that cannot be created every other time",
     .victim = &page_bump_strategy,
     .with = {.create = created_by_chance},
     .program = "fault mask=1",
     .tiers = PARANOID,
     .says = "create"},
    {.property = "clean",
     .near = "nondeterministic",
     .what = "static state and addresses that decide nothing",
     .victim = &bump_strategy,
     .with = {.allocate = asks_and_does_not_mind},
     .program = "allocate 0 size=77; allocate 1 size=9"},
};

#endif
