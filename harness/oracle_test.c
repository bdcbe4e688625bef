// The oracle's own test: each property fails under its own id when an allocator is damaged so, what
// is close to damage passes, and clean strategies pass whatever the program.
//
// Each damaged run has a process of its own, as the oracle ends it. What it must print is read
// back: one line that starts with `ERROR:` and one `ASSERTION FAILED: <id>`.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/applies.h"
#include "harness/damage_access.h"
#include "harness/damage_foreign.h"
#include "harness/damage_lifetimes.h"
#include "harness/program_file.h"

#ifdef BUILT_WITH_ASAN
// Reading debug information takes longer than all else here; who needs names asks for them.
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "symbolize=0:detect_leaks=0"; }
#endif

static unsigned current_build(void) {
#if defined(BUILT_WITH_ASAN)
  return ASAN;
#elif defined(BUILT_WITH_MSAN)
  return MSAN;
#else
  return MEMORY_ON_VALGRIND ? VALGRIND : PLAIN;
#endif
}

// ## One damaged run

enum { FRAMES = 4 };

// What is known of a run when it has ended.
struct outcome {
  bool clean;
  char errors[512];  // the line that starts with `ERROR:`
  char id[64];
  // What the process told of itself.
  struct evidence {
    uint64_t exercised[PROPERTY_COUNT];
    void *frames[FRAMES];  // return addresses where the verdict was handed over; zero if clean
  } told;
  bool by_sanitizer;  // whose report has the stack then
  size_t printed;     // bytes on stderr
};

static int evidence_to;
static struct oracle damaged_oracle;

// All of the harness is compiled with frame pointers. (backtrace() would load a library first.)
static void write_evidence(const struct verdict *verdict) {
  // First, as MSan may object to what of the stack is no frame.
  const uint64_t *exercised = damaged_oracle.counts.exercised;
  if (write(evidence_to, exercised, sizeof damaged_oracle.counts.exercised) < 0) abort();
  void *frames[FRAMES] = {0};
  const struct frame {
    const struct frame *caller;
    void *return_address;
  } *frame = __builtin_frame_address(0);
  for (int i = 0; verdict && i < FRAMES; i++, frame = frame->caller)
    frames[i] = frame->return_address;
  if (write(evidence_to, frames, sizeof frames) != sizeof frames) abort();
}

static struct strategy damaged_strategy(const struct damage *damage) {
  struct strategy strategy = *damage->victim;
  strategy.name = "damaged";
  strategy.traits |= damage->with.traits;
#define REPLACE(slot)                                                                              \
  if (damage->with.slot) strategy.slot = damage->with.slot
  REPLACE(max_align);
  REPLACE(create);
  REPLACE(allocate);
  REPLACE(allocate_zeroed);
  REPLACE(release);
  REPLACE(resize);
  REPLACE(usable_size);
  REPLACE(reset);
  REPLACE(check);
  REPLACE(walk);
  REPLACE(statistics);
  REPLACE(destroy);
  REPLACE(mark);
  REPLACE(rollback);
  REPLACE(collect);
  REPLACE(open);
  REPLACE(root);
  REPLACE(footprint);
#undef REPLACE
  return strategy;
}

static void parse(struct program *program, const struct damage *damage, enum heap_source source) {
  char text[sizeof ladder + 128];
  int size = snprintf(text, sizeof text, "heap source=%s %s\n%s\n",
                      source == HEAP_FIXED ? "fixed" : "pages",
                      damage->heap ? damage->heap : "capacity=32768 page=512", damage->program);
  struct file_error error;
  CHECK(size > 0 && (size_t)size < sizeof text);
  for (char *end = text; (end = strchr(end, ';'));) *end = '\n';
  CHECK(text_parse(program, text, (size_t)size, damage->what, &error));
}

static _Noreturn void run_damaged(const struct damage *damage, enum tier tier,
                                  enum heap_source source) {
  static struct program program;
  struct strategy strategy = damaged_strategy(damage);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  alarm(150);
  victim = damage->victim;
  parse(&program, damage, source);
  property_on_violation(write_evidence);
  oracle_init(&damaged_oracle, &(struct oracle_settings){.tier = tier});
  if (!oracle_run(&damaged_oracle, &strategy, &program)) _exit(3);
  write_evidence(NULL);
  _exit(0);
}

static size_t read_all(int from, char *bytes, size_t room) {
  size_t size = 0;
  for (ssize_t got; (got = read(from, bytes + size, room - size)) > 0;) size += (size_t)got;
  return size;
}

static void take_line(const char *text, const char *start, char *line, size_t size) {
  line[0] = 0;
  const char *at = strncmp(text, start, strlen(start)) == 0 ? text : NULL;
  char behind_newline[64];
  snprintf(behind_newline, sizeof behind_newline, "\n%s", start);
  if (!at && (at = strstr(text, behind_newline))) at++;
  if (at) snprintf(line, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static struct outcome observe(const struct damage *damage, enum tier tier,
                              enum heap_source source) {
  static char text[1 << 20];
  struct outcome outcome = {0};
  int errors[2], evidence[2];
  CHECK(pipe(errors) == 0 && pipe(evidence) == 0);
  fflush(NULL);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    dup2(errors[1], STDERR_FILENO);
    close(errors[0]);
    evidence_to = evidence[1];
    run_damaged(damage, tier, source);
  }
  close(errors[1]);
  close(evidence[1]);
  outcome.printed = read_all(errors[0], text, sizeof text - 1);
  text[outcome.printed] = 0;
  read_all(evidence[0], (char *)&outcome.told, sizeof outcome.told);
  close(errors[0]);
  close(evidence[0]);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  outcome.clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  static const char failed[] = "ASSERTION FAILED: ";
  char line[sizeof outcome.id + sizeof failed];
  take_line(text, failed, line, sizeof line);
  if (line[0]) snprintf(outcome.id, sizeof outcome.id, "%s", line + sizeof failed - 1);
  take_line(text, "ERROR: assay: damaged: ", outcome.errors, sizeof outcome.errors);
  outcome.by_sanitizer = strstr(text, "Sanitizer: ") || strstr(text, "runtime error: ");
  if (getenv("SHOW_OUTPUT")) fputs(text, stderr);
  return outcome;
}

// ## All rows

static const struct {
  const struct damage *rows;
  size_t count;
} tables[] = {
    {damage_answers, sizeof damage_answers / sizeof *damage_answers},
    {damage_state, sizeof damage_state / sizeof *damage_state},
    {damage_reports, sizeof damage_reports / sizeof *damage_reports},
    {damage_access, sizeof damage_access / sizeof *damage_access},
    {damage_lifetimes, sizeof damage_lifetimes / sizeof *damage_lifetimes},
    {damage_foreign, sizeof damage_foreign / sizeof *damage_foreign},
};

// What each property's first violation looked like.
static struct outcome seen[PROPERTY_COUNT];

// Of each property, whether a run that nearly violated it judged it.
static bool nearly[PROPERTY_COUNT];

static bool is_clean(const struct damage *damage) { return strcmp(damage->property, "clean") == 0; }

static bool as_expected(const struct damage *damage, const struct outcome *outcome) {
  if (is_clean(damage)) return outcome->clean && !outcome->id[0];
  return !outcome->clean && strcmp(outcome->id, damage->property) == 0 &&
         strstr(outcome->errors, damage->property) &&
         (!damage->says || strstr(outcome->errors, damage->says));
}

static bool try_row(const struct damage *damage, enum tier tier, enum heap_source source,
                    bool *exercised) {
  struct outcome outcome = observe(damage, tier, source);
  enum property property = property_find(outcome.id);
  if (property && !seen[property].id[0]) {
    seen[property] = outcome;
    // Once for each property: the same run gives the same verdict, to the letter. (Of a hang once
    // is long enough.)
    struct outcome again = property == PROPERTY_hang ? outcome : observe(damage, tier, source);
    CHECK(strcmp(again.errors, outcome.errors) == 0 && strcmp(again.id, outcome.id) == 0);
    CHECK(memcmp(again.told.frames, outcome.told.frames, sizeof again.told.frames) == 0);
  }
  if (is_clean(damage)) {
    uint64_t judged = outcome.told.exercised[property_find(damage->near)];
    nearly[property_find(damage->near)] |= judged > 0;
    *exercised |= judged > 0;
  } else if (property && !outcome.told.exercised[property]) {
    fprintf(stderr, "%s, tier %d: %s failed and does not count as exercised\n", damage->what,
            (int)tier, outcome.id);
    return false;
  }
  if (as_expected(damage, &outcome)) return true;
  fprintf(stderr, "%s on %s, tier %d, source %d: expected %s%s%s, got %s\n  %s\n", damage->what,
          damage->victim->name, (int)tier, (int)source, damage->property, damage->says ? ", " : "",
          damage->says ? damage->says : "",
          outcome.clean   ? "clean"
          : outcome.id[0] ? outcome.id
                          : "an end without a verdict",
          outcome.errors);
  return false;
}

static bool applies(unsigned set, unsigned bit) { return !set || set & bit; }

// To fork.
static bool slow(void) { return (current_build() & (MSAN | VALGRIND)) != 0; }

// Properties that this build cannot tell of, or that another test is about.
static bool cannot_see(enum property property) {
  switch (property) {
  case PROPERTY_undefined_behaviour:
    return !(current_build() & (ASAN | MSAN));
  case PROPERTY_touched_live_block:
    return !(current_build() & (ASAN | VALGRIND));
  case PROPERTY_race:          // threads_oracle_test.c
  case PROPERTY_differential:  // differential_test.c
  case PROPERTY_model:         // collection_test.c
  case PROPERTY_leak:
  case PROPERTY_misuse:
    return true;
  default:
    return false;
  }
}

static void test_damage(void) {
  size_t wrong = 0, runs = 0;
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (size_t i = 0; i < tables[t].count; i++) {
      const struct damage *damage = &tables[t].rows[i];
      if (!applies(damage->builds, current_build())) continue;
      bool tried = false, exercised = false;
      for (unsigned tier = TIER_FAST; tier <= TIER_PARANOID; tier++)
        for (unsigned source = 0; source < HEAP_SOURCES; source++) {
          if (!applies(damage->tiers, 1u << tier) || !applies(damage->sources, 1u << source))
            continue;
          if (source == HEAP_FIXED && damage->victim->needs & SOURCE_RECLAIMS) continue;
          if (source == HEAP_PAGES && damage->victim->needs & (SOURCE_PERSISTS | SOURCE_CONTIGUOUS))
            continue;
          if (tried && slow()) continue;
          tried = true;
          wrong += !try_row(damage, (enum tier)tier, (enum heap_source)source, &exercised);
          runs++;
        }
      if (!is_clean(damage) || !tried || exercised != damage->idle) continue;
      // A tier that was not tried may be the one that judges it.
      if (!damage->idle && (cannot_see(property_find(damage->near)) || slow())) continue;
      fprintf(stderr, "%s: %s was %sexercised\n", damage->what, damage->near,
              exercised ? "" : "not ");
      wrong++;
    }
  printf("%zu damaged runs\n", runs);
  CHECK(wrong == 0);
}

// What an allocator prints does not come through; that it prints does.
static void test_output(void) {
  struct outcome outcome = observe(damage_flood, TIER_FULL, HEAP_FIXED);
  CHECK(outcome.clean && outcome.printed > 0 && outcome.printed < 1000);
}

// Every property failed at least once, but for what the build cannot see.
static void test_all_properties(void) {
  for (int property = 1; property < PROPERTY_COUNT; property++) {
    if (cannot_see((enum property)property)) continue;
    if (!nearly[property] && !slow())
      fprintf(stderr, "never judged where it nearly failed: %s\n",
              property_id((enum property)property));
    CHECK(nearly[property] || slow());
    if (property == PROPERTY_content && current_build() == VALGRIND) continue;
    if (!seen[property].id[0])
      fprintf(stderr, "never seen: %s\n", property_id((enum property)property));
    CHECK(seen[property].id[0]);
  }
}

// Triage tools tell bugs apart by their stacks.
static void test_stacks_differ(void) {
  for (int a = 1; a < PROPERTY_COUNT; a++)
    for (int b = 1; b < a; b++) {
      if (!seen[a].id[0] || !seen[b].id[0]) continue;
      if (seen[a].by_sanitizer || seen[b].by_sanitizer) continue;
      CHECK(memcmp(seen[a].told.frames, seen[b].told.frames, sizeof seen[a].told.frames) != 0);
    }
}

// ## Names, where the build has a symbolizer

#ifdef BUILT_WITH_ASAN
#include <sanitizer/common_interface_defs.h>

static bool is_named(void *address, const char *function) {
  char name[96] = "";
  __sanitizer_symbolize_pc(address, "%f", name, sizeof name);
  return strcmp(name, function) == 0;
}

static const struct damage *find_row(const char *property) {
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (size_t i = 0; i < tables[t].count; i++)
      if (strcmp(tables[t].rows[i].property, property) == 0) return &tables[t].rows[i];
  return NULL;
}

// The diagnosis names the allocator's function, and the stack has the property's.
static int check_names(void) {
  if (!is_named((char *)check_names + 1, "check_names")) {
    puts("no symbolizer: names not tested");
    return 0;
  }
  struct outcome outcome = observe(find_row("touched-live-block"), TIER_FULL, HEAP_FIXED);
  CHECK(strstr(outcome.errors, " in damage_by_writing"));
  outcome = observe(find_row("overlap"), TIER_FULL, HEAP_FIXED);
  bool found = false;
  for (int i = 0; i < FRAMES; i++) found |= is_named(outcome.told.frames[i], "violated_overlap");
  CHECK(found);
  return 0;
}

static void test_names(void) {
  fflush(NULL);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    setenv("ASAN_OPTIONS", "symbolize=1:detect_leaks=0", 1);
    execl("/proc/self/exe", "oracle_test", "names", (char *)NULL);
    _exit(2);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#else
static int check_names(void) { return 0; }
static void test_names(void) {}
#endif

// ## Clean strategies

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (random_state >> 11) % limit;
}

static struct record random_heap(void) {
  struct heap heap = {.source = (enum heap_source)below(HEAP_SOURCES),
                      .page_size = (size_t)64 << below(7),
                      .capacity = ((size_t)64 << (below(8) ? below(10) : below(13))) + below(64),
                      .skew = (unsigned)below(64),
                      .variant = (unsigned)below(3),
                      .slots = 16};
  return heap_record(&heap);
}

static struct record random_operation(void) {
  struct operation op = {.kind = (enum operation_kind)below(OP_KINDS),
                         .count = 1 + (unsigned)below(4),
                         .slot = (uint32_t)below(16),
                         .size = below(1 + ((uint64_t)1 << below(13))),
                         .align = (uint64_t)1 << below(below(8) ? 6 : 18)};
  if (op.kind == OP_RESET && below(4)) op.kind = OP_ALLOCATE;
  if (op.kind == OP_FAULT) op.size = below(8);
  if (below(64) == 0) op.size = UINT64_MAX - below(64);
  return operation_record(&op);
}

// What random programs of few rounds might miss.
static void run_on_all(struct oracle *oracle, const char *text) {
  static struct program program;
  parse(&program, &(struct damage){.what = "clean", .program = text}, HEAP_FIXED);
  for (const struct registry_entry *entry = registry; entry->name; entry++)
    CHECK(oracle_run(oracle, entry->strategy, &program));
}

// What counts as exercised is what applies, on each strategy.
static void judge_what_applies(uint64_t exercised[][PROPERTY_COUNT], enum tier tier) {
  bool agree = true;
  for (size_t i = 0; registry[i].name; i++)
    for (int property = 1; property < PROPERTY_COUNT; property++) {
      bool applies_to = property_applies((enum property)property, registry[i].strategy);
      bool chance = tier == TIER_FAST || slow() || cannot_see((enum property)property) ||
                    property == PROPERTY_overlapping_copy;
      if (exercised[i][property] ? applies_to : !applies_to || chance) continue;
      fprintf(stderr, "%s, tier %d: %s %s, and was exercised %d times\n", registry[i].name,
              (int)tier, property_id((enum property)property),
              applies_to ? "applies" : "does not apply", (int)exercised[i][property]);
      agree = false;
    }
  CHECK(agree);
}

static void test_clean_strategies(void) {
  enum { LENGTH = 40, STRATEGIES = 64 };
  static uint64_t exercised[STRATEGIES][PROPERTY_COUNT];
  size_t rounds = MEMORY_ON_VALGRIND ? 40 : 2000;
  struct record records[LENGTH + 1];
  static struct oracle oracle;
  for (int tier = TIER_FAST; tier <= TIER_PARANOID; tier++) {
    oracle_init(&oracle, &(struct oracle_settings){.tier = (enum tier)tier});
    run_on_all(&oracle, "allocate 0 size=9; root 0; allocate 1 size=9; collect; reopen; crash "
                        "barrier=1 mask=0x1; release 0; allocate 2 size=9; overrun 2; mark; "
                        "allocate 3 size=9; rollback 0; release 1; release_again 0");
    for (size_t round = 0; round < rounds; round++) {
      records[0] = random_heap();
      for (size_t i = 1; i <= LENGTH; i++) records[i] = random_operation();
      struct program program = {.records = records, .count = 1 + (size_t)below(LENGTH + 1)};
      for (size_t i = 0; registry[i].name; i++) {
        CHECK(i < STRATEGIES);
        uint64_t former[PROPERTY_COUNT];
        memcpy(former, oracle.counts.exercised, sizeof former);
        CHECK(oracle_run(&oracle, registry[i].strategy, &program));
        for (int property = 1; property < PROPERTY_COUNT; property++)
          exercised[i][property] += oracle.counts.exercised[property] - former[property];
      }
    }
    judge_what_applies(exercised, (enum tier)tier);
    memset(exercised, 0, sizeof exercised);
    // What was never exercised was not tested.
    for (int property = 1; property < PROPERTY_COUNT; property++) {
      bool counted = !cannot_see((enum property)property) &&
                     (tier != TIER_FAST ||
                      (property != PROPERTY_nondeterministic && property != PROPERTY_rollback));
      if (counted && !oracle.counts.exercised[property])
        fprintf(stderr, "never exercised: %s\n", property_id((enum property)property));
      if (counted) CHECK(oracle.counts.exercised[property] > 0);
    }
    oracle_free(&oracle);
  }
}

// Heaps of every small size: create must meet the stated bound, wherever the heap begins.
static void test_small_heaps(void) {
  static struct oracle oracle;
  oracle_init(&oracle, &(struct oracle_settings){.tier = TIER_FULL});
  size_t step = MEMORY_ON_VALGRIND ? 37 : 1;
  for (size_t capacity = 1; capacity < 400; capacity += step)
    for (unsigned skew = 0; skew < 64; skew += MEMORY_ON_VALGRIND ? 7 : 1) {
      struct heap heap = {.page_size = 64, .capacity = capacity, .skew = skew, .slots = 1};
      struct record records[2] = {
          heap_record(&heap),
          operation_record(&(struct operation){.kind = OP_ALLOCATE, .size = 1, .align = 1})};
      struct program program = {.records = records, .count = 2};
      for (const struct registry_entry *entry = registry; entry->name; entry++)
        CHECK(oracle_run(&oracle, entry->strategy, &program));
    }
  oracle_free(&oracle);
}

static void make_ladder(void) {
  size_t end = 0;
  for (int size = 449; size > 0; size--)
    end += (size_t)snprintf(ladder + end, sizeof ladder - end, "allocate %d size=%d\n", size % 64,
                            size);
  CHECK(end < sizeof ladder);
}

int main(int count, char **arguments) {
  (void)arguments;
  make_ladder();
  if (count > 1) return check_names();
  test_damage();
  test_all_properties();
  test_stacks_differ();
  test_output();
  test_names();
  test_small_heaps();
  test_clean_strategies();
  return 0;
}
