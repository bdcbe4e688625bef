// The fuzz target: bytes -> program -> oracle. One for all strategies; the registry that the
// program is linked with says which.
//
// ASSAY_STRATEGY chooses among several; ASSAY_TIER (fast, full, paranoid) is `full` unless set.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "harness/oracle.h"

enum { MAX_RECORDS = 4096 };
// Larger heaps only cost time: every edge of a heap is nearer in a small one.
#define MAX_CAPACITY ((size_t)1 << 20)

static struct oracle oracle;
static const struct strategy *strategy;

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
  enum tier tier = TIER_FULL;
  if (name && !tier_find(name, &tier)) {
    fprintf(stderr, "ASSAY_TIER: unknown tier '%s'; it is fast, full or paranoid\n", name);
    exit(2);
  }
  return tier;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct record records[MAX_RECORDS];
  if (!strategy) {
    strategy = choose_strategy();
    oracle_init(&oracle, &(struct oracle_settings){.tier = choose_tier()});
  }
  if (size > sizeof records) return -1;
  struct program program;
  program_decode_into(&program, records, data, size);
  if (program_heap(&program).capacity > MAX_CAPACITY) return -1;
  if (oracle_run(&oracle, strategy, &program)) return 0;
  fprintf(stderr, "no memory for a heap of %zu bytes\n", program_heap(&program).capacity);
  exit(2);
}
