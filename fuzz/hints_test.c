// Hints: true of every strategy, learned from runs, and shared with another process.
#define _GNU_SOURCE  // setenv
#include "fuzz/hints.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "fuzz/hints_learn.h"
#include "harness/collection.h"

static void hints_are_true_of_every_strategy(void) {
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    const struct strategy *strategy = entry->strategy;
    struct hints hints = {0};
    hints_describe(&hints, strategy);
    CHECK((hints.verbs > 0) == ((strategy->traits & STRATEGY_COLLECTION) != 0));
    if (hints.verbs > 0) {
      CHECK(hints.verbs == strategy->driver->verb_count && hints.offered != 0);
      continue;
    }
    for (unsigned kind = 0; kind < OP_KINDS; kind++)
      CHECK((hints.offered >> kind & 1) == operation_offered((enum operation_kind)kind, strategy));
    CHECK((hints.dying != 0) == ((strategy->traits & STRATEGY_PERSISTS) != 0));
    CHECK((size_t)1 << hints.align_log2 == strategy->max_align);
    CHECK(hints.variants >= 1);
    if (strategy->variants) {
      CHECK(strategy->variants[hints.variants - 1] && !strategy->variants[hints.variants]);
    }
    CHECK(hints.sizes_count <= HINTS_SIZES);
    // A bound that no size changes has no edges.
    CHECK((hints.sizes_count == 0) == (strategy->footprint(1, strategy->min_align, 4096) ==
                                       strategy->footprint(1 << 20, strategy->min_align, 4096)));
    for (uint32_t i = 0; i < hints.sizes_count; i++) {
      size_t size = (size_t)hints.sizes[i], align = strategy->min_align;
      CHECK(i == 0 || hints.sizes[i - 1] < size);
      CHECK(strategy->footprint(size, align, 4096) != strategy->footprint(size + 1, align, 4096));
    }
  }
}

static bool has_answer(const struct hints *hints, uint64_t value) {
  for (uint64_t i = 0; i < hints->answers_count && i < HINTS_ANSWERS; i++)
    if (hints->answers[i] == value) return true;
  return false;
}

static void answers_are_learned(void) {
  static struct oracle oracle;
  struct hints hints = {0};
  struct hints_learner learner = {.hints = &hints};
  oracle_init(&oracle, &(struct oracle_settings){
                           .tier = TIER_FULL, .after = hints_learn, .context = &learner});
  struct record records[] = {
      {0},
      operation_record(&(struct operation){.count = 1, .slot = 0, .size = 100, .align = 1}),
      operation_record(&(struct operation){.count = 1, .slot = 1, .size = 100, .align = 1}),
      operation_record(&(struct operation){.kind = OP_USE, .count = 1, .slot = 1}),
      operation_record(&(struct operation){.count = 1, .size = SIZE_MAX, .align = 1}),
  };
  struct program program = {records, sizeof records / sizeof *records, 0, {0}, 0};
  const struct strategy *strategy = registry_find("buddy")->strategy;
  hints_begin(&learner, strategy, &program);
  CHECK(oracle_run(&oracle, strategy, &program));
  CHECK(has_answer(&hints, 128) && !has_answer(&hints, SIZE_MAX));
  // Where a foreign allocator's blocks lie is not to be learned.
  hints = (struct hints){0};
  strategy = registry_find("system")->strategy;
  hints_begin(&learner, strategy, &program);
  CHECK(oracle_run(&oracle, strategy, &program));
  CHECK(hints.answers_count <= 1);
  // Nor where several threads put them.
  records[0] =
      heap_record(&(struct heap){.capacity = 65536, .page_size = 4096, .slots = 64, .threads = 2});
  strategy = registry_find("bump_atomic")->strategy;
  hints_begin(&learner, strategy, &program);
  CHECK(!learner.places);
  oracle_free(&oracle);
}

static void the_latest_answers_are_kept(void) {
  struct hints hints = {0};
  for (uint64_t i = 1; i <= 3 * HINTS_ANSWERS; i++) {
    hints_answer(&hints, i);
    hints_answer(&hints, i);
  }
  CHECK(hints.answers_count == 3 * HINTS_ANSWERS);
  CHECK(has_answer(&hints, 3 * HINTS_ANSWERS) && has_answer(&hints, 2 * HINTS_ANSWERS + 1));
  CHECK(!has_answer(&hints, 2 * HINTS_ANSWERS));
}

static void hints_pass_to_another_process(void) {
  unsetenv("ASSAY_HINTS");
  CHECK(hints_named() == hints_own());
  const struct hints *shared = hints_share();
  CHECK(shared && shared->offered == 0 && shared->answers_count == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    struct hints *named = hints_named();
    if (!named || named == hints_own()) _exit(1);
    hints_describe(named, registry_find("free_list")->strategy);
    hints_answer(named, 4711);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(shared->offered >> OP_RELEASE & 1);
  CHECK(has_answer(shared, 4711));
}

static void hints_that_are_none_are_refused(void) {
  CHECK(setenv("ASSAY_HINTS", "/nonexistent/hints", 1) == 0);
  CHECK(hints_named() == NULL);
  CHECK(setenv("ASSAY_HINTS", "/dev/null", 1) == 0);
  CHECK(hints_named() == NULL);
}

int main(void) {
  hints_are_true_of_every_strategy();
  answers_are_learned();
  the_latest_answers_are_kept();
  hints_pass_to_another_process();
  hints_that_are_none_are_refused();
  return 0;
}
