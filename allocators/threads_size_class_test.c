// Threads at work on one size class allocator: each on blocks of its own, on each other's, more of
// them than there are heaps, and some that end with blocks that others release.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"
#include "allocators/size_class_heaps.h"

extern const struct strategy size_class_strategy;

static const struct strategy *const s = &size_class_strategy;

enum { MAX_THREADS = 6, SLOTS = 64, ROUNDS = 1200, MAILBOXES = 32 };

static struct rig rig;
static struct allocator *allocator;

static void open_pages(size_t page_size, size_t limit) {
  struct rig_layout layout = {.name = "pages", .page_size = page_size, .size = limit};
  allocator = s->create(rig_init(&rig, &layout), &(struct strategy_options){0});
  CHECK(allocator != NULL);
}

static void close_pages(void) {
  CHECK(s->check(allocator).number == 0);
  s->destroy(allocator);
  rig_check_empty(&rig);
}

struct block {
  unsigned char *start;  // NULL: none
  size_t size;
  unsigned char fill;
};

static void check_filled(const struct block *block, size_t size) {
  for (size_t i = 0; i < size; i++) CHECK(block->start[i] == block->fill);
}

static void take_block(struct block *block, uint64_t *random) {
  size_t size = 1 + next_random(random) % ((size_t)1 << (1 + next_random(random) % 12));
  size_t align = next_random(random) % 8 == 0 ? (size_t)1 << next_random(random) % 12 : 1;
  unsigned char fill = (unsigned char)next_random(random);
  if (block->start != NULL) {
    unsigned char *moved = s->resize(allocator, block->start, size, align);
    if (moved == NULL) return;
    block->start = moved;
    check_filled(block, size < block->size ? size : block->size);
  } else {
    block->start = next_random(random) % 4 == 0 ? s->allocate_zeroed(allocator, 1, size, align)
                                                : s->allocate(allocator, size, align);
  }
  if (block->start == NULL) return;
  CHECK(address_of(block->start) % align == 0);
  CHECK(s->usable_size(allocator, block->start) >= size);
  memset(block->start, fill, size);
  block->size = size;
  block->fill = fill;
}

static void drop_block(struct block *block) {
  if (block->start == NULL) return;
  check_filled(block, block->size);
  CHECK(s->release(allocator, block->start) == RELEASED);
  block->start = NULL;
}

// ## Threads

static pthread_t threads[MAX_THREADS];
static unsigned started;
static atomic_uint waiting;

static void run(unsigned count, void *(*work)(void *random)) {
  static uint64_t seeds[MAX_THREADS];
  started = count;
  atomic_store(&waiting, count);
  for (unsigned i = 0; i < count; i++) {
    seeds[i] = 0x9E3779B97F4A7C15u * (i + 1);
    CHECK(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0);
  }
  for (unsigned i = 0; i < count; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void start_together(void) {
  atomic_fetch_sub(&waiting, 1);
  while (atomic_load(&waiting) != 0) lock_yield();
}

// Each on its own blocks.
static void *work_alone(void *context) {
  uint64_t *random = context;
  struct block blocks[SLOTS] = {0};
  start_together();
  for (int i = 0; i < ROUNDS; i++) {
    struct block *block = &blocks[next_random(random) % SLOTS];
    if (next_random(random) % 2 == 0)
      drop_block(block);
    else
      take_block(block, random);
  }
  for (size_t i = 0; i < SLOTS; i++) drop_block(&blocks[i]);
  return NULL;
}

// Blocks change hands: who finds one in a mailbox releases it or puts it into another one.
static _Atomic(struct block *) mailboxes[MAILBOXES];

static struct block *exchange(_Atomic(struct block *) *mailbox, struct block *sent) {
  ORDER_BEFORE(mailbox);
  struct block *received = atomic_exchange(mailbox, sent);
  ORDER_AFTER(mailbox);
  return received;
}

static void *work_together(void *context) {
  uint64_t *random = context;
  struct block blocks[SLOTS] = {0};
  start_together();
  for (int i = 0; i < ROUNDS; i++) {
    struct block *block = &blocks[next_random(random) % SLOTS];
    take_block(block, random);
    // The record of a block travels in the block.
    struct block *sent = NULL;
    if (block->start != NULL && block->size >= sizeof *sent &&
        address_of(block->start) % _Alignof(struct block) == 0) {
      sent = (struct block *)block->start;
      *sent = *block;
      block->start = NULL;
    }
    struct block *received = exchange(&mailboxes[next_random(random) % MAILBOXES], sent);
    if (received == NULL) continue;
    struct block copy = *received;
    for (size_t j = sizeof copy; j < copy.size; j++) CHECK(copy.start[j] == copy.fill);
    CHECK(s->release(allocator, copy.start) == RELEASED);
  }
  for (size_t i = 0; i < SLOTS; i++) drop_block(&blocks[i]);
  return NULL;
}

static void empty_mailboxes(void) {
  for (size_t i = 0; i < MAILBOXES; i++) {
    struct block *block = exchange(&mailboxes[i], NULL);
    if (block != NULL) CHECK(s->release(allocator, block->start) == RELEASED);
  }
}

static void test_threads(size_t page_size, size_t limit, unsigned count) {
  open_pages(page_size, limit);
  for (int round = 0; round < 2; round++) {
    run(count, work_alone);
    CHECK(s->check(allocator).number == 0 && s->statistics(allocator).blocks == 0);
    run(count, work_together);
    empty_mailboxes();
    CHECK(s->check(allocator).number == 0 && s->statistics(allocator).blocks == 0);
  }
  s->reset(allocator);
  CHECK(s->check(allocator).number == 0);
  run(count, work_alone);
  close_pages();
}

// ## Threads that end

enum { LEFT = 2000 };

static unsigned char *left[LEFT];

static void *leave_blocks(void *context) {
  for (size_t i = 0; i < LEFT; i++) {
    left[i] = s->allocate(allocator, 100, 1);
    CHECK(left[i] != NULL);
    memset(left[i], 5, 100);
  }
  return context;
}

static void release_left(void) {
  for (size_t i = 0; i < LEFT; i++) {
    CHECK(left[i][0] == 5 && left[i][99] == 5);
    CHECK(s->release(allocator, left[i]) == RELEASED);
  }
}

// What the next threads find is what was released meanwhile: memory does not grow.
static void test_adoption(void) {
  open_pages(4096, SIZE_MAX);
  size_t most = 0;
  for (int round = 0; round < 20; round++) {
    run(1, leave_blocks);
    CHECK(s->statistics(allocator).blocks == LEFT && s->check(allocator).number == 0);
    release_left();
    CHECK(s->statistics(allocator).blocks == 0 && s->check(allocator).number == 0);
    if (round == 4) most = rig.account.peak;
  }
  CHECK(rig.account.peak == most);
  close_pages();
}

static bool can_halt(void) { return barrier_everywhere(); }

// What a thread that ended holds for nothing is had where nothing else is left.
static void test_reclaiming(void) {
  const size_t limit = (size_t)1 << 20;
  open_pages(4096, limit);
  void *first = s->allocate(allocator, limit / 2, 1);
  CHECK(first != NULL && s->release(allocator, first) == RELEASED);
  run(1, leave_blocks);
  CHECK(s->allocate(allocator, limit * 7 / 8, 1) == NULL);
  release_left();
  CHECK(s->check(allocator).number == 0);
  void *large = s->allocate(allocator, limit * 7 / 8, 1);
  CHECK(large != NULL || !can_halt());
  CHECK(s->check(allocator).number == 0);
  if (large != NULL) CHECK(s->release(allocator, large) == RELEASED);
  run(1, leave_blocks);  // on what it has left
  close_pages();
}

// Threads that halt each other all the time, as there is never enough for all.
static void *work_in_need(void *context) {
  uint64_t *random = context;
  struct block blocks[SLOTS] = {0};
  start_together();
  for (int i = 0; i < ROUNDS / 4; i++) {
    struct block *block = &blocks[next_random(random) % SLOTS];
    drop_block(block);
    take_block(block, random);
    if (i % 8 != 0) continue;
    unsigned char *large = s->allocate(allocator, 60000, 1);
    if (large == NULL) continue;
    large[0] = large[59999] = 1;
    CHECK(s->release(allocator, large) == RELEASED);
  }
  for (size_t i = 0; i < SLOTS; i++) drop_block(&blocks[i]);
  return NULL;
}

static void test_need(void) {
  open_pages(4096, 200000);
  run(3, work_in_need);
  CHECK(s->check(allocator).number == 0 && s->statistics(allocator).blocks == 0);
  close_pages();
}

int main(void) {
  ORDER_ATOMIC(mailboxes);
  ORDER_ATOMIC(waiting);
  test_threads(4096, SIZE_MAX, 4);
  test_threads(4096, 900000, MAX_THREADS);  // two heaps and the shared one
  test_threads(64, 150000, 3);
  test_adoption();
  test_reclaiming();
  test_need();
  return 0;
}
