// The world of a process with a libc: the same program, and the same oracle as elsewhere, over the
// system's own memory functions and printf. A verdict that is another here is the small libc's
// fault.
#include "freestanding/world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "collections/writer_descriptor.h"
#include "freestanding/libc/heap.h"
#include "freestanding/paint.h"

static struct writer_descriptor console;

struct writer *world_console(void) { return &console.base; }

void world_exit(int code) { exit(code); }

static int pack = -1;

size_t world_read(uint64_t offset, void *buffer, size_t size) {
  ssize_t got = pack < 0 ? 0 : pread(pack, buffer, size, (off_t)offset);
  return got > 0 ? (size_t)got : 0;
}

// Memory is the system's. What a run had that was left is gone until the process ends.
void heap_begin(void) {}

bool heap_refused(void) { return false; }

void *world_pool(size_t *size) {
  *size = 0;
  return NULL;
}

enum { HEAP = 8 << 20, GUARD = WORLD_HEAP_ALIGN, LARGEST_ALIGN = 1 << 21 };

void *world_heap(size_t *size) {
  static unsigned char *heap;
  *size = HEAP;
  if (heap) return heap;
  unsigned char *mapping = mmap(NULL, HEAP + LARGEST_ALIGN + 2 * GUARD, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    perror("no memory for a heap");
    exit(2);
  }
  size_t past = ((uintptr_t)mapping + GUARD) % LARGEST_ALIGN;
  heap = mapping + GUARD + (past ? LARGEST_ALIGN - past : 0);
  if (mprotect(heap, HEAP, PROT_READ | PROT_WRITE) != 0) {
    perror("no memory for a heap");
    exit(2);
  }
  return heap;
}

uint64_t world_instructions(void) { return 0; }

// ## What ends a body

static sigjmp_buf back;
static volatile bool guarded;
static volatile enum world_fault fault_of_body;
static const void *volatile fault_address;

enum { WATCHDOG_SECONDS = 1 };  // of the processor, for the kernel too: who waits may yield

static void set_watchdog(time_t seconds) {
  setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
}

static _Noreturn void leave(enum world_fault fault) {
  if (!guarded) {
    static const char text[] = "a fault outside of everything that is guarded\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(3);
    _exit(2);
  }
  fault_of_body = fault;
  siglongjmp(back, 1);
}

static void on_signal(int number, siginfo_t *information, void *context) {
  (void)context;
  if (number == SIGABRT) leave(WORLD_FAULT_LEFT);
  if (number == SIGPROF) leave(WORLD_FAULT_WATCHDOG);
  if (number != SIGSEGV && number != SIGBUS) leave(WORLD_FAULT_OTHER);
  fault_address = information->si_addr;
  leave(WORLD_FAULT_MEMORY);
}

// An allocator that recurses without end has no stack left to handle its signal on.
static void install_handlers(void) {
  static const int numbers[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGPROF, SIGABRT};
  static unsigned char stack[1 << 16];
  sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
  struct sigaction action = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    sigaction(numbers[i], &action, NULL);
}

bool world_guarded(void (*body)(void *), void *context, enum world_fault *fault) {
  set_watchdog(WATCHDOG_SECONDS);
  guarded = true;
  bool returned = sigsetjmp(back, 1) == 0;
  if (returned) body(context);
  // In this order: the time may be up just as the body returns.
  set_watchdog(0);
  guarded = false;
  *fault = returned ? WORLD_FAULT_NONE : fault_of_body;
  return returned;
}

void world_leave(void) { leave(WORLD_FAULT_LEFT); }

bool world_fault_address(const void **address) {
  *address = fault_address;
  return true;
}

size_t world_stack_used(void (*body)(void *), void *context) {
  return paint_measure(0, 1 << 16, body, context);
}

int main(int count, char **arguments) {
  writer_descriptor_init(&console, STDOUT_FILENO);
  if (count > 1 && (pack = open(arguments[1], O_RDONLY | O_CLOEXEC)) < 0) {
    perror(arguments[1]);
    return 2;
  }
  install_handlers();
  return program_main();
}
