// What the hardened allocator does beyond the contract: what it says of each misuse, guard pages
// that fault, quarantine, random slots; and which invariant each kind of damage breaks.
#define _DEFAULT_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy hardened_strategy;

static const struct strategy *const s = &hardened_strategy;
static struct rig rig;
static struct picture before, now;

#define PAGE ((size_t)4096)
#define HEAP ((size_t)1 << 20)

static char heard[256];
static int times_heard;

static void hear(void *context, const char *message) {
  CHECK(context == &rig && strlen(message) < sizeof heard);
  strcpy(heard, message);
  times_heard++;
}

static struct allocator *open_heap(size_t page_size, size_t size, uint64_t seed) {
  struct rig_layout layout = {.name = "heap", .page_size = page_size, .size = size};
  return s->create(
      rig_init(&rig, &layout),
      &(struct strategy_options){.seed = seed, .misuse = hear, .misuse_context = &rig});
}

static void close_heap(struct allocator *self) {
  s->destroy(self);
  rig_check_empty(&rig);
}

static void *get(struct allocator *self, size_t size, size_t align) {
  void *block = s->allocate(self, size, align);
  CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
  memset(block, 0x3C, size);
  return block;
}

static void put(struct allocator *self, void *block) {
  CHECK(s->release(self, block) == RELEASED && s->check(self).number == 0);
}

// What was heard since the last time is this and nothing else.
static void expect_heard(const char *misuse, const void *address, const char *rest) {
  char line[256];
  snprintf(line, sizeof line, "%s of 0x%llx: %s", misuse, (unsigned long long)address_of(address),
           rest);
  CHECK(times_heard == 1);
  CHECK(strcmp(heard, line) == 0);
  times_heard = 0;
}

static void expect_foreign(struct allocator *self, const void *address, const char *what) {
  CHECK(s->release(self, (void *)address) == RELEASE_FOREIGN);
  expect_heard("foreign release", address, what);
  CHECK(s->resize(self, (void *)address, 10, 1) == NULL);
  expect_heard("foreign resize", address, what);
  CHECK(s->usable_size(self, address) == 0 && times_heard == 0);
}

// ## Misuse

static void test_misuse(void) {
  struct allocator *self = open_heap(PAGE, HEAP, 7);
  unsigned char *small = get(self, 24, 1), *kept = get(self, 24, 1), *one = get(self, 1, 1);
  unsigned char *large = get(self, 3 * PAGE, 1);
  put(self, small);
  put(self, one);
  picture_take(&before, s, self);
  CHECK(s->release(self, small) == RELEASE_DOUBLE);
  expect_heard("double release", small, "released block of 24 bytes");
  CHECK(s->release(self, one) == RELEASE_DOUBLE);
  expect_heard("double release", one, "released block of 1 byte");
  CHECK(s->resize(self, small, 30, 1) == NULL);
  expect_heard("resize after release", small, "released block of 24 bytes");
  CHECK(s->usable_size(self, small) == 0);

  char elsewhere[16];
  expect_foreign(self, elsewhere, "outside the heap");
  expect_foreign(self, self, "in what the allocator keeps for itself");
  expect_foreign(self, kept + 1, "inside a slot, not at its start");
  expect_foreign(self, kept + 16, "inside a slot, not at its start");
  expect_foreign(self, large + 16, "inside a large block");
  expect_foreign(self, large + PAGE, "inside a large block");
  expect_foreign(self, large - PAGE, "in a guard page");
  expect_foreign(self, large + 4 * PAGE, "in a guard page");
  expect_foreign(self, large + 5 * PAGE, "in a page that holds no block");
  const unsigned char *page = kept - address_of(kept) % PAGE;
  int never = 0;
  for (const unsigned char *slot = page; slot < page + PAGE; slot += 32) {
    if (slot == kept || slot == small) continue;
    expect_foreign(self, slot, "a slot that was never allocated");
    never++;
  }
  CHECK(never == PAGE / 32 - 2);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));

  put(self, large);
  CHECK(s->release(self, large) == RELEASE_DOUBLE);
  expect_heard("double release", large, "released block of 12288 bytes");
  put(self, kept);  // the last one: everything leaves quarantine, and is known all the same
  CHECK(s->release(self, large) == RELEASE_DOUBLE && s->release(self, small) == RELEASE_DOUBLE);
  close_heap(self);
  times_heard = 0;
}

// Whatever the size, one byte too many is noticed, and be it a zero; and eight bytes further on.
static void test_overrun(void) {
  struct allocator *self = open_heap(PAGE, HEAP, 7);
  void *other = get(self, 1, 1);
  const size_t sizes[] = {1, 7, 8, 15, 16, 24, 31, 32, 100, 1000, 1023, 1024, 4095, 4096, 10000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int value = 0; value < 3; value++) {
      size_t size = sizes[i];
      unsigned char *block = get(self, size, 1);
      CHECK(s->usable_size(self, block) == size);
      unsigned char changed = value == 0 ? 0 : (unsigned char)(block[size] + value);
      block[size] = changed;
      CHECK(s->release(self, block) == RELEASE_OVERRUN);
      char rest[64];
      snprintf(rest, sizeof rest, "block of %zu byte%s, changed at byte %zu", size,
               size == 1 ? "" : "s", size);
      expect_heard("overrun", block, rest);
      CHECK(s->release(self, block) == RELEASE_DOUBLE);
      times_heard = 0;
    }
  unsigned char *block = get(self, 20, 1);
  block[27]++;
  CHECK(s->release(self, block) == RELEASE_OVERRUN);
  expect_heard("overrun", block, "block of 20 bytes, changed at byte 27");
  // The canary moves along with the end.
  block = get(self, 20, 1);
  CHECK(s->resize(self, block, 25, 1) == block);
  block[24] = 1;
  block[25]++;
  CHECK(s->release(self, block) == RELEASE_OVERRUN);
  expect_heard("overrun", block, "block of 25 bytes, changed at byte 25");
  put(self, other);
  close_heap(self);
}

static void test_write_after_release(void) {
  struct allocator *self = open_heap(0, 8000, 7);  // a buffer, so that a released block can be read
  unsigned char *other = get(self, 1, 1), *block = get(self, 24, 1), *large = get(self, 600, 1);
  put(self, block);
  put(self, large);
  for (size_t i = 0; i < 32; i++) CHECK(block[i] == 0);
  for (size_t i = 0; i < 1024; i++) CHECK(large[i] == 0);
  block[3] = 1;
  CHECK(times_heard == 0);
  put(self, other);
  expect_heard("write after release", block, "released block of 24 bytes, changed at byte 3");
  other = get(self, 1, 1);
  large = get(self, 600, 1);
  put(self, large);
  large[1023] = 1;
  put(self, other);
  expect_heard("write after release", large, "released block of 600 bytes, changed at byte 1023");
  // Nobody hears, nothing is said; but a zeroed block is zeroed.
  other = get(self, 1, 1);
  block = get(self, 24, 1);
  put(self, block);
  memset(block, 0xFF, 24);
  for (int i = 0; i < 100; i++) {
    unsigned char *zeroed = s->allocate_zeroed(self, 1, 24, 1);
    if (zeroed == NULL) break;
    for (size_t j = 0; j < 24; j++) CHECK(zeroed[j] == 0);
  }
  close_heap(self);
  times_heard = 0;
}

// ## Quarantine and chance

// A slot comes back only when the quarantine is full, or nothing else would do.
static void test_quarantine(void) {
  struct allocator *self = open_heap(PAGE, HEAP, 7);
  void *other = get(self, 16, 1);
  for (int round = 0; round < 20; round++) {
    void *released[100];
    for (int i = 0; i < 100; i++) {
      released[i] = get(self, 24, 1);
      for (int j = 0; j < i; j++) CHECK(released[j] != released[i]);
      put(self, released[i]);
    }
  }
  put(self, other);
  close_heap(self);

  self = open_heap(512, 8000, 7);
  other = get(self, 16, 1);
  picture_take(&before, s, self);
  size_t room = s->statistics(self).largest_free;
  for (int round = 0; round < 10; round++) {
    void *all = get(self, room, 1);
    put(self, all);
    picture_take(&now, s, self);
    CHECK(pictures_equal(&before, &now));
    CHECK(s->allocate(self, room + 1, 1) == NULL);  // refused, and the quarantine is as it was
    CHECK(s->release(self, all) == RELEASE_DOUBLE);
  }
  put(self, other);
  close_heap(self);
  times_heard = 0;
}

enum { BLOCKS = 60 };

static void offsets(uint64_t seed, size_t offset, ptrdiff_t result[BLOCKS]) {
  static const struct rig_layout layout = {.name = "buffer", .size = 200000};
  struct rig_layout shifted = layout;
  shifted.offset = offset;
  struct allocator *self =
      s->create(rig_init(&rig, &shifted), &(struct strategy_options){.seed = seed});
  for (int i = 0; i < BLOCKS; i++) {
    unsigned char *block = get(self, 20, 1);
    result[i] = block - (rig_memory + offset);
  }
  close_heap(self);
}

static void test_chance(void) {
  ptrdiff_t a[BLOCKS], b[BLOCKS];
  offsets(1, 0, a);
  offsets(1, 65536, b);
  CHECK(memcmp(a, b, sizeof a) == 0);
  size_t ascending = 0;
  for (int i = 1; i < BLOCKS; i++) ascending += a[i] > a[i - 1];
  CHECK(ascending > BLOCKS / 4 && ascending < BLOCKS * 3 / 4);
  for (uint64_t seed = 2; seed < 6; seed++) {
    offsets(seed, 0, b);
    CHECK(memcmp(a, b, sizeof a) != 0);
  }
}

// ## Guard pages

static void touch(const void *address) { *(volatile unsigned char *)(uintptr_t)address = 1; }

static bool faults(const void *address) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would report it
    signal(SIGBUS, SIG_DFL);
    touch(address);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static void test_guards(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  struct allocator *self = open_heap(page, 64 * page, 7);
  unsigned char *other = get(self, 1, 1), *large = get(self, 2 * page + 1, 1);
  CHECK(!faults(large) && !faults(large + 3 * page - 1));
  CHECK(faults(large - 1) && faults(large - page));
  CHECK(faults(large + 3 * page) && faults(large + 4 * page - 1));
  CHECK(faults(other - address_of(other) % page - 1));  // behind the metadata
  put(self, large);
  CHECK(faults(large) && faults(large + 3 * page - 1));
  put(self, other);  // nothing waits any more
  CHECK(!faults(large) && !faults(large - 1));
  get(self, 5 * page, 1);
  s->reset(self);
  get(self, 50 * page, 1);
  close_heap(self);

  // Pages that the system can not protect one by one are only padding.
  self = open_heap(page / 4, 16 * page, 7);
  other = get(self, 1, 1);
  large = get(self, page, 1);
  CHECK(!faults(large - 1) && !faults(large + page + page / 4));
  put(self, large);
  CHECK(!faults(large));
  close_heap(self);
}

// A system that does not make pages accessible again costs their use, and no more.
static bool refuse_access(struct source *self, void *start, size_t size, bool accessible) {
  (void)self;
  (void)start;
  (void)size;
  return !accessible;
}

static void test_refused_access(void) {
  struct rig_layout layout = {.name = "pages", .page_size = PAGE, .size = 20 * PAGE};
  struct source *source = rig_init(&rig, &layout);
  source->protect = refuse_access;
  struct allocator *self = s->create(source, &(struct strategy_options){0});
  CHECK(self != NULL);
  int lost = 0;
  for (void *block; (block = s->allocate(self, 2 * PAGE, 1)) != NULL; lost++) put(self, block);
  CHECK(lost == 3 && s->check(self).number == 0);
  get(self, 100, 1);
  close_heap(self);
}

// ## Resize

static void test_resize(void) {
  struct allocator *self = open_heap(PAGE, HEAP, 7);
  unsigned char *a = get(self, 20, 1);
  CHECK(s->resize(self, a, 31, 1) == a && s->usable_size(self, a) == 31);
  CHECK(s->resize(self, a, 16, 16) == a && s->usable_size(self, a) == 16);
  unsigned char *b = s->resize(self, a, 32, 1);
  CHECK(b != a && b[15] == 0x3C && s->release(self, a) == RELEASE_DOUBLE);
  memset(b, 0x5A, 32);
  unsigned char *c = s->resize(self, b, 9000, 1);
  CHECK(c[31] == 0x5A && s->resize(self, c, 8193, 1) == c && s->resize(self, c, 12287, 1) == c);
  unsigned char *d = s->resize(self, c, 12288, 1);
  CHECK(d != c && d[31] == 0x5A && s->check(self).number == 0);
  CHECK(s->resize(self, d, 2 * HEAP, 1) == NULL && s->resize(self, d, 0, 1) == NULL);
  put(self, d);
  close_heap(self);
  times_heard = 0;
}

// ## Damage

static void expect_broken(struct allocator *self, void *where, size_t size, uint64_t value,
                          unsigned number) {
  unsigned char was[8];
  memcpy(was, where, size);
  memcpy(where, &value, size);
  CHECK(s->check(self).number == number);
  memcpy(where, was, size);
  CHECK(s->check(self).number == 0);
}

static void test_check(void) {
  struct allocator *self = open_heap(PAGE, HEAP, 7);
  enum { SOURCE, START, SIZE, PAGE_SIZE, COUNT, DATA, SLABS };
  enum { OLDEST = SLABS + 4, WAITING, BLOCKS_LIVE, FIRST_FREE, FIELDS = FIRST_FREE + 5 };
  enum { BLOCK_SIZE = 0, NEXT = 8, PREVIOUS = 12, LIVE = 16, QUARANTINED = 20, SHAPE = 24 };
  enum {
    GUARD = 1,
    HEAD = 3,
    BIN = 25,
    STATE = 26,
    TAKEN = 27,
    LISTED = 28,
    SEALED = 29,
    PAGE_FIELDS = 32
  };
  unsigned char *a = get(self, 24, 1);
  get(self, 24, 1);
  get(self, 3 * PAGE, 1);
  put(self, a);
  size_t *word = (size_t *)self;
  unsigned char *pages = (unsigned char *)self + FIELDS * sizeof(size_t);
  CHECK(word[COUNT] > 200 && word[FIRST_FREE] == 8 && word[BLOCKS_LIVE] == 2);
  unsigned char *slab = pages + PAGE_FIELDS, *head = pages + 3 * PAGE_FIELDS;
  expect_broken(self, &word[START], 8, 0, 1);
  expect_broken(self, &word[SIZE], 8, word[SIZE] - PAGE, 1);
  expect_broken(self, &word[PAGE_SIZE], 8, PAGE * 2, 1);
  expect_broken(self, &word[PAGE_SIZE], 8, PAGE + 1, 1);
  expect_broken(self, &word[COUNT], 8, word[COUNT] + 1, 1);
  expect_broken(self, &word[DATA], 8, word[DATA] + PAGE, 1);
  for (int shape = 0; shape < 256; shape++)
    if (shape != slab[SHAPE] && shape != GUARD)
      expect_broken(self, &slab[SHAPE], 1, (uint64_t)shape, shape == HEAD ? 3 : 2);
  expect_broken(self, &slab[BIN], 1, 7, 2);
  expect_broken(self, &slab[TAKEN], 1, 2, 2);
  expect_broken(self, &head[BLOCK_SIZE], 8, 0, 2);
  expect_broken(self, &head[BLOCK_SIZE], 8, 5 * PAGE, 2);
  expect_broken(self, &head[BLOCK_SIZE], 8, SIZE_MAX, 2);
  expect_broken(self, &slab[LIVE], 4, 2, 3);
  expect_broken(self, &slab[QUARANTINED], 4, 0, 3);
  expect_broken(self, &slab[BIN], 1, 3, 3);
  expect_broken(self, &slab[NEXT], 4, 1, 4);
  expect_broken(self, &slab[PREVIOUS], 4, 1, 4);
  expect_broken(self, &slab[LISTED], 1, 0, 4);
  expect_broken(self, &word[SLABS], 4, 1, 4);
  expect_broken(self, &word[WAITING], 8, 0, 5);
  expect_broken(self, &word[WAITING], 8, SIZE_MAX, 5);
  expect_broken(self, &word[OLDEST], 8, word[COUNT], 5);
  expect_broken(self, &word[OLDEST], 8, 1, 5);
  expect_broken(self, &word[BLOCKS_LIVE], 8, 1, 6);
  expect_broken(self, &word[FIRST_FREE], 8, 9, 6);
  size_t *map = (size_t *)(pages + word[COUNT] * (PAGE_FIELDS + sizeof(void *)));
  expect_broken(self, map, 8, *map | 1, 7);
  expect_broken(self, map, 8, *map & ~((size_t)1 << 20), 7);
  expect_broken(self, &map[word[COUNT] / 64], 8, SIZE_MAX, 7);
  close_heap(self);
}

int main(void) {
  test_misuse();
  test_overrun();
  test_write_after_release();
  test_quarantine();
  test_chance();
  test_guards();
  test_refused_access();
  test_resize();
  if (sizeof(size_t) == 8) test_check();
  return 0;
}
