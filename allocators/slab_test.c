// What slabs do beyond the contract: where objects lie, how slabs are coloured, kept and given
// back, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy slab_strategy;

static const struct strategy *const s = &slab_strategy;
static struct rig rig;
static struct picture now;

enum { LINE = 64, HINTS = 512, BLOCKS = 2000 };

static const size_t page_sizes[] = {64, 1024, 4096, 16384, 65536};
#define PAGE_SIZES (sizeof page_sizes / sizeof *page_sizes)

static struct allocator *open_slabs(size_t page_size) {
  struct source *source = rig_init(
      &rig, &(struct rig_layout){.name = "pages", .page_size = page_size, .size = 64 << 20});
  struct allocator *self = s->create(source, &(struct strategy_options){0});
  CHECK(self != NULL);
  return self;
}

static void close_slabs(struct allocator *self) {
  CHECK(s->check(self).number == 0);
  s->destroy(self);
  rig_check_empty(&rig);
}

static unsigned char *get_aligned(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = s->allocate(self, size, align);
  CHECK(block != NULL && address_of(block) % align == 0);
  return block;
}

static unsigned char *get(struct allocator *self, size_t size) {
  return get_aligned(self, size, 1);
}

static size_t stretches(void) { return rig.account.count; }

static void put(struct allocator *self, void *block) { CHECK(s->release(self, block) == RELEASED); }

// Objects of a size lie one after the other; sizes that differ share no slab.
static void test_objects(void) {
  struct allocator *self = open_slabs(4096);
  unsigned char *a = get(self, 48), *b = get(self, 33), *c = get(self, 40), *other = get(self, 49);
  CHECK(b == a + 48 && c == b + 48 && s->usable_size(self, c) == 48);
  CHECK(address_of(other) / 4096 != address_of(a) / 4096 && s->usable_size(self, other) == 64);
  put(self, b);
  put(self, a);
  CHECK(get(self, 48) == a && get(self, 48) == b);  // last in, first out
  close_slabs(self);
}

// Whatever the pages, any block finds its header again.
static void test_page_sizes(void) {
  static unsigned char *blocks[400];
  for (size_t p = 0; p < PAGE_SIZES; p++) {
    struct allocator *self = open_slabs(page_sizes[p]);
    for (size_t i = 0; i < 400; i++) {
      size_t size = 1 + i * i % 9000, align = (size_t)1 << i % 17;
      blocks[i] = get_aligned(self, size, align);
      CHECK(s->usable_size(self, blocks[i]) >= size);
      memset(blocks[i], (int)i, s->usable_size(self, blocks[i]));
    }
    CHECK(s->check(self).number == 0);
    for (size_t i = 0; i < 400; i++) {
      CHECK(blocks[i][0] == (unsigned char)i && blocks[i][i * i % 9000] == (unsigned char)i);
      put(self, blocks[i]);
    }
    CHECK(stretches() == 1);
    close_slabs(self);
  }
}

// Slab after slab of a cache begins one line later, until what is left over is used up.
static void test_colours(void) {
  struct allocator *self = open_slabs(4096);
  enum { SIZE = 640, COLOURS = 1 + (4096 - LINE) % SIZE / LINE };
  uintptr_t slab_before = 0;
  size_t slabs = 0;
  while (stretches() == 1)
    get(self, SIZE);  // fills the allocator's own slabs, which have no colour
  for (size_t i = 0; i < 60; i++) {
    unsigned char *block = get(self, SIZE);
    uintptr_t slab = align_down(address_of(block), 4096);
    CHECK(address_of(block) + SIZE <= slab + 4096);
    if (slab == slab_before) continue;
    size_t first = slabs == 0 ? SIZE : 0;  // that object was had above
    CHECK(address_of(block) == slab + LINE + slabs % COLOURS * LINE + first);
    slab_before = slab;
    slabs++;
  }
  CHECK(COLOURS == 4 && slabs > 8);
  close_slabs(self);
}

// ## What is kept

static void test_pairs_need_no_source(void) {
  struct allocator *self = open_slabs(4096);
  for (size_t size = 1; size <= 1200; size += 37) {
    for (int i = 0; i < 3; i++) put(self, get(self, size));
    CHECK(rig.faults.acquisitions == 1);
  }
  close_slabs(self);
}

static void test_idle_slabs(void) {
  static unsigned char *blocks[BLOCKS];
  struct allocator *self = open_slabs(4096);
  unsigned char *lasting = get(self, 3000);
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < BLOCKS; i++) blocks[i] = get(self, 200);
    size_t most = stretches();
    CHECK(most > BLOCKS * 200 / 4096);
    for (size_t i = 0; i < BLOCKS; i++) put(self, blocks[i]);
    CHECK(s->check(self).number == 0 && stretches() <= 8);
    for (size_t i = 0; i < BLOCKS; i++) blocks[i] = get(self, 200);
    for (size_t i = 0; i < BLOCKS; i += 2) put(self, blocks[i]);  // no slab becomes idle
    CHECK(s->check(self).number == 0 && stretches() == most);
    for (size_t i = 1; i < BLOCKS; i += 2) put(self, blocks[i]);
  }
  put(self, lasting);
  CHECK(stretches() == 1);
  close_slabs(self);
}

// A source that has nothing more is given what is idle, or only kept so by magazines.
static void test_refusal_reaps(void) {
  static unsigned char *blocks[BLOCKS];
  struct allocator *self = open_slabs(4096);
  unsigned char *lasting = get(self, 3000);
  for (size_t i = 0; i < BLOCKS; i++) blocks[i] = get(self, 500);
  for (size_t i = 0; i < BLOCKS; i++) put(self, blocks[i]);
  CHECK(stretches() > 2);
  CHECK(s->allocate(self, 65 << 20, 1) == NULL && s->check(self).number == 0);
  CHECK(stretches() == 2);
  put(self, lasting);
  close_slabs(self);
}

// As free counts what one request can have, even if the source has nothing more.
static void test_largest_free(void) {
  struct allocator *self = open_slabs(4096);
  unsigned char *blocks[8];
  size_t largest = s->statistics(self).largest_free, count = 0;
  CHECK(largest == 1792);
  // A size for each slab of the allocator's own stretch.
  while (s->statistics(self).largest_free == largest) {
    blocks[count] = get(self, 16 * (count + 1));
    count++;
  }
  CHECK(count > 1 && s->statistics(self).largest_free == 16 * count && stretches() == 1);
  put(self, blocks[0]);
  CHECK(s->statistics(self).largest_free == largest);
  source_faults_arm(&rig.faults, 0, 0);
  blocks[0] = s->allocate(self, largest, 1);
  CHECK(blocks[0] != NULL && stretches() == 1);
  source_faults_arm(&rig.faults, 0, SIZE_MAX);
  for (size_t i = 0; i < count; i++) put(self, blocks[i]);
  close_slabs(self);
}

static void test_resize(void) {
  struct allocator *self = open_slabs(4096);
  unsigned char *block = get(self, 100);
  memset(block, 7, 100);
  CHECK(s->resize(self, block, 112, 1) == block && s->resize(self, block, 97, 16) == block);
  unsigned char *moved = s->resize(self, block, 500, 1);
  CHECK(moved != block && moved[0] == 7 && moved[96] == 7);
  unsigned char *large = s->resize(self, moved, 9000, 1);
  CHECK(large[0] == 7 && large[96] == 7);
  CHECK(s->resize(self, large, 12000, 1) == large && s->resize(self, large, 8300, 1) == large);
  unsigned char *smaller = s->resize(self, large, 5000, 1);
  CHECK(smaller != large && smaller[96] == 7);
  // Where there is nothing to move to, a smaller block stays where it is.
  source_faults_arm(&rig.faults, 0, 0);
  CHECK(s->resize(self, smaller, 4200, 1) == smaller);
  CHECK(s->resize(self, smaller, 20000, 1) == NULL && smaller[96] == 7);
  source_faults_arm(&rig.faults, 0, SIZE_MAX);
  close_slabs(self);
}

// ## Damage

static void expect_broken(struct allocator *self, void *word, size_t bytes, uintptr_t value,
                          unsigned number) {
  uintptr_t was = 0;
  memcpy(&was, word, bytes);
  memcpy(word, &value, bytes);
  CHECK(s->check(self).number == number);
  picture_take(&now, s, self);  // survives too
  memcpy(word, &was, bytes);
  CHECK(s->check(self).number == 0);
}

static void test_check(void) {
  struct allocator *self = open_slabs(4096);
  unsigned char *blocks[40], *large = get(self, 9000);
  for (size_t i = 0; i < 40; i++) blocks[i] = get(self, 640);
  for (size_t i = 0; i < 40; i += 2) put(self, blocks[i]);
  CHECK(s->check(self).number == 0);
  // next, memory, size, seal, previous, free; class, start, capacity, fresh, live
  uintptr_t *slab = (uintptr_t *)align_down(address_of(blocks[20]), 4096);
  uint16_t *counts = (uint16_t *)(slab + 6);
  uintptr_t *large_header = (uintptr_t *)(large - LINE), *fields = (uintptr_t *)self;
  for (size_t i = 0; i < 4; i++) {
    expect_broken(self, &slab[i], sizeof *slab, slab[i] + 4096, 1);
    expect_broken(self, &large_header[i], sizeof *slab, large_header[i] + 64, 1);
  }
  expect_broken(self, &slab[4], sizeof *slab, address_of(slab), 2);
  expect_broken(self, &slab[5], sizeof *slab, address_of(blocks[21]) + 8, 4);
  expect_broken(self, &slab[5], sizeof *slab, slab[5] == 0 ? address_of(blocks[21]) : 0, 4);
  for (size_t i = 0; i < 3; i++) expect_broken(self, &counts[i], 2, counts[i] + 1u, 3);
  expect_broken(self, &counts[3], 2, counts[2] + 1u, 3);
  expect_broken(self, &counts[4], 2, counts[3] + 1u, 3);
  // live, held, idle, largest, window, its logarithm, source, memory, size, seal, peak, full ...
  for (size_t i = 0; i < 3; i++) expect_broken(self, &fields[i], sizeof *fields, 77, 6);
  expect_broken(self, &fields[3], sizeof *fields, 4096, 3);
  expect_broken(self, &fields[4], sizeof *fields, 8192, 1);
  for (size_t i = 7; i < 10; i++)
    expect_broken(self, &fields[i], sizeof *fields, fields[i] + 64, 1);
  expect_broken(self, &fields[10], sizeof *fields, 0, 6);
  expect_broken(self, &fields[11], sizeof *fields, address_of(slab) + 64, 1);
  // The hints end the allocator: one that tells another class, and one of no slab.
  uintptr_t *hint = (uintptr_t *)(fields[7] + fields[8]) - HINTS;
  while (*hint - address_of(slab) >= LINE) hint++;
  expect_broken(self, hint, sizeof *hint, *hint ^ 1, 7);
  expect_broken(self, hint, sizeof *hint, 0, 0);
  expect_broken(self, hint, sizeof *hint, *hint + (4096 << 10), 7);
  close_slabs(self);
}

int main(void) {
  test_objects();
  test_page_sizes();
  test_colours();
  test_pairs_need_no_source();
  test_idle_slabs();
  test_refusal_reaps();
  test_largest_free();
  test_resize();
  test_check();
  return 0;
}
