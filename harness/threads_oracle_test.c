// The oracle on several threads: each check that it makes there fails under its own id when an
// allocator is damaged so, what is close to damage passes, and there is one report however many
// threads have something to tell.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/check.h"
#include "allocators/lock.h"
#include "harness/concurrent.h"
#include "harness/forbid.h"
#include "harness/isolate.h"
#include "harness/program_file.h"

extern const struct strategy bump_atomic_strategy, free_list_strategy, locked_free_list_strategy;

#define VICTIM locked_free_list_strategy

// Requests of this size are what damages wait for.
enum { TRIGGER = 77 };

// Not every run shows what depends on chance.
enum { ATTEMPTS = 50 };

// What a build can see.
enum { PLAIN = 1, ASAN = 2, MSAN = 4, VALGRIND = 8, TSAN = 16, DRD = 32 };
enum { DETECTORS = TSAN | DRD, NO_DETECTORS = PLAIN | ASAN | MSAN | VALGRIND };
enum { NATIVE = PLAIN | ASAN | MSAN };  // truly at once, and nothing else tells

static unsigned current_build(void) {
#if defined(BUILT_WITH_ASAN)
  return ASAN;
#elif defined(BUILT_WITH_MSAN)
  return MSAN;
#elif defined(BUILT_WITH_TSAN)
  return TSAN;
#elif defined(ALLOCATORS_ORDER_HOOKS)
  return DRD;
#else
  return MEMORY_ON_VALGRIND ? VALGRIND : PLAIN;
#endif
}

// ## Damages

static void *_Atomic remembered;

// The second request gets what the first one has.
static void *gives_twice(struct allocator *self, size_t size, size_t align) {
  void *block = VICTIM.allocate(self, size, align), *none = NULL;
  if (size != TRIGGER || atomic_compare_exchange_strong(&remembered, &none, block)) return block;
  return atomic_load(&remembered);
}

static void *lies_inside(struct allocator *self, size_t size, size_t align) {
  void *block = VICTIM.allocate(self, size, align), *none = NULL;
  if (size != TRIGGER || atomic_compare_exchange_strong(&remembered, &none, block)) return block;
  return (unsigned char *)atomic_load(&remembered) + 64;
}

static SEES_FORBIDDEN void flip(unsigned char *at) { *(volatile unsigned char *)at ^= 1; }

// While another thread's block lives. Atomic, so that it is no race: only a wrong value.
static void *spoils_another(struct allocator *self, size_t size, size_t align) {
  void *block = VICTIM.allocate(self, size, align), *none = NULL;
  if (size == TRIGGER && !atomic_compare_exchange_strong(&remembered, &none, block))
    flip((unsigned char *)none + 5);
  return block;
}

static void *forgets_to_clear(struct allocator *self, size_t count, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate_zeroed(self, count, size, align);
  if (block) block[count * size - 1] = 1;
  return block;
}

static void *loses_prefix(struct allocator *self, void *block, size_t size, size_t align) {
  unsigned char *moved = VICTIM.resize(self, block, size, align);
  if (moved && block) moved[0] ^= 1;
  return moved;
}

static enum release_result says_double(struct allocator *self, void *block) {
  VICTIM.release(self, block);
  return RELEASE_DOUBLE;
}

static enum release_result forgets_release(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASED;
}

static void *accepts_nothing(struct allocator *self, size_t size, size_t align) {
  return VICTIM.allocate(self, size ? size : 1, align);
}

static void *is_off_by_one(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate(self, size + 1, align);
  return size == TRIGGER && block ? block + 1 : block;
}

static void *is_elsewhere(struct allocator *self, size_t size, size_t align) {
  static _Alignas(64) unsigned char elsewhere[128];
  return size == TRIGGER ? elsewhere : VICTIM.allocate(self, size, align);
}

static void *refuses(struct allocator *self, size_t size, size_t align) {
  return size == TRIGGER ? NULL : VICTIM.allocate(self, size, align);
}

static size_t counts_too_little(const struct allocator *self, const void *block) {
  return VICTIM.usable_size(self, block) / 2;
}

static size_t counts_the_next(const struct allocator *self, const void *block) {
  return VICTIM.usable_size(self, block) + 64;
}

static void *crashes(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) raise(SIGSEGV);
  return VICTIM.allocate(self, size, align);
}

static void *never_returns(struct allocator *self, size_t size, size_t align) {
  while (size == TRIGGER) lock_pause();
  return VICTIM.allocate(self, size, align);
}

// Looks which block is next, and then says that it is taken. Atomic, so that it is no race.
static void *claims_in_two_steps(struct allocator *self, size_t size, size_t align) {
  enum { BLOCKS = 16 };
  static struct lock lock;
  static void *blocks[BLOCKS];
  static atomic_uint taken;
  if (size != TRIGGER) return bump_atomic_strategy.allocate(self, size, align);
  lock_acquire(&lock);
  for (size_t i = 0; !blocks[BLOCKS - 1]; i++)
    blocks[i] = bump_atomic_strategy.allocate(self, size, align);
  lock_release(&lock);
  unsigned next = atomic_load_explicit(&taken, memory_order_relaxed);
  sched_yield();
  atomic_store_explicit(&taken, next + 1, memory_order_relaxed);
  return blocks[next];
}

static void *dawdles(struct allocator *self, size_t size, size_t align) {
  sched_yield();
  void *block = VICTIM.allocate(self, size, align);
  sched_yield();
  return block;
}

// ## Rows

// Threads at once, each with blocks of its own.
#define BUSY                                                                                       \
  "allocate 0 size=50 thread=0;allocate 1 size=60 thread=1;allocate 2 size=200 thread=0;"          \
  "resize 1 size=500 thread=1;release 0 thread=0;allocate 3 size=90 thread=1;"                     \
  "allocate 0 size=30 thread=0;release 3 thread=1;resize 0 size=10 thread=0;"                      \
  "release 1 thread=1;allocate 4 size=1000 thread=0;allocate 5 size=16 thread=1;"
// Handed from one thread to the other: never two of them at once.
#define HANDED                                                                                     \
  "allocate 0 size=50 thread=0;resize 0 size=500 thread=1;use 0 thread=0;release 0 thread=1;"      \
  "allocate 0 size=60 thread=0;release 0 thread=1;allocate 0 size=70 thread=1;release 0 thread=0;"
#define TWO "allocate 0 size=77 thread=0;allocate 1 size=77 thread=1;"

static const struct row {
  const char *property;  // or "clean"
  const char *what;
  struct strategy with;           // functions that replace the victim's
  const char *program;            // without the heap's line, `;` for ends of lines
  int operation;                  // index that must be blamed; -1: any
  unsigned builds;                // 0: all
  const struct strategy *victim;  // NULL: VICTIM
  unsigned repeat;                // the program so many times over; 0: once
} rows[] = {
    {"clean", "nothing", {0}, BUSY HANDED, 0, 0, NULL, 20},
    {"clean", "waits between", {.allocate = dawdles}, BUSY HANDED, 0, 0, NULL, 5},
    {"clean",
     "nothing, without a lock",
     {0},
     "allocate 0 size=7 thread=0;allocate 1 size=9 thread=1;zeroed 2 count=2 size=40 thread=1;",
     0,
     0,
     &bump_atomic_strategy,
     20},
    {"race", "no lock", {0}, BUSY, -1, DETECTORS, &free_list_strategy, 20},
    {"overlap",
     "claims in two steps",
     {.allocate = claims_in_two_steps},
     "allocate 0 size=77;allocate 1 size=77 thread=1;allocate 2 size=77;allocate 3 size=77 "
     "thread=1;"
     "allocate 4 size=77;allocate 5 size=77 thread=1;allocate 6 size=77;allocate 7 size=77 "
     "thread=1;",
     -1,
     NATIVE | TSAN,
     &bump_atomic_strategy,
     0},
    {"clean", "no lock, but never two at once", {0}, HANDED, 0, 0, &free_list_strategy, 5},
    {"clean",
     "no lock, but one thread",
     {0},
     "allocate 0 size=5 thread=1;release 0 thread=5;allocate 1 size=9 thread=1;",
     0,
     0,
     &free_list_strategy,
     5},
    {"overlap", "a block twice", {.allocate = gives_twice}, TWO, -1, NO_DETECTORS, NULL, 0},
    {"overlap", "a block in a block", {.allocate = lies_inside}, TWO, -1, NO_DETECTORS, NULL, 0},
    {"content",
     "writes to another's block",
     {.allocate = spoils_another},
     TWO "release 0 thread=1;release 1 thread=0;",
     -1,
     NO_DETECTORS,
     NULL,
     0},
    {"zeroed",
     "is not zero",
     {.allocate_zeroed = forgets_to_clear},
     "zeroed 0 count=2 size=10;allocate 1 size=9 thread=1;",
     0,
     0,
     NULL,
     0},
    {"resize-prefix",
     "loses a byte",
     {.resize = loses_prefix},
     "allocate 0 size=9;allocate 1 size=9 thread=1;resize 0 size=99 thread=1;",
     2,
     0,
     NULL,
     0},
    {"release-refused",
     "says no",
     {.release = says_double},
     "allocate 0 size=9;allocate 1 size=9 thread=1;release 1;",
     2,
     0,
     NULL,
     0},
    {"walk",
     "forgets to release",
     {.release = forgets_release},
     "allocate 0 size=9;allocate 1 size=9 thread=1;release 1;",
     2,
     0,
     NULL,
     0},
    {"oversize-accepted",
     "size 0",
     {.allocate = accepts_nothing},
     "allocate 0 size=9;allocate 1 size=0 thread=1;",
     1,
     0,
     NULL,
     0},
    {"alignment",
     "one byte off",
     {.allocate = is_off_by_one},
     "allocate 0 size=9;allocate 1 size=77 thread=1;",
     1,
     0,
     NULL,
     0},
    {"bounds",
     "elsewhere",
     {.allocate = is_elsewhere},
     "allocate 0 size=9;allocate 1 size=77 thread=1;",
     1,
     0,
     NULL,
     0},
    {"spurious-oom",
     "refuses",
     {.allocate = refuses},
     "allocate 0 size=9;allocate 1 size=77 thread=1;",
     1,
     0,
     NULL,
     0},
    {"clean",
     "refuses what may not fit",
     {.allocate = refuses},
     "allocate 0 size=8000;allocate 1 size=77 thread=1;",
     0,
     0,
     NULL,
     0},
    {"usable-size",
     "less than asked",
     {.usable_size = counts_too_little},
     "allocate 0 size=90;allocate 1 size=9 thread=1;use 0 thread=1;",
     2,
     0,
     NULL,
     0},
    {"usable-size",
     "more than there is",
     {.usable_size = counts_the_next},
     "allocate 0 size=90;allocate 1 size=9;allocate 2 size=9;fault mask=0x0;use 0;use 1 thread=1;",
     -1,
     NO_DETECTORS,
     NULL,
     0},
    {"crash",
     "a signal",
     {.allocate = crashes},
     "allocate 0 size=9;allocate 1 size=77 thread=1;",
     1,
     PLAIN | VALGRIND | MSAN,
     NULL,
     0},
    {"hang",
     "never returns",
     {.allocate = never_returns},
     "allocate 0 size=9;allocate 1 size=77 thread=1;",
     1,
     PLAIN,
     NULL,
     0},
};

// ## One row

static struct strategy damaged_strategy(const struct row *row) {
  struct strategy strategy = row->victim ? *row->victim : VICTIM;
  strategy.name = "damaged";
  if (!(strategy.traits & STRATEGY_ALLOCATES_CONCURRENTLY)) strategy.traits |= STRATEGY_CONCURRENT;
#define REPLACE(slot)                                                                              \
  if (row->with.slot) strategy.slot = row->with.slot
  REPLACE(allocate);
  REPLACE(allocate_zeroed);
  REPLACE(release);
  REPLACE(resize);
  REPLACE(usable_size);
#undef REPLACE
  return strategy;
}

static void parse(struct program *program, const struct row *row, unsigned threads,
                  enum heap_source source) {
  static char text[1 << 18];
  // Small: what may not fit is near.
  size_t size =
      (size_t)snprintf(text, sizeof text, "heap source=%s capacity=8192 page=512 threads=%u\n",
                       source == HEAP_FIXED ? "fixed" : "pages", threads);
  for (unsigned i = 0; i < (row->repeat ? row->repeat : 1); i++)
    size += (size_t)snprintf(text + size, sizeof text - size, "%s\n", row->program);
  struct file_error error;
  CHECK(size < sizeof text);
  for (char *end = text; (end = strchr(end, ';'));) *end = '\n';
  CHECK(text_parse(program, text, size, row->what, &error));
}

// How often standard error has a line that begins so since the last call.
static unsigned count_reports(void) {
  static char text[1 << 20];
  ssize_t size = pread(STDERR_FILENO, text, sizeof text - 1, 0);
  CHECK(size >= 0);
  text[size] = 0;
  if (getenv("SHOW_OUTPUT")) fputs(text, stdout);
  CHECK(ftruncate(STDERR_FILENO, 0) == 0 && lseek(STDERR_FILENO, 0, SEEK_SET) == 0);
  unsigned count = 0;
  for (const char *at = text; (at = strstr(at, "ASSERTION FAILED: ")); at++) count++;
  return count;
}

static bool as_expected(const struct row *row, const struct verdict *verdict, unsigned reports) {
  bool clean = verdict->property == PROPERTY_NONE;
  if (reports != !clean) return false;
  if (strcmp(row->property, verdict->id) != 0) return false;
  return clean || row->operation < 0 || verdict->operation == (size_t)row->operation;
}

static uint64_t races_judged;  // in clean runs

static bool try_row(const struct row *row, unsigned threads, enum heap_source source) {
  static struct program program;
  struct strategy strategy = damaged_strategy(row);
  struct isolated_run run;
  // Damages remember things: each run in a process of its own.
  struct isolate_settings settings = {.oracle.tier = TIER_FULL, .once = true};
  parse(&program, row, threads, source);
  bool should_be_clean = strcmp(row->property, "clean") == 0;
  for (int i = 0; i < ATTEMPTS; i++) {
    CHECK(isolate_run(&run, &settings, &strategy, &program));
    if (should_be_clean || run.verdict.property != PROPERTY_NONE) break;
  }
  if (run.verdict.property == PROPERTY_NONE) races_judged += run.counts.exercised[PROPERTY_race];
  unsigned reports = count_reports();
  if (as_expected(row, &run.verdict, reports)) return true;
  printf("%s, %u threads, source %d: expected %s, got %s, %u reports\n  %s\n", row->what, threads,
         (int)source, row->property, run.verdict.id, reports, run.verdict.diagnosis);
  return false;
}

int main(void) {
  FILE *errors = tmpfile();
  CHECK(errors && dup2(fileno(errors), STDERR_FILENO) == STDERR_FILENO);
  unsigned wrong = 0, runs = 0;
  bool slow = current_build() & (VALGRIND | DRD | MSAN | TSAN);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (unsigned threads = 2; threads <= (slow ? 2 : 4); threads *= 2)
      for (unsigned source = 0; source < (slow ? 1 : HEAP_SOURCES); source++) {
        if (rows[i].builds && !(rows[i].builds & current_build())) continue;
        // Once is long enough.
        if (strcmp(rows[i].property, "hang") == 0 && (threads > 2 || source > 0)) continue;
        wrong += !try_row(&rows[i], threads, (enum heap_source)source);
        runs++;
      }
  printf("%u runs\n", runs);
  // Where something sees them.
  if ((races_judged > 0) != ((current_build() & DETECTORS) != 0)) {
    printf("races were judged %llu times\n", (unsigned long long)races_judged);
    wrong++;
  }
  return wrong != 0;
}
