// What page bump does beyond the contract: when chunks come and go, where blocks lie in them, and
// which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy page_bump_strategy;

static const struct strategy *const s = &page_bump_strategy;
static struct rig rig;
static struct picture before, now;

#define PAGE ((size_t)4096)

static struct allocator *open_pages(size_t limit) {
  struct rig_layout layout = {.name = "pages", .page_size = PAGE, .size = limit};
  return s->create(rig_init(&rig, &layout), &(struct strategy_options){0});
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

static void put(struct allocator *self, void *block) {
  CHECK(s->release(self, block) == RELEASED && s->check(self).number == 0);
}

static size_t pages_held(void) { return rig.account.bytes / PAGE; }

// One page for the allocator; one for each chunk of small blocks; more for a larger one.
static void test_chunks(void) {
  struct allocator *self = open_pages(SIZE_MAX);
  CHECK(pages_held() == 1);
  unsigned char *a = get(self, 100, 1), *b = get(self, 100, 1);
  CHECK(pages_held() == 2 && b > a && b - a < 200);  // the offset goes on from where it was
  unsigned char *large = get(self, 4 * PAGE - 200, 1);
  CHECK(pages_held() == 6);
  unsigned char *c = get(self, 2000, 1);
  CHECK(pages_held() == 6 && c > b && c - a < (ptrdiff_t)PAGE);  // the roomier chunk is current
  unsigned char *d = get(self, 3000, 1);
  CHECK(pages_held() == 7);
  put(self, large);
  CHECK(pages_held() == 3);
  put(self, b);
  put(self, a);
  CHECK(pages_held() == 3);
  put(self, c);
  CHECK(pages_held() == 2);
  put(self, d);
  CHECK(pages_held() == 1);
  get(self, 1, 1);
  get(self, 10 * PAGE, 1);
  s->reset(self);
  CHECK(pages_held() == 1 && s->check(self).number == 0);
  get(self, PAGE / 2, 1);
  close_pages(self);
}

static void test_alignment(void) {
  for (size_t align = 1; align <= s->max_align; align *= 2) {
    struct allocator *self = open_pages(SIZE_MAX);
    unsigned char *a = get(self, 1, align), *b = get(self, 5000, align), *c = get(self, 1, align);
    unsigned char *d = get(self, 17, 1);
    size_t held = pages_held();
    CHECK(held * PAGE <= PAGE + s->footprint(1, align, PAGE) * 2 + s->footprint(5000, align, PAGE) +
                             s->footprint(17, 1, PAGE));
    put(self, c);
    put(self, a);
    put(self, d);
    put(self, b);
    CHECK(pages_held() == 1);
    close_pages(self);
  }
}

static void test_resize(void) {
  struct allocator *self = open_pages(SIZE_MAX);
  unsigned char *a = get(self, 100, 1), *b = get(self, 100, 1);
  CHECK(s->resize(self, b, 1000, 1) == b);  // the last of its chunk grows,
  CHECK(s->resize(self, b, 50, 1) == b);    // shrinks,
  CHECK(s->usable_size(self, b) < 100);     // and gives back
  CHECK(s->resize(self, a, 10, 1) == a);    // another one shrinks where it is,
  CHECK(s->resize(self, a, 100, 1) == a);   // and keeps its room
  CHECK(b[0] == 0x3C && b[49] == 0x3C);
  unsigned char *c = s->resize(self, a, 200, 1);  // but moves to grow
  CHECK(c > b && c[0] == 0x3C && c[9] == 0x3C && pages_held() == 2);
  unsigned char *d = s->resize(self, c, 2 * PAGE, 1);  // to a chunk of its own if need be
  CHECK(d != NULL && d[9] == 0x3C && pages_held() == 5 && s->check(self).number == 0);
  unsigned char *e = s->resize(self, d, 10, PAGE * 2);  // alignment moves it as well
  CHECK(e != NULL && address_of(e) % (PAGE * 2) == 0 && e[9] == 0x3C);
  CHECK(s->check(self).number == 0);
  put(self, e);
  put(self, b);
  CHECK(pages_held() == 1);
  close_pages(self);
}

// A limit of so many pages gives that many, and a refusal leaves no chunk behind.
static void test_exhaustion(void) {
  CHECK(open_pages(0) == NULL);
  CHECK(open_pages(PAGE - 1) == NULL);
  struct allocator *self = open_pages(4 * PAGE);
  CHECK(s->allocate(self, 3 * PAGE, 1) == NULL && pages_held() == 1);
  void *blocks[3];
  for (size_t i = 0; i < 3; i++) blocks[i] = get(self, 3000, 1);
  CHECK(s->allocate(self, 3000, 1) == NULL && pages_held() == 4);
  CHECK(s->resize(self, blocks[0], 5000, 1) == NULL && pages_held() == 4);
  put(self, blocks[1]);
  CHECK(pages_held() == 3);
  get(self, 3000, 1);
  close_pages(self);
}

// Pages smaller than a grain may lie anywhere between two grains.
static void *acquire_shifted(struct source *base, size_t size) {
  unsigned char *memory = rig.pages.base.acquire(&rig.pages.base, size + 16);
  return memory == NULL ? NULL : memory + base->page_size;
}

static void release_shifted(struct source *base, void *memory, size_t size) {
  rig.pages.base.release(&rig.pages.base, (unsigned char *)memory - base->page_size, size + 16);
}

static void test_tiny_pages(void) {
  for (size_t page = 1; page <= 16; page *= 2) {
    struct rig_layout layout = {.name = "tiny", .page_size = page, .size = SIZE_MAX};
    struct source *source = rig_init(&rig, &layout);
    struct source shifted = rig.pages.base;
    shifted.acquire = acquire_shifted;
    shifted.release = release_shifted;
    rig.limit.inner = &shifted;
    struct allocator *self = s->create(source, &(struct strategy_options){0});
    CHECK(self != NULL && rig.account.bytes <= s->overhead + page - 1);
    for (size_t size = 1; size < 100; size += 3) {
      size_t held = rig.account.bytes;
      get(self, size, (size_t)1 << (size % 8));
      CHECK(rig.account.bytes - held <= s->footprint(size, (size_t)1 << (size % 8), page));
    }
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
  struct allocator *self = open_pages(SIZE_MAX);
  get(self, 100, 1);
  unsigned char *dead = get(self, 100, 1), *last = get(self, 100, 256);
  get(self, 2 * PAGE, 1);
  put(self, dead);
  picture_take(&before, s, self);
  enum { NEXT, MEMORY, SIZE, SEAL, PREVIOUS, USED, LIVE };
  enum { SOURCE = 8, CHUNKS, CURRENT };
  size_t *own = (size_t *)self;
  size_t *chunk = (size_t *)own[NEXT], *other = (size_t *)chunk[NEXT];
  CHECK((size_t *)other[NEXT] == own);

  const size_t wrong[] = {0, SIZE_MAX, 16, address_of(last), address_of(other)};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    for (size_t field = NEXT; field <= SEAL; field++) {
      if (own[field] != wrong[i]) expect_broken(self, &own[field], wrong[i], 1, own);
      if (chunk[field] != wrong[i]) expect_broken(self, &chunk[field], wrong[i], 1, chunk);
    }
  size_t sealed[4];
  for (size_t byte = 0; byte < 256; byte++) {  // overrun by a fill
    memcpy(sealed, chunk, sizeof sealed);
    memset(chunk, (int)byte, sizeof sealed);
    CHECK(s->check(self).number == 1);
    memcpy(chunk, sealed, sizeof sealed);
  }
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    expect_broken(self, &chunk[PREVIOUS], wrong[i], 2, chunk);
  expect_broken(self, &own[PREVIOUS], address_of(chunk), 2, own);
  expect_broken(self, &own[CHUNKS], 1, 2, other);
  expect_broken(self, &own[CHUNKS], 3, 2, own);
  expect_broken(self, &own[CURRENT], address_of(self), 6, self);
  expect_broken(self, &own[CURRENT], 8, 6, self);

  expect_broken(self, &chunk[USED], PAGE + 16, 3, chunk);
  expect_broken(self, &chunk[USED], 0, 3, chunk);
  expect_broken(self, &chunk[USED], chunk[USED] - 8, 3, chunk);
  expect_broken(self, &chunk[USED], SIZE_MAX - 15, 3, chunk);
  size_t *header = (size_t *)last - 2;
  expect_broken(self, &chunk[USED], chunk[USED] - 16, 4, header);
  expect_broken(self, &chunk[USED], chunk[USED] + 16, 4, (char *)chunk + chunk[USED]);
  expect_broken(self, &header[0], address_of(other), 4, header);
  expect_broken(self, &header[1], 1, 4, header);
  expect_broken(self, &header[1], header[1] + 16, 4, header);
  expect_broken(self, &header[1], header[1] + 8, 4, header);
  expect_broken(self, &header[1], SIZE_MAX, 4, header);
  expect_broken(self, &header[1], header[1] - 1, 5, chunk);
  expect_broken(self, &chunk[LIVE], 3, 5, chunk);
  expect_broken(self, &chunk[LIVE], 0, 5, chunk);

  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_pages(self);
}

int main(void) {
  test_chunks();
  test_alignment();
  test_resize();
  test_exhaustion();
  test_tiny_pages();
  if (WIDE_WORDS) test_check();
  return 0;
}
