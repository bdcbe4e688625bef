// What the free list does beyond the contract: which block each fit takes, what splitting and
// coalescing leave behind, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy free_list_strategy;

static const struct strategy *const s = &free_list_strategy;
static struct rig rig;
static struct picture before, now;

enum { FIRST_FIT, NEXT_FIT, BEST_FIT };

#define HEAP_SIZE ((size_t)200000)

static struct allocator *open_list(unsigned fit) {
  struct source *source = rig_init(&rig, &(struct rig_layout){.name = "buffer", .size = HEAP_SIZE});
  struct allocator *self = s->create(source, &(struct strategy_options){.variant = fit});
  CHECK(self != NULL);
  return self;
}

static void close_list(struct allocator *self) {
  CHECK(s->check(self).number == 0);
  s->destroy(self);
  rig_check_empty(&rig);
}

static void *get(struct allocator *self, size_t size) {
  void *block = s->allocate(self, size, 1);
  CHECK(block != NULL && s->check(self).number == 0);
  return block;
}

static void put(struct allocator *self, void *block) {
  CHECK(s->release(self, block) == RELEASED && s->check(self).number == 0);
}

static size_t count_free(struct allocator *self) {
  picture_take(&now, s, self);
  size_t count = 0;
  for (size_t i = 0; i < now.count; i++) count += now.spans[i].kind == SPAN_FREE;
  return count;
}

// Four holes, of 1000, 200, 500 and 200 bytes, kept apart by live blocks.
struct holes {
  void *at[4], *walls[4];
};

static struct holes dig_holes(struct allocator *self) {
  const size_t sizes[4] = {1000, 200, 500, 200};
  struct holes holes;
  for (size_t i = 0; i < 4; i++) {
    holes.at[i] = get(self, sizes[i]);
    holes.walls[i] = get(self, 40);
  }
  for (size_t i = 0; i < 4; i++) put(self, holes.at[i]);
  CHECK(count_free(self) == 5);
  return holes;
}

// The payload behind one of `size` bytes that begins at `first`.
static void *behind(void *first, size_t size) {
  enum { HEADER = 2 * sizeof(size_t), UNIT = 2 * HEADER };
  return (char *)first + (size + HEADER + UNIT - 1) / UNIT * UNIT;
}

static void test_fits(void) {
  struct allocator *self = open_list(FIRST_FIT);
  struct holes holes = dig_holes(self);
  CHECK(get(self, 180) == holes.at[0]);
  CHECK(get(self, 400) == behind(holes.at[0], 180));
  CHECK(get(self, 450) == holes.at[2]);
  close_list(self);

  self = open_list(BEST_FIT);
  holes = dig_holes(self);
  CHECK(get(self, 150) == holes.at[1]);  // of two equal holes the lower one
  CHECK(get(self, 200) == holes.at[3]);
  CHECK(get(self, 200) == holes.at[2]);
  CHECK(get(self, 900) == holes.at[0]);
  close_list(self);

  self = open_list(NEXT_FIT);
  holes = dig_holes(self);
  s->reset(self);
  holes = dig_holes(self);
  // The rover is behind what was last taken: the remainder at the end of the heap. Once that is
  // full it starts anew.
  get(self, s->statistics(self).largest_free);
  CHECK(get(self, 180) == holes.at[0]);
  CHECK(get(self, 400) == behind(holes.at[0], 180));
  CHECK(get(self, 480) == holes.at[2]);
  CHECK(get(self, 100) == holes.at[3]);
  CHECK(get(self, 100) == behind(behind(holes.at[0], 180), 400));
  close_list(self);
}

// The gap in front of an aligned block is a free block, and comes back with it.
static void test_aligned_gap(void) {
  for (unsigned fit = FIRST_FIT; fit <= BEST_FIT; fit++)
    for (size_t align = 64; align <= s->max_align; align *= 2) {
      struct allocator *self = open_list(fit);
      get(self, 8);
      picture_take(&before, s, self);
      size_t free_bytes = before.bytes[SPAN_FREE];
      void *block = s->allocate(self, 100, align);
      CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
      size_t headers = count_free(self) == 2 ? 2 : 1;
      CHECK(now.bytes[SPAN_FREE] + now.bytes[SPAN_BLOCK] + headers * 2 * sizeof(size_t) ==
            free_bytes + before.bytes[SPAN_BLOCK]);
      put(self, block);
      picture_take(&now, s, self);
      CHECK(pictures_equal(&before, &now));
      close_list(self);
    }
}

static void test_resize_in_place(void) {
  struct allocator *self = open_list(FIRST_FIT);
  unsigned char *a = get(self, 1000), *b = get(self, 500), *c = get(self, 500);
  memset(a, 1, 1000);
  CHECK(s->resize(self, a, 100, 1) == a && s->check(self).number == 0);
  CHECK(s->usable_size(self, a) < 150);
  CHECK(s->resize(self, a, 1000, 1) == a && s->check(self).number == 0);  // its own rest again
  CHECK(a[0] == 1 && a[99] == 1);
  put(self, b);
  CHECK(s->resize(self, a, 1400, 1) == a && s->check(self).number == 0);  // into a part of b's
  unsigned char *small = get(self, 16);                                   // what was left of b
  CHECK(small > a && small < c);
  CHECK(s->resize(self, c, 100000, 1) == c && s->check(self).number == 0);  // into the end
  unsigned char *moved = s->resize(self, a, 2000, 1);
  CHECK(moved > c && moved[0] == 1 && moved[99] == 1);
  CHECK(s->release(self, a) == RELEASE_DOUBLE);
  // No room at all: nothing moves.
  picture_take(&before, s, self);
  CHECK(s->resize(self, moved, HEAP_SIZE, 1) == NULL);
  CHECK(s->resize(self, moved, 100000, 1) == NULL);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  // A block that is not aligned as asked for moves even to shrink.
  unsigned char *aligned = s->resize(self, c, 16, 4096);
  CHECK(aligned == NULL || address_of(aligned) % 4096 == 0);
  close_list(self);
}

// A released block is known as such wherever the edges of free blocks, and of new blocks that leave
// its memory alone, have come to lie since: at every distance from its header.
static void test_double_release(void) {
  for (size_t size = 16; size <= 600; size += 8) {
    struct allocator *self = open_list(FIRST_FIT);
    void *a = get(self, 300), *b = get(self, 40), *c = get(self, 300);
    put(self, b);
    put(self, a);
    put(self, c);
    unsigned char *in_front = get(self, size);
    memset(in_front, 0, s->usable_size(self, in_front));  // a header of zeros would be a live one
    if (in_front + s->usable_size(self, in_front) <= (unsigned char *)b)
      CHECK(s->release(self, b) == RELEASE_DOUBLE);
    if (in_front + s->usable_size(self, in_front) <= (unsigned char *)c)
      CHECK(s->release(self, c) == RELEASE_DOUBLE);
    CHECK(s->check(self).number == 0);
    close_list(self);
  }
}

// Pointers that no block can have, inside of the heap.
static void test_misaligned_release(void) {
  struct allocator *self = open_list(FIRST_FIT);
  unsigned char *block = get(self, 100);
  for (size_t i = 1; i < 4 * sizeof(size_t); i++)
    CHECK(s->release(self, block + i) == RELEASE_FOREIGN);
  close_list(self);
}

// ## Damage

// Sets a word, expects the invariant to be found broken at `where`, and repairs it.
static void expect_broken(struct allocator *self, size_t *word, size_t value, unsigned number,
                          const void *where) {
  size_t was = *word;
  *word = value;
  struct broken_invariant broken = s->check(self);
  CHECK(broken.number == number && broken.where == where);
  picture_take(&now, s, self);  // survives too
  *word = was;
  CHECK(s->check(self).number == 0);
}

static void test_check(void) {
  struct allocator *self = open_list(NEXT_FIT);
  struct holes holes = dig_holes(self);
  size_t *fields = (size_t *)self;  // source, start, size, end, first, rover, fit
  expect_broken(self, &fields[1], fields[1] + 64, 1, self);
  expect_broken(self, &fields[2], fields[2] - 64, 1, self);
  expect_broken(self, &fields[3], fields[3] + 32, 1, self);
  expect_broken(self, &fields[6], 77, 1, self);
  expect_broken(self, &fields[5], address_of(holes.walls[0]), 6, self);

  size_t *hole = (size_t *)holes.at[1] - 2, *wall = (size_t *)holes.walls[1] - 2;
  enum { LEFT_SIZE, SIZE_STATE, NEXT, PREVIOUS };
  // A size that is none, no whole units, or runs past the end; one that meets another header.
  expect_broken(self, &wall[SIZE_STATE], 0, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], 40, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], HEAP_SIZE / 32 * 32, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], SIZE_MAX - 31, 2, wall);
  size_t *beyond = (size_t *)holes.walls[2] - 2;
  expect_broken(self, &wall[SIZE_STATE], address_of(beyond) - address_of(wall), 3, beyond);
  expect_broken(self, &wall[LEFT_SIZE], wall[LEFT_SIZE] + 32, 3, wall);
  expect_broken(self, &wall[LEFT_SIZE], 0, 3, wall);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | 1, 4, wall);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] & ~(size_t)1, 5,
                (size_t *)holes.at[2] - 2);
  // Links to nowhere, to a live block, to itself, past one, and back.
  const size_t wrong[] = {
      0, SIZE_MAX, 8, address_of(wall), address_of(hole), address_of((size_t *)holes.at[3] - 2)};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    expect_broken(self, &hole[NEXT], wrong[i], 5, (size_t *)holes.at[2] - 2);
    expect_broken(self, &hole[PREVIOUS], wrong[i], 5, hole);
    expect_broken(self, &fields[4], wrong[i], 5, (size_t *)holes.at[0] - 2);
  }
  size_t *last = (size_t *)fields[3];
  expect_broken(self, &last[SIZE_STATE], 32, 2, last);
  expect_broken(self, &last[LEFT_SIZE], 32, 3, last);
  close_list(self);
}

int main(void) {
  test_fits();
  test_aligned_gap();
  test_resize_in_place();
  test_double_release();
  test_misaligned_release();
  test_check();
  return 0;
}
