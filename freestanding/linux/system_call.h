// Calls of the Linux kernel, made by hand: no libc is needed.
//
// Results from -4095 to -1 are negative numbers of errors. Numbers of calls differ from processor
// to processor: x86-64's are those of its own table, AArch64's those of the generic one
// (asm-generic/unistd.h). How they are made: System V ABI for x86-64, A.2.1, and syscall(2).
#ifndef FREESTANDING_LINUX_SYSTEM_CALL_H_
#define FREESTANDING_LINUX_SYSTEM_CALL_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum system_call {
  CALL_MMAP = 9,
  CALL_MPROTECT = 10,
  CALL_RT_SIGACTION = 13,
  CALL_PREAD64 = 17,
  CALL_SETITIMER = 38,
  CALL_SIGALTSTACK = 131,
  CALL_ARCH_PRCTL = 158,
  CALL_EXIT_GROUP = 231,
  CALL_OPENAT = 257,
};
#elif defined(__aarch64__)
enum system_call {
  CALL_OPENAT = 56,
  CALL_PREAD64 = 67,
  CALL_EXIT_GROUP = 94,
  CALL_SETITIMER = 103,
  CALL_SIGALTSTACK = 132,
  CALL_RT_SIGACTION = 134,
  CALL_MMAP = 222,
  CALL_MPROTECT = 226,
};
#else
#error "system_call.h: add the numbers of this processor's calls"
#endif

static inline long system_call6(enum system_call number, uintptr_t a, uintptr_t b, uintptr_t c,
                                uintptr_t d, uintptr_t e, uintptr_t f) {
#if defined(__x86_64__)
  register uintptr_t r10 __asm__("r10") = d;
  register uintptr_t r8 __asm__("r8") = e;
  register uintptr_t r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"((long)number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#else
  register uintptr_t x0 __asm__("x0") = a;
  register uintptr_t x1 __asm__("x1") = b;
  register uintptr_t x2 __asm__("x2") = c;
  register uintptr_t x3 __asm__("x3") = d;
  register uintptr_t x4 __asm__("x4") = e;
  register uintptr_t x5 __asm__("x5") = f;
  register uintptr_t x8 __asm__("x8") = (uintptr_t)number;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8)
                   : "memory");
  return (long)x0;
#endif
}

static inline long system_call4(enum system_call number, uintptr_t a, uintptr_t b, uintptr_t c,
                                uintptr_t d) {
  return system_call6(number, a, b, c, d, 0, 0);
}

#endif
