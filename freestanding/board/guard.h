// What world_guarded needs of a board, and what a board's handlers of exceptions need of it.
#ifndef FREESTANDING_BOARD_GUARD_H_
#define FREESTANDING_BOARD_GUARD_H_

#include "freestanding/board/context.h"
#include "freestanding/world.h"

// Instructions that a guarded body may take: a second or two of an emulator.
#define GUARD_INSTRUCTIONS 200000000u

// Where the guarded body is left to. Outside of world_guarded its first word is the stack's top, so
// that a handler always finds a stack that holds.
extern struct context guard_context;

// Called by handlers, on the guard's stack and with the exception still active. Notes why the body
// is left; the caller then sees to it that guard_context is resumed. Without a body it reports the
// exception and exits with 2.
struct guard_exception {
  uint32_t number;      // the processor's
  uint32_t program;     // address of the instruction
  uint32_t accessed;    // address of the access that was refused ...
  bool knows_accessed;  // ... where the processor tells it
};
void guard_fault(enum world_fault fault, const struct guard_exception *exception);

// ## By the board

void guard_watch(void);    // from now on GUARD_INSTRUCTIONS more may run
void guard_unwatch(void);  // as many as like

#endif
