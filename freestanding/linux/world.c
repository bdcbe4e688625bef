// The world of a Linux kernel and nothing else: no libc, no dynamic loader.
//
// The heap lies where that of the hosted oracle does, between pages that cannot be accessed. The
// pack of programs is the file that the first argument names.
#include "freestanding/world.h"

#include "collections/writer_descriptor.h"
#include "freestanding/linux/context.h"
#include "freestanding/linux/system_call.h"
#include "freestanding/paint.h"

// ## Numbers of the kernel's interface, the same on every processor that is known here

enum { PROT_NONE = 0, PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22, MAP_NORESERVE = 0x4000 };
enum { MAP_FIXED_NOREPLACE = 0x100000 };
enum { AT_FDCWD = -100, STDOUT = 1 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11, SIGPROF = 27 };
enum { SA_SIGINFO = 4, SA_RESTORER = 0x4000000, SA_ONSTACK = 0x8000000, SA_NODEFER = 0x40000000 };
enum { ITIMER_PROF = 2, SIGNAL_SET_SIZE = 8 };

struct kernel_sigaction {
  void (*handler)(int, const void *, void *);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

struct kernel_stack {
  void *start;
  int flags;
  size_t size;
};

struct kernel_timer {
  long interval_seconds, interval_microseconds, seconds, microseconds;
};

enum { FAULT_ADDRESS = 16 };  // its offset in a siginfo of 64 bits

void signal_return(void);

// ## The console, the end, the pack

static struct writer_descriptor console;

struct writer *world_console(void) { return &console.base; }

void world_exit(int code) {
  for (;;) system_call4(CALL_EXIT_GROUP, (uintptr_t)code, 0, 0, 0);
}

static const char *pack_path;

size_t world_read(uint64_t offset, void *buffer, size_t size) {
  static long descriptor = -1;
  if (!pack_path) return 0;
  if (descriptor < 0)
    descriptor = system_call4(CALL_OPENAT, (uintptr_t)AT_FDCWD, (uintptr_t)pack_path, 0, 0);
  if (descriptor < 0) {
    print_text(&console.base, "the pack cannot be read: ");
    print_text(&console.base, pack_path);
    print_text(&console.base, "; name a file that make_pack.py wrote\n");
    world_exit(2);
  }
  long got = system_call4(CALL_PREAD64, (uintptr_t)descriptor, (uintptr_t)buffer, size, offset);
  return got > 0 ? (size_t)got : 0;
}

// ## Memory

void *world_pool(size_t *size) {
  static _Alignas(16) unsigned char pool[8 << 20];
  *size = sizeof pool;
  return pool;
}

enum { HEAP = 8 << 20, GUARD = WORLD_HEAP_ALIGN, LARGEST_ALIGN = 1 << 21 };
#define PLACE ((uintptr_t)0x800000000)

static bool failed(long result) { return result < 0 && result >= -4095; }

// At the place if that is free, else anywhere.
static unsigned char *map_heap(void) {
  enum { FLAGS = MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE, SIZE = HEAP + LARGEST_ALIGN + 2 * GUARD };
  uintptr_t none = (uintptr_t)-1, start = PLACE - GUARD;
  long mapping =
      system_call6(CALL_MMAP, start, SIZE, PROT_NONE, FLAGS | MAP_FIXED_NOREPLACE, none, 0);
  if (failed(mapping)) mapping = system_call6(CALL_MMAP, 0, SIZE, PROT_NONE, FLAGS, none, 0);
  if (failed(mapping)) return NULL;
  uintptr_t heap =
      ((uintptr_t)mapping + GUARD + LARGEST_ALIGN - 1) & ~(uintptr_t)(LARGEST_ALIGN - 1);
  if (system_call4(CALL_MPROTECT, heap, HEAP, PROT_READ_WRITE, 0) != 0) return NULL;
  return (unsigned char *)heap;
}

void *world_heap(size_t *size) {
  static unsigned char *heap;
  if (!heap) heap = map_heap();
  if (!heap) {
    print_text(&console.base, "there is no memory for a heap\n");
    world_exit(2);
  }
  *size = HEAP;
  return heap;
}

// ## What ends a body

static void *guarded;  // its stack; NULL: nothing is
static enum world_fault fault_of_body;
static const void *fault_address;

enum { WATCHDOG_SECONDS = 1 };  // of the processor, for the kernel too: who waits may yield

static void set_watchdog(long seconds) {
  const struct kernel_timer timer = {.seconds = seconds};
  system_call4(CALL_SETITIMER, ITIMER_PROF, (uintptr_t)&timer, 0, 0);
}

static _Noreturn void leave(enum world_fault fault) {
  void *stack = guarded;
  if (!stack) {
    print_text(&console.base, "a fault outside of everything that is guarded\n");
    world_exit(2);
  }
  fault_of_body = fault;
  context_leave(stack);
}

static void on_signal(int number, const void *information, void *context) {
  (void)context;
  if (number == SIGPROF) leave(WORLD_FAULT_WATCHDOG);
  if (number != SIGSEGV && number != SIGBUS) leave(WORLD_FAULT_OTHER);
  fault_address = *(const void *const *)(const void *)((const char *)information + FAULT_ADDRESS);
  leave(WORLD_FAULT_MEMORY);
}

static void install(int number) {
  const struct kernel_sigaction action = {.handler = on_signal,
                                          .flags =
                                              SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER,
                                          .restorer = signal_return};
  system_call4(CALL_RT_SIGACTION, (uintptr_t)number, (uintptr_t)&action, 0, SIGNAL_SET_SIZE);
}

// An allocator that recurses without end has no stack left to handle its signal on.
static void install_handlers(void) {
  static const int numbers[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGPROF};
  static _Alignas(16) unsigned char stack[1 << 16];
  const struct kernel_stack alternate = {.start = stack, .size = sizeof stack};
  system_call4(CALL_SIGALTSTACK, (uintptr_t)&alternate, 0, 0, 0);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) install(numbers[i]);
}

struct call {
  void (*body)(void *);
  void *context;
};

// All within what can be left: the time may be up just as the body returns.
static void call_watched(void *context) {
  const struct call *call = context;
  set_watchdog(WATCHDOG_SECONDS);
  call->body(call->context);
  set_watchdog(0);
}

bool world_guarded(void (*body)(void *), void *context, enum world_fault *fault) {
  struct call call = {body, context};
  bool returned = context_call(&guarded, call_watched, &call);
  set_watchdog(0);
  guarded = NULL;
  *fault = returned ? WORLD_FAULT_NONE : fault_of_body;
  return returned;
}

void world_leave(void) { leave(WORLD_FAULT_LEFT); }

bool world_fault_address(const void **address) {
  *address = fault_address;
  return true;
}

// ## What it took

uint64_t world_instructions(void) { return 0; }

enum { PAINTED = 1 << 18 };

size_t world_stack_used(void (*body)(void *), void *context) {
  return paint_measure(0, PAINTED, body, context);
}

// ## The beginning

// Who tells threads from one another asks the processor for a pointer to the thread's own memory,
// whose first word on x86-64 is that pointer (System V ABI, "ELF Handling For Thread-Local
// Storage", 3.4.2). Without one strategies do as on a board, which the boards show.
static void make_thread(void) {
  static void *thread[8];
#if defined(__x86_64__)
  enum { ARCH_SET_FS = 0x1002 };
  thread[0] = thread;
  system_call4(CALL_ARCH_PRCTL, ARCH_SET_FS, (uintptr_t)thread, 0, 0);
#elif defined(__aarch64__)
  __asm__ volatile("msr tpidr_el0, %0" ::"r"(thread));
#endif
}

_Noreturn void linux_start(const uintptr_t *stack);

// Some strategies make their table of functions before main. The linker says where they are.
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

_Noreturn void linux_start(const uintptr_t *stack) {
  uintptr_t arguments = stack[0];
  if (arguments > 1) pack_path = (const char *)stack[2];
  writer_descriptor_init(&console, STDOUT);
  install_handlers();
  make_thread();
  for (void (*const *each)(void) = __init_array_start; each < __init_array_end; each++) (*each)();
  world_exit(program_main());
}
