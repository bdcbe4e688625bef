// World: what a program without a libc asks of where it runs.
//
// The demo, the self-test and the replay of programs are written on this alone; Linux without a
// libc, two boards and a hosted process each implement it in a folder of their own. A world starts
// its program by calling program_main and exits with the code that this returns.
#ifndef FREESTANDING_WORLD_H_
#define FREESTANDING_WORLD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;  // collections/print.h

// Bytes that an allocator under test gets, in every world, so that verdicts can be compared.
#define WORLD_HEAP_SIZE 32768

enum world_fault {
  WORLD_FAULT_NONE,      // the body returned
  WORLD_FAULT_LEFT,      // by world_leave
  WORLD_FAULT_MEMORY,    // an access that the processor refused
  WORLD_FAULT_OTHER,     // another exception: an illegal instruction, a division, a misalignment
  WORLD_FAULT_WATCHDOG,  // it ran for longer than this world allows
};

// What the world runs; its result is the exit code: 0 clean, 1 a finding, 2 it could not run.
int program_main(void);

// Where text goes. Its writes are not buffered beyond a line.
struct writer *world_console(void);

// Ends the program: of an emulator too, which then exits with `code`.
_Noreturn void world_exit(int code);

// Reads up to `size` bytes of the pack of programs (make_pack.py) from `offset` into `buffer`; how
// many it read, 0 at its end or if there is none.
size_t world_read(uint64_t offset, void *buffer, size_t size);

// Memory for the harness, aligned to 16 bytes, zeroed, the same at every call; its size to *size.
void *world_pool(size_t *size);

// Memory for heaps under test, and its size to *size: at least WORLD_HEAP_SPACE bytes, and 8 MiB
// where there is room for more than one heap at a time. Aligned to WORLD_HEAP_ALIGN, so that heaps
// lie in it as they do in any other world. Where the world has pages, those just below and above it
// cannot be accessed.
#define WORLD_HEAP_ALIGN 65536
#define WORLD_HEAP_SPACE (WORLD_HEAP_SIZE + 512)
void *world_heap(size_t *size);

// Instructions executed so far, or 0: this world cannot tell.
uint64_t world_instructions(void);

// Runs body(context) on this stack. True: it returned. False: it was left, and *fault says why.
// Calls do not nest, but body may be called again after a fault: registers and interrupt state are
// as at the call; what it wrote to memory stays.
bool world_guarded(void (*body)(void *), void *context, enum world_fault *fault);

// After a WORLD_FAULT_MEMORY: where the access was. False: this world cannot tell.
bool world_fault_address(const void **address);

// Leaves the body that world_guarded runs, from any depth; without one it exits with 2.
_Noreturn void world_leave(void);

// Runs body(context) and returns how many bytes of stack it took (found by painting them), or 0:
// this world cannot tell.
size_t world_stack_used(void (*body)(void *), void *context);

#endif
