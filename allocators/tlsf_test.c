// What TLSF does beyond the contract: which block good fit takes, what the last resort gives, what
// aligned blocks and resizing leave behind, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy tlsf_strategy;

static const struct strategy *const s = &tlsf_strategy;
static struct rig rig;
static struct picture before, now;

#define HEAP_SIZE ((size_t)400000)
enum { GRAIN = 2 * sizeof(size_t), HEADER = sizeof(size_t) };

static struct allocator *open_heap(size_t size) {
  struct source *source = rig_init(&rig, &(struct rig_layout){.name = "buffer", .size = size});
  struct allocator *self = s->create(source, &(struct strategy_options){0});
  CHECK(self != NULL);
  return self;
}

static void close_heap(struct allocator *self) {
  CHECK(s->check(self).number == 0);
  s->destroy(self);
  rig_check_empty(&rig);
}

static unsigned char *get_aligned(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = s->allocate(self, size, align);
  CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
  return block;
}

static unsigned char *get(struct allocator *self, size_t size) {
  return get_aligned(self, size, 1);
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

static size_t largest_free(struct allocator *self) { return s->statistics(self).largest_free; }

static void expect_unchanged(struct allocator *self) {
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now) && s->check(self).number == 0);
}

// Holes that hold these sizes exactly, kept apart by live blocks.
struct holes {
  unsigned char *at[4], *walls[4];
};

static struct holes dig_holes(struct allocator *self, const size_t sizes[4]) {
  struct holes holes;
  for (size_t i = 0; i < 4; i++) {
    holes.at[i] = get(self, sizes[i]);
    CHECK(s->usable_size(self, holes.at[i]) == sizes[i]);
    holes.walls[i] = get(self, 40);
  }
  for (size_t i = 0; i < 4; i++) put(self, holes.at[i]);
  CHECK(count_free(self) == 5);
  return holes;
}

#define EXACT(grains) ((grains) * GRAIN - HEADER)

// Below twice the first power a class is one size; above it a request may not take what is in its
// own class, as not all of that fits.
static void test_good_fit(void) {
  struct allocator *self = open_heap(HEAP_SIZE);
  struct holes holes =
      dig_holes(self, (const size_t[4]){EXACT(60), EXACT(4), EXACT(30), EXACT(30)});
  CHECK(get(self, EXACT(3)) == holes.at[1]);   // the rest of a grain stays with it
  CHECK(get(self, EXACT(30)) == holes.at[3]);  // of two the one released last
  CHECK(get(self, EXACT(30) - 1) == holes.at[2]);
  CHECK(get(self, EXACT(30)) == holes.at[0]);
  CHECK(get(self, EXACT(30)) == holes.at[0] + 30 * GRAIN);  // what was left of it
  close_heap(self);

  self = open_heap(HEAP_SIZE);
  holes = dig_holes(self, (const size_t[4]){EXACT(1031), EXACT(1040), EXACT(1055), EXACT(2100)});
  CHECK(get(self, EXACT(1024)) == holes.at[2]);  // where a class begins, all of it will do
  CHECK(get(self, EXACT(1030)) == holes.at[3]);  // although 1040 fit
  CHECK(get(self, EXACT(1024)) == holes.at[1]);
  close_heap(self);
}

// A remainder beside which the block is large is not worth a list; but the last block of the heap
// loses nothing that it could give.
static void test_remainders(void) {
  struct allocator *self = open_heap(HEAP_SIZE);
  struct holes holes =
      dig_holes(self, (const size_t[4]){EXACT(37), EXACT(63), EXACT(5), EXACT(100)});
  unsigned char *kept = get(self, EXACT(32));
  CHECK(kept == holes.at[0] && s->usable_size(self, kept) == EXACT(37));
  unsigned char *split = get(self, EXACT(50));
  CHECK(split == holes.at[1] && s->usable_size(self, split) == EXACT(50));
  CHECK(count_free(self) == 4);  // two holes, the remainder of one, and the last block
  close_heap(self);

  self = open_heap(HEAP_SIZE);
  size_t all = largest_free(self);
  unsigned char *large = get(self, all - 2 * GRAIN);
  CHECK(s->usable_size(self, large) == all - 2 * GRAIN && count_free(self) == 1);
  CHECK(get(self, 2 * GRAIN - HEADER) == large + all - 2 * GRAIN + HEADER && count_free(self) == 0);
  close_heap(self);
}

// All of an empty heap is one block, at any size of heap: for the lists it is rounded up too far.
static void test_last_resort(void) {
  for (size_t size = 4096; size < 9000; size += 24) {
    struct allocator *self = open_heap(size);
    size_t all = largest_free(self);
    CHECK(all >= size / 8 * 5);
    CHECK(s->allocate(self, all + 1, 1) == NULL);
    for (int round = 0; round < 2; round++) {
      unsigned char *block = get(self, all);
      CHECK(count_free(self) == 0 && s->allocate(self, 1, 1) == NULL);
      put(self, block);
      unsigned char *a = get(self, all / 3), *b = get(self, largest_free(self));
      CHECK(count_free(self) == 0);
      put(self, a);
      put(self, b);
      CHECK(largest_free(self) == all);
    }
    // The same behind a hole, and aligned.
    unsigned char *hole = get(self, 100), *wall = get(self, 1);
    put(self, hole);
    unsigned char *rest = get(self, largest_free(self));
    CHECK(rest > wall);
    put(self, rest);
    unsigned char *gap = get_aligned(self, largest_free(self) - 600, 256);
    CHECK(gap > wall);
    close_heap(self);
  }
}

// What lies in front of an aligned block is free, and comes back with it.
static void test_aligned_gap(void) {
  for (size_t align = 2 * GRAIN; align <= s->max_align; align *= 2) {
    struct allocator *self = open_heap(HEAP_SIZE);
    // Wherever the block would begin otherwise.
    for (size_t shift = 0; shift < 8; shift++) {
      get(self, EXACT(2 + shift));
      picture_take(&before, s, self);
      unsigned char *block = get_aligned(self, 100, align);
      CHECK(s->usable_size(self, block) < 100 + GRAIN);
      size_t free_bytes = before.bytes[SPAN_FREE], pieces = count_free(self);
      CHECK(pieces == 1 || pieces == 2);
      CHECK(now.bytes[SPAN_FREE] + s->usable_size(self, block) + pieces * HEADER == free_bytes);
      put(self, block);
      expect_unchanged(self);
    }
    close_heap(self);
  }
}

// The block that is found first is taken if it is aligned by luck, before a larger one is.
static void test_aligned_by_luck(void) {
  struct allocator *self = open_heap(HEAP_SIZE);
  unsigned char *lucky = get_aligned(self, EXACT(10), 4096);
  get(self, 1);
  put(self, lucky);
  picture_take(&before, s, self);
  CHECK(get_aligned(self, EXACT(10), 4096) == lucky);
  CHECK(get_aligned(self, EXACT(10), 4096) != lucky);
  close_heap(self);
}

static void fill(unsigned char *block, size_t size, unsigned char key) {
  for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(key + i);
}

static void expect_filled(const unsigned char *block, size_t size, unsigned char key) {
  for (size_t i = 0; i < size; i++) CHECK(block[i] == (unsigned char)(key + i));
}

static unsigned char *resize(struct allocator *self, unsigned char *block, size_t size,
                             size_t align) {
  unsigned char *resized = s->resize(self, block, size, align);
  CHECK(s->check(self).number == 0);
  return resized;
}

static void test_resize_in_place(void) {
  struct allocator *self = open_heap(HEAP_SIZE);
  unsigned char *a = get(self, 1000), *b = get(self, 500), *c = get(self, 500), *d = get(self, 40);
  fill(b, 500, 1);
  CHECK(resize(self, b, 100, 1) == b && s->usable_size(self, b) < 100 + GRAIN);
  CHECK(resize(self, b, 500, 1) == b);  // its own rest again
  put(self, c);
  CHECK(resize(self, b, 900, 1) == b);  // into a part of c's
  expect_filled(b, 100, 1);
  fill(b, 900, 2);
  put(self, a);
  CHECK(resize(self, b, 1500, 1) == a);  // down into a's, with what was left of c's
  expect_filled(a, 900, 2);
  CHECK(resize(self, a, 1990, 1) == a);
  fill(a, 1990, 3);
  CHECK(resize(self, d, 300000, 1) == d);  // into the last block
  CHECK(resize(self, a, 3000, 1) > d);     // none of it fits here
  unsigned char *moved = s->allocate(self, 1990, 1);
  CHECK(moved == a);  // what the resized one left
  // No room at all: nothing moves.
  picture_take(&before, s, self);
  CHECK(resize(self, moved, HEAP_SIZE, 1) == NULL && resize(self, moved, 200000, 1) == NULL);
  expect_unchanged(self);
  close_heap(self);
}

// A block that is not aligned as asked for moves inside the memory that it and its neighbours have.
static void test_resize_aligns(void) {
  for (size_t align = 2 * GRAIN; align <= 4096; align *= 2)
    for (int left_free = 0; left_free < 2; left_free++) {
      struct allocator *self = open_heap(HEAP_SIZE);
      get_aligned(self, EXACT(2), 4096);
      unsigned char *left = get(self, EXACT(3)), *block = get(self, EXACT(600));
      get(self, 1);
      fill(block, EXACT(600), 9);
      if (left_free) put(self, left);
      unsigned char *resized = resize(self, block, EXACT(200), align);
      CHECK(address_of(resized) % align == 0);
      CHECK(resized >= left && resized < block + EXACT(600));
      expect_filled(resized, EXACT(200), 9);
      close_heap(self);
    }
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
  struct allocator *self = open_heap(HEAP_SIZE);
  struct holes holes =
      dig_holes(self, (const size_t[4]){EXACT(60), EXACT(4), EXACT(30), EXACT(30)});
  enum {
    SOURCE,
    START,
    SIZE,
    END,
    MAP,
    LEVEL_COUNT,
    LARGEST,
    NIL,
    LEVELS = NIL + 3,
    PER_LEVEL = 33
  };
  enum { SIZE_STATE, NEXT, LINK };
  size_t *fields = (size_t *)self;
  expect_broken(self, &fields[START], fields[START] + 64, 1, self);
  expect_broken(self, &fields[SIZE], fields[SIZE] - 64, 1, self);
  expect_broken(self, &fields[END], fields[END] + GRAIN, 1, self);
  expect_broken(self, &fields[LEVEL_COUNT], fields[LEVEL_COUNT] - 1, 1, self);
  expect_broken(self, &fields[LEVEL_COUNT], SIZE_MAX, 1, self);
  expect_broken(self, &fields[LARGEST], fields[LARGEST] + GRAIN, 1, self);

  size_t *hole = (size_t *)holes.at[2] - 1, *wall = (size_t *)holes.walls[2] - 1;
  size_t *twin = (size_t *)holes.at[3] - 1, *end = (size_t *)fields[END];
  // A size that is none, runs past the end, or meets what is no header.
  expect_broken(self, &wall[SIZE_STATE], 0, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], GRAIN | 2, 2, wall);
  expect_broken(self, &wall[SIZE_STATE], HEAP_SIZE / GRAIN * GRAIN | 2, 2, wall);
  expect_broken(self, end, GRAIN | 2, 2, end);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] & ~(size_t)2, 3, wall);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | 4, 3, wall);
  expect_broken(self, &wall[-1], address_of(hole) - GRAIN, 3, wall);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | 1, 4, wall);
  // Links to nowhere, to a live block, to itself, to the twin.
  const size_t wrong[] = {0, SIZE_MAX, 8, address_of(wall), address_of(hole), address_of(twin)};
  size_t *first_of_30 = &fields[LEVELS + 1 + 30];
  CHECK(*first_of_30 == address_of(twin) && twin[NEXT] == address_of(hole));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    expect_broken(self, &hole[NEXT], wrong[i], 5, NULL);
    expect_broken(self, &hole[LINK], wrong[i], 5, NULL);
    if (wrong[i] != address_of(twin)) expect_broken(self, first_of_30, wrong[i], 5, NULL);
  }
  // The whole list in the wrong place, and a bit too much and too little.
  size_t *first_of_31 = first_of_30 + 1, nil = *first_of_31;
  *first_of_31 = *first_of_30;
  *first_of_30 = nil;
  twin[LINK] = address_of(first_of_31);
  struct broken_invariant broken = s->check(self);
  CHECK(broken.number == 6 && broken.where == twin);
  twin[LINK] = address_of(first_of_30);
  *first_of_30 = *first_of_31;
  *first_of_31 = nil;
  size_t *level = &fields[LEVELS], *empty_level = &fields[LEVELS + 2 * PER_LEVEL];
  expect_broken(self, level, *level ^ 2, 7, level);
  expect_broken(self, level, *level ^ (size_t)1 << 30, 7, level);
  expect_broken(self, &fields[MAP], fields[MAP] ^ 1, 7, level);
  expect_broken(self, &fields[MAP], fields[MAP] ^ 4, 7, empty_level);
  expect_broken(self, &fields[MAP], fields[MAP] ^ (size_t)1 << 31, 7, self);
  close_heap(self);
}

int main(void) {
  test_good_fit();
  test_remainders();
  test_last_resort();
  test_aligned_gap();
  test_aligned_by_luck();
  test_resize_in_place();
  test_resize_aligns();
  test_check();
  return 0;
}
