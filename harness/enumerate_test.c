// The small-scope mode's own test: it runs as many programs as there are, finds the shortest that
// shows a bug and goes on behind it, and finds nothing on clean strategies.
#define _GNU_SOURCE
#include "harness/enumerate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/batch.h"
#include "harness/forbid.h"

extern const struct strategy bump_strategy, free_list_strategy;

static struct enumeration begin(const struct strategy *strategy, unsigned depth) {
  struct enumeration task = {.strategy = strategy,
                             .alphabet = {.sizes = {1, 24, 100},
                                          .aligns = {8, 64},
                                          .sizes_count = 3,
                                          .aligns_count = 2,
                                          .slots = 3},
                             .depth = depth,
                             .tier = TIER_PARANOID,
                             .findings_max = 1,
                             .progress = -1};
  task.alphabet.kinds[OP_ALLOCATE] = task.alphabet.kinds[OP_RELEASE] = true;
  bool pages = (strategy->needs & SOURCE_RECLAIMS) != 0;
  task.alphabet.heap = (struct heap){.source = pages ? HEAP_PAGES : HEAP_FIXED,
                                     .page_size = 256,
                                     .capacity = 4096,
                                     .slots = ENUMERATE_SLOTS,
                                     .threads = 1};
  return task;
}

// Of `length` operations from `live` blocks on, where nothing is refused: requests and releases
// change how many blocks live, resizes do not.
static uint64_t expected(const struct alphabet *alphabet, unsigned live, unsigned length) {
  if (length == 0) return 1;
  uint64_t requests = alphabet->sizes_count * alphabet->aligns_count, count = 0;
  if (live < alphabet->slots) count += requests * expected(alphabet, live + 1, length - 1);
  if (live > 0) count += live * expected(alphabet, live - 1, length - 1);
  if (alphabet->kinds[OP_RESIZE])
    count += live * alphabet->sizes_count * expected(alphabet, live, length - 1);
  return count;
}

static void test_counts(void) {
  for (int resizes = 0; resizes <= 1; resizes++)
    for (unsigned slots = 1; slots <= 3; slots++) {
      struct enumeration task = begin(&free_list_strategy, MEMORY_ON_VALGRIND ? 2 : 4);
      task.alphabet.slots = slots;
      task.alphabet.kinds[OP_RESIZE] = resizes;
      CHECK(enumerate(&task));
      CHECK(task.findings_count == 0 && task.complete == task.depth && !task.interrupted);
      for (unsigned length = 1; length <= task.depth; length++) {
        CHECK(task.depths[length].programs == expected(&task.alphabet, 0, length));
        CHECK(task.depths[length].refused == 0);
      }
    }
}

// On a heap that is full after one block, whatever is asked for next is refused, and tried again.
static void test_refusals(void) {
  struct enumeration task = begin(&bump_strategy, 3);
  task.alphabet.sizes_count = 1;
  task.alphabet.sizes[0] = 100;
  task.alphabet.aligns_count = 1;
  task.alphabet.kinds[OP_FAULT] = true;
  task.alphabet.heap.capacity = enumerate_smallest_heap(&bump_strategy, &task.alphabet);
  task.alphabet.heap.capacity -= 64;
  CHECK(enumerate(&task) && task.findings_count == 0);
  CHECK(task.depths[1].programs == 1 && task.depths[1].refused == 0);
  CHECK(task.depths[1].pruned[PRUNED_IDLE] == 1);
  // allocate, allocate; fault, allocate.
  CHECK(task.depths[2].programs == 2 && task.depths[2].refused == 1);
  CHECK(task.depths[2].pruned[PRUNED_RENAMED] == 3);
  // allocate, allocate, allocate; allocate, fault, allocate. With a fault first there is no
  // allocator to go on with.
  CHECK(task.depths[3].programs == 2 && task.depths[3].refused == 2);
}

// ## A damaged strategy

static void *returns_twice(struct allocator *self, size_t size, size_t align) {
  static void *last;
  if (size == 24 && align == 64) return last ? last : (void *)0;
  void *block = free_list_strategy.allocate(self, size, align);
  if (size == 100) last = block;
  return block;
}

static void *misaligns(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = free_list_strategy.allocate(self, size + 1, align);
  return block && size == 1 && align == 64 ? block + 1 : block;
}

static struct enumeration_finding *find(struct enumeration *task, const char *id) {
  for (unsigned i = 0; i < task->findings_count; i++)
    if (strcmp(task->findings[i].verdict.id, id) == 0) return &task->findings[i];
  if (task->findings_count)
    fprintf(stderr, "not %s, but %s\n", id, task->findings[0].verdict.diagnosis);
  return NULL;
}

// As a library does that gives up, and whose caller then looks as if all were well.
static void *leaves(struct allocator *self, size_t size, size_t align) {
  if (size == 100) syscall(SYS_exit_group, 0);  // which nobody sees, as _exit would be
  return free_list_strategy.allocate(self, size, align);
}

static struct program *asking_for_100;

static void take_it(void *context, size_t index, struct program *program) {
  (void)context, (void)index;
  CHECK(program_copy(program, asking_for_100));
}

static void test_exit_code_0_is_not_clean(void) {
  struct strategy damaged = free_list_strategy;
  damaged.name = "damaged";
  damaged.allocate = leaves;
  struct enumeration task = begin(&damaged, 2);
  CHECK(enumerate(&task));
  CHECK(task.findings_count == 1);
  const struct enumeration_finding *finding = find(&task, "crash");
  CHECK(finding && finding->length == 1 && record_operation(&finding->records[1]).size == 100);
  struct program program = {.records = task.findings[0].records, .count = 2};
  struct isolated_run run;
  CHECK(isolate_run(&run, &(struct isolate_settings){.quiet = true}, &damaged, &program));
  CHECK(strcmp(run.verdict.id, "crash") == 0);
  CHECK(strstr(run.verdict.diagnosis, "left with exit code 0") != NULL);
  asking_for_100 = &program;
  struct batch batch = {.strategy = &damaged, .count = 2, .make = take_it};
  CHECK(batch_run(&batch) && batch.runs == 2 && batch.violations == 2);
}

static void test_damage(void) {
  struct strategy damaged = free_list_strategy;
  damaged.name = "damaged";
  damaged.allocate = misaligns;
  struct enumeration task = begin(&damaged, 3);
  CHECK(enumerate(&task));
  CHECK(task.findings_count == 1 && task.complete == 0);
  const struct enumeration_finding *finding = find(&task, "alignment");
  CHECK(finding && finding->length == 1);
  struct operation op = record_operation(&finding->records[1]);
  CHECK(op.kind == OP_ALLOCATE && op.size == 1 && op.align == 64);
  // What was found is what the oracle finds in it.
  struct program program = {.records = task.findings[0].records, .count = 2};
  struct isolated_run run;
  CHECK(isolate_run(&run, &(struct isolate_settings){.quiet = true}, &damaged, &program));
  CHECK(strcmp(run.verdict.id, "alignment") == 0);
  // Behind it, everything else is still tried: as if that request did not exist.
  task = begin(&damaged, 3);
  task.findings_max = 8;
  CHECK(enumerate(&task));
  CHECK(task.findings_count == 1 && task.complete == 3);
  CHECK(task.depths[1].programs == 6 && task.depths[1].pruned[PRUNED_VIOLATING] == 0);
  // After each of the five others: six requests and a release.
  CHECK(task.depths[2].programs == 5 * 7 && task.depths[2].pruned[PRUNED_VIOLATING] == 1);
  CHECK(task.violations > 1);
  damaged.allocate = returns_twice;
  task = begin(&damaged, 3);
  task.findings_max = 8;
  CHECK(enumerate(&task) && task.complete == 3);
  finding = find(&task, "overlap");
  CHECK(finding && finding->length == 2);
}

static void test_budget(void) {
  struct enumeration task = begin(&free_list_strategy, ENUMERATE_DEPTH);
  task.budget = 0.2;
  CHECK(enumerate(&task));
  CHECK(task.interrupted && task.complete < ENUMERATE_DEPTH && task.findings_count == 0);
  CHECK(task.depths[task.complete].programs == expected(&task.alphabet, 0, task.complete));
}

static void test_no_allocator(void) {
  struct enumeration task = begin(&free_list_strategy, 2);
  task.alphabet.heap.capacity = 16;
  CHECK(!enumerate(&task));
}

static void test_clean_strategies(void) {
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    struct enumeration task = begin(entry->strategy, MEMORY_ON_VALGRIND ? 2 : 3);
    if (MEMORY_ON_VALGRIND) task.alphabet.sizes_count = task.alphabet.aligns_count = 1;
    for (int kind = 0; kind < OP_KINDS; kind++) task.alphabet.kinds[kind] = kind != OP_CRASH;
    task.alphabet.heap.capacity = enumerate_smallest_heap(entry->strategy, &task.alphabet);
    CHECK(enumerate(&task));
    if (task.findings_count)
      fprintf(stderr, "%s: %s\n", entry->name, task.findings[0].verdict.diagnosis);
    CHECK(task.findings_count == 0 && task.complete == task.depth);
    CHECK(task.counts.exercised[PROPERTY_overlap] > 0);
  }
}

int main(void) {
  test_counts();
  test_refusals();
  test_exit_code_0_is_not_clean();
  test_damage();
  test_budget();
  test_no_allocator();
  test_clean_strategies();
  return 0;
}
