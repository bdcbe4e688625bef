// The death of a process in the middle of an operation, as persistent memory sees it.
//
// Between two barriers the words that were written may come to last in any order, so what is found
// after a crash is all that was there at the last barrier, and of the words written since any
// subset. Compare T. S. Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014), and
// how P. Lantz et al., "Yat: A Validation Framework for Persistent Memory Software" (USENIX ATC
// 2014), replay every such state.
#ifndef HARNESS_CRASH_H_
#define HARNESS_CRASH_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash {
  bool armed;
  bool taken;        // the image is complete
  bool inside;       // it was taken at a barrier, and not when the operation was over
  unsigned barrier;  // which one dies, counted from 1
  unsigned seen;     // barriers since armed
  uint64_t mask;     // bit i: word i, modulo 64, of those pending comes to last
  const unsigned char *memory;
  size_t size;
  unsigned char *lasting;  // `memory` as it would be found if no pending word lasted
  unsigned char *image;    // as it is found
  size_t capacity;         // of both
};

// From here on: what `memory` holds now lasts. False if memory is out.
bool crash_arm(struct crash *self, const void *memory, size_t size, unsigned barrier,
               uint64_t mask);
// A barrier for [start, start + size) is being reached.
void crash_barrier(struct crash *self, const void *start, size_t size);
// The operation is over. If no barrier killed it, the process dies now.
void crash_finish(struct crash *self);
void crash_free(struct crash *self);

#endif
