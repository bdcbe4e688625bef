// Measures the ratios that the project holds itself to, and prints each beside its bound.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "bench/bare_bump.h"
#include "bench/naive.h"
#include "bench/sample.h"
#include "harness/cpu_time.h"
#include "harness/import.h"
#include "harness/oracle.h"
#include "harness/payload.h"
#include "harness/replay.h"

extern const struct strategy bump_strategy, tlsf_strategy;

static size_t rounds = 9;

// Whom traces are replayed on.
static const struct strategy *chosen[16];
static size_t chosen_count;

static bool choose(const char *name) {
  const struct registry_entry *entry = registry_find(name);
  if (!entry || chosen_count == sizeof chosen / sizeof *chosen) return false;
  chosen[chosen_count++] = entry->strategy;
  return true;
}

static void print_at_least(const char *what, struct spread ratio, double bound) {
  printf("  %-52s %6.0fx  (%.0f to %.0f)  at least %.0fx: %s\n", what, ratio.median, ratio.low,
         ratio.high, bound, ratio.median >= bound ? "held" : "NOT HELD");
}

static void print_ratio(const char *what, struct spread ratio, double bound) {
  printf("  %-52s %6.2fx  (%.2f to %.2f)", what, ratio.median, ratio.low, ratio.high);
  if (bound > 0) printf("  at most %.2fx: %s", bound, ratio.median <= bound ? "held" : "NOT HELD");
  printf("\n");
}

// ## Validated against bare replay

static void measure_trace(const char *path, const struct strategy *strategy) {
  static struct oracle oracles[2];
  static struct arena arena;
  struct program program = {0};
  struct file_error error;
  if (!import_load(&program, path, NULL, NULL, NULL, NULL, &error)) {
    fprintf(stderr, "ratios: %s\n", error.text);
    exit(2);
  }
  for (int tier = TIER_FAST; tier <= TIER_FULL; tier++)
    if (!oracles[tier].settings.timed)
      oracle_init(&oracles[tier],
                  &(struct oracle_settings){.tier = (enum tier)tier, .timed = true});
  struct sample bare = {.count = 0}, checked[2] = {{.count = 0}, {.count = 0}};
  double operations = (double)program_length(&program);
  for (size_t i = 0; i < rounds + 1; i++) {
    struct replay result;
    if (!replay_bare(&result, &arena, strategy, &program)) {
      perror("ratios: replay");
      exit(2);
    }
    uint64_t spent[2];
    for (int tier = TIER_FAST; tier <= TIER_FULL; tier++) {
      oracles[tier].counts.nanoseconds = 0;
      oracle_run(&oracles[tier], strategy, &program);
      spent[tier] = oracles[tier].counts.nanoseconds;
    }
    if (i == 0) continue;  // to get warm
    sample_add(&bare, (double)result.nanoseconds / operations);
    for (int tier = TIER_FAST; tier <= TIER_FULL; tier++)
      sample_add(&checked[tier], (double)spent[tier] / operations);
  }
  const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  struct spread fast = sample_ratio(&checked[TIER_FAST], &bare);
  struct spread full = sample_ratio(&checked[TIER_FULL], &bare);
  printf(" %s on %s: %.0f operations, bare %.1f ns each\n", name, strategy->name, operations,
         sample_spread(&bare).median);
  print_ratio("validated replay, fast", fast, 1.5);
  print_ratio("validated replay, full", full, 3);
  program_clear(&program);
}

// ## The cost of one check as live blocks grow

#define CHURN 200000

// Shadow work for one allocation and one release, edges of the block stamped and checked, with
// `live` blocks of 64 bytes side by side; the oldest goes first, or a random one.
static double churn(struct oracle *oracle, size_t live, bool random) {
  struct shadow *shadow = &oracle->shadow;
  uintptr_t base = (uintptr_t)oracle->arena.base;
  shadow_begin(shadow, 1u << 21, false, false);
  for (size_t i = 0; i < live; i++) shadow_add(shadow, base + i * 64, 64, (uint32_t)i);
  uint64_t state = 1;
  uint64_t start = cpu_time();
  for (size_t i = 0; i < CHURN; i++) {
    size_t victim = i % live;
    if (random) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      victim = (size_t)(state >> 33) % live;
    }
    struct shadow_block *block = shadow_at(shadow, (uint32_t)victim);
    uintptr_t at = block->start;
    payload_write((void *)at, 0, 16, block->key);
    if (payload_verify((void *)at, 0, 16, block->key) != PAYLOAD_INTACT) abort();
    shadow_remove(shadow, block);
    if (!shadow_add(shadow, at, 64, (uint32_t)victim)) abort();
  }
  uint64_t spent = cpu_time() - start;
  shadow_clear(shadow);
  return (double)spent / CHURN;
}

static void measure_flatness(void) {
  static struct oracle oracle;
  oracle_init(&oracle, &(struct oracle_settings){.tier = TIER_FAST});
  struct heap heap = {.source = HEAP_FIXED, .capacity = (size_t)1 << 27, .slots = 64};
  struct program program = {0};
  struct record record = heap_record(&heap);
  if (!program_append(&program, &record)) exit(2);
  oracle_run(&oracle, &bump_strategy,
             &program);  // makes the arena that large, and its memory present
  for (int random = 0; random < 2; random++) {
    struct sample few = {.count = 0};
    printf("cost of one check, %s\n", random ? "random block" : "oldest block first");
    struct sample many[4];
    memset(many, 0, sizeof many);
    for (size_t i = 0; i < rounds; i++) {
      sample_add(&few, churn(&oracle, 100, random));
      size_t live = 1000;
      for (int j = 0; j < 4; j++, live *= 10) sample_add(&many[j], churn(&oracle, live, random));
    }
    printf("  100 live blocks: %.1f ns\n", sample_spread(&few).median);
    size_t live = 1000;
    for (int j = 0; j < 4; j++, live *= 10) {
      char what[64];
      snprintf(what, sizeof what, "%zu live blocks", live);
      print_ratio(what, sample_ratio(&many[j], &few), 2);
    }
  }
  size_t blocks = 1000000;
  shadow_begin(&oracle.shadow, 1u << 21, false, false);
  for (size_t i = 0; i < blocks; i++)
    shadow_add(&oracle.shadow, (uintptr_t)oracle.arena.base + i * 64, 64, (uint32_t)i);
  size_t bytes = shadow_memory(&oracle.shadow, blocks * 64);
  printf("memory of the shadow, %zu live blocks of 64 bytes\n", blocks);
  printf("  %-52s %6.1f bytes a block, 1/64 of the arena not counted; at most 64: %s\n", "",
         (double)(bytes - blocks) / (double)blocks,
         bytes - blocks <= 64 * blocks ? "held" : "NOT HELD");
  shadow_clear(&oracle.shadow);
  oracle_free(&oracle);
  program_clear(&program);
}

// ## The oracle against a checker that looks at every live block

enum { MANY = 10000, PAIRS = 20000, NAIVE_PAIRS = 300, NAIVE_BYTES_PAIRS = 20 };

// MANY live blocks of 16 to 1024 bytes; then a random one is replaced each time.
static void make_churn(struct program *program) {
  struct record heap = heap_record(
      &(struct heap){.source = HEAP_FIXED, .capacity = (size_t)1 << 26, .slots = 1u << 14});
  if (!program_append(program, &heap)) exit(2);
  uint64_t state = 1;
  for (size_t i = 0; i < MANY + 2 * PAIRS; i++) {
    bool filling = i < MANY, releases = !filling && (i - MANY) % 2 == 0;
    static uint32_t slot;
    if (filling) slot = (uint32_t)i;
    if (releases) slot = (uint32_t)(state >> 33) % MANY;
    state = state * 6364136223846793005u + 1442695040888963407u;
    struct record record =
        operation_record(&(struct operation){.kind = releases ? OP_RELEASE : OP_ALLOCATE,
                                             .count = 1,
                                             .slot = slot,
                                             .size = releases ? 0 : 16 + (state >> 33) % 1009,
                                             .align = 16});
    if (!program_append(program, &record)) exit(2);
  }
}

static double checked(struct oracle *oracle, const struct program *program) {
  oracle->counts.nanoseconds = 0;
  oracle_run(oracle, &tlsf_strategy, program);
  return (double)oracle->counts.nanoseconds / (double)program_length(program);
}

static void measure_naive(void) {
  static struct oracle fast, full;
  static struct arena arena;
  struct program program = {0};
  make_churn(&program);
  oracle_init(&fast, &(struct oracle_settings){.tier = TIER_FAST, .timed = true});
  oracle_init(&full, &(struct oracle_settings){.tier = TIER_FULL, .timed = true});
  struct sample edges = {.count = 0}, all = {.count = 0};
  struct sample ranges = {.count = 0}, bytes = {.count = 0};
  for (size_t i = 0; i < rounds + 1; i++) {
    double a = checked(&fast, &program), b = checked(&full, &program);
    double c = (double)naive_replay(&arena, &tlsf_strategy, &program, NAIVE_RANGES, MANY,
                                    MANY + 2 * NAIVE_PAIRS);
    double d = (double)naive_replay(&arena, &tlsf_strategy, &program, NAIVE_BYTES, MANY,
                                    MANY + 2 * NAIVE_BYTES_PAIRS);
    if (i == 0) continue;  // to get warm
    sample_add(&edges, a);
    sample_add(&all, b);
    sample_add(&ranges, c / (2 * NAIVE_PAIRS));
    sample_add(&bytes, d / (2 * NAIVE_BYTES_PAIRS));
  }
  printf("%d live blocks on tlsf, an operation checked: fast %.0f ns, full %.0f ns\n", MANY,
         sample_spread(&edges).median, sample_spread(&all).median);
  printf("  by walking all live blocks: their ranges %.0f ns, their bytes too %.0f ns\n",
         sample_spread(&ranges).median, sample_spread(&bytes).median);
  print_at_least("ranges of all live blocks, against fast", sample_ratio(&ranges, &edges), 50);
  print_at_least("ranges of all live blocks, against full", sample_ratio(&ranges, &all), 50);
  print_at_least("ranges and bytes of them, against full", sample_ratio(&bytes, &all), 50);
  oracle_free(&fast);
  oracle_free(&full);
  arena_free(&arena);
  program_clear(&program);
}

// ## bump through the vtable, and the replay loop

#define BUMPS 20000

static double bump_round(const struct strategy *strategy, void *buffer, size_t size) {
  struct source_buffer source;
  source_buffer_init(&source, buffer, size);
  struct allocator *bump = strategy->create(&source.base, &(struct strategy_options){0});
  if (!bump) abort();
  uint64_t start = cpu_time();
  for (int pass = 0; pass < 20; pass++) {
    for (int i = 0; i < BUMPS; i++) {
      void *block = strategy->allocate(bump, 24, 8);
      __asm__ volatile("" : : "r"(block) : "memory");
    }
    strategy->reset(bump);
  }
  uint64_t spent = cpu_time() - start;
  strategy->destroy(bump);
  return (double)spent / (20.0 * BUMPS);
}

static double bare_bump_round(void *buffer, size_t size) {
  struct bare_bump_table *table = bare_bump_table();
  struct bare_bump bump;
  table->init(&bump, buffer, size);
  uint64_t start = cpu_time();
  for (int pass = 0; pass < 20; pass++) {
    for (int i = 0; i < BUMPS; i++) {
      void *block = table->allocate(&bump, 24, 8);
      __asm__ volatile("" : : "r"(block) : "memory");
    }
    table->reset(&bump);
  }
  return (double)(cpu_time() - start) / (20.0 * BUMPS);
}

static void *nothing(struct allocator *self, size_t size, size_t align) {
  (void)size, (void)align;
  return self;
}

static struct allocator *create_nothing(struct source *source,
                                        const struct strategy_options *options) {
  (void)options;
  return (struct allocator *)source;
}

static void destroy_nothing(struct allocator *self) { (void)self; }

static void measure_vtable(void) {
  size_t size = (size_t)1 << 20;
  void *buffer = malloc(size);
  if (!buffer) exit(2);
  struct sample through = {.count = 0}, bare = {.count = 0}, loop = {.count = 0};
  const struct strategy nothing_strategy = {.name = "nothing",
                                            .min_align = 1,
                                            .max_align = 1,
                                            .create = create_nothing,
                                            .allocate = nothing,
                                            .destroy = destroy_nothing};
  struct program program = {0};
  struct record record = {0};
  for (size_t i = 0; i < 100001; i++) {
    if (!program_append(&program, &record)) exit(2);
    record = operation_record(&(struct operation){
        .kind = OP_ALLOCATE, .count = 1, .slot = (uint32_t)i, .size = 16, .align = 1});
  }
  static struct arena arena;
  for (size_t i = 0; i < rounds + 1; i++) {
    double a = bump_round(&bump_strategy, buffer, size), b = bare_bump_round(buffer, size);
    struct replay replay;
    if (!replay_bare(&replay, &arena, &nothing_strategy, &program)) exit(2);
    if (i == 0) continue;
    sample_add(&through, a);
    sample_add(&bare, b);
    sample_add(&loop, (double)replay.nanoseconds / 100000);
  }
  printf("bump through the vtable: %.2f ns, bare: %.2f ns\n", sample_spread(&through).median,
         sample_spread(&bare).median);
  print_ratio("bump through the vtable, against a bare vtable bump", sample_ratio(&through, &bare),
              1.3);
  struct spread own = sample_spread(&loop);
  printf("replay loop's own cost\n  %-52s %6.2f ns  (%.2f to %.2f)  at most 3.00 ns: %s\n",
         "on a strategy that does nothing", own.median, own.low, own.high,
         own.median <= 3 ? "held" : "NOT HELD");
  free(buffer);
  arena_free(&arena);
  program_clear(&program);
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"strategy", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 'r') {
      rounds = (size_t)strtoul(optarg, NULL, 10);
      if (rounds >= 5 && rounds < SAMPLE_ROUNDS_MAX) continue;
      fprintf(stderr, "ratios: --rounds takes a number from 5 to %d\n", SAMPLE_ROUNDS_MAX - 1);
      return 2;
    }
    if (c == 's') {
      if (choose(optarg)) continue;
      fprintf(stderr, "ratios: unknown strategy '%s', or too many; `assay list` shows them\n",
              optarg);
      return 2;
    }
    fprintf(
        c == 'h' ? stdout : stderr,
        "usage: ratios [--rounds N] [--strategy NAME]... [TRACE...]\n\n"
        "Prints each ratio that the project holds itself to beside its bound: medians of N\n"
        "interleaved rounds (default 9) of CPU time, with minimum and maximum. Validated "
        "replay is\n"
        "measured on the TRACEs (`assay record` and `assay import` make them), on page_bump and\n"
        "free_list or on the strategies that are named.\n");
    return c == 'h' ? 0 : 2;
  }
  if (chosen_count == 0) {
    choose("page_bump");
    choose("free_list");
  }
  for (int i = optind; i < argc; i++)
    for (size_t k = 0; k < chosen_count; k++) measure_trace(argv[i], chosen[k]);
  measure_vtable();
  measure_flatness();
  measure_naive();
  return 0;
}
