// What each tier passes on to a malloc-lab allocator and what it refuses itself, and what such an
// allocator gets of memlib. The allocator of this test notes what it is asked for.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/source.h"
#include "allocators/strategy.h"

extern const struct strategy core_strategy, resize_strategy, reinit_strategy, exhaustion_strategy,
    huge_strategy, edge_strategy;

enum { LIMIT = 1 << 20, MODEST = LIMIT / 16, ALIGN = 8 };

void mem_init(void);
void mem_deinit(void);
void mem_reset_brk(void);
void *mem_sbrk(intptr_t bytes);
void *mem_heap_lo(void);
void *mem_heap_hi(void);
size_t mem_heapsize(void);
size_t mem_pagesize(void);
uint64_t mem_read(const void *at, size_t size);
void mem_write(void *at, uint64_t value, size_t size);

bool mm_init(void);
void *mm_malloc(size_t size);
void mm_free(void *block);
void *mm_realloc(void *block, size_t size);
void *mm_calloc(size_t count, size_t size);
bool mm_checkheap(int line);

// ## The allocator: each block is the next one, and nothing comes back unless the test says so

// Its own, which each program finds as it was.
__attribute__((section("foreign_data"))) static volatile int since_birth = 1;

enum call { NONE, INIT, MALLOC, FREE, REALLOC, CALLOC };

static enum call last;
static size_t last_size, last_count;
static const void *last_block;
static bool starts = true, content = true;

// If not 0: who was released serves again as soon as so many were. All are of one size then.
enum { KEPT = 16 };
static unsigned again_after, released, reused;
static void *kept[KEPT];

bool mm_init(void) {
  last = INIT;
  CHECK(mem_heapsize() == 0 && (char *)mem_heap_hi() + 1 == (char *)mem_heap_lo());
  return starts && mem_sbrk(2 * ALIGN) == mem_heap_lo();
}

static void *next_block(size_t size) {
  since_birth++;
  size_t whole;
  void *block = align_up(size, ALIGN, &whole) && whole <= PTRDIFF_MAX ? mem_sbrk((intptr_t)whole)
                                                                      : (void *)-1;
  return block == (void *)-1 ? NULL : block;
}

void *mm_malloc(size_t size) {
  last = MALLOC;
  last_size = size;
  if (again_after > 0 && released - reused >= again_after) return kept[reused++ % KEPT];
  return size == 0 ? NULL : next_block(size);
}

void mm_free(void *block) {
  last = FREE;
  last_block = block;
  kept[released++ % KEPT] = block;
}

void *mm_realloc(void *block, size_t size) {
  last = REALLOC;
  last_block = block;
  last_size = size;
  return size == 0 ? NULL : next_block(size);
}

void *mm_calloc(size_t count, size_t size) {
  last = CALLOC;
  last_count = count;
  last_size = size;
  void *block = size > LIMIT / count ? NULL : next_block(count * size);
  return block == NULL ? NULL : memset(block, 0, count * size);
}

bool mm_checkheap(int line) {
  CHECK(line > 0);
  return content;
}

// ## Its source

static SOURCE_ARRAY(heap, LIMIT);
static struct source_limit limit;
static struct source_account account;
static struct source_stretch stretches[4];

static struct allocator *open_with(const struct strategy *strategy, size_t capacity) {
  source_array_init(&heap);
  source_limit_init(&limit, &heap.source.base, capacity);
  source_account_init(&account, &limit.base, stretches, 4);
  account.grows = true;
  CHECK(strategy->least_heap == 0 || capacity >= strategy->least_heap);
  return strategy->create(&account.base, &(struct strategy_options){0});
}

static struct allocator *open_tier(const struct strategy *strategy) {
  struct allocator *self = open_with(strategy, LIMIT);
  CHECK(self != NULL && last == INIT);
  last = NONE;
  return self;
}

static void close_tier(const struct strategy *strategy, struct allocator *self) {
  strategy->destroy(self);
  CHECK(account.bytes == 0 && account.errors == 0);
}

// ## memlib

static void test_memlib(void) {
  struct allocator *self = open_tier(&core_strategy);
  char *low = mem_heap_lo();
  CHECK(low == (char *)heap.array && mem_heapsize() == 2 * ALIGN);
  CHECK(mem_sbrk(0) == low + 2 * ALIGN && mem_heapsize() == 2 * ALIGN);
  CHECK(mem_sbrk(100) == low + 2 * ALIGN);
  CHECK((char *)mem_heap_hi() == low + 2 * ALIGN + 99 && mem_heapsize() == 2 * ALIGN + 100);
  CHECK(account.bytes == mem_heapsize());
  // It does not shrink, and beyond the limit there is nothing; both change nothing.
  const intptr_t refused[] = {-1, INTPTR_MIN, LIMIT - 2 * ALIGN - 99, LIMIT + 1, INTPTR_MAX};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    errno = 0;
    CHECK(mem_sbrk(refused[i]) == (void *)-1 && errno == ENOMEM);
    CHECK(mem_heapsize() == 2 * ALIGN + 100 && account.bytes == mem_heapsize());
  }
  CHECK(mem_sbrk(LIMIT - 2 * ALIGN - 100) == low + 2 * ALIGN + 100);
  CHECK((char *)mem_heap_hi() == low + LIMIT - 1);
  mem_init();
  mem_deinit();
  CHECK(mem_heapsize() == LIMIT);
  mem_reset_brk();
  CHECK(mem_heapsize() == 0 && account.bytes == 0 && mem_heap_lo() == low);
  CHECK(mem_sbrk(16) == low);
  mem_write(low + 1, 0x1122334455667788, 3);
  CHECK(low[1] == (char)0x88 && low[3] == 0x66 && mem_read(low + 1, 3) == 0x667788);
  mem_write(low + 1, UINT64_MAX, 8);
  CHECK(mem_read(low + 1, 8) == UINT64_MAX && mem_read(low, 0) == 0);
  CHECK(mem_pagesize() == (size_t)sysconf(_SC_PAGESIZE));
  close_tier(&core_strategy, self);
}

// ## Tiers

// Whether a request of so many bytes arrives.
static bool arrives(const struct strategy *strategy, struct allocator *self, size_t size) {
  last = NONE;
  void *block = strategy->allocate(self, size, ALIGN);
  bool arrived = last == MALLOC && last_size == size;
  CHECK(arrived || (last == NONE && block == NULL));
  return arrived;
}

static void test_sizes(void) {
  static const struct {
    const struct strategy *strategy;
    bool zero, beyond_modest, beyond_heap;
  } tiers[] = {
      {&core_strategy, false, false, false},   {&resize_strategy, false, false, false},
      {&reinit_strategy, false, false, false}, {&exhaustion_strategy, false, true, false},
      {&huge_strategy, false, true, true},     {&edge_strategy, true, false, false},
  };
  for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
    const struct strategy *strategy = tiers[i].strategy;
    struct allocator *self = open_tier(strategy);
    CHECK(arrives(strategy, self, 1) && arrives(strategy, self, MODEST));
    CHECK(arrives(strategy, self, 0) == tiers[i].zero);
    CHECK(arrives(strategy, self, MODEST + 1) == tiers[i].beyond_modest);
    CHECK(arrives(strategy, self, LIMIT) == tiers[i].beyond_modest);
    CHECK(arrives(strategy, self, LIMIT + 1) == tiers[i].beyond_heap);
    CHECK(arrives(strategy, self, SIZE_MAX) == tiers[i].beyond_heap);
    // What is not passed on is not promised either.
    bool bounded = strategy->footprint(1, ALIGN, 1) != SIZE_MAX;
    CHECK(bounded == !tiers[i].beyond_modest);
    CHECK(strategy->footprint(MODEST + 1, ALIGN, 1) == SIZE_MAX);
    last = NONE;
    CHECK(strategy->allocate(self, 1, 2 * ALIGN) == NULL && last == NONE);
    CHECK(strategy->allocate(self, 1, 3) == NULL && strategy->allocate(self, 1, 0) == NULL);
    CHECK(last == NONE);
    close_tier(strategy, self);
  }
}

static void test_zeroed(void) {
  struct allocator *self = open_tier(&core_strategy);
  unsigned char *block = core_strategy.allocate_zeroed(self, 3, 5, ALIGN);
  CHECK(last == CALLOC && last_count == 3 && last_size == 5 && block != NULL && block[14] == 0);
  last = NONE;
  CHECK(core_strategy.allocate_zeroed(self, 2, SIZE_MAX / 2 + 2, ALIGN) == NULL && last == NONE);
  close_tier(&core_strategy, self);
  self = open_tier(&huge_strategy);
  CHECK(huge_strategy.allocate_zeroed(self, 2, SIZE_MAX / 2 + 2, ALIGN) == NULL && last == CALLOC);
  close_tier(&huge_strategy, self);
}

static void test_edges(void) {
  struct allocator *self = open_tier(&edge_strategy);
  void *block = edge_strategy.resize(self, NULL, 10, ALIGN);
  CHECK(block != NULL && last == REALLOC && last_block == NULL && last_size == 10);
  CHECK(edge_strategy.release(self, NULL) == RELEASED && last == FREE && last_block == NULL);
  CHECK(edge_strategy.resize(self, block, 0, ALIGN) == NULL && last == REALLOC && last_size == 0);
  close_tier(&edge_strategy, self);
  // Elsewhere these are the testbed's own.
  self = open_tier(&resize_strategy);
  block = resize_strategy.resize(self, NULL, 10, ALIGN);
  CHECK(block != NULL && last == MALLOC && last_size == 10);
  last = NONE;
  CHECK(resize_strategy.resize(self, block, 0, ALIGN) == NULL);
  CHECK(resize_strategy.release(self, NULL) == RELEASED && last == NONE);
  CHECK(resize_strategy.resize(self, block, 20, ALIGN) != NULL && last == REALLOC);
  close_tier(&resize_strategy, self);
  CHECK(core_strategy.resize == NULL && !(core_strategy.traits & STRATEGY_RESIZES));
}

static enum span_kind shown;
static size_t shown_size;

static void note_span(void *context, const struct span *span) {
  (void)context;
  CHECK(shown_size == 0 && span->start == mem_heap_lo());
  shown = span->kind;
  shown_size = span->size;
}

static void expect_span(struct allocator *self, enum span_kind kind) {
  shown_size = 0;
  reinit_strategy.walk(self, note_span, NULL);
  CHECK(shown == kind && shown_size == mem_heapsize() && shown_size == account.bytes);
  CHECK(reinit_strategy.statistics(self).acquired == shown_size);
}

static void test_reinit(void) {
  struct allocator *self = open_tier(&reinit_strategy);
  expect_span(self, SPAN_META);
  void *block = reinit_strategy.allocate(self, 100, ALIGN);
  expect_span(self, SPAN_USED);
  reinit_strategy.reset(self);
  CHECK(last == INIT);
  expect_span(self, SPAN_META);
  CHECK(since_birth > 1);  // its state is what it was
  CHECK(reinit_strategy.allocate(self, 100, ALIGN) == block);
  CHECK(reinit_strategy.check(self).number == 0);
  content = false;
  CHECK(reinit_strategy.check(self).number == 1);
  content = true;
  starts = false;
  reinit_strategy.reset(self);
  CHECK(reinit_strategy.check(self).number == 2 && !arrives(&reinit_strategy, self, 1));
  starts = true;
  close_tier(&reinit_strategy, self);
}

// Blocks that come and go, the same in every round but the odd one.
static void go_round(struct allocator *self, unsigned rounds, size_t size, size_t change) {
  for (unsigned i = 0; i < rounds; i++) {
    void *blocks[2];
    for (unsigned j = 0; j < 2; j++)
      blocks[j] = resize_strategy.allocate(self, size + i * change, ALIGN);
    if (blocks[1] == NULL) return;
    for (unsigned j = 0; j < 2; j++) resize_strategy.release(self, blocks[j]);
  }
}

static void test_lost_memory(void) {
  enum { SIZE = 64, ENOUGH = 12 };
  struct allocator *self = open_tier(&resize_strategy);
  go_round(self, ENOUGH, SIZE, 0);
  CHECK(resize_strategy.check(self).number == 0);
  go_round(self, ENOUGH, SIZE, 0);
  CHECK(resize_strategy.check(self).number == 3);
  close_tier(&resize_strategy, self);
  // Who is asked for something else each time may need more.
  self = open_tier(&resize_strategy);
  CHECK(resize_strategy.check(self).number == 0);
  go_round(self, 2 * ENOUGH, SIZE, 8);
  CHECK(resize_strategy.check(self).number == 0);
  close_tier(&resize_strategy, self);
  // And who uses again what he has, less a few blocks that he keeps back.
  self = open_tier(&resize_strategy);
  again_after = ENOUGH;
  released = reused = 0;
  go_round(self, 20 * ENOUGH, SIZE, 0);
  CHECK(resize_strategy.check(self).number == 0 && mem_heapsize() < LIMIT / 64);
  again_after = 0;
  close_tier(&resize_strategy, self);
  // As long as a block lives nobody knows what is needed.
  self = open_tier(&resize_strategy);
  CHECK(resize_strategy.allocate(self, SIZE, ALIGN) != NULL);
  go_round(self, 2 * ENOUGH, SIZE, 0);
  CHECK(resize_strategy.check(self).number == 0);
  close_tier(&resize_strategy, self);
}

static void test_first_state(void) {
  for (int i = 0; i < 3; i++) {
    struct allocator *self = open_tier(&core_strategy);
    CHECK(since_birth == 1);
    CHECK(arrives(&core_strategy, self, 1) && since_birth == 2);
    close_tier(&core_strategy, self);
  }
}

// Who cannot start has no allocator, and keeps nothing.
static void test_no_start(void) {
  starts = false;
  CHECK(open_with(&core_strategy, LIMIT) == NULL && account.bytes == 0);
  starts = true;
  CHECK(open_with(&exhaustion_strategy, 2 * ALIGN - 1) == NULL && account.bytes == 0);
  struct allocator *self = open_with(&exhaustion_strategy, 2 * ALIGN);
  CHECK(self != NULL && exhaustion_strategy.allocate(self, 1, ALIGN) == NULL);
  close_tier(&exhaustion_strategy, self);
  source_array_init(&heap);
  heap.source.base.traits &= ~(unsigned)SOURCE_CONTIGUOUS;
  CHECK(core_strategy.create(&heap.source.base, &(struct strategy_options){0}) == NULL);
}

int main(void) {
  test_memlib();
  test_sizes();
  test_zeroed();
  test_edges();
  test_reinit();
  test_lost_memory();
  test_first_state();
  test_no_start();
  puts("ok");
  return 0;
}
