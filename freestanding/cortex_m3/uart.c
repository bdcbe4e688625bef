// The board's serial line, a PrimeCell UART (Arm PL011). The emulator's has no speed to be set.
#include "collections/print.h"
#include "freestanding/cortex_m3/registers.h"
#include "freestanding/world.h"

static size_t take(struct writer *self, const char *bytes, size_t size) {
  (void)self;
  for (size_t i = 0; i < size; i++) {
    while (UART0_FR & UART0_FR_TXFF) {
    }
    UART0_DR = (unsigned char)bytes[i];
  }
  return size;
}

struct writer *world_console(void) {
  static struct writer console;
  if (!console.take) {
    UART0_CTL = UART0_CTL_UARTEN | UART0_CTL_TXE;
    writer_init(&console, take);
  }
  return &console;
}
