#include "bench/sample.h"

#include <stdlib.h>

void sample_add(struct sample *sample, double value) {
  if (sample->count < SAMPLE_ROUNDS_MAX) sample->values[sample->count++] = value;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

struct spread sample_spread(struct sample *sample) {
  if (sample->count == 0) return (struct spread){0, 0, 0};
  qsort(sample->values, sample->count, sizeof *sample->values, compare);
  return (struct spread){sample->values[0], sample->values[sample->count / 2],
                         sample->values[sample->count - 1]};
}

struct spread sample_ratio(const struct sample *above, const struct sample *below) {
  struct sample ratios = {.count = 0};
  for (size_t i = 0; i < above->count && i < below->count; i++)
    if (below->values[i] > 0) sample_add(&ratios, above->values[i] / below->values[i]);
  return sample_spread(&ratios);
}
