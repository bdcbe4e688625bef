// Damage to what requests return: where a block lies, what is in it, and what should have been
// refused.
#ifndef HARNESS_DAMAGE_ANSWERS_H_
#define HARNESS_DAMAGE_ANSWERS_H_

#include "harness/damage.h"

// ## alignment, bounds, overlap

static void *one_byte_up(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER) return victim->allocate(self, size, align);
  unsigned char *block = victim->allocate(self, size + 1, align);
  return block ? block + 1 : NULL;
}

static void *least_aligned(struct allocator *self, size_t size, size_t align) {
  (void)align;
  return victim->allocate(self, size, victim->min_align);
}

static void *past_the_end(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER) return victim->allocate(self, size, align);
  return heap_of(self).end - TRIGGER + 1;
}

static void *before_the_start(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER) return victim->allocate(self, size, align);
  return at(address_of(heap_of(self).start) - 1);
}

static void *over_last_byte(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER) return victim->allocate(self, size, align);
  return at(first_live()->start + first_live()->size - 1);
}

static void *over_first_byte(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER) return victim->allocate(self, size, align);
  return at(first_live()->start + 1 - size);
}

static void *the_same_again(struct allocator *self, size_t size, size_t align) {
  return first_live() ? at(first_live()->start) : victim->allocate(self, size, align);
}

static void *moved_over_neighbour(struct allocator *self, void *block, size_t size, size_t align) {
  (void)self, (void)block, (void)size, (void)align;
  return at(first_live()->start);
}

// ## content

static void *flips_first(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) flip_unseen(first_live()->start);
  return victim->allocate(self, size, align);
}

static void *flips_last(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) flip_unseen(first_live()->start + first_live()->size - 1);
  return victim->allocate(self, size, align);
}

static void *flips_middle(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) flip_unseen(first_live()->start + first_live()->size / 2);
  return victim->allocate(self, size, align);
}

static void *flips_twice(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) {
    flip_unseen(first_live()->start);
    flip_unseen(first_live()->start);
  }
  return victim->allocate(self, size, align);
}

static void *refuses_and_flips(struct allocator *self, void *block, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  *(unsigned char *)block ^= 1;
  return NULL;
}

// ## zeroed

static void *not_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  return victim->allocate(self, count * size, align);
}

static void *last_byte_not_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  unsigned char *block = victim->allocate_zeroed(self, count, size, align);
  if (block) block[count * size - 1] = 1;
  return block;
}

// ## resize-prefix: of TRIGGER bytes

static void *loses_last_kept(struct allocator *self, void *block, size_t size, size_t align) {
  unsigned char *moved = victim->resize(self, block, size, align);
  if (moved) moved[(size < TRIGGER ? size : TRIGGER) - 1] ^= 1;
  return moved;
}

static void *shifts_kept(struct allocator *self, void *block, size_t size, size_t align) {
  unsigned char *moved = victim->resize(self, block, size, align);
  if (moved) move(moved, moved + 8, TRIGGER - 8);
  return moved;
}

static void *changes_what_follows(struct allocator *self, void *block, size_t size, size_t align) {
  unsigned char *moved = victim->resize(self, block, size, align);
  if (moved && size > TRIGGER) moved[TRIGGER] ^= 1;
  return moved;
}

// ## usable-size

static size_t usable_less(const struct allocator *self, const void *block) {
  (void)self, (void)block;
  return TRIGGER - 1;
}

static size_t usable_exact(const struct allocator *self, const void *block) {
  (void)self;
  return block ? TRIGGER : 0;
}

static size_t usable_past_the_end(const struct allocator *self, const void *block) {
  return address_of(heap_of(self).end) - address_of(block) + 1;
}

static size_t usable_with_header(const struct allocator *self, const void *block) {
  return victim->usable_size(self, block) + 2 * sizeof(size_t);
}

static size_t usable_with_neighbour(const struct allocator *self, const void *block) {
  return victim->usable_size(self, block) + 2 * sizeof(size_t) + 1;
}

// ## oversize-accepted

static void *accepts_all(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  return block ? block : victim->allocate(self, 16, 16);
}

static void *accepts_all_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  void *block = victim->allocate_zeroed(self, count, size, align);
  return block ? block : victim->allocate_zeroed(self, 1, 16, 16);
}

static void *accepts_all_in_place(struct allocator *self, void *block, size_t size, size_t align) {
  void *moved = victim->resize(self, block, size, align);
  return moved ? moved : block;
}

// Every size from the heap's down to one byte: the first that fits ends where the heap ends, and
// one byte more was refused before. Filled in by the test.
static char ladder[16384];

#define TWO_BLOCKS "allocate 0 size=100; allocate 1 size=77; release 0; release 1"

static const struct damage damage_answers[] = {
    {.property = "alignment",
     .what = "a block one byte up",
     .victim = &bump_strategy,
     .with = {.allocate = one_byte_up},
     .program = "allocate 0 size=77 align=2",
     .says = "operation 0, allocate of slot 0"},
    {.property = "clean",
     .near = "alignment",
     .idle = true,
     .what = "a block one byte up, where any address will do",
     .victim = &bump_strategy,
     .with = {.allocate = one_byte_up},
     .program = "allocate 0 size=77 align=1; allocate 1 size=3"},
    {.property = "alignment",
     .what = "the alignment ignored",
     .victim = &free_list_strategy,
     .with = {.allocate = least_aligned},
     .program = "allocate 0 size=16 align=4096; allocate 1 size=16 align=4096"},
    {.property = "clean",
     .near = "alignment",
     .what = "an alignment that each block has anyway ignored",
     .victim = &free_list_strategy,
     .with = {.allocate = least_aligned},
     .program = "allocate 0 size=16 align=1; allocate 1 size=16 align=8; release 0"},

    {.property = "bounds",
     .what = "the last byte outside",
     .victim = &bump_strategy,
     .with = {.allocate = past_the_end},
     .program = "allocate 0 size=77"},
    {.property = "bounds",
     .what = "the first byte outside",
     .victim = &bump_strategy,
     .with = {.allocate = before_the_start},
     .program = "allocate 0 size=77"},
    {.property = "clean",
     .near = "bounds",
     .what = "a block that ends where the heap ends",
     .victim = &bump_strategy,
     .program = ladder,
     .heap = "capacity=448 page=64"},
    {.property = "clean",
     .near = "bounds",
     .what = "the same behind a header",
     .victim = &page_bump_strategy,
     .program = ladder,
     .heap = "capacity=448 page=64"},
    {.property = "clean",
     .near = "bounds",
     .what = "the same between two headers",
     .victim = &free_list_strategy,
     .program = ladder,
     .heap = "capacity=448 page=64"},
    {.property = "clean",
     .near = "bounds",
     .what = "the same in a heap that begins anywhere",
     .victim = &bump_strategy,
     .program = ladder,
     .sources = FIXED,
     .heap = "capacity=448 skew=13"},

    {.property = "overlap",
     .what = "the last byte of another block",
     .victim = &bump_strategy,
     .with = {.allocate = over_last_byte},
     .program = TWO_BLOCKS,
     .says = "lies over the live block of slot"},
    {.property = "overlap",
     .what = "the first byte of another block",
     .victim = &bump_strategy,
     .with = {.allocate = over_first_byte},
     .program = "allocate 0 size=9 align=4096; allocate 1 size=77"},
    {.property = "overlap",
     .what = "the same block twice",
     .victim = &free_list_strategy,
     .with = {.allocate = the_same_again},
     .program = TWO_BLOCKS},
    {.property = "overlap",
     .what = "a block that moved over another",
     .victim = &free_list_strategy,
     .with = {.resize = moved_over_neighbour},
     .program = "allocate 0 size=100; allocate 1 size=100; resize 1 size=90"},
    {.property = "clean",
     .near = "overlap",
     .what = "blocks without a byte between them",
     .victim = &bump_strategy,
     .program = "allocate 0 size=1; allocate 1 size=7; allocate 2 size=77; allocate 3 size=8; "
                "allocate 4 size=1"},
    {.property = "clean",
     .near = "overlap",
     .what = "a block that moves over its own old place",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=64; allocate 1 size=64; resize 0 size=30; resize 1 size=200; "
                "resize 0 size=90"},

    {.property = "content",
     .what = "the first byte of another block",
     .victim = &bump_strategy,
     .with = {.allocate = flips_first},
     .program = TWO_BLOCKS,
     .builds = PLAIN | ASAN | MSAN},
    {.property = "content",
     .what = "the last byte of another block",
     .victim = &free_list_strategy,
     .with = {.allocate = flips_last},
     .program = TWO_BLOCKS,
     .builds = PLAIN | ASAN | MSAN,
     .says = "byte 99 of the live block of slot 0 at"},
    {.property = "content",
     .what = "a byte in the middle of another block",
     .victim = &free_list_strategy,
     .with = {.allocate = flips_middle},
     .program = TWO_BLOCKS,
     .tiers = FULL,
     .builds = PLAIN | ASAN | MSAN,
     .says = "operation 2, release of slot 0"},
    {.property = "content",
     .what = "the same, noticed at once",
     .victim = &free_list_strategy,
     .with = {.allocate = flips_middle},
     .program = TWO_BLOCKS,
     .tiers = PARANOID,
     .builds = PLAIN | ASAN | MSAN,
     .says = "operation 1, allocate of slot 1"},
    {.property = "clean",
     .near = "content",
     .what = "the same where only edges are looked at",
     .victim = &free_list_strategy,
     .with = {.allocate = flips_middle},
     .program = TWO_BLOCKS,
     .tiers = FAST,
     .builds = PLAIN | ASAN | MSAN},
    {.property = "content",
     .what = "a byte of a block that could not be resized",
     .victim = &free_list_strategy,
     .with = {.resize = refuses_and_flips},
     .program = "allocate 0 size=77; resize 0 size=3000000"},
    {.property = "clean",
     .near = "content",
     .what = "a byte of another block, and back again",
     .victim = &bump_strategy,
     .with = {.allocate = flips_twice},
     .program = TWO_BLOCKS,
     .builds = PLAIN | ASAN | MSAN},

    {.property = "zeroed",
     .what = "nothing zeroed",
     .victim = &bump_strategy,
     .with = {.allocate_zeroed = not_zeroed},
     .program = "zeroed 0 count=3 size=5",
     .says = "byte 0 of 15"},
    {.property = "zeroed",
     .what = "all but the last byte zeroed",
     .victim = &page_bump_strategy,
     .with = {.allocate_zeroed = last_byte_not_zeroed},
     .program = "zeroed 0 count=3 size=50",
     .says = "byte 149 of 150"},
    {.property = "clean",
     .near = "zeroed",
     .what = "not a byte more than asked for zeroed",
     .victim = &bump_strategy,
     .program = "zeroed 0 count=3 size=5; zeroed 1 count=1 size=1; allocate 2 size=9; reset; "
                "zeroed 0 count=7 size=3"},

    {.property = "resize-prefix",
     .what = "the last byte that must be kept lost on growing",
     .victim = &free_list_strategy,
     .with = {.resize = loses_last_kept},
     .program = "allocate 0 size=77; allocate 1 size=9; resize 0 size=200",
     .says = "byte 76 of the 77"},
    {.property = "resize-prefix",
     .what = "the last byte that must be kept lost on shrinking",
     .victim = &free_list_strategy,
     .with = {.resize = loses_last_kept},
     .program = "allocate 0 size=77; resize 0 size=40",
     .tiers = WALKING,
     .says = "byte 39 of the 40"},
    {.property = "resize-prefix",
     .what = "what must be kept, a little off",
     .victim = &page_bump_strategy,
     .with = {.resize = shifts_kept},
     .program = "allocate 0 size=77; allocate 1 size=9; resize 0 size=200"},
    {.property = "clean",
     .near = "resize-prefix",
     .what = "the first byte that need not be kept lost",
     .victim = &free_list_strategy,
     .with = {.resize = changes_what_follows},
     .program = "allocate 0 size=77; allocate 1 size=9; resize 0 size=200; release 0"},

    {.property = "usable-size",
     .what = "less than was asked for",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_less},
     .program = "allocate 0 size=77; use 0"},
    {.property = "usable-size",
     .what = "one byte past the heap",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_past_the_end},
     .program = "allocate 0 size=77; use 0"},
    {.property = "usable-size",
     .what = "a byte of the next block",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_with_neighbour},
     .program = "allocate 0 size=77; allocate 1 size=77; use 0"},
    {.property = "usable-size",
     .what = "the next header",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_with_header},
     .program = "allocate 0 size=77; allocate 1 size=77; use 0",
     .tiers = WALKING,
     .says = "is shown as the allocator's own"},
    {.property = "clean",
     .near = "usable-size",
     .what = "all that is usable, written to its last byte",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=77; allocate 1 size=78; use 0; use 1; release 0; resize 1 "
                "size=500; use 1; release 1"},
    {.property = "clean",
     .near = "usable-size",
     .what = "not more than was asked for",
     .victim = &free_list_strategy,
     .with = {.usable_size = usable_exact},
     .program = "allocate 0 size=77; allocate 1 size=77; use 0; use 1"},

    {.property = "oversize-accepted",
     .what = "size 0",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=0",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "one byte more than the heap has",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=32769",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "a size that wraps",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=18446744073709551615",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "alignment 0",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=16 align=0",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "an alignment that is no power of two",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=16 align=24",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "an alignment above the largest",
     .victim = &free_list_strategy,
     .with = {.allocate = accepts_all},
     .program = "allocate 0 size=16 align=131072",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "a product that wraps",
     .victim = &free_list_strategy,
     .with = {.allocate_zeroed = accepts_all_zeroed},
     .program = "zeroed 0 count=16 size=1152921504606846977",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "resize to 0",
     .victim = &free_list_strategy,
     .with = {.resize = accepts_all_in_place},
     .program = "allocate 0 size=16; resize 0 size=0",
     .says = "must be refused"},
    {.property = "oversize-accepted",
     .what = "resize to more than the heap has",
     .victim = &free_list_strategy,
     .with = {.resize = accepts_all_in_place},
     .program = "allocate 0 size=16; resize 0 size=40000",
     .says = "must be refused"},

    {.property = "clean",
     .near = "oversize-accepted",
     .what = "all of these refused",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=0; allocate 0 size=32768; allocate 0 size=32769; allocate 0 "
                "size=18446744073709551615; allocate 0 size=16 align=0; allocate 0 size=16 "
                "align=24; allocate 0 size=16 align=131072; zeroed 0 count=16 "
                "size=1152921504606846977; allocate 0 size=16; resize 0 size=0; resize 0 "
                "size=18446744073709551600; allocate 1 size=16 align=65536"},

    // What there is nothing to judge by.
    {.property = "clean",
     .near = "overlap",
     .idle = true,
     .what = "a block that is alone",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; release 0; allocate 1 size=77"},
    {.property = "clean",
     .near = "content",
     .idle = true,
     .what = "no block at all",
     .victim = &free_list_strategy,
     .program = "release 0; use 1"},
    {.property = "clean",
     .near = "zeroed",
     .idle = true,
     .what = "no block that must be zero",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; resize 0 size=90"},
    {.property = "clean",
     .near = "resize-prefix",
     .idle = true,
     .what = "a resize that has nothing to keep",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; resize 1 size=9"},
    {.property = "clean",
     .near = "oversize-accepted",
     .idle = true,
     .what = "no request that must be refused",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; resize 0 size=90; zeroed 1 count=3 size=5"},
    {.property = "clean",
     .near = "failed-op-changed-state",
     .idle = true,
     .what = "no request that is refused",
     .victim = &free_list_strategy,
     .program = "allocate 0 size=9; release 0; release 0"},
};

#endif
