// Pseudo-random programs on every clean strategy of the registry, beside an account of what must be
// true: blocks keep their bytes and overlap no other, the stated bound holds, and nothing is lost
// in the end.
#include "allocators/contract.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#define SLOTS 96

struct live {
  unsigned char *start;  // NULL: none
  size_t size;
  unsigned char fill;
};

struct model {
  struct live live[SLOTS];
  size_t count;
  size_t footprints;  // of all blocks since there was none
};

// While a block lives, nobody but its owner reads or writes it: under AddressSanitizer an allocator
// that does is stopped there.
static void guard(const struct live *live) { ASAN_POISON_MEMORY_REGION(live->start, live->size); }
static void unguard(const struct live *live) {
  ASAN_UNPOISON_MEMORY_REGION(live->start, live->size);
}

static void forget(struct model *model) {
  for (size_t i = 0; i < SLOTS; i++)
    if (model->live[i].start != NULL) unguard(&model->live[i]);
  *model = (struct model){0};
}

static void check_filled(const struct live *live, size_t size) {
  for (size_t i = 0; i < size; i++) CHECK(live->start[i] == live->fill);
}

static void check_model(const struct model *model) {
  take(&now);
  check_picture(&now);
  size_t blocks = 0;
  for (size_t i = 0; i < now.count; i++) blocks += now.spans[i].kind == SPAN_BLOCK;
  if (has(STRATEGY_WALKS_BLOCKS)) {
    CHECK(blocks == model->count);
    CHECK(subject.strategy->statistics(subject.allocator).blocks == model->count);
  }
  for (size_t i = 0; i < SLOTS; i++) {
    const struct live *live = &model->live[i];
    if (live->start == NULL) continue;
    unguard(live);
    check_filled(live, live->size);
    guard(live);
    if (has(STRATEGY_WALKS_BLOCKS)) {
      const struct span *span = picture_find(&now, live->start);
      CHECK(span != NULL && span->kind == SPAN_BLOCK && span->size >= live->size);
      if (has(STRATEGY_SIZES))
        CHECK(subject.strategy->usable_size(subject.allocator, live->start) == span->size);
    } else if (!has(STRATEGY_FOREIGN)) {
      bool covered = false;
      for (size_t j = 0; j < now.count; j++)
        covered |= now.spans[j].kind == SPAN_USED &&
                   range_within(live->start, live->size, now.spans[j].start, now.spans[j].size);
      CHECK(covered);
    }
  }
}

static void own(struct model *model, struct live *live, unsigned char *start, size_t size,
                size_t align, unsigned char fill) {
  const size_t min = subject.strategy->min_align;
  CHECK(address_of(start) % (align < min ? min : align) == 0);
  CHECK(has(STRATEGY_FOREIGN) || source_account_find(&subject.rig.account, start, size) != NULL);
  for (size_t i = 0; i < SLOTS; i++) {
    const struct live *other = &model->live[i];
    CHECK(other == live || other->start == NULL || start + size <= other->start ||
          other->start + other->size <= start);
  }
  size_t usable = size;
  if (has(STRATEGY_SIZES)) usable = subject.strategy->usable_size(subject.allocator, start);
  CHECK(usable >= size);
  memset(start, fill, usable);
  *live = (struct live){start, size, fill};
  guard(live);
}

// Whether the stated bound says that the request must be met.
static bool must_succeed(const struct model *model, size_t footprint) {
  size_t overhead;
  CHECK(align_up(subject.strategy->overhead, subject.source->page_size, &overhead));
  return add_saturating(add_saturating(overhead, model->footprints), footprint) <= subject.capacity;
}

static void step(struct model *model, uint64_t *random) {
  const struct strategy *s = subject.strategy;
  struct live *live = &model->live[next_random(random) % SLOTS];
  uint64_t kind = next_random(random) % 16;
  size_t size = 1 + next_random(random) % ((size_t)1 << (1 + next_random(random) % 13));
  size_t align = (size_t)1 << next_random(random) % (next_random(random) % 16 == 0 ? 17 : 6);
  unsigned char fill = (unsigned char)next_random(random);
  if (align > s->max_align) align = s->max_align;
  size_t footprint = s->footprint(size, align, subject.source->page_size);
  bool must = must_succeed(model, footprint);

  if (live->start == NULL) {
    bool zeroed = has(STRATEGY_ZEROES) && kind < 4;
    unsigned char *start =
        zeroed ? s->allocate_zeroed(subject.allocator, size, 1, align) : allocate(size, align);
    CHECK(start != NULL || !must);
    if (start == NULL) return;
    for (size_t i = 0; zeroed && i < size; i++) CHECK(start[i] == 0);
    own(model, live, start, size, align, fill);
    model->count++;
    model->footprints = add_saturating(model->footprints, footprint);
  } else if (has(STRATEGY_RESIZES) && kind < 8) {
    struct live old = *live;
    unguard(live);
    unsigned char *start = s->resize(subject.allocator, old.start, size, align);
    CHECK(start != NULL || !must);
    if (start == NULL) {
      guard(live);
      return;
    }
    live->start = start;
    check_filled(live, size < old.size ? size : old.size);
    own(model, live, start, size, align, fill);
    model->footprints = add_saturating(model->footprints, footprint);
  } else if (has(STRATEGY_RELEASES)) {
    unguard(live);
    check_filled(live, live->size);
    CHECK(s->release(subject.allocator, live->start) == RELEASED);
    if (has(STRATEGY_DETECTS_DOUBLE_RELEASE))
      CHECK(s->release(subject.allocator, live->start) == RELEASE_DOUBLE);
    live->start = NULL;
    model->count--;
  }
  if (has(STRATEGY_RESETS) && kind == 15 && next_random(random) % 16 == 0) {
    forget(model);
    s->reset(subject.allocator);
  }
  if (model->count == 0) model->footprints = 0;
}

static void release_all(struct model *model) {
  for (size_t i = 0; i < SLOTS; i++) {
    const struct live *live = &model->live[i];
    if (live->start == NULL) continue;
    unguard(live);
    CHECK(subject.strategy->release(subject.allocator, live->start) == RELEASED);
  }
  *model = (struct model){0};
}

// Whether a heap without blocks has room for one beside its largest.
static bool has_more(size_t largest) {
  void *all = allocate(largest, 1), *beside = allocate(1, 1);
  CHECK(all != NULL);
  CHECK(subject.strategy->release(subject.allocator, all) == RELEASED);
  CHECK(subject.strategy->release(subject.allocator, beside) == RELEASED);
  return beside != NULL;
}

static void test_random_programs(const struct rig_layout *layout) {
  static struct model model;
  if (!open_subject(layout)) return;
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 2000; i++) {
    step(&model, &random);
    check_clean();
    if (i % 16 == 0) check_model(&model);
  }
  // What is said to be free can be had.
  size_t free_bytes = subject.strategy->statistics(subject.allocator).largest_free;
  if (free_bytes != 0) {
    struct live *live = &(struct live){0};
    own(&model, live, allocate(free_bytes, 1), free_bytes, 1, 0xEE);
    model.count++;
    check_clean();
    check_model(&model);
    unguard(live);
  }
  forget(&model);
  close_subject();

  if (!has(STRATEGY_RELEASES)) return;
  CHECK(open_subject(layout));
  size_t held = subject.rig.account.bytes;
  size_t largest = subject.strategy->statistics(subject.allocator).largest_free;
  bool more = has(STRATEGY_COALESCES) && has_more(largest);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 300; i++) step(&model, &random);
    release_all(&model);
    check_clean();
    if (has(STRATEGY_RETURNS_MEMORY)) CHECK(subject.rig.account.bytes == held);
    if (has(STRATEGY_COALESCES)) {
      CHECK(subject.strategy->statistics(subject.allocator).largest_free == largest);
      CHECK(has_more(largest) == more);
      CHECK(allocate(largest + 1, 1) == NULL);
    }
  }
  close_subject();
}

// The same program gives the same blocks, and goes on to do so if requests that must be refused are
// mixed in: a refusal changes nothing that later requests could tell.
static void test_determinism(const struct rig_layout *layout) {
  enum { STEPS = 1500 };
  static uintptr_t starts[STEPS];
  static struct model model;
  // Where the operating system chooses the addresses, they differ.
  if (layout->page_size != 0 || has(STRATEGY_FOREIGN)) return;
  for (int mixed = 0; mixed < 2; mixed++) {
    if (!open_subject(layout)) return;
    uint64_t random = 2463534242u;
    model = (struct model){0};
    for (size_t i = 0; i < STEPS; i++) {
      step(&model, &random);
      uintptr_t sum = 0;
      for (size_t j = 0; j < SLOTS; j++) sum = sum * 31 + address_of(model.live[j].start);
      CHECK(!mixed || starts[i] == sum);
      starts[i] = sum;
      if (!mixed) continue;
      CHECK(allocate(subject.capacity, 1) == NULL);
      CHECK(allocate(1, 3) == NULL);
      CHECK(allocate(SIZE_MAX - i, 16) == NULL);
      struct live *live = &model.live[i % SLOTS];
      if (has(STRATEGY_RESIZES) && live->start != NULL)
        CHECK(subject.strategy->resize(subject.allocator, live->start, subject.capacity, 1) ==
              NULL);
    }
    forget(&model);
    close_subject();
  }
}

static void test_all(const struct rig_layout *layout) {
  test_random_programs(layout);
  test_determinism(layout);
}

int main(void) {
  for_each_subject(test_all);
  return 0;
}
