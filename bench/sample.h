// Rounds of a measurement, and their median with spread.
#ifndef BENCH_SAMPLE_H_
#define BENCH_SAMPLE_H_

#include <stddef.h>

enum { SAMPLE_ROUNDS_MAX = 101 };

struct sample {
  double values[SAMPLE_ROUNDS_MAX];
  size_t count;
};

void sample_add(struct sample *sample, double value);

struct spread {
  double low, median, high;  // minimum, median, maximum
};
struct spread sample_spread(struct sample *sample);  // sorts it

// The ratio of the k-th value of one to the k-th of the other: rounds are interleaved, so that what
// disturbs the machine disturbs both.
struct spread sample_ratio(const struct sample *above, const struct sample *below);

#endif
