// Bare replay on several threads: each operation once, each thread and each slot in the order of
// the program, nobody far ahead, and everything before a reset done before it.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "allocators/lock.h"
#include "harness/crew.h"
#include "harness/replay.h"

// Race detectors take a hundred times as long for each.
#ifdef ALLOCATORS_ORDER_HOOKS
enum { OPERATIONS = 600 };
#else
enum { OPERATIONS = 20000 };
#endif
enum { SLOTS = 64, BASE = 1 << 20 };

// ## A strategy that writes down what it is asked. A block's address tells which request it was.

static struct {
  atomic_size_t count;
  size_t log[2 * OPERATIONS];  // 2 * index of the request; + 1: it was released
  size_t resets;
  unsigned char memory[1];
} diary;

static void note(size_t entry) {
  diary.log[atomic_fetch_add_explicit(&diary.count, 1, memory_order_relaxed)] = entry;
}

static void *allocate(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)align;
  note(2 * (size - 1));
  return (void *)(uintptr_t)(BASE + size - 1);
}

static enum release_result release(struct allocator *self, void *block) {
  (void)self;
  if (block) note(2 * ((uintptr_t)block - BASE) + 1);
  return RELEASED;
}

static void *resize(struct allocator *self, void *block, size_t size, size_t align) {
  release(self, block);
  return allocate(self, size, align);
}

static void reset(struct allocator *self) {
  (void)self;
  diary.resets = diary.resets * 1000000 + diary.count;
}

static struct allocator *create(struct source *source, const struct strategy_options *options) {
  (void)options;
  return (struct allocator *)source;
}

static void destroy(struct allocator *self) { (void)self; }

static const struct strategy diarist = {.name = "diarist",
                                        .traits = STRATEGY_RELEASES | STRATEGY_RESIZES |
                                                  STRATEGY_RESETS | STRATEGY_CONCURRENT,
                                        .min_align = 1,
                                        .max_align = 1,
                                        .create = create,
                                        .allocate = allocate,
                                        .release = release,
                                        .resize = resize,
                                        .reset = reset,
                                        .destroy = destroy};

// ## A program in which threads release each other's blocks

static struct program program;

static void append(struct operation op) {
  struct record record = operation_record(&op);
  CHECK(program_append(&program, &record));
}

// Requests say by their size which operation they are.
static void make_program(unsigned threads, bool resets) {
  program_clear(&program);
  struct record heap = heap_record(
      &(struct heap){.source = HEAP_FIXED, .capacity = 65536, .slots = SLOTS, .threads = 1});
  CHECK(program_append(&program, &heap));
  unsigned state = 1;
  for (uint64_t i = 0; i < OPERATIONS; i++) {
    state = state * 1103515245u + 12345u;
    unsigned chance = state >> 16;
    enum operation_kind kind = chance % 3 == 0   ? OP_RELEASE
                               : chance % 3 == 1 ? OP_RESIZE
                                                 : OP_ALLOCATE;
    if (resets && i == OPERATIONS / 2) kind = OP_RESET;
    append((struct operation){.kind = kind,
                              .count = 1,
                              .thread = chance / 3 % threads,
                              .slot = chance / 100 % SLOTS,
                              .size = i + 1,
                              .align = 1});
  }
}

static void replay(unsigned threads) {
  static struct arena arena;
  struct replay result;
  memset(&diary, 0, sizeof diary);
  ORDER_ATOMIC(diary.count);
  CHECK(replay_with(&result, &arena, &diarist, &program,
                    &(struct replay_settings){.threads = threads}));
  CHECK(result.operations == OPERATIONS && result.refused == 0 && result.threads == threads);
  arena_free(&arena);
}

// ## What must be true of the diary

static uint32_t slot_of(size_t index) { return program_at(&program, index)->slot; }

// What each slot names after each operation depends on the order on that slot alone: so if the
// diary's orders are right, it has the same entries as one of a single thread.
static int compare(const void *a, const void *b) {
  size_t x = *(const size_t *)a, y = *(const size_t *)b;
  return (x > y) - (x < y);
}

static void check_orders(unsigned threads) {
  static size_t last_of_thread[CREW_MAX], last_of_slot[SLOTS];
  memset(last_of_thread, 0, sizeof last_of_thread);
  memset(last_of_slot, 0, sizeof last_of_slot);
  size_t furthest = 0;
  for (size_t i = 0; i < diary.count; i++) {
    if (diary.log[i] % 2) continue;
    size_t index = diary.log[i] / 2;
    unsigned thread = program_at(&program, index)->thread % threads;
    CHECK(index + 1 > last_of_thread[thread] && index + 1 > last_of_slot[slot_of(index)]);
    last_of_thread[thread] = last_of_slot[slot_of(index)] = index + 1;
    if (index > furthest) furthest = index;
    // Some thousand, and what a thread does between two looks.
    CHECK(furthest - index < 8192);
  }
}

static void test_threads(unsigned threads, bool resets) {
  static size_t alone[2 * OPERATIONS];
  make_program(CREW_MAX, resets);
  replay(1);
  size_t count = diary.count, at_reset = diary.resets;
  memcpy(alone, diary.log, sizeof alone);
  replay(threads);
  CHECK(diary.count == count && diary.resets == at_reset && (at_reset > 0) == resets);
  check_orders(threads);
  qsort(alone, count, sizeof *alone, compare);
  qsort(diary.log, count, sizeof *diary.log, compare);
  CHECK(memcmp(alone, diary.log, count * sizeof *alone) == 0);
}

static void test_how_many(void) {
  make_program(1, false);
  CHECK(replay_threads(&program) == 1);
  make_program(2, false);
  CHECK(replay_threads(&program) == 2);
  make_program(CREW_MAX, false);
  unsigned threads = replay_threads(&program);
  CHECK(threads >= 2 && threads <= CREW_MAX && (threads & (threads - 1)) == 0);
  CHECK(replay_serves_threads(&diarist, &program));
  struct strategy halfway = diarist;
  halfway.traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_ALLOCATES_CONCURRENTLY;
  CHECK(!replay_serves_threads(&halfway, &program));
}

int main(void) {
  for (unsigned threads = 2; threads <= CREW_MAX; threads *= 2) {
    test_threads(threads, false);
    test_threads(threads, true);
  }
  test_how_many();
  program_clear(&program);
  return 0;
}
