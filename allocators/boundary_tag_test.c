// What boundary tags do beyond the contract: what a live block costs, which block each fit takes,
// what resizing in place moves, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy boundary_tag_strategy;

static const struct strategy *const s = &boundary_tag_strategy;
static struct rig rig;
static struct picture before, now;

enum { FIRST_FIT, BEST_FIT, FITS };

#define HEAP_SIZE ((size_t)200000)
#define WORD sizeof(size_t)
#define UNIT (2 * WORD)

static struct allocator *open_heap(unsigned fit) {
  struct source *source = rig_init(&rig, &(struct rig_layout){.name = "buffer", .size = HEAP_SIZE});
  struct allocator *self = s->create(source, &(struct strategy_options){.variant = fit});
  CHECK(self != NULL);
  return self;
}

static void close_heap(struct allocator *self) {
  CHECK(s->check(self).number == 0);
  s->destroy(self);
  rig_check_empty(&rig);
}

static unsigned char *get(struct allocator *self, size_t size) {
  void *block = s->allocate(self, size, 1);
  CHECK(block != NULL && s->check(self).number == 0);
  return block;
}

static void put(struct allocator *self, void *block) {
  CHECK(s->release(self, block) == RELEASED && s->check(self).number == 0);
}

static unsigned char *change(struct allocator *self, void *block, size_t size, size_t align) {
  void *changed = s->resize(self, block, size, align);
  CHECK(s->check(self).number == 0);
  return changed;
}

static size_t count_free(struct allocator *self) {
  picture_take(&now, s, self);
  size_t count = 0;
  for (size_t i = 0; i < now.count; i++) count += now.spans[i].kind == SPAN_FREE;
  return count;
}

// A live block costs one word: neighbours lie as close as their headers allow.
static void test_one_word(void) {
  struct allocator *self = open_heap(FIRST_FIT);
  for (size_t units = 2; units < 300; units++) {
    size_t size = units * UNIT - WORD;
    unsigned char *a = get(self, size), *b = get(self, size + 1);
    CHECK(s->usable_size(self, a) == size && b == a + size + WORD);
    CHECK(s->usable_size(self, b) == size + UNIT);
    s->reset(self);
  }
  unsigned char *least = get(self, 1);
  CHECK(get(self, 1) == least + 2 * UNIT);
  close_heap(self);
}

// A heap full of the smallest blocks, every other one released, and then the rest.
static void test_full_heap(void) {
  static unsigned char *blocks[HEAP_SIZE / (2 * UNIT)];
  for (unsigned fit = FIRST_FIT; fit < FITS; fit++) {
    struct allocator *self = open_heap(fit);
    size_t largest = s->statistics(self).largest_free, got = 0;
    while ((blocks[got] = s->allocate(self, 1, 1)) != NULL) got++;
    CHECK(got == (largest + WORD) / (2 * UNIT) && s->check(self).number == 0);
    for (size_t i = 0; i < got; i += 2) CHECK(s->release(self, blocks[i]) == RELEASED);
    CHECK(s->check(self).number == 0 && count_free(self) == (got + 1) / 2);
    for (size_t i = 1; i < got; i += 2) CHECK(s->release(self, blocks[i]) == RELEASED);
    CHECK(get(self, largest) == blocks[0]);
    close_heap(self);
  }
}

// Holes of these payload sizes, kept apart by live blocks; the last is released last.
struct holes {
  unsigned char *at[4], *walls[4];
};

static struct holes dig_holes(struct allocator *self, const size_t sizes[4]) {
  struct holes holes;
  for (size_t i = 0; i < 4; i++) {
    holes.at[i] = get(self, sizes[i]);
    holes.walls[i] = get(self, 40);
  }
  for (size_t i = 0; i < 4; i++) put(self, holes.at[i]);
  CHECK(count_free(self) == 5);
  return holes;
}

static void test_fits(void) {
  // 1200 and 1120 share a bin, and so do 1000 and 910.
  const size_t sizes[4] = {910, 1200, 1000, 1120};
  struct allocator *self = open_heap(FIRST_FIT);
  struct holes holes = dig_holes(self, sizes);
  CHECK(get(self, 905) == holes.at[2]);   // released last of its bin
  CHECK(get(self, 905) == holes.at[0]);   // too small by the bin alone, but it fits
  CHECK(get(self, 905) == holes.at[3]);   // of the next bin, released last
  CHECK(get(self, 1150) == holes.at[1]);  // the second in its bin
  close_heap(self);

  self = open_heap(BEST_FIT);
  holes = dig_holes(self, sizes);
  CHECK(get(self, 905) == holes.at[0]);
  CHECK(get(self, 905) == holes.at[2]);
  CHECK(get(self, 905) == holes.at[3]);
  CHECK(get(self, 905) == holes.at[1]);
  close_heap(self);
}

// A block that fits is found before a request is refused, however many of its bin do not.
static void test_rest_of_the_bin(void) {
  for (unsigned fit = FIRST_FIT; fit < FITS; fit++) {
    struct allocator *self = open_heap(fit);
    unsigned char *fitting = get(self, 1100);
    unsigned char *others[40];
    get(self, 1);
    for (size_t i = 0; i < 40; i++) {
      others[i] = get(self, 1040);
      get(self, 1);
    }
    get(self, s->statistics(self).largest_free);
    put(self, fitting);
    for (size_t i = 0; i < 40; i++) put(self, others[i]);
    CHECK(get(self, 1100) == fitting);
    CHECK(s->allocate(self, 1100, 1) == NULL);
    close_heap(self);
  }
}

// The gap in front of an aligned block is a free block, and comes back with it.
static void test_aligned_gap(void) {
  for (size_t offset = 8; offset < 600; offset += 8)
    for (size_t align = 2 * UNIT; align <= s->max_align; align *= 4) {
      struct allocator *self = open_heap(offset % (unsigned)FITS);
      get(self, offset);
      picture_take(&before, s, self);
      void *block = s->allocate(self, 100, align);
      CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
      put(self, block);
      picture_take(&now, s, self);
      CHECK(pictures_equal(&before, &now));
      close_heap(self);
    }
}

static void test_resize_to_the_right(void) {
  struct allocator *self = open_heap(FIRST_FIT);
  unsigned char *a = get(self, 1000), *b = get(self, 500), *c = get(self, 500);
  memset(a, 1, 1000);
  CHECK(change(self, a, 100, 1) == a && s->usable_size(self, a) < 100 + UNIT);
  CHECK(change(self, a, 1000, 1) == a && a[99] == 1);  // its own tail again
  put(self, b);
  CHECK(change(self, a, 1400, 1) == a);  // into a part of b's
  unsigned char *small = get(self, 16);  // what was left of b
  CHECK(small > a && small < c);
  CHECK(change(self, c, 100000, 1) == c);  // into the end
  // No room at all: nothing moves.
  picture_take(&before, s, self);
  CHECK(change(self, c, HEAP_SIZE, 1) == NULL);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_heap(self);
}

// A tail of a single unit is no block. It stays, unless there is a free block that it can join.
static void test_single_unit(void) {
  struct allocator *self = open_heap(FIRST_FIT);
  const size_t size = 10 * UNIT - WORD;
  unsigned char *a = get(self, size), *b = get(self, 100);
  CHECK(change(self, a, size - UNIT, 1) == a && s->usable_size(self, a) == size);
  put(self, b);
  CHECK(change(self, a, size - UNIT, 1) == a && s->usable_size(self, a) == size - UNIT);
  CHECK(count_free(self) == 1);
  // A hole that is larger by a unit is taken whole, and given back whole.
  b = get(self, size);
  get(self, 1);
  put(self, b);
  CHECK(get(self, size - UNIT) == b && s->usable_size(self, b) == size);
  close_heap(self);
}

static void fill(unsigned char *at, size_t size) {
  for (size_t i = 0; i < size; i++) at[i] = (unsigned char)(i * 7 + 1);
}

static void check_filled(const unsigned char *at, size_t size) {
  for (size_t i = 0; i < size; i++) CHECK(at[i] == (unsigned char)(i * 7 + 1));
}

// Where the right neighbour does not suffice, a block goes down into the left one.
static void test_resize_to_the_left(void) {
  for (int right = 0; right < 2; right++)
    for (size_t hole = 16; hole < 2000; hole = hole * 5 / 4) {
      struct allocator *self = open_heap(FIRST_FIT);
      unsigned char *a = get(self, hole), *b = get(self, 1000), *c = get(self, 200);
      get(self, 1);
      fill(b, 1000);
      put(self, a);
      if (right) put(self, c);
      size_t room = (size_t)(c - a) - WORD + (right ? s->usable_size(self, c) + WORD : 0);
      CHECK(change(self, b, room, 1) == a && s->usable_size(self, a) == room);
      check_filled(a, 1000);
      close_heap(self);

      // Not a byte more: then it moves elsewhere, and leaves one hole.
      self = open_heap(FIRST_FIT);
      a = get(self, hole), b = get(self, 1000), c = get(self, 200);
      unsigned char *wall = get(self, 1);
      fill(b, 1000);
      put(self, a);
      if (right) put(self, c);
      unsigned char *moved = change(self, b, room + 1, 1);
      CHECK(moved > wall);
      check_filled(moved, 1000);
      CHECK(s->release(self, b) == RELEASE_DOUBLE);
      CHECK(count_free(self) == 2);
      close_heap(self);
    }
}

// Where only the block and the hole to its left have a place of the alignment, it goes there, and
// leaves what is in front and behind.
static void test_slide_to_align(void) {
  for (size_t size = 40; size < 1500; size += 40)
    for (size_t align = 2 * UNIT; align <= 1024; align *= 2) {
      struct allocator *self = open_heap(FIRST_FIT);
      unsigned char *a = get(self, 1100), *b = get(self, size);
      get(self, s->statistics(self).largest_free);
      size_t room = s->usable_size(self, a) + s->usable_size(self, b) + WORD;
      fill(b, size);
      put(self, a);
      size_t wanted = size - size / 3;
      unsigned char *moved = change(self, b, wanted, align);
      CHECK(moved != NULL && address_of(moved) % align == 0);
      check_filled(moved, wanted);
      put(self, moved);
      CHECK(get(self, room) == a);
      close_heap(self);
    }
}

// A released block is known as such wherever edges of free blocks, links, footers, and new blocks
// that leave its memory alone, have come to lie since.
static void test_double_release(void) {
  for (unsigned fit = FIRST_FIT; fit < FITS; fit++)
    for (size_t size = 1; size <= 700; size += 8) {
      struct allocator *self = open_heap(fit);
      unsigned char *a = get(self, 300), *b = get(self, 40), *c = get(self, 300);
      memset(b, 0xFF, s->usable_size(self, b));
      put(self, b);
      put(self, a);
      put(self, c);
      unsigned char *in_front = get(self, size);
      memset(in_front, 0xFF, s->usable_size(self, in_front));
      if (in_front + s->usable_size(self, in_front) < b)
        CHECK(s->release(self, b) == RELEASE_DOUBLE);
      if (in_front + s->usable_size(self, in_front) < c)
        CHECK(s->release(self, c) == RELEASE_DOUBLE);
      close_heap(self);
    }
}

// Pointers that no block can have, inside of the heap.
static void test_misaligned_release(void) {
  struct allocator *self = open_heap(FIRST_FIT);
  unsigned char *block = get(self, 100);
  for (size_t i = 1; i < UNIT; i++) CHECK(s->release(self, block + i) == RELEASE_FOREIGN);
  close_heap(self);
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

static size_t *header_of(void *payload) { return (size_t *)payload - 1; }

static void test_check(void) {
  const size_t sizes[4] = {1000, 200, 500, 200};
  struct allocator *self = open_heap(FIRST_FIT);
  struct holes holes = dig_holes(self, sizes);
  enum { START = 1, SIZE, END, BINS_AT, OCCUPIED = BINS_AT + 64, FIT };
  size_t *fields = (size_t *)self;
  expect_broken(self, &fields[START], fields[START] + 64, 1, self);
  expect_broken(self, &fields[SIZE], fields[SIZE] - 64, 1, self);
  expect_broken(self, &fields[END], fields[END] + UNIT, 1, self);
  expect_broken(self, &fields[FIT], 77, 1, self);

  enum { SIZE_STATE, NEXT, PREVIOUS };
  size_t *hole = header_of(holes.at[1]), *wall = header_of(holes.walls[1]);
  size_t *twin = header_of(holes.at[3]);
  // A size that is none, no whole units, too small, or runs past the end.
  expect_broken(self, &wall[SIZE_STATE], 1, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], 40 | 1, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], UNIT | 1, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], HEAP_SIZE / 32 * 32 + 1, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], SIZE_MAX - 30, 2, wall);
  // A header that is wrong about its left neighbour.
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | 2, 3, wall);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] & ~(size_t)2, 3, hole);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] & ~(size_t)1, 4, wall);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] | 1, 3, wall);
  expect_broken(self, wall - 1, wall[-1] + UNIT, 5, hole);
  // Links: to nowhere, to a live block, to themselves, past one, and into a circle.
  const size_t wrong[] = {SIZE_MAX,
                          8,
                          (size_t)header_of(holes.at[0]),
                          (size_t)wall,
                          (size_t)hole,
                          (size_t)header_of(holes.at[2])};
  size_t bin = 0;
  while (fields[BINS_AT + bin] != (size_t)twin) bin++;
  CHECK(twin[NEXT] == (size_t)hole && hole[NEXT] == 0 && hole[PREVIOUS] == (size_t)twin);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    expect_broken(self, &hole[NEXT], wrong[i], 6, self);
    expect_broken(self, &hole[PREVIOUS], wrong[i], 6, hole);
    expect_broken(self, &fields[BINS_AT + bin], wrong[i], 6, self);
  }
  expect_broken(self, &fields[BINS_AT + 50], (size_t)hole, 6, self);
  expect_broken(self, &twin[PREVIOUS], (size_t)hole, 6, twin);
  // The whole list in no bin: every block is named once, but by a circle. And in a wrong one.
  fields[BINS_AT + bin] = 0;
  twin[PREVIOUS] = (size_t)hole;
  hole[NEXT] = (size_t)twin;
  CHECK(s->check(self).number == 7);
  fields[OCCUPIED] ^= (size_t)1 << bin;
  CHECK(s->check(self).number == 6);
  hole[NEXT] = twin[PREVIOUS] = 0;
  fields[BINS_AT + bin + 1] = (size_t)twin;
  CHECK(s->check(self).number == 6 && s->check(self).where == twin);
  fields[BINS_AT + bin + 1] = 0;
  fields[BINS_AT + bin] = (size_t)twin;
  fields[OCCUPIED] ^= (size_t)1 << bin;
  expect_broken(self, &fields[OCCUPIED], fields[OCCUPIED] | 2, 7, self);
  expect_broken(self, &fields[OCCUPIED], fields[OCCUPIED] & (fields[OCCUPIED] - 1), 7, self);
  size_t *last = (size_t *)fields[END];
  expect_broken(self, &last[SIZE_STATE], 32 | 1, 2, last);
  expect_broken(self, &last[SIZE_STATE], 0, 2, last);
  expect_broken(self, &last[SIZE_STATE], 3, 3, last);
  close_heap(self);
}

int main(void) {
  test_one_word();
  test_full_heap();
  test_fits();
  test_rest_of_the_bin();
  test_aligned_gap();
  test_resize_to_the_right();
  test_single_unit();
  test_resize_to_the_left();
  test_slide_to_align();
  test_double_release();
  test_misaligned_release();
  if (WIDE_WORDS) test_check();
  return 0;
}
