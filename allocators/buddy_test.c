// What buddies do beyond the contract: where blocks lie, what splits and merges, how resize stays
// in place, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy buddy_strategy;

static const struct strategy *const s = &buddy_strategy;
static struct rig rig;
static struct picture before, now;

#define UNIT (2 * sizeof(void *))
#define HEAP_SIZE ((size_t)1 << 17)

static struct allocator *open_at(size_t offset, size_t size) {
  struct source *source =
      rig_init(&rig, &(struct rig_layout){.name = "buffer", .offset = offset, .size = size});
  return s->create(source, &(struct strategy_options){0});
}

static struct allocator *open_buddy(void) {
  struct allocator *self = open_at(0, HEAP_SIZE);
  CHECK(self != NULL);
  return self;
}

static void close_buddy(struct allocator *self) {
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

static size_t count(struct allocator *self, enum span_kind kind) {
  picture_take(&now, s, self);
  size_t spans = 0;
  for (size_t i = 0; i < now.count; i++) spans += now.spans[i].kind == kind;
  return spans;
}

// ## Where blocks lie

// A block of whatever size is the least power of two, and a multiple of that away from an address
// that is as aligned as any request.
static void test_natural_alignment(void) {
  struct allocator *self = open_buddy();
  for (size_t size = 1; size <= HEAP_SIZE / 2; size += 1 + size / 5) {
    unsigned char *a = get(self, size);
    size_t usable = s->usable_size(self, a);
    CHECK(is_power_of_two(usable) && usable >= size && (usable == UNIT || usable / 2 < size));
    CHECK(address_of(a) % (usable < s->max_align ? usable : s->max_align) == 0);
    put(self, a);
  }
  // An alignment above the size takes as much as a size.
  for (size_t align = 1; align <= s->max_align; align *= 2) {
    void *a = s->allocate(self, 1, align);
    CHECK(a != NULL && s->usable_size(self, a) == (align < UNIT ? UNIT : align));
    put(self, a);
  }
  close_buddy(self);
}

static uintptr_t lowest_bit(uintptr_t x) { return x & (0 - x); }

// A heap of any size at any place is used to within a unit on each side: by blocks that double
// towards its middle.
static void test_any_heap(void) {
  for (size_t offset = 0; offset < 70; offset++)
    for (size_t size = 700; size < 40000; size += 617) {
      struct allocator *self = open_at(offset, size);
      if (self == NULL) continue;
      CHECK(s->check(self).number == 0);
      picture_take(&now, s, self);
      CHECK(now.count >= 2 && now.spans[0].kind == SPAN_META);
      size_t tail = 0, shown = 0;
      uintptr_t end = 0;
      for (size_t i = 1; i < now.count; i++) {
        const struct span *span = &now.spans[i];
        if (span->kind == SPAN_META) {
          CHECK(i == now.count - 1);
          tail = span->size;
          continue;
        }
        uintptr_t start = address_of(span->start);
        CHECK(span->kind == SPAN_FREE && is_power_of_two(span->size) && start % span->size == 0);
        // The largest that fits: it could not be twice as long from here, nor could the one before
        // and this be one.
        CHECK(end == 0 || start == end);
        end = start + span->size;
        shown += span->size;
        CHECK(lowest_bit(start) == span->size ||
              start + 2 * span->size > address_of(rig_memory) + offset + size);
      }
      CHECK(tail < UNIT && shown + now.spans[0].size + tail == size);
      // Two bits of marks for each unit, and some for where the units begin.
      CHECK(now.spans[0].size <= s->overhead + size / (3 * UNIT));
      close_buddy(self);
    }
}

// ## Splitting and merging

// Two blocks of every order, one from splitting, released in either order: the heap is as it was.
static void test_merge(void) {
  struct allocator *self = open_buddy();
  for (size_t size = UNIT; size <= HEAP_SIZE / 8; size *= 2)
    for (int left_first = 0; left_first < 2; left_first++) {
      picture_take(&before, s, self);
      unsigned char *small = get(self, 1);
      unsigned char *a = get(self, size), *b = get(self, size);
      bool buddies = (address_of(a) ^ address_of(b)) == size;
      put(self, left_first == (a < b) ? a : b);
      // Its buddy lives, whatever is on the other side.
      picture_take(&now, s, self);
      const struct span *hole = picture_find(&now, left_first == (a < b) ? a : b);
      CHECK(!buddies || (hole != NULL && hole->kind == SPAN_FREE && hole->size == size));
      put(self, left_first == (a < b) ? b : a);
      put(self, small);
      picture_take(&now, s, self);
      CHECK(pictures_equal(&before, &now));
    }
  close_buddy(self);
}

// A heap full of single units, every other one released, and then the rest.
static void test_full_heap(void) {
  static unsigned char *blocks[HEAP_SIZE / UNIT];
  struct allocator *self = open_buddy();
  picture_take(&before, s, self);
  size_t got = 0;
  while ((blocks[got] = s->allocate(self, 1, 1)) != NULL) got++;
  CHECK(got == before.bytes[SPAN_FREE] / UNIT && s->check(self).number == 0);
  size_t released = 0;
  for (size_t i = 0; i < got; i++)
    if (address_of(blocks[i]) % (2 * UNIT) == 0) {
      CHECK(s->release(self, blocks[i]) == RELEASED);
      released++;
    }
  CHECK(s->check(self).number == 0 && count(self, SPAN_FREE) == released);
  CHECK(s->allocate(self, UNIT + 1, 1) == NULL);
  for (size_t i = 0; i < got; i++)
    if (address_of(blocks[i]) % (2 * UNIT) != 0) CHECK(s->release(self, blocks[i]) == RELEASED);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_buddy(self);
}

// Neighbours of one size that are no buddies stay apart.
static void test_neighbours_that_are_no_buddies(void) {
  struct allocator *self = open_buddy();
  unsigned char *blocks[4];
  // Fill until four in a row, of one block of 1024, are ours.
  for (;;) {
    unsigned char *a = get(self, 256);
    if (address_of(a) % 1024 == 0) {
      blocks[0] = a;
      for (size_t i = 1; i < 4; i++) CHECK((blocks[i] = get(self, 256)) == a + i * 256);
      break;
    }
  }
  size_t was = count(self, SPAN_FREE);
  put(self, blocks[1]);
  put(self, blocks[2]);
  CHECK(count(self, SPAN_FREE) == was + 2);
  picture_take(&now, s, self);
  CHECK(picture_find(&now, blocks[1])->size == 256 && picture_find(&now, blocks[2])->size == 256);
  put(self, blocks[0]);
  CHECK(count(self, SPAN_FREE) == was + 2);
  CHECK(picture_find(&now, blocks[0])->size == 512);
  put(self, blocks[3]);
  close_buddy(self);
}

// The least sufficient block is taken, so that larger ones stay whole.
static void test_least_sufficient(void) {
  struct allocator *self = open_buddy();
  picture_take(&before, s, self);
  for (size_t i = 0; i < before.count; i++) {
    const struct span *span = &before.spans[i];
    if (span->kind == SPAN_FREE) CHECK(get(self, span->size / 2 + 1) == span->start);
  }
  CHECK(s->allocate(self, 1, 1) == NULL);
  close_buddy(self);
}

// ## Resizing in place

static void test_resize(void) {
  struct allocator *self = open_buddy();
  unsigned char *a = get(self, HEAP_SIZE / 4);
  picture_take(&before, s, self);
  memset(a, 1, HEAP_SIZE / 4);
  for (size_t size = HEAP_SIZE / 8; size >= UNIT; size /= 2) {
    CHECK(change(self, a, size, 1) == a && s->usable_size(self, a) == size);
    CHECK(change(self, a, size - UNIT / 2, 1) == a && s->usable_size(self, a) == size);
  }
  // Each right buddy is free: at once, or one by one.
  CHECK(change(self, a, HEAP_SIZE / 4, 1) == a);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  CHECK(change(self, a, UNIT, 1) == a);
  for (size_t size = 2 * UNIT; size <= HEAP_SIZE / 4; size *= 2)
    CHECK(change(self, a, size, 1) == a && s->usable_size(self, a) == size && a[UNIT - 1] == 1);
  close_buddy(self);
}

static void test_resize_that_moves(void) {
  struct allocator *self = open_buddy();
  unsigned char *whole = get(self, 4096);
  CHECK(change(self, whole, 1024, 1) == whole);
  unsigned char *a = whole, *b = get(self, 1024);
  CHECK(b == a + 1024);
  memset(a, 1, 1024);
  memset(b, 2, 1024);
  // b is a right half, and a's right buddy lives.
  unsigned char *moved = change(self, b, 2048, 1);
  CHECK(moved == a + 2048 && moved[0] == 2 && moved[1023] == 2);
  // Now a's buddy is free, but the next larger one is not: it grows just so far.
  CHECK(change(self, a, 2000, 1) == a);
  unsigned char *away = change(self, a, 4000, 1);
  CHECK(away != NULL && (away < whole || away >= whole + 4096) && away[1023] == 1);
  CHECK(s->release(self, a) == RELEASE_DOUBLE);
  // An alignment that the block has is no reason to move, one that needs a larger block is one to
  // grow for.
  CHECK(change(self, moved, 100, 2048) == moved && s->usable_size(self, moved) == 2048);
  CHECK(change(self, moved, 100, 64) == moved && s->usable_size(self, moved) == 128);
  // No room: nothing changes.
  picture_take(&before, s, self);
  CHECK(change(self, moved, HEAP_SIZE, 1) == NULL);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_buddy(self);
}

// ## Double release

// Every block of a heap, released in many orders, and again after each release: whatever they have
// merged with, and whichever block begins or ends next to them.
static void test_double_release(void) {
  uint64_t random = 88172645463325252u;
  for (int round = 0; round < 20; round++) {
    struct allocator *self = open_at((size_t)round, 9000);
    CHECK(self != NULL);
    unsigned char *blocks[600];
    size_t got = 0;
    for (;;) {
      size_t size = UNIT << next_random(&random) % 7 << (next_random(&random) % 8 == 0 ? 3 : 0);
      blocks[got] = s->allocate(self, size, 1);
      if (blocks[got] != NULL)
        got++;
      else if (s->statistics(self).largest_free == 0)
        break;
    }
    for (size_t released = 0; released < got; released++) {
      size_t which = released + next_random(&random) % (got - released);
      unsigned char *block = blocks[which];
      blocks[which] = blocks[released];
      blocks[released] = block;
      put(self, block);
      picture_take(&before, s, self);
      for (size_t i = 0; i <= released; i++) CHECK(s->release(self, blocks[i]) == RELEASE_DOUBLE);
      picture_take(&now, s, self);
      CHECK(pictures_equal(&before, &now) && s->check(self).number == 0);
    }
    close_buddy(self);
  }
}

static void test_misaligned_release(void) {
  struct allocator *self = open_buddy();
  unsigned char *block = get(self, 100);
  for (size_t i = 1; i < UNIT; i++) CHECK(s->release(self, block + i) == RELEASE_FOREIGN);
  close_buddy(self);
}

// ## Damage

// Sets a word, expects the invariant to be found broken, and repairs it.
static void expect_broken(struct allocator *self, void *at, uint64_t value, size_t size,
                          unsigned number) {
  uint64_t was = 0;
  memcpy(&was, at, size);
  memcpy(at, &value, size);
  CHECK(s->check(self).number == number);
  if (number != 1) picture_take(&now, s, self);  // survives too
  memcpy(at, &was, size);
  CHECK(s->check(self).number == 0);
}

// Of the allocator, as buddy.c declares it.
struct fields {
  size_t source, start, size, base, first, end, marks, marks_from, lists[8 * sizeof(size_t) - 3];
  uint64_t occupied;
};

static void test_check(void) {
  struct allocator *self = open_buddy();
  struct fields *fields = (struct fields *)self;
  const size_t word = sizeof(size_t), bits = sizeof(uint64_t);
  expect_broken(self, &fields->start, fields->start + 64, word, 1);
  expect_broken(self, &fields->size, fields->size - 64, word, 1);
  expect_broken(self, &fields->base, fields->base + UNIT, word, 1);
  expect_broken(self, &fields->first, fields->first - 1, word, 1);
  expect_broken(self, &fields->end, fields->end - 1, word, 1);
  expect_broken(self, &fields->marks, fields->marks + 16, word, 1);
  expect_broken(self, &fields->marks_from, fields->marks_from + 1, word, 1);

  // Two live blocks and two holes of one order, far from everything else.
  unsigned char *blocks[4];
  do blocks[0] = get(self, 64);
  while (address_of(blocks[0]) % 4096 != 0);
  for (size_t i = 1; i < 4; i++) CHECK((blocks[i] = get(self, 64)) == blocks[0] + 64 * i);
  put(self, blocks[1]);
  put(self, blocks[3]);

  size_t unit = (address_of(blocks[0]) - fields->base) / UNIT, units = 64 / UNIT;
  uint64_t *pairs = (uint64_t *)fields->marks + (unit / 64 - fields->marks_from) * 2;
  uint64_t *ends = pairs + 1;
  uint64_t bit = (uint64_t)1 << unit % 64;
  // A live block without an end, one with an early end, an end in a free block.
  expect_broken(self, ends, *ends & ~(bit << (units - 1)), bits, 4);
  expect_broken(self, ends, *ends | bit, bits, 2);
  expect_broken(self, ends, *ends | bit << (2 * units - 1), bits, 4);
  expect_broken(self, ends, *ends | bit << (2 * units - 2), bits, 3);
  // A free block without its pair, and pairs where nothing is free as a whole.
  expect_broken(self, pairs, *pairs & ~(bit << units), bits, 2);
  expect_broken(self, pairs, *pairs | bit << 1, bits, 4);
  expect_broken(self, pairs, *pairs | bit << (2 * units), bits, 4);
  expect_broken(self, (uint64_t *)fields->marks, *(uint64_t *)fields->marks | 1, bits, 4);
  expect_broken(self, (uint64_t *)fields->marks + 1, 1, bits, 3);

  size_t order = 0;
  while (UNIT << order < 64) order++;
  size_t *hole = (size_t *)blocks[3], *next = (size_t *)blocks[1];
  CHECK(fields->lists[order] == (size_t)hole && hole[0] == (size_t)next && hole[1] == 0);
  const size_t wrong[] = {SIZE_MAX,          8,
                          (size_t)blocks[0], (size_t)blocks[2],
                          (size_t)hole,      (size_t)(next + 1),
                          fields->start,     fields->start + fields->size};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    expect_broken(self, &hole[0], wrong[i], word, 5);
    expect_broken(self, &hole[1], wrong[i], word, 5);
    if (wrong[i] != (size_t)hole) expect_broken(self, &fields->lists[order], wrong[i], word, 5);
    expect_broken(self, &fields->lists[order + 1], wrong[i], word, 5);
  }
  expect_broken(self, &hole[0], 0, word, 5);
  expect_broken(self, &fields->lists[order], 0, word, 5);
  expect_broken(self, &next[1], 0, word, 5);
  expect_broken(self, &fields->occupied, fields->occupied ^ (uint64_t)1 << order, bits, 6);
  expect_broken(self, &fields->occupied, fields->occupied | (uint64_t)1 << 63, bits, 6);
  close_buddy(self);
}

int main(void) {
  test_natural_alignment();
  test_any_heap();
  test_merge();
  test_full_heap();
  test_neighbours_that_are_no_buddies();
  test_least_sufficient();
  test_resize();
  test_resize_that_moves();
  test_double_release();
  test_misaligned_release();
  if (WIDE_WORDS) test_check();
  return 0;
}
