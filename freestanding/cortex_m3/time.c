// SysTick counts 80 ns each, as the board starts with a clock of 12.5 MHz, and the emulator lets
// each instruction take 128 ns (-icount shift=7). So there are 8 ticks to 5 instructions, at least
// one to each, and the number of ticks tells that of instructions exactly.
#include "freestanding/cortex_m3/time.h"

#include "freestanding/board/guard.h"
#include "freestanding/cortex_m3/registers.h"

#define TICKS_EACH 8u
#define INSTRUCTIONS_EACH 5u

#define WRAP_TICKS (1u << SYST_BITS)
#define WRAP_INSTRUCTIONS (WRAP_TICKS / TICKS_EACH * INSTRUCTIONS_EACH)
_Static_assert(GUARD_INSTRUCTIONS / WRAP_INSTRUCTIONS >= 2, "the watchdog is too coarse");

// How often SysTick has wrapped, and after how many times more the guarded body is left: it must be
// loaded and stored in one instruction.
static volatile struct {
  uint32_t wraps;
  uint32_t left;
} time __attribute__((aligned(8), used)) = {0, UINT32_MAX};

void time_start(void) {
  SYST_RVR = WRAP_TICKS - 1;
  SYST_CVR = 0;
  SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_PROCESSOR_CLOCK;
}

// Of ever the same number of instructions, so that they can be left out of the count. The body is
// left by another exception, PendSV, whose handler does not return to it.
#define HANDLER_INSTRUCTIONS 7u
__attribute__((naked)) void time_on_tick(void) {
  __asm__ volatile("ldr r0, =time\n\t"
                   "ldrd r1, r2, [r0]\n\t"
                   "adds r1, #1\n\t"
                   "subs r2, #1\n\t"
                   "strd r1, r2, [r0]\n\t"
                   "beq 1f\n\t"
                   "bx lr\n"
                   "1:\n\t"
                   "ldr r0, =0xE000ED04\n\t"  // ICSR
                   "ldr r1, =0x10000000\n\t"  // PENDSVSET
                   "str r1, [r0]\n\t"
                   "bx lr\n\t"
                   ".ltorg");
}

void guard_watch(void) { time.left = GUARD_INSTRUCTIONS / WRAP_INSTRUCTIONS; }

void guard_unwatch(void) { time.left = UINT32_MAX; }

uint64_t world_instructions(void) {
  __asm__ volatile("cpsid i" ::: "memory");
  uint32_t left = SYST_CVR;
  const uint32_t handled = time.wraps;
  uint32_t wraps = handled;
  if (ICSR & ICSR_PENDSTSET) {
    // It has wrapped, and the handler waits: maybe after it was read.
    left = SYST_CVR;
    wraps++;
  }
  __asm__ volatile("cpsie i" ::: "memory");
  const uint64_t ticks = (uint64_t)wraps * WRAP_TICKS + (WRAP_TICKS - left);
  return (ticks * INSTRUCTIONS_EACH + TICKS_EACH - 1) / TICKS_EACH -
         (uint64_t)handled * HANDLER_INSTRUCTIONS;
}
