// Exceptions, and how a guarded body is left by one.
#include "freestanding/board/guard.h"
#include "freestanding/cortex_m3/registers.h"

extern char stack_low[], stack_top[];

void on_fault(void);
void fault_take(uint32_t exception, const uint32_t *stacked);

// The stack may be what is broken, and so the handler goes on below the guard's. An exception must
// be returned from, or it stays active: with a frame made here, which leads to context_resume.
__attribute__((naked)) void on_fault(void) {
  __asm__ volatile("mrs r0, ipsr\n\t"
                   "mrs r1, msp\n\t"
                   "ldr r4, =guard_context\n\t"
                   "ldr r2, [r4]\n\t"
                   "bic r2, r2, #7\n\t"
                   "msr msp, r2\n\t"
                   "bl fault_take\n\t"
                   "ldr r0, =0x01000000\n\t"  // the Thumb state
                   "ldr r1, =context_resume\n\t"
                   "push {r0}\n\t"
                   "push {r1}\n\t"
                   "sub sp, #20\n\t"
                   "push {r4}\n\t"  // the argument
                   "ldr lr, =0xFFFFFFF9\n\t"
                   "bx lr\n\t"
                   ".ltorg");
}

// Where the exception came from lies in the frame that was stacked, if it has room there.
static uint32_t stacked_address(const uint32_t *stacked) {
  const uintptr_t where = (uintptr_t)stacked;
  return where >= (uintptr_t)stack_low && where <= (uintptr_t)stack_top - 32 ? stacked[6] : 0;
}

__attribute__((used)) void fault_take(uint32_t exception, const uint32_t *stacked) {
  const uint32_t why = CFSR;
  const struct guard_exception what = {
      .number = exception,
      .program = stacked_address(stacked),
      .accessed = why & CFSR_MMARVALID ? MMFAR : BFAR,
      .knows_accessed = why & (CFSR_MMARVALID | CFSR_BFARVALID),
  };
  CFSR = why;
  HFSR = HFSR;
  enum world_fault fault = WORLD_FAULT_OTHER;
  if (exception == EXCEPTION_PENDSV) {
    fault = WORLD_FAULT_WATCHDOG;
  } else if (exception == EXCEPTION_MEMORY || exception == EXCEPTION_BUS) {
    fault = WORLD_FAULT_MEMORY;
  } else if (exception == EXCEPTION_HARD_FAULT && why & 0xFFFF) {
    // One of these two, which could not be taken as such.
    fault = WORLD_FAULT_MEMORY;
  }
  guard_fault(fault, &what);
}
