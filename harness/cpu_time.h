// CPU time of this thread: what measurements compare, since machines are shared. (The clock of the
// whole process only advances with the timer's ticks while an interval timer counts CPU time.)
#ifndef HARNESS_CPU_TIME_H_
#define HARNESS_CPU_TIME_H_

#include <stdint.h>
#include <time.h>

static inline uint64_t cpu_time(void) {  // nanoseconds
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
