// What RISC-V's `virt` machine has for a world: who may touch which memory, traps, the watchdog,
// and the count of instructions (RISC-V, "The RISC-V Instruction Set Manual, Volume II: Privileged
// Architecture", 3.1 and 3.7; the clock is SiFive's CLINT).
#include "collections/print.h"
#include "freestanding/board/guard.h"
#include "freestanding/board/services.h"

extern char guard_start[], heap_start[], stack_low[], stack_top[];

void board_start(void);
void trap_take(uint32_t cause, uint32_t address);

#define READ_CSR(name)                                                                             \
  __extension__({                                                                                  \
    uint32_t value_;                                                                               \
    __asm__ volatile("csrr %0, " #name : "=r"(value_));                                            \
    value_;                                                                                        \
  })
#define WRITE_CSR(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"((uint32_t)(value)))

// Physical memory protection. Each entry says what holds from the end of the one before it on;
// locked, for only so it binds machine mode.
enum {
  PMP_READ = 1,
  PMP_WRITE = 2,
  PMP_EXECUTE = 4,
  PMP_TOP_OF_RANGE = 1 << 3,
  PMP_LOCKED = 1 << 7,
};

#define RAM_START 0x80000000u
#define RAM_END 0x82000000u

static uint32_t entry(uint32_t rights, unsigned index) {
  return (rights | PMP_TOP_OF_RANGE | PMP_LOCKED) << 8 * index;
}

// As where there are pages: nobody writes to code or executes data.
static void protect_memory(void) {
  WRITE_CSR(pmpaddr0, RAM_START >> 2);
  WRITE_CSR(pmpaddr1, (uintptr_t)stack_low >> 2);
  WRITE_CSR(pmpaddr2, (uintptr_t)guard_start >> 2);
  WRITE_CSR(pmpaddr3, (uintptr_t)heap_start >> 2);
  WRITE_CSR(pmpaddr4, RAM_END >> 2);
  WRITE_CSR(pmpcfg1, entry(PMP_READ | PMP_WRITE, 0));
  WRITE_CSR(pmpcfg0,
            entry(PMP_READ | PMP_EXECUTE, 1) | entry(PMP_READ | PMP_WRITE, 2) | entry(0, 3));
}

#define MACHINE_TIMER_INTERRUPT (1u << 7)
#define MSTATUS_MIE (1u << 3)
#define MSTATUS_MPP (3u << 11)

void board_start(void) {
  guard_context.words[0] = (uint32_t)(uintptr_t)stack_top;
  protect_memory();
  guard_unwatch();
  WRITE_CSR(mie, MACHINE_TIMER_INTERRUPT);
  WRITE_CSR(mstatus, MSTATUS_MPP | MSTATUS_MIE);
  board_run();
}

// Causes, as mcause has them.
enum {
  CAUSE_FETCH_ACCESS = 1,
  CAUSE_LOAD_ACCESS = 5,
  CAUSE_STORE_ACCESS = 7,
  CAUSE_FETCH_PAGE = 12,
  CAUSE_LOAD_PAGE = 13,
  CAUSE_STORE_PAGE = 15,
};
#define CAUSE_TIMER 0x80000007u

__attribute__((used)) void trap_take(uint32_t cause, uint32_t address) {
  enum world_fault fault = WORLD_FAULT_OTHER;
  switch (cause) {
  case CAUSE_FETCH_ACCESS:
  case CAUSE_LOAD_ACCESS:
  case CAUSE_STORE_ACCESS:
  case CAUSE_FETCH_PAGE:
  case CAUSE_LOAD_PAGE:
  case CAUSE_STORE_PAGE:
    fault = WORLD_FAULT_MEMORY;
    break;
  case CAUSE_TIMER:
    fault = WORLD_FAULT_WATCHDOG;
    break;
  default:
    break;
  }
  const struct guard_exception exception = {
      .number = cause,
      .program = address,
      .accessed = READ_CSR(mtval),
      .knows_accessed = fault == WORLD_FAULT_MEMORY,
  };
  guard_fault(fault, &exception);
  guard_unwatch();
  // The trap has turned interrupts off.
  WRITE_CSR(mstatus, MSTATUS_MPP | MSTATUS_MIE);
}

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define MTIMECMP_LOW REGISTER(0x02004000)
#define MTIMECMP_HIGH REGISTER(0x02004004)
#define MTIME_LOW REGISTER(0x0200BFF8)
#define MTIME_HIGH REGISTER(0x0200BFFC)

// The clock ticks each 100 ns; an instruction takes 1 ns (-icount shift=0).
#define INSTRUCTIONS_PER_TICK 100u

static void interrupt_at(uint64_t when) {
  // Never a moment that is past, in between.
  MTIMECMP_HIGH = UINT32_MAX;
  MTIMECMP_LOW = (uint32_t)when;
  MTIMECMP_HIGH = (uint32_t)(when >> 32);
}

static uint64_t now(void) {
  uint32_t high, low;
  do {
    high = MTIME_HIGH;
    low = MTIME_LOW;
  } while (high != MTIME_HIGH);
  return (uint64_t)high << 32 | low;
}

void guard_watch(void) { interrupt_at(now() + GUARD_INSTRUCTIONS / INSTRUCTIONS_PER_TICK); }

void guard_unwatch(void) { interrupt_at(UINT64_MAX); }

uint64_t world_instructions(void) {
  uint32_t high, low;
  do {
    high = READ_CSR(minstreth);
    low = READ_CSR(minstret);
  } while (high != READ_CSR(minstreth));
  return (uint64_t)high << 32 | low;
}

// ## The serial line, a 16550

#define UART_DATA (*(volatile uint8_t *)(uintptr_t)0x10000000)
#define UART_STATUS (*(volatile uint8_t *)(uintptr_t)0x10000005)
#define UART_STATUS_EMPTY (1u << 5)

static size_t take(struct writer *self, const char *bytes, size_t size) {
  (void)self;
  for (size_t i = 0; i < size; i++) {
    while (!(UART_STATUS & UART_STATUS_EMPTY)) {
    }
    UART_DATA = (uint8_t)bytes[i];
  }
  return size;
}

struct writer *world_console(void) {
  static struct writer console;
  if (!console.take) writer_init(&console, take);
  return &console;
}
