// A point to come back to, from any depth and from a handler of exceptions: setjmp, in short.
//
// What the calling convention makes a function keep for its caller is kept, and nothing else
// (AAPCS32, 6.1.1; RISC-V ELF psABI, "Integer Calling Convention").
#ifndef FREESTANDING_BOARD_CONTEXT_H_
#define FREESTANDING_BOARD_CONTEXT_H_

#include <stdint.h>

// The stack pointer comes first: a handler runs below it.
struct context {
  uint32_t words[16];
};

// 0 when it is called; returns again, with 1, when `self` is resumed, which must be before its
// caller returns.
__attribute__((returns_twice)) int context_save(struct context *self);

_Noreturn void context_resume(const struct context *self);

#endif
