// Scores: figures of a heap that is easy to reckon, workloads that are what they say, and heaps
// that spoil their own score.
#include "harness/score.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/check.h"
#include "harness/score_workloads.h"

enum { PAGE = 64 };

// ## A heap that takes a page of its source for each block, and keeps it

static struct {
  struct source *source;
  size_t pages;
} heap;

static struct allocator *create(struct source *source, const struct strategy_options *options) {
  (void)options;
  heap.source = source;
  heap.pages = 0;
  return (struct allocator *)&heap;
}

static void *allocate(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)align;
  size_t pages = (size + PAGE - 1) / PAGE * PAGE;
  return heap.source->acquire(heap.source, pages);
}

static enum release_result release(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASED;
}

static void destroy(struct allocator *self) { (void)self; }

static const struct strategy spender = {.name = "spender",
                                        .traits = STRATEGY_RELEASES,
                                        .needs = SOURCE_RECLAIMS,
                                        .min_align = 1,
                                        .max_align = PAGE,
                                        .create = create,
                                        .allocate = allocate,
                                        .release = release,
                                        .destroy = destroy};

static struct program program;

static void append(enum operation_kind kind, uint32_t slot, uint64_t size) {
  struct record record = operation_record(
      &(struct operation){.kind = kind, .count = 1, .slot = slot, .size = size, .align = 1});
  CHECK(program_append(&program, &record));
}

static void begin(void) {
  program_clear(&program);
  struct record record = heap_record(&(struct heap){
      .source = HEAP_PAGES, .page_size = PAGE, .capacity = (size_t)1 << 20, .slots = 4});
  CHECK(program_append(&program, &record));
}

static struct score score_of(const struct strategy *strategy, size_t size, unsigned limit) {
  struct score score;
  score_run(&score, strategy, &program, size, 0, limit);
  return score;
}

static void test_figures(void) {
  begin();
  append(OP_ALLOCATE, 0, 100);  // 2 pages
  append(OP_ALLOCATE, 1, 64);   // 1
  append(OP_RELEASE, 0, 0);
  append(OP_RESIZE, 1, 65);  // 2, as it moves
  append(OP_RELEASE, 1, 0);
  append(OP_RELEASE, 1, 0);          // names nothing
  append(OP_ALLOCATE_ZEROED, 2, 0);  // must be refused: no request of a program
  struct score score = score_of(&spender, 0, 60);
  CHECK(score.reason[0] == '\0');
  CHECK(score.operations == 5 && score.peak_live == 164 && score.peak_heap == 5 * PAGE);
  CHECK(score.seconds > 0 && score.libc_seconds > 0 && score.rounds >= 1);
  // So little needs no more memory of malloc, which had other things before.
  CHECK(score.libc_heap == 0);
  // One page less than it needs.
  score = score_of(&spender, 4 * PAGE, 60);
  CHECK(strcmp(score.reason, "operation 3, of 65 bytes, was refused") == 0);
}

// ## Heaps that spoil their score

static void *kills(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  signal(SIGUSR1, SIG_DFL);
  raise(SIGUSR1);
  return NULL;
}

static void *leaves(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  exit(0);
}

static void *stays(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  for (volatile size_t i = 0; i < SIZE_MAX;) i = i + 1;
  return NULL;
}

static void *sleeps(struct allocator *self, size_t size, size_t align) {
  (void)self, (void)size, (void)align;
  for (;;) pause();
}

static struct allocator *does_not_start(struct source *source,
                                        const struct strategy_options *options) {
  (void)source, (void)options;
  return NULL;
}

static size_t times;  // that a heap was made in this process

static struct allocator *starts_once(struct source *source,
                                     const struct strategy_options *options) {
  return times++ == 0 ? create(source, options) : NULL;
}

static void test_reasons(void) {
  begin();
  append(OP_ALLOCATE, 0, 100);
  struct strategy bad = spender;
  bad.allocate = kills;
  CHECK(strncmp(score_of(&bad, 0, 60).reason, "signal ", 7) == 0);
  bad.allocate = leaves;
  CHECK(strcmp(score_of(&bad, 0, 60).reason, "it ended the process") == 0);
  bad.allocate = stays;
  CHECK(strcmp(score_of(&bad, 0, 1).reason, "not done in time") == 0);
  bad.allocate = sleeps;
  CHECK(strcmp(score_of(&bad, 0, 1).reason, "not done in time") == 0);
  bad = spender;
  bad.create = does_not_start;
  CHECK(strstr(score_of(&bad, 0, 60).reason, "did not start"));
  bad = spender;
  bad.traits = 0;
  CHECK(strcmp(score_of(&bad, 0, 60).reason, "it does not release blocks") == 0);
  // Whoever keeps state gets a fresh process for each run.
  bad = spender;
  bad.create = starts_once;
  CHECK(strstr(score_of(&bad, 0, 60).reason, "did not start"));
  bad.traits |= STRATEGY_KEEPS_STATE;
  CHECK(score_of(&bad, 0, 60).reason[0] == '\0' && score_of(&bad, 0, 60).peak_heap == 2 * PAGE);
}

// ## Workloads

static void test_workloads(void) {
  struct program again = {0};
  for (size_t w = 0; score_workloads[w].name; w++) {
    CHECK(score_workload_make(&program, w) && score_workload_make(&again, w));
    CHECK(program.count == again.count && program.count > 1000);
    CHECK(memcmp(program.records, again.records, program.count * sizeof *program.records) == 0);
    uint32_t slots = program_heap(&program).slots;
    uint64_t *sizes = calloc(slots, sizeof *sizes), live = 0, peak = 0;
    CHECK(sizes);
    for (size_t i = 0; i < program_length(&program); i++) {
      struct operation op = record_operation(program_at(&program, i));
      // Each release and resize is of a block, and no block loses its name.
      CHECK(op.slot < slots && (sizes[op.slot] == 0) == (op.kind == OP_ALLOCATE));
      live += op.size - sizes[op.slot];
      sizes[op.slot] = op.kind == OP_RELEASE ? 0 : op.size;
      CHECK(op.kind == OP_RELEASE ? op.size == 0 : op.size > 0);
      if (live > peak) peak = live;
    }
    CHECK(live == 0 && peak > 1000 && peak < (uint64_t)8 << 20);
    free(sizes);
  }
  program_clear(&again);
}

int main(void) {
  test_figures();
  test_reasons();
  test_workloads();
  program_clear(&program);
  return 0;
}
