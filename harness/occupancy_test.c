// Occupancy against a map with one byte for each byte.
#include "harness/occupancy.h"

#include <string.h>

#include "allocators/check.h"

enum { SIZE = 4096, GRANULE = 8 };

// Addresses are only numbers to it.
#define BASE ((uintptr_t)0x7f0000000000)

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t below(size_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (size_t)(random_state >> 11) % limit;
}

// ## The model

struct model {
  bool taken[SIZE + GRANULE];
};

static bool model_any(const struct model *model, size_t from, size_t to) {
  for (size_t i = from; i < to; i++)
    if (model->taken[i]) return true;
  return false;
}

static void model_set(struct model *model, size_t from, size_t to, bool taken) {
  memset(model->taken + from, taken, to - from);
}

static size_t down(size_t offset) { return offset / GRANULE * GRANULE; }
static size_t up(size_t offset) { return down(offset + GRANULE - 1); }

struct range {
  size_t from, to;
};

// The bytes that a range stands for: without shared granules, whole granules.
static struct range stands_for(bool shared, size_t from, size_t to) {
  return shared ? (struct range){from, to} : (struct range){down(from), up(to)};
}

static void compare(const struct occupancy *self, const struct model *model, size_t from,
                    size_t to) {
  struct range outer = stands_for(self->shared_granules, from, to);
  CHECK(occupancy_any(self, BASE + from, to - from, false) ==
        model_any(model, outer.from, outer.to));
  bool inner = up(from) < down(to) && model_any(model, up(from), down(to));
  CHECK(occupancy_any(self, BASE + from, to - from, true) == inner);
}

// ## Random ranges

// Ranges that are taken now, to be given back as such.
enum { RANGES = 128 };

struct taken {
  struct range ranges[RANGES];
  size_t count;
};

static struct range random_range(bool shared) {
  size_t from = below(SIZE), longest = below(4) ? 24 : 700;
  size_t size = 1 + below(longest);
  if (!shared) from = down(from);
  if (size > SIZE - from) size = SIZE - from;
  return (struct range){from, from + size};
}

static void take(struct occupancy *self, struct model *model, struct taken *taken) {
  struct range range = random_range(self->shared_granules);
  struct range outer = stands_for(self->shared_granules, range.from, range.to);
  bool free = !model_any(model, outer.from, outer.to);
  CHECK(occupancy_take(self, BASE + range.from, range.to - range.from) == free);
  if (!free) return;
  model_set(model, outer.from, outer.to, true);
  taken->ranges[taken->count++] = range;
}

// The whole of a range, or its end: what a block that shrinks gives back.
static void give(struct occupancy *self, struct model *model, struct taken *taken) {
  struct range *range = &taken->ranges[below(taken->count)];
  size_t from = below(2) ? range->from : range->from + below(range->to - range->from);
  if (!self->shared_granules) from = down(from);
  struct range outer = stands_for(self->shared_granules, from, range->to);
  occupancy_give(self, BASE + from, range->to - from);
  model_set(model, outer.from, outer.to, false);
  if (from == range->from)
    *range = taken->ranges[--taken->count];
  else
    range->to = from;
}

static void test_random(bool shared) {
  static struct model model;
  struct taken taken = {0};
  struct occupancy self;
  memset(&model, 0, sizeof model);
  CHECK(occupancy_init(&self, BASE, SIZE));
  occupancy_share_granules(&self, shared);
  for (int i = 0; i < 20000; i++) {
    // Crowded and sparse in turn.
    bool fill = below(1000) < (i / 2000 % 2 ? 300 : 700);
    if (taken.count == 0 || (fill && taken.count < RANGES))
      take(&self, &model, &taken);
    else
      give(&self, &model, &taken);
    struct range asked = random_range(true);
    compare(&self, &model, asked.from, asked.to);
    if (i % 500 == 0)
      for (size_t at = 0; at < SIZE; at++) compare(&self, &model, at, at + 1);
  }
  while (taken.count > 0) give(&self, &model, &taken);
  CHECK(!occupancy_any(&self, BASE, SIZE, false));
  CHECK(self.partials_count == 0);
  occupancy_free(&self);
}

// ## Edges

static void test_edges(void) {
  struct occupancy self;
  CHECK(occupancy_init(&self, BASE, SIZE));
  for (int shared = 0; shared < 2; shared++) {
    occupancy_share_granules(&self, shared);
    // All of it, and not one byte more within.
    CHECK(occupancy_take(&self, BASE, SIZE));
    CHECK(!occupancy_take(&self, BASE, 1) && !occupancy_take(&self, BASE + SIZE - 1, 1));
    CHECK(!occupancy_any(&self, BASE + 100, 0, false));
    occupancy_give(&self, BASE, SIZE);
    CHECK(!occupancy_any(&self, BASE, SIZE, false));
    // Next to each other, from every bit of a word and over every number of words.
    for (size_t from = 0; from < 600; from += GRANULE)
      for (size_t size = GRANULE; size <= 1200; size += 9 * GRANULE) {
        CHECK(occupancy_take(&self, BASE + 600, size));
        CHECK(occupancy_take(&self, BASE + from, 600 - from));
        CHECK(occupancy_take(&self, BASE + 600 + size, GRANULE));
        CHECK(!occupancy_take(&self, BASE + from, 600 - from + GRANULE));
        CHECK(!occupancy_take(&self, BASE + 600 + size - GRANULE, 2 * GRANULE));
        occupancy_give(&self, BASE + from, 600 - from + size + GRANULE);
        CHECK(!occupancy_any(&self, BASE, SIZE, false));
      }
  }
  occupancy_free(&self);
}

// A granule that several blocks have in part.
static void test_shared_granule(void) {
  struct occupancy self;
  CHECK(occupancy_init(&self, BASE, SIZE));
  occupancy_share_granules(&self, true);
  for (size_t i = 0; i < GRANULE; i++) CHECK(occupancy_take(&self, BASE + i, 1));
  CHECK(self.partials_count == 0);  // whole again: no mask is needed
  CHECK(!occupancy_take(&self, BASE + 3, 1));
  occupancy_give(&self, BASE + 3, 1);
  CHECK(self.partials_count == 1);
  CHECK(!occupancy_any(&self, BASE + 3, 1, false) && occupancy_any(&self, BASE + 4, 1, false));
  CHECK(occupancy_take(&self, BASE + 3, 1));
  CHECK(!occupancy_any(&self, BASE + 1, 6, true));  // no whole granule in that
  CHECK(occupancy_any(&self, BASE, 8, true));
  occupancy_give(&self, BASE, 8);
  CHECK(!occupancy_any(&self, BASE, SIZE, false) && self.partials_count == 0);
  occupancy_free(&self);
}

// ## The table of masks: growth, and deletion out of the middle of a run of collisions

static void test_table(void) {
  enum { COUNT = 20000, STRIDE = 24 };
  static bool present[COUNT];
  struct occupancy self;
  CHECK(occupancy_init(&self, BASE, (size_t)COUNT * STRIDE));
  occupancy_share_granules(&self, true);
  size_t first_capacity = self.partials_capacity;
  for (size_t i = 0; i < COUNT; i++) {
    CHECK(occupancy_take(&self, BASE + i * STRIDE + 1, 3));
    present[i] = true;
  }
  CHECK(self.partials_count == COUNT && self.partials_capacity > first_capacity);
  for (size_t round = 0; round < 3 * COUNT; round++) {
    size_t i = below(COUNT);
    if (present[i])
      occupancy_give(&self, BASE + i * STRIDE + 1, 3);
    else
      CHECK(occupancy_take(&self, BASE + i * STRIDE + 1, 3));
    present[i] = !present[i];
  }
  size_t left = 0;
  for (size_t i = 0; i < COUNT; i++) {
    left += present[i];
    CHECK(occupancy_any(&self, BASE + i * STRIDE + 3, 1, false) == present[i]);
    CHECK(!occupancy_any(&self, BASE + i * STRIDE, 1, false));
    CHECK(!occupancy_any(&self, BASE + i * STRIDE + 4, 4, false));
  }
  CHECK(self.partials_count == left);
  CHECK(occupancy_memory(&self, (size_t)COUNT * STRIDE) >= (size_t)COUNT * STRIDE / 64);
  occupancy_free(&self);
}

int main(void) {
  test_edges();
  test_shared_granule();
  test_table();
  test_random(false);
  test_random(true);
  return 0;
}
