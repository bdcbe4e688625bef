// A clock for single operations: the processor's counter between two fences, where there is one, so
// that nothing of what is timed is done before or after.
#ifndef BENCH_TICKS_H_
#define BENCH_TICKS_H_

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
static inline uint64_t ticks(void) {
  __builtin_ia32_lfence();
  uint64_t now = __builtin_ia32_rdtsc();
  __builtin_ia32_lfence();
  return now;
}
#else
static inline uint64_t ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

// Found in some 20 ms.
double ticks_nanoseconds(void);

// What two readings with nothing between them differ by, at least.
uint64_t ticks_of_nothing(void);

// The steps that the counter goes in: a time is right to within one.
uint64_t ticks_step(void);

#endif
