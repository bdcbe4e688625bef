// Runs that do not end, whatever keeps them from it, end by a verdict.
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "allocators/check.h"
#include "harness/isolate.h"

extern const struct strategy bump_strategy;

// Requests of this size are what damages wait for.
enum { TRIGGER = 77 };

static _Noreturn void sleep_for_ever(void) {
  for (;;) pause();
}

static void *sleeps(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) sleep_for_ever();
  return bump_strategy.allocate(self, size, align);
}

// No handler of the process gets to run.
static void *sleeps_deaf(struct allocator *self, size_t size, size_t align) {
  sigset_t all;
  sigfillset(&all);
  if (size == TRIGGER) sigprocmask(SIG_SETMASK, &all, NULL);
  return sleeps(self, size, align);
}

static struct strategy damaged(void *(*allocate)(struct allocator *, size_t, size_t)) {
  struct strategy strategy = bump_strategy;
  strategy.name = "damaged";
  strategy.allocate = allocate;
  return strategy;
}

static struct program program_of(uint64_t size) {
  struct program program = {0};
  struct record heap = heap_record(
      &(struct heap){.source = HEAP_FIXED, .page_size = 4096, .capacity = 4096, .slots = 4});
  struct record request = operation_record(
      &(struct operation){.kind = OP_ALLOCATE, .count = 1, .size = size, .align = 1});
  CHECK(program_append(&program, &heap) && program_append(&program, &request));
  return program;
}

static const struct isolate_settings settings = {.quiet = true, .seconds = 1};

static void test_sleepers(void) {
  struct program program = program_of(TRIGGER);
  struct strategy strategies[] = {damaged(sleeps), damaged(sleeps_deaf)};
  for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
    struct isolated_run run;
    CHECK(isolate_run(&run, &settings, &strategies[i], &program));
    CHECK(strcmp(run.verdict.id, "hang") == 0);
  }
  program_clear(&program);
}

// What was clean before stays so.
static void test_row(void) {
  struct program good = program_of(TRIGGER - 1), bad = program_of(TRIGGER);
  struct strategy strategy = damaged(sleeps_deaf);
  struct isolated_row row = {.settings = settings, .strategy = &strategy};
  struct isolated_run first, second;
  bool ran = row_run(&row, &good, &first) && row_run(&row, &bad, &second);
  row_end(&row);
  CHECK(ran && strcmp(first.verdict.id, "clean") == 0 && strcmp(second.verdict.id, "hang") == 0);
  program_clear(&good);
  program_clear(&bad);
}

int main(void) {
  test_sleepers();
  test_row();
  return 0;
}
