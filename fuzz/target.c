// The fuzz target: bytes -> program -> oracle. One for all strategies; the registry that the
// program is linked with says which. A strategy that keeps state gets a process for each program
// (apart.h).
//
// ASSAY_STRATEGY chooses among several; ASSAY_TIER (fast, full, paranoid) is `full` unless set;
// ASSAY_MUTATOR (mutator_choice.h); ASSAY_HINTS is set by the AFL++ mutator (hints.h);
// ASSAY_COUNTERS names a file for the target's own numbers (counters.h).
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "fuzz/apart.h"
#include "fuzz/counters.h"
#include "fuzz/heap_state.h"
#include "fuzz/hints_learn.h"
#include "fuzz/input.h"
#include "fuzz/mutator_choice.h"
#include "harness/oracle.h"

static struct oracle oracle;
static const struct strategy *strategy;
static enum tier tier;
static struct hints_learner learner;
static struct counting counting;
static bool ready;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct strategy *choose_strategy(void) {
  const char *name = getenv("ASSAY_STRATEGY");
  if (!name) return registry[0].strategy;
  const struct registry_entry *entry = registry_find(name);
  if (entry) return entry->strategy;
  fprintf(stderr, "ASSAY_STRATEGY: unknown strategy '%s'; this program knows:", name);
  for (entry = registry; entry->name; entry++) fprintf(stderr, " %s", entry->name);
  fputc('\n', stderr);
  exit(2);
}

static enum tier choose_tier(void) {
  const char *name = getenv("ASSAY_TIER");
  enum tier chosen = TIER_FULL;
  if (name && !tier_find(name, &chosen)) {
    fprintf(stderr, "ASSAY_TIER: unknown tier '%s'; it is fast, full or paranoid\n", name);
    exit(2);
  }
  return chosen;
}

static void prepare(void) {
  strategy = choose_strategy();
  tier = choose_tier();
  mutator_choose();  // for those who mutate later: a mistake is told at once
  learner.hints = hints_named();
  if (!learner.hints) exit(2);
  hints_describe(learner.hints, strategy);
  counting_open(&counting);
}

static void count_state(void *context, const struct heap_view *view) {
  (void)context;
  counting_state(&counting, heap_state(view));
}

// The process ends with the program: what was done until then counts.
static void count_violation(const struct verdict *verdict) {
  (void)verdict;
  apart_announced();
  counting_violated(&counting, &oracle.counts);
}

// Engines call it before anything else. An exit inside an input would be taken for a finding.
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  prepare();
  return 0;
}

static _Noreturn void no_memory(const struct program *program) {
  fprintf(stderr, "no memory for a heap of %zu bytes\n", (size_t)program_heap(program).capacity);
  exit(2);
}

static void run(void *context) {
  const struct program *program = context;
  if (!oracle_run(&oracle, strategy, program)) no_memory(program);
  counting_add(&counting, &oracle.counts);
}

static void run_apart(void *context) {
  oracle_watch();
  run(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!ready) {
    if (!strategy) prepare();
    // Signal handlers and the like belong to the process that runs inputs: a fork server does not.
    oracle_init(&oracle, &(struct oracle_settings){.tier = tier,
                                                   .after = hints_learn,
                                                   .viewed = counting.file ? count_state : NULL,
                                                   .context = &learner});
    property_on_violation(count_violation);
    ready = true;
  }
  struct program program;
  if (!input_decode(&program, data, size)) return -1;
  hints_begin(&learner, strategy, &program);
  counting_begin(&counting);
  if (!(strategy->traits & STRATEGY_KEEPS_STATE)) {
    run(&program);
    return 0;
  }
  // What every child needs is made here once.
  if (!oracle_make_room(&oracle, strategy, &program)) no_memory(&program);
  apart_run(strategy->name, learner.hints, run_apart, &program);
  return 0;
}
