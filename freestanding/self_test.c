// Self-test: programs made of numbers, on every strategy that the world was linked with, judged by
// the oracle with its shadow model. The same programs in every world and every time.
#include "freestanding/self_test.h"

#include <stdlib.h>

#include "allocators/registry.h"
#include "collections/print.h"
#include "freestanding/judge.h"
#include "freestanding/world.h"

enum { PROGRAMS = 24, MOST_UNFIT = PROGRAMS / 4, OPERATIONS = 96, SLOTS = 32, LARGEST = 700 };

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
static uint64_t random_state;

static uint32_t draw(uint32_t below) {
  uint64_t x = random_state += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return (uint32_t)((x ^ x >> 31) >> 32) % below;
}

// Half of the kinds give blocks out, so that heaps fill up.
static enum operation_kind draw_kind(void) {
  static const uint8_t kinds[] = {OP_ALLOCATE, OP_ALLOCATE, OP_ALLOCATE, OP_ALLOCATE_ZEROED,
                                  OP_RESIZE,   OP_RESIZE,   OP_USE,      OP_RELEASE,
                                  OP_RELEASE,  OP_RELEASE,  OP_RELEASE};
  uint32_t rare = draw(40);
  if (rare == 0) return OP_RESET;
  if (rare <= 4) return (enum operation_kind)draw(OP_REOPEN);  // all that one machine can do
  return (enum operation_kind)kinds[draw(sizeof kinds)];
}

static struct record draw_operation(void) {
  struct operation operation = {
      .kind = draw_kind(), .count = 1, .slot = draw(SLOTS), .align = (uint64_t)1 << draw(5)};
  operation.size = draw(8) == 0 ? draw(8 * LARGEST) : 1 + draw(1u << draw(10));
  if (draw(64) == 0) operation.size = UINT64_MAX - draw(64);
  if (operation.kind == OP_ALLOCATE_ZEROED) operation.count = 1 + draw(4);
  if (operation.kind == OP_FAULT) operation.size = 1u << draw(4);
  if (operation.kind == OP_LINK || operation.kind == OP_COLLECT) operation.size = draw(SLOTS);
  return operation_record(&operation);
}

// Pages are few: where there is no room for gaps, half of the heap is theirs.
static void make_program(struct record *records, uint32_t seed) {
  random_state = seed;
  struct heap heap = {.source = seed % 2 ? HEAP_PAGES : HEAP_FIXED,
                      .page_size = (size_t)256 << draw(3),
                      .capacity = seed % 2 ? WORLD_HEAP_SIZE / 4 : WORLD_HEAP_SIZE >> draw(4),
                      .skew = draw(4) ? 0 : draw(64),
                      .variant = draw(8),
                      .slots = SLOTS,
                      .threads = 1};
  records[0] = heap_record(&heap);
  for (int i = 1; i <= OPERATIONS; i++) records[i] = draw_operation();
}

// What became of the programs on one strategy.
struct tally {
  uint64_t operations, checks;
  unsigned clean, violated, unfit;
};

static void count(struct tally *tally, const struct judgement *judgement) {
  if (judgement->unfit) {
    tally->unfit++;
    return;
  }
  const struct run_counts *counts = judge_counts();
  tally->operations += counts->operations;
  for (int i = 0; i < PROPERTY_COUNT; i++) tally->checks += counts->exercised[i];
  if (judgement->verdict.property == PROPERTY_NONE)
    tally->clean++;
  else
    tally->violated++;
}

static void tell_number(const char *before, uint64_t number, const char *behind) {
  struct writer *console = world_console();
  print_text(console, before);
  print_unsigned(console, number);
  print_text(console, behind);
}

// What it takes to look at it elsewhere: the program as far as it came, in hexadecimal.
static void tell_program(struct record *records, uint32_t seed, size_t operation) {
  static const char digits[] = "0123456789abcdef";
  make_program(records, seed);  // whatever the run has written over it
  size_t count = operation < OPERATIONS ? operation + 2 : OPERATIONS + 1;
  const unsigned char *bytes = (const unsigned char *)records;
  tell_number("self-test program ", seed, ", on a host `xxd -r -p > FILE` and `ci/repro FILE`: ");
  for (size_t i = 0; i < count * sizeof *records; i++) {
    print_char(world_console(), digits[bytes[i] >> 4]);
    print_char(world_console(), digits[bytes[i] & 15]);
  }
  print_char(world_console(), '\n');
}

static bool test_strategy(const struct registry_entry *entry) {
  struct tally tally = {0};
  for (uint32_t seed = 0; seed < PROGRAMS; seed++) {
    judge_begin();
    struct record *records = malloc((OPERATIONS + 1) * sizeof *records);
    struct judgement judgement;
    if (!records) return false;
    make_program(records, seed);
    struct program program = {.records = records, .count = OPERATIONS + 1};
    if (!judge(&judgement, entry->strategy, &program)) return false;
    count(&tally, &judgement);
    if (judgement.verdict.property != PROPERTY_NONE && !judgement.unfit && tally.violated == 1)
      tell_program(records, seed, judgement.verdict.operation);
  }
  print_text(world_console(), "self-test ");
  print_text(world_console(), entry->name);
  tell_number(": ", tally.clean, " programs clean, ");
  tell_number("", tally.violated, " violated, ");
  tell_number("", tally.unfit, " unfit; ");
  tell_number("", tally.operations, " operations, ");
  tell_number("", tally.checks, " checks\n");
  return tally.violated == 0 && tally.unfit <= MOST_UNFIT && tally.operations > 0;
}

static bool test_entries(bool planted) {
  bool passed = true;
  unsigned strategies = 0;
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    if ((entry->bug != NULL) != planted || entry->strategy->traits & STRATEGY_FOREIGN) continue;
    strategies++;
    if (!test_strategy(entry)) passed = false;
  }
  tell_number("self-test: ", strategies, passed ? " strategies passed\n" : " strategies, FAILED\n");
  return passed && strategies > 0;
}

bool self_test(void) { return test_entries(false); }

bool self_test_planted(void) { return test_entries(true); }
