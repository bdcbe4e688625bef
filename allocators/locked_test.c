// What only locked strategies have: the header in front, its seal, and the inner allocator's own
// behaviour behind them.
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/lock.h"
#include "allocators/rig.h"

extern const struct strategy free_list_strategy, locked_free_list_strategy;

static const struct strategy *const s = &locked_free_list_strategy;
static const struct strategy *const inner = &free_list_strategy;

static void test_table(void) {
  CHECK(strcmp(s->name, "locked_free_list") == 0);
  CHECK(s->traits == (inner->traits | STRATEGY_CONCURRENT));
  CHECK(s->needs == inner->needs && s->variants == inner->variants);
  CHECK(s->min_align == inner->min_align && s->max_align == inner->max_align);
  CHECK(s->overhead > inner->overhead);
  unsigned count = 0;
  while (inner->invariants[count] != NULL) {
    CHECK(strcmp(s->invariants[count], inner->invariants[count]) == 0);
    count++;
  }
  CHECK(s->invariants[count] != NULL && s->invariants[count + 1] != NULL);
  CHECK(s->invariants[count + 2] == NULL);
  CHECK(s->mark == NULL && s->collect == NULL && s->open == NULL);
}

// Over a buffer there is one stretch for both; over pages the header has its own.
static void test_stretches(void) {
  static struct rig rig;
  struct source *source = rig_init(&rig, &(struct rig_layout){"buffer", 0, 3, 5000});
  struct allocator *heap = s->create(source, &(struct strategy_options){0});
  CHECK(heap != NULL && rig.account.count == 1 && rig.account.bytes == 5000);
  CHECK(s->statistics(heap).acquired == 5000);
  s->destroy(heap);
  rig_check_empty(&rig);

  source = rig_init(&rig, &(struct rig_layout){"pages", 4096, 0, 1 << 16});
  heap = s->create(source, &(struct strategy_options){0});
  CHECK(heap != NULL && rig.account.count == 2 && rig.account.bytes == 1 << 16);
  s->destroy(heap);
  rig_check_empty(&rig);
}

static void test_heap_size(void) {
  static struct rig rig;
  for (size_t page_size = 0; page_size <= 4096; page_size += 4096) {
    struct source *source = rig_init(&rig, &(struct rig_layout){"source", page_size, 0, 1 << 16});
    struct strategy_options options = {.heap_size = 1 << 14};
    struct allocator *heap = s->create(source, &options);
    CHECK(heap != NULL && rig.account.bytes == 1 << 14);
    CHECK(s->allocate(heap, (1 << 14) - 4096 - 1024, 1) != NULL);
    s->destroy(heap);
    rig_check_empty(&rig);
    // Less than the header takes, and less than the inner allocator needs behind it.
    for (size_t i = 1; i < 300; i++) {
      options.heap_size = i;
      heap = s->create(source, &options);
      if (heap != NULL) s->destroy(heap);
      rig_check_empty(&rig);
    }
  }
}

// A lock that a call has left behind is told before anybody waits for it.
static void test_lock_left_behind(void) {
  static struct rig rig;
  struct source *source = rig_init(&rig, &(struct rig_layout){"buffer", 0, 0, 5000});
  struct allocator *heap = s->create(source, &(struct strategy_options){0});
  CHECK(heap != NULL && s->check(heap).number == 0);
  unsigned count = 0;
  while (inner->invariants[count] != NULL) count++;
  struct lock *lock = (struct lock *)heap;  // its first member
  lock_acquire(lock);
  CHECK(s->check(heap).number == count + 1 && s->check(heap).where == lock);
  lock_release(lock);
  CHECK(s->check(heap).number == 0);
  s->destroy(heap);
}

int main(void) {
  test_table();
  test_stretches();
  test_heap_size();
  test_lock_left_behind();
  return 0;
}
