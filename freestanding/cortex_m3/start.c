// How a Cortex-M3 starts: memory, who may touch it, and the program.
#include "freestanding/board/guard.h"
#include "freestanding/board/services.h"
#include "freestanding/cortex_m3/registers.h"
#include "freestanding/cortex_m3/time.h"

extern uint32_t data_start[], data_end[], data_load[], bss_start[], pool_end[];
extern char stack_low[], stack_top[], guard_start[];

void start(void);
void on_fault(void);

// Only what can happen: interrupts of devices are never enabled.
__attribute__((section(".vectors"), used)) static const struct {
  char *stack;
  void (*handlers[15])(void);
} vectors = {
    stack_top,
    {start, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault,
     on_fault, on_fault, on_fault, on_fault, on_fault /* PendSV */, time_on_tick},
};

static void protect(uint32_t region, uint32_t start_address, unsigned log2_size, uint32_t rights) {
  MPU_RBAR = start_address | MPU_RBAR_VALID | region;
  MPU_RASR = rights | (log2_size - 1) << 1 | MPU_RASR_ENABLE;
}

// As where there are pages: only what is there can be touched, nobody writes to code or executes
// data, and NULL leads nowhere. The emulated bus itself lets everything pass. Of two regions the
// higher one counts; those of the processor are always its own.
static void protect_memory(void) {
  protect(0, 0x20000000, 16, MPU_RASR_READ_WRITE | MPU_RASR_NEVER_EXECUTE);
  protect(1, 0x00000000, 18, MPU_RASR_READ);
  protect(2, 0x00000000, 8, MPU_RASR_NONE | MPU_RASR_NEVER_EXECUTE);
  protect(3, (uint32_t)(uintptr_t)guard_start, 8, MPU_RASR_NONE | MPU_RASR_NEVER_EXECUTE);
  protect(4, UART0, 12, MPU_RASR_READ_WRITE | MPU_RASR_NEVER_EXECUTE);
  MPU_CTRL = MPU_CTRL_ENABLE;
  __asm__ volatile("dsb\n\tisb");
}

void start(void) {
  const uint32_t *from = data_load;
  for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
  for (volatile uint32_t *to = bss_start; to < pool_end;) *to++ = 0;
  guard_context.words[0] = (uint32_t)(uintptr_t)stack_top;
  SHCSR = SHCSR_MEMFAULTENA | SHCSR_BUSFAULTENA | SHCSR_USGFAULTENA;
  CCR |= CCR_DIV_0_TRP;
  protect_memory();
  time_start();
  board_run();
}
