// How much stack a function takes: paint all that is free, and look how far the paint is gone.
#ifndef FREESTANDING_PAINT_H_
#define FREESTANDING_PAINT_H_

#include <stddef.h>
#include <stdint.h>

#define PAINT 0x5AC3A53Cu

#if defined(__arm__) || defined(__aarch64__)
#define PAINT_READ_STACK_POINTER "mov %0, sp"
#elif defined(__riscv)
#define PAINT_READ_STACK_POINTER "mv %0, sp"
#elif defined(__x86_64__)
#define PAINT_READ_STACK_POINTER "mov %%rsp, %0"
#else
#error "paint.h: add how this processor's stack pointer is read"
#endif

// Runs body(context) and returns how many bytes of stack it took: its own, its return address, and
// what it called. Painted is all from `low` on, or `most` bytes, if that is less. It must be
// inlined: while it paints, no function may be called.
static inline __attribute__((always_inline)) size_t paint_measure(uintptr_t low, size_t most,
                                                                  void (*body)(void *),
                                                                  void *context) {
  volatile uint32_t *top;
  __asm__ volatile(PAINT_READ_STACK_POINTER : "=r"(top));
  volatile uint32_t *first = (volatile uint32_t *)low;
  if ((uintptr_t)top - low > most) first = top - most / sizeof *top;
  for (volatile uint32_t *word = first; word < top; word++) *word = PAINT;
  body(context);
  while (first < top && *first == PAINT) first++;
  return (size_t)((uintptr_t)top - (uintptr_t)first);
}

#endif
