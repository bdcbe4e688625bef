// Fuzz target: bytes -> program -> several strategies side by side, and what they must agree on.
//
// ASSAY_COMPARE says which (`free_list,buddy`, or `all`, as without it); see
// harness/differential.h for what is compared.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/differential.h"

enum { MAX_RECORDS = 4096 };
// Larger heaps only cost time: every edge of a heap is nearer in a small one.
#define MAX_CAPACITY ((size_t)1 << 20)

static struct differential all;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void choose(void) {
  const char *names = getenv("ASSAY_COMPARE");
  char error[160];
  if (differential_choose(&all, names ? names : "all", error, sizeof error)) return;
  fprintf(stderr, "ASSAY_COMPARE: %s\n", error);
  exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct record records[MAX_RECORDS];
  if (all.count == 0) choose();
  if (size > sizeof records) return -1;
  struct program program;
  program_decode_into(&program, records, data, size);
  if (program_heap(&program).capacity > MAX_CAPACITY) return -1;
  struct disagreement found;
  if (!differential_run(&all, &program, &found)) {
    fprintf(stderr, "no memory for a heap of %" PRIu64 " bytes\n", program_heap(&program).capacity);
    exit(2);
  }
  if (found.found) property_violated(&found.verdict, found.names);
  return 0;
}
