// What bump does beyond the contract: where blocks lie, how full the heap gets, what check notices.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy bump_strategy;

static const struct strategy *const s = &bump_strategy;
static struct rig rig;
static struct picture picture;

static struct allocator *open_bump(size_t offset, size_t size) {
  struct source *source =
      rig_init(&rig, &(struct rig_layout){.name = "buffer", .offset = offset, .size = size});
  return s->create(source, &(struct strategy_options){0});
}

static void close_bump(struct allocator *self) {
  s->destroy(self);
  rig_check_empty(&rig);
}

static size_t largest_free(struct allocator *self) { return s->statistics(self).largest_free; }

// Blocks follow each other without a byte between, unless alignment asks for it.
static void test_placement(void) {
  struct allocator *self = open_bump(1, 4096);
  unsigned char *a = s->allocate(self, 3, 1);
  unsigned char *b = s->allocate(self, 1, 1);
  CHECK(b == a + 3);
  unsigned char *c = s->allocate(self, 5, 64);
  CHECK(address_of(c) % 64 == 0 && c - b <= 64);
  // An address that is aligned already is not moved, and is not the end of its block either.
  unsigned char *d = s->allocate(self, 59, 1);
  CHECK(d == c + 5);
  unsigned char *e = s->allocate(self, 64, 64);
  CHECK(e == c + 64);
  CHECK(s->allocate(self, 1, 1) == (void *)(e + 64));
  close_bump(self);
}

// The whole buffer serves, to the last byte and no further, at every offset of it.
static void test_exhaustion(void) {
  for (size_t offset = 0; offset < 32; offset++) {
    struct allocator *self = open_bump(offset, 1000);
    size_t room = largest_free(self);
    CHECK(room + s->overhead >= 1000 && room < 1000);
    CHECK(s->allocate(self, room + 1, 1) == NULL);
    unsigned char *all = s->allocate(self, room, 1);
    CHECK(all + room == rig_memory + offset + 1000);
    CHECK(largest_free(self) == 0 && s->allocate(self, 1, 1) == NULL);
    picture_take(&picture, s, self);
    CHECK(picture.count == 2 && picture.spans[1].kind == SPAN_USED);
    s->reset(self);
    for (size_t i = 0; i < room; i++) CHECK(s->allocate(self, 1, 1) == (void *)(all + i));
    CHECK(s->allocate(self, 1, 1) == NULL);
    close_bump(self);
  }
}

// Padding that alone goes past the end is a refusal, not a block before it.
static void test_alignment_past_the_end(void) {
  struct allocator *self = open_bump(0, 1000);
  for (size_t align = 1024; align <= s->max_align; align *= 2)
    CHECK(s->allocate(self, 1, align) == NULL);
  CHECK(s->allocate(self, 1, 1) != NULL);
  close_bump(self);
}

static void test_heap_sizes(void) {
  struct rig_layout pages = {.name = "pages", .page_size = 4096, .size = SIZE_MAX};
  const size_t wanted[][2] = {
      {0, STRATEGY_DEFAULT_HEAP_SIZE}, {1, 4096}, {4096, 4096}, {4097, 8192}, {1 << 21, 1 << 21}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    struct source *source = rig_init(&rig, &pages);
    struct allocator *self =
        s->create(source, &(struct strategy_options){.heap_size = wanted[i][0]});
    CHECK(self != NULL && rig.account.bytes == wanted[i][1]);
    CHECK(s->statistics(self).acquired == wanted[i][1]);
    close_bump(self);
  }
  struct source *source = rig_init(&rig, &pages);
  CHECK(s->create(source, &(struct strategy_options){.heap_size = SIZE_MAX}) == NULL);
}

// The state is the last thing before the buffer: heap, buffer, capacity, offset.
static void test_check(void) {
  struct allocator *self = open_bump(0, 1000);
  CHECK(s->allocate(self, 10, 1) != NULL);
  size_t *state = (size_t *)self;
  const unsigned expected[] = {0, 1, 1, 1, 1, 2};  // no invariant speaks of the source
  for (size_t i = 1; i < 6; i++) {
    size_t was = state[i];
    state[i] = i == 5 ? largest_free(self) + 11 : was + 1;
    struct broken_invariant broken = s->check(self);
    CHECK(broken.number == expected[i] && broken.where == self);
    state[i] = was;
  }
  CHECK(s->check(self).number == 0);
  close_bump(self);
}

int main(void) {
  test_placement();
  test_exhaustion();
  test_alignment_past_the_end();
  test_heap_sizes();
  test_check();
  return 0;
}
