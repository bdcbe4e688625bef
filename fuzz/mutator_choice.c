#include "fuzz/mutator_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mutator_choice mutator_choose(void) {
  const char *name = getenv("ASSAY_MUTATOR");
  if (!name || strcmp(name, "operations") == 0) return MUTATE_OPERATIONS;
  if (strcmp(name, "bytes") == 0) return MUTATE_BYTES;
  fprintf(stderr, "ASSAY_MUTATOR: unknown mutator '%s'; it is operations or bytes\n", name);
  exit(2);
}
