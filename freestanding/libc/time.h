// The only clock that every world may have counts instructions: each is taken for a nanosecond.
#ifndef FREESTANDING_LIBC_TIME_H_
#define FREESTANDING_LIBC_TIME_H_

#include <stdint.h>

struct timespec {
  int64_t tv_sec;
  long tv_nsec;
};

enum { CLOCK_THREAD_CPUTIME_ID };

// 0; -1, and 0 in *now, if the world does not count instructions.
int clock_gettime(int clock, struct timespec *now);

#endif
