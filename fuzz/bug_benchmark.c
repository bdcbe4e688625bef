#include "fuzz/bug_benchmark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "allocators/registry.h"
#include "fuzz/input.h"
#include "harness/oracle.h"

size_t bug_benchmark_count(void) {
  size_t count = 0;
  for (const struct registry_entry *entry = registry; entry->name; entry++)
    count += entry->id != NULL;
  return count;
}

struct benchmark_bug bug_benchmark_at(size_t index) {
  for (const struct registry_entry *entry = registry; entry->name; entry++)
    if (entry->id && index-- == 0)
      return (struct benchmark_bug){entry->id, entry->name, entry->bug, entry->reported,
                                    entry->expect};
  return (struct benchmark_bug){0};
}

int bug_benchmark_run(const char *id, const uint8_t *data, size_t size) {
  static struct oracle oracle;
  // Fuzzers ask for the same one all the time.
  static const struct registry_entry *last;
  if (!last) oracle_init(&oracle, &(struct oracle_settings){.tier = TIER_FULL});
  if (!last || (strcmp(last->name, id) != 0 && (!last->id || strcmp(last->id, id) != 0)))
    last = registry_find(id);
  if (!last) {
    fprintf(stderr, "bug benchmark: no bug or strategy is called '%s'\n", id);
    return BUG_BENCHMARK_UNKNOWN;
  }
  struct program program;
  if (!input_decode(&program, data, size)) return BUG_BENCHMARK_REJECTED;
  if (oracle_run(&oracle, last->strategy, &program)) return BUG_BENCHMARK_CLEAN;
  fprintf(stderr, "bug benchmark: no memory for a heap of %" PRIu64 " bytes\n",
          program_heap(&program).capacity);
  return BUG_BENCHMARK_NO_MEMORY;
}
