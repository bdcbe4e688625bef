// Every acquisition is refused in turn, each finding is a program that shows the same by itself,
// and what is said to be covered was.
#include <string.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/exhaust_faults.h"
#include "harness/program_file.h"

extern const struct strategy page_bump_strategy;
static const struct strategy *const victim = &page_bump_strategy;

// ## Victims that fail when their source does

// Of requests that are for the test, not those that measure a fresh heap.
enum { TRIGGER = 400 };

static struct source *given;
static unsigned refusals;  // in a row

static struct allocator *notes_source(struct source *source,
                                      const struct strategy_options *options) {
  given = source;
  refusals = 0;
  return victim->create(source, options);
}

static void *keeps_page_when_refused(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  if (!block && (size == TRIGGER || size == 0)) given->acquire(given, given->page_size);
  return block;
}

// Only where the memory has run out for good does a second request in a row fail.
static void *crashes_at_second_refusal(struct allocator *self, size_t size, size_t align) {
  void *block = victim->allocate(self, size, align);
  refusals = block || size != TRIGGER ? 0 : refusals + 1;
  if (refusals == 2) *(volatile int *)(uintptr_t)(refusals - 2) = 1;
  return block;
}

static struct allocator *keeps_page_when_it_fails(struct source *source,
                                                  const struct strategy_options *options) {
  void *page = source->acquire(source, source->page_size);
  struct allocator *allocator = page ? victim->create(source, options) : NULL;
  if (allocator) source->release(source, page, source->page_size);
  return allocator;
}

// ## What was found

struct seen {
  size_t count, once, all, none;
  size_t acquisitions[8];
  const char *expected;
  const struct fault_exhaustion *task;
};

static void see(void *context, const struct fault_finding *finding) {
  struct seen *seen = context;
  CHECK(seen->count < 8);
  seen->acquisitions[seen->count++] = finding->acquisition;
  seen->none += finding->acquisition == 0;
  seen->all += finding->all;
  seen->once += finding->acquisition > 0 && !finding->all;
  if (strcmp(finding->run->verdict.id, seen->expected) != 0)
    fprintf(stderr, "%s: %s\n", finding->run->verdict.id, finding->run->verdict.diagnosis);
  CHECK(strcmp(finding->run->verdict.id, seen->expected) == 0);
  struct isolated_run again;
  struct isolate_settings settings = seen->task->settings;
  settings.quiet = true;
  CHECK(isolate_run(&again, &settings, seen->task->strategy, finding->program));
  CHECK(strcmp(again.verdict.id, seen->expected) == 0);
}

static struct fault_exhaustion exhaust(const struct strategy *strategy, const char *text,
                                       struct seen *seen) {
  struct program program = {0};
  struct file_error error;
  CHECK(text_parse(&program, text, strlen(text), "text", &error));
  struct fault_exhaustion task = {
      .strategy = strategy, .settings.oracle.tier = TIER_FULL, .found = see, .context = seen};
  seen->task = &task;
  CHECK(exhaust_faults(&task, &program));
  program_clear(&program);
  return task;
}

// Three acquisitions by requests; page_bump takes none for itself before the first of them.
#define THREE_CHUNKS                                                                               \
  "heap source=pages capacity=65536 page=512\n"                                                    \
  "allocate 0 size=400\nallocate 1 size=400\nallocate 2 size=400\n"

static size_t acquisitions_of_create(void) {
  struct seen seen = {.expected = "clean"};
  return (size_t)exhaust(victim, "heap source=pages capacity=65536 page=512\n", &seen)
      .coverage.acquisitions;
}

static void test_clean(void) {
  struct seen seen = {.expected = "clean"};
  size_t own = acquisitions_of_create();
  const struct fault_coverage coverage = exhaust(victim, THREE_CHUNKS, &seen).coverage;
  CHECK(seen.count == 0 && coverage.violations == 0 && coverage.out_of_reach == 0);
  CHECK(coverage.programs == 1 && coverage.acquisitions >= own + 3 - 1);
  CHECK(coverage.runs == 1 + 2 * coverage.acquisitions);
  // Once each; and from each on, at least that one.
  CHECK(coverage.injected >= 2 * coverage.acquisitions && coverage.refused > 0);
}

static void test_request_that_keeps_a_page(void) {
  struct strategy strategy = *victim;
  strategy.name = "damaged";
  strategy.create = notes_source;
  strategy.allocate = keeps_page_when_refused;
  struct seen seen = {.expected = "failed-op-changed-state"};
  const struct fault_coverage coverage = exhaust(&strategy, THREE_CHUNKS, &seen).coverage;
  // Where all that follow are refused too, no page can be kept.
  CHECK(seen.once >= 2 && seen.all == 0 && seen.none == 0);
  CHECK(coverage.violations == seen.count);
}

static void test_second_refusal_in_a_row(void) {
  struct strategy strategy = *victim;
  strategy.name = "damaged";
  strategy.create = notes_source;
  strategy.allocate = crashes_at_second_refusal;
  struct seen seen = {.expected = "crash"};
  exhaust(&strategy, THREE_CHUNKS, &seen);
  CHECK(seen.all >= 1 && seen.once == 0 && seen.none == 0);
}

static void test_create_that_keeps_a_page(void) {
  struct strategy strategy = *victim;
  strategy.name = "damaged";
  strategy.create = keeps_page_when_it_fails;
  struct seen seen = {.expected = "source-leak"};
  exhaust(&strategy, "heap source=pages capacity=65536 page=512\n", &seen);
  // Its own page goes first: only the second acquisition leaves it with one.
  CHECK(seen.count == 2 && seen.once == 1 && seen.all == 1);
  CHECK(seen.acquisitions[0] == 2 && seen.acquisitions[1] == 2);
}

// A program that violates something by itself is told once, and not taken further.
static void test_program_that_violates_already(void) {
  struct strategy strategy = *victim;
  strategy.name = "damaged";
  strategy.create = notes_source;
  strategy.allocate = keeps_page_when_refused;
  struct seen seen = {.expected = "failed-op-changed-state"};
  const struct fault_coverage coverage =
      exhaust(&strategy, THREE_CHUNKS "allocate 3 size=0\n", &seen).coverage;
  CHECK(seen.count == 1 && seen.none == 1 && coverage.runs == 1);
}

// Faults of the program's own stay where they are, whatever is put before them.
static void test_own_faults(void) {
  struct seen seen = {.expected = "clean"};
  const char text[] = "heap source=pages capacity=65536 page=512\n"
                      "fault mask=0x8\nallocate 0 size=400\nallocate 1 size=400\n"
                      "allocate 2 size=400\nallocate 3 size=400\nallocate 4 size=400\n";
  const struct fault_coverage coverage = exhaust(victim, text, &seen).coverage;
  CHECK(coverage.acquisitions >= 4);
  // The run that counts has one; the others have that and their own, but for the one that is it.
  CHECK(coverage.injected >= 1 + 2 * coverage.acquisitions - 1 + coverage.acquisitions - 2);
}

static void test_stop(void) {
  static volatile bool stop = true;
  struct seen seen = {.expected = "clean"};
  struct program program = {0};
  struct file_error error;
  CHECK(text_parse(&program, THREE_CHUNKS, strlen(THREE_CHUNKS), "text", &error));
  struct fault_exhaustion task = {
      .strategy = victim, .found = see, .context = &seen, .stop = &stop};
  CHECK(exhaust_faults(&task, &program) && task.stopped);
  program_clear(&program);
}

int main(void) {
  test_clean();
  test_request_that_keeps_a_page();
  test_second_refusal_in_a_row();
  test_create_that_keeps_a_page();
  test_program_that_violates_already();
  test_own_faults();
  test_stop();
  return 0;
}
