#include "bench/ticks.h"

double ticks_nanoseconds(void) {
  struct timespec from, now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  uint64_t start = ticks();
  double passed;
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
    passed = (double)(now.tv_sec - from.tv_sec) * 1e9 + (double)(now.tv_nsec - from.tv_nsec);
  } while (passed < 2e7);
  return passed / (double)(ticks() - start);
}

uint64_t ticks_of_nothing(void) {
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 1000; i++) {
    uint64_t start = ticks(), spent = ticks() - start;
    if (spent < least) least = spent;
  }
  return least;
}

uint64_t ticks_step(void) {
  uint64_t step = 0, before = ticks();
  for (int i = 0; i < 1000; i++) {
    uint64_t now = ticks(), spent = now - before;
    before = now;
    // Of all differences the greatest common divisor (Euclid).
    for (uint64_t rest; spent != 0; spent = rest) {
      rest = step % spent;
      step = spent;
    }
  }
  return step;
}
