// What the arena does beyond the contract: how chunks grow and shrink, when they are kept, what a
// rollback restores, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy arena_strategy;

static const struct strategy *const s = &arena_strategy;
static struct rig rig;
static struct picture before, now;

enum { RETURNS, KEEPS };
#define PAGE ((size_t)4096)
#define CHUNK_LIMIT ((size_t)1 << 20)
#define HEADER (6 * sizeof(size_t))

static struct allocator *open_pages(unsigned variant, size_t page_size, size_t limit) {
  struct rig_layout layout = {.name = "pages", .page_size = page_size, .size = limit};
  return s->create(rig_init(&rig, &layout), &(struct strategy_options){.variant = variant});
}

static void close_pages(struct allocator *self) {
  s->destroy(self);
  rig_check_empty(&rig);
}

static void *get(struct allocator *self, size_t size, size_t align) {
  void *block = s->allocate(self, size, align);
  CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
  memset(block, 0x3C, size);
  return block;
}

static size_t pages_held(void) { return rig.account.bytes / PAGE; }

// Blocks lie side by side, without anything between them but what alignment asks for.
static void test_blocks(void) {
  struct allocator *self = open_pages(RETURNS, PAGE, SIZE_MAX);
  unsigned char *a = get(self, 1, 1), *b = get(self, 3, 1), *c = get(self, 8, 8);
  CHECK(b == a + 1 && c >= b + 3 && c < b + 3 + 8 && get(self, 1, 1) == c + 8);
  CHECK(pages_held() == 1);  // the page that the allocator lies in serves requests as well
  close_pages(self);
}

// Each chunk is twice as long as the one before, up to the limit.
static void test_growth(void) {
  struct allocator *self = open_pages(RETURNS, PAGE, SIZE_MAX);
  size_t held = PAGE, size = PAGE;
  for (int i = 0; i < 12; i++) {
    while (rig.account.bytes == held) get(self, 1000, 1);
    size = 2 * size < CHUNK_LIMIT ? 2 * size : CHUNK_LIMIT;
    CHECK(rig.account.bytes == held + size);
    held += size;
  }
  close_pages(self);
}

// A large block gets what it needs, and the chunk that has more room left goes on serving.
static void test_large_block(void) {
  struct allocator *self = open_pages(RETURNS, PAGE, SIZE_MAX);
  unsigned char *a = get(self, 10, 1);
  unsigned char *large = get(self, 10 * PAGE - 100, 1);
  CHECK(pages_held() == 11);
  CHECK(get(self, 10, 1) == a + 10);
  struct mark mark = s->mark(self);
  get(self, PAGE, 1);  // twice the current chunk, which is not the large one
  CHECK(pages_held() == 13);
  s->rollback(self, mark);
  CHECK(pages_held() == 11 && large[10 * PAGE - 101] == 0x3C && get(self, 10, 1) == a + 20);
  close_pages(self);
}

// Where twice as much can not be had the rest is used as far as it goes, to the last byte.
static void test_shortage(void) {
  for (unsigned variant = RETURNS; variant <= KEEPS; variant++) {
    struct allocator *self = open_pages(variant, PAGE, 8 * PAGE);
    size_t blocks = 0;
    while (s->allocate(self, PAGE / 2 - 100, 1) != NULL) blocks++;
    CHECK(pages_held() == 8 && blocks >= 14);
    CHECK(s->allocate(self, 8 * PAGE, 1) == NULL && s->check(self).number == 0);
    s->reset(self);
    CHECK(pages_held() == (variant == KEEPS ? 8 : 1));
    // What is kept goes back for a request that needs it.
    CHECK(s->allocate(self, 7 * PAGE - HEADER + 1, 1) == NULL);
    get(self, 7 * PAGE - HEADER, 1);
    CHECK(pages_held() == 8);
    close_pages(self);
  }
}

// Regions that come and go ask the source for nothing.
static void test_keeping(void) {
  struct allocator *self = open_pages(KEEPS, PAGE, SIZE_MAX);
  void *first[200];
  for (size_t i = 0; i < 200; i++) first[i] = get(self, 100 + i * 10, 1);
  size_t acquisitions = rig.faults.acquisitions, held = rig.account.bytes;
  for (int round = 0; round < 3; round++) {
    s->reset(self);
    CHECK(rig.account.bytes == held && s->check(self).number == 0);
    for (size_t i = 0; i < 200; i++) CHECK(get(self, 100 + i * 10, 1) == first[i]);
  }
  CHECK(rig.faults.acquisitions == acquisitions);
  // A block that none of them holds is had from the source, and they are kept.
  s->reset(self);
  get(self, 4 * CHUNK_LIMIT, 1);
  CHECK(rig.account.bytes > held + 4 * CHUNK_LIMIT);
  close_pages(self);
}

// A failure between giving back and acquiring leaves a consistent arena with what it still has.
static void test_kept_and_faults(void) {
  struct allocator *self = open_pages(KEEPS, PAGE, 20 * PAGE);
  while (s->allocate(self, 3000, 1) != NULL) {
  }
  s->reset(self);
  CHECK(pages_held() == 20);
  source_faults_arm(&rig.faults, 0, 0);
  CHECK(s->allocate(self, 18 * PAGE, 1) == NULL && s->check(self).number == 0);
  source_faults_arm(&rig.faults, 0, SIZE_MAX);
  get(self, 18 * PAGE, 1);
  close_pages(self);
}

// ## Marks

static void test_rollback(void) {
  for (unsigned variant = RETURNS; variant <= KEEPS; variant++) {
    struct allocator *self = open_pages(variant, PAGE, SIZE_MAX);
    get(self, 100, 1);
    struct mark outer = s->mark(self);
    unsigned char *a = get(self, 100, 1);
    get(self, 3 * PAGE, 1);
    struct mark inner = s->mark(self);
    unsigned char *b = get(self, 5 * PAGE, 1);
    s->rollback(self, inner);
    CHECK(get(self, 5 * PAGE, 1) == b || variant == RETURNS);
    s->rollback(self, inner);
    s->rollback(self, inner);  // it can be rolled back to again
    CHECK(a[99] == 0x3C);
    s->rollback(self, outer);
    CHECK(get(self, 100, 1) == a);
    s->rollback(self, outer);
    s->reset(self);
    CHECK(get(self, 50, 1) == a - 100);
    close_pages(self);
  }
}

// A program of marks, rollbacks and requests: after each rollback all is as it was at its mark.
enum { MARKS = 12, STEPS = 20000 };

static void run_marks(unsigned variant, size_t page_size, size_t limit, uint64_t seed) {
  static struct picture pictures[MARKS];
  struct mark marks[MARKS];
  void *next[MARKS];  // what a small request found after the mark; NULL: it opened a chunk
  size_t count = 0;
  struct allocator *self = open_pages(variant, page_size, limit);
  CHECK(self != NULL);
  for (int i = 0; i < STEPS; i++) {
    uint64_t random = next_random(&seed);
    if (random % 64 == 0 && count < MARKS) {
      marks[count] = s->mark(self);
      picture_take(&pictures[count], s, self);
      picture_drop_spare(&pictures[count], &rig.account);
      size_t acquisitions = rig.faults.acquisitions;
      next[count] = s->allocate(self, 1, 1);
      if (rig.faults.acquisitions != acquisitions || variant == KEEPS) next[count] = NULL;
      s->rollback(self, marks[count]);
      count++;
    } else if (random % 64 == 1 && count > 0) {
      count = (size_t)(random >> 32) % count + 1;
      s->rollback(self, marks[count - 1]);
      picture_take(&now, s, self);
      picture_drop_spare(&now, &rig.account);
      CHECK(pictures_equal(&pictures[count - 1], &now));
      void *found = s->allocate(self, 1, 1);
      CHECK(next[count - 1] == NULL || found == next[count - 1]);
      s->rollback(self, marks[count - 1]);
    } else if (random % 4096 == 2) {
      s->reset(self);
      count = 0;
    } else {
      size_t size = (size_t)(random >> 20) % (random % 32 == 3 ? limit / 8 : 200) + 1;
      size_t align = (size_t)1 << (random >> 50) % 10;
      unsigned char *block = s->allocate(self, size, align);
      if (block != NULL) memset(block, 0x77, size);
      if (random % 1024 == 4) source_faults_arm(&rig.faults, random >> 30, SIZE_MAX);
    }
    if (i % 8 == 0) CHECK(s->check(self).number == 0);
  }
  source_faults_arm(&rig.faults, 0, SIZE_MAX);
  close_pages(self);
}

static void test_marks(void) {
  for (unsigned variant = RETURNS; variant <= KEEPS; variant++) {
    run_marks(variant, PAGE, 1 << 20, 1);
    run_marks(variant, 64, 30000, 2);
    run_marks(variant, 1, 10000, 3);
    run_marks(variant, 65536, 1 << 20, 4);
  }
}

// Pages smaller than a header's alignment may lie anywhere.
static void *acquire_shifted(struct source *base, size_t size) {
  unsigned char *memory = rig.pages.base.acquire(&rig.pages.base, size + 16);
  return memory == NULL ? NULL : memory + base->page_size;
}

static void release_shifted(struct source *base, void *memory, size_t size) {
  rig.pages.base.release(&rig.pages.base, (unsigned char *)memory - base->page_size, size + 16);
}

static void test_tiny_pages(void) {
  for (size_t page = 1; page <= 16; page *= 2) {
    struct rig_layout layout = {.name = "tiny", .page_size = page, .size = 4000};
    struct source *source = rig_init(&rig, &layout);
    struct source shifted = rig.pages.base;
    shifted.acquire = acquire_shifted;
    shifted.release = release_shifted;
    rig.limit.inner = &shifted;
    struct allocator *self = s->create(source, &(struct strategy_options){0});
    CHECK(self != NULL && rig.account.bytes <= s->overhead + page - 1);
    for (size_t size = 1; size < 100; size += 3) s->allocate(self, size, (size_t)1 << (size % 8));
    CHECK(s->check(self).number == 0);
    close_pages(self);
  }
}

// ## Damage

static void expect_broken(struct allocator *self, size_t *word, size_t value, unsigned number,
                          const void *where) {
  size_t was = *word;
  *word = value;
  struct broken_invariant broken = s->check(self);
  CHECK(broken.number == number && broken.where == where);
  *word = was;
  CHECK(s->check(self).number == 0);
}

static void test_check(void) {
  struct allocator *self = open_pages(KEEPS, PAGE, SIZE_MAX);
  enum { OLDER, RESUMES, MEMORY, SIZE, SEAL, TOP, CHUNKS, KEPT };
  enum { KEPT_CHUNKS = KEPT + TOP + 1, CURRENT, ALLOCATOR_TOP, END, SOURCE, VARIANT };
  get(self, 100, 1);
  struct mark mark = s->mark(self);
  for (int i = 0; i < 6; i++) get(self, 6 * PAGE, 1);
  s->rollback(self, mark);
  get(self, 5000, 1);
  get(self, 300000, 1);
  picture_take(&before, s, self);
  size_t *own = (size_t *)self, *kept = own + KEPT;
  size_t *newest = (size_t *)own[OLDER], *oldest = (size_t *)newest[OLDER];
  CHECK((size_t *)oldest[OLDER] == own && own[CHUNKS] == 2 && own[KEPT_CHUNKS] == 2);
  size_t *spare = (size_t *)kept[OLDER];
  CHECK(oldest[RESUMES] == address_of(own));

  const size_t wrong[] = {0, SIZE_MAX, 16, address_of(kept), address_of(&rig)};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    for (size_t field = OLDER; field <= SEAL; field++) {
      if (own[field] != wrong[i]) expect_broken(self, &own[field], wrong[i], 1, own);
      if (newest[field] != wrong[i]) expect_broken(self, &newest[field], wrong[i], 1, newest);
      if (spare[field] != wrong[i]) expect_broken(self, &spare[field], wrong[i], 1, spare);
      if (kept[field] != wrong[i]) expect_broken(self, &kept[field], wrong[i], 1, kept);
    }
  size_t sealed[5];
  for (size_t byte = 0; byte < 256; byte++) {  // overrun by a fill
    memcpy(sealed, oldest, sizeof sealed);
    memset(oldest, (int)byte, sizeof sealed);
    CHECK(s->check(self).number == 1);
    memcpy(oldest, sealed, sizeof sealed);
  }
  expect_broken(self, &own[CHUNKS], 1, 2, oldest);
  expect_broken(self, &own[CHUNKS], 3, 2, own);
  size_t *aside = own[CURRENT] == address_of(newest) ? oldest : newest;
  expect_broken(self, &aside[TOP], address_of(aside), 3, aside);
  expect_broken(self, &aside[TOP], aside[MEMORY] + aside[SIZE] + 1, 3, aside);
  expect_broken(self, &own[TOP], 0, 3, own);
  size_t *current = (size_t *)own[CURRENT];
  expect_broken(self, &own[ALLOCATOR_TOP], own[END] + 1, 4, current);
  expect_broken(self, &own[ALLOCATOR_TOP], address_of(current), 4, current);
  expect_broken(self, &own[END], own[END] - 1, 4, current);
  expect_broken(self, &own[CURRENT], 0, 5, newest);
  expect_broken(self, &own[KEPT_CHUNKS], 0, 6, spare);
  expect_broken(self, &own[KEPT_CHUNKS], 3, 6, self);
  expect_broken(self, &own[VARIANT], RETURNS, 6, self);

  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_pages(self);
}

int main(void) {
  test_blocks();
  test_growth();
  test_large_block();
  test_shortage();
  test_keeping();
  test_kept_and_faults();
  test_rollback();
  test_marks();
  test_tiny_pages();
  test_check();
  return 0;
}
