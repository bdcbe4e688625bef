// What all boards have in common: memory as the linker's script divides it, and the emulator's
// services.
#include "freestanding/board/services.h"

#include "freestanding/board/semihosting.h"
#include "freestanding/paint.h"
#include "freestanding/world.h"

extern void (*init_start[])(void), (*init_end[])(void);
extern char pool_start[], pool_end[], heap_start[], heap_end[], stack_low[];

_Noreturn void board_run(void) {
  for (void (**constructor)(void) = init_start; constructor < init_end; constructor++)
    (*constructor)();
  world_exit(program_main());
}

_Noreturn void world_exit(int code) { semihosting_exit(code); }

size_t world_read(uint64_t offset, void *buffer, size_t size) {
  return offset > INT32_MAX || !size ? 0 : semihosting_read((uint32_t)offset, buffer, size);
}

void *world_pool(size_t *size) {
  *size = (size_t)(pool_end - pool_start);
  return pool_start;
}

void *world_heap(size_t *size) {
  *size = (size_t)(heap_end - heap_start);
  return heap_start;
}

size_t world_stack_used(void (*body)(void *), void *context) {
  return paint_measure((uintptr_t)stack_low, SIZE_MAX, body, context);
}
