// What world.h promises, in each world: a program that says which promise was not kept.
#include "freestanding/world.h"

#include "collections/print.h"

static int failures;

static void expect(bool holds, const char *what) {
  if (holds) return;
  failures++;
  struct writer *console = world_console();
  print_text(console, "FAILED: ");
  print_text(console, what);
  print_text(console, "\n");
}

// ## Bodies, and how they end

static volatile int sink;

static void returns(void *context) { ++*(int *)context; }

static void leaves(void *context) {
  returns(context);
  world_leave();
}

static void touch(uintptr_t address) { *(volatile char *)address = 1; }

static void touches_null(void *context) {
  (void)context;
  touch(0);
}

static void reads_null(void *context) {
  uintptr_t nowhere = 0;
  (void)context;
  sink = *(volatile int *)nowhere;
}

static void touches_code(void *context) {
  (void)context;
  touch((uintptr_t)touches_null & ~(uintptr_t)1);
}

static void touches_far(void *context) {
  (void)context;
  touch(UINT32_MAX - 4096 + 1 - 0x40000000u);
}

static void touches_before_heap(void *context) {
  (void)context;
  size_t size;
  touch((uintptr_t)world_heap(&size) - 1);
}

static void touches_after_heap(void *context) {
  (void)context;
  size_t size;
  const uintptr_t start = (uintptr_t)world_heap(&size);
  touch(start + size);
}

static void touches_heap(void *context) {
  (void)context;
  size_t size;
  volatile char *heap = world_heap(&size);
  heap[0] = heap[size / 2] = heap[size - 1] = 1;
}

static void executes_data(void *context) {
  (void)context;
  size_t size;
  // The last bit tells a Cortex-M its only instruction set, and is ignored elsewhere.
  void (*code)(void) = (void (*)(void))((uintptr_t)world_heap(&size) + 1);
  code();
}

static void traps(void *context) {
  (void)context;
  __builtin_trap();
}

static void runs_forever(void *context) {
  (void)context;
  for (;;) __asm__ volatile("");
}

__attribute__((noinline)) static int deeper(const volatile int *above) {
  volatile int frame[64];
  frame[0] = *above + 1;
  return frame[0] < 0 ? 0 : deeper(frame) + frame[0];
}

static void takes_all_stack(void *context) { sink = deeper(context); }

static void faults(void) {
  static const struct {
    const char *name;
    void (*body)(void *);
    enum world_fault fault;
  } bodies[] = {
      {"a body that returns", returns, WORLD_FAULT_NONE},
      {"a body that leaves", leaves, WORLD_FAULT_LEFT},
      {"a write to NULL", touches_null, WORLD_FAULT_MEMORY},
      {"a read of NULL", reads_null, WORLD_FAULT_MEMORY},
      {"a write to code", touches_code, WORLD_FAULT_MEMORY},
      {"a write to where nothing is", touches_far, WORLD_FAULT_MEMORY},
      {"a write before the heap", touches_before_heap, WORLD_FAULT_MEMORY},
      {"a write after the heap", touches_after_heap, WORLD_FAULT_MEMORY},
      {"writes to the heap", touches_heap, WORLD_FAULT_NONE},
      {"a call of data", executes_data, WORLD_FAULT_MEMORY},
      {"a trap", traps, WORLD_FAULT_OTHER},
      {"endless recursion", takes_all_stack, WORLD_FAULT_MEMORY},
      {"an endless loop", runs_forever, WORLD_FAULT_WATCHDOG},
  };
  // Twice: nothing must be left behind by the first time, which ends with the watchdog.
  for (unsigned i = 0; i < 2 * sizeof bodies / sizeof *bodies - 1; i++) {
    const unsigned which = i % (sizeof bodies / sizeof *bodies);
    int counter = 0;
    enum world_fault fault = WORLD_FAULT_OTHER;
    const bool returned = world_guarded(bodies[which].body, &counter, &fault);
    expect(returned == (bodies[which].fault == WORLD_FAULT_NONE), bodies[which].name);
    expect(fault == bodies[which].fault, bodies[which].name);
    if (bodies[which].body == returns) expect(counter == 1, "a body is run once");
  }
}

static void fault_addresses(void) {
  size_t size;
  const char *heap = world_heap(&size);
  enum world_fault fault;
  const void *address;
  world_guarded(touches_after_heap, NULL, &fault);
  if (world_fault_address(&address)) expect(address == heap + size, "where the access was");
  world_guarded(touches_before_heap, NULL, &fault);
  if (world_fault_address(&address)) expect(address == heap - 1, "where the other access was");
}

// ## Counts

// Two instructions each time.
__attribute__((noinline)) static void loop(uint32_t times) {
#if defined(__arm__)
  __asm__ volatile("1: subs %0, #1\n\tbne 1b" : "+r"(times)::"cc");
#elif defined(__riscv)
  __asm__ volatile("1: addi %0, %0, -1\n\tbnez %0, 1b" : "+r"(times));
#else
  while (times--) __asm__ volatile("");
#endif
}

static uint64_t instructions_of(uint32_t times) {
  const uint64_t before = world_instructions();
  loop(times);
  return world_instructions() - before;
}

// Exact, also over the times when a counter of the board wraps.
static void instructions(void) {
  if (!world_instructions()) {
    print_text(world_console(), "instructions: not counted\n");
    return;
  }
  const uint64_t base = instructions_of(1) - 2;
  expect(base < 100, "counting costs little");
  for (uint32_t times = 1; times < 12000000; times = times * 3 + times % 7 + 1)
    expect(instructions_of(times) - base == 2 * (uint64_t)times,
           "instructions are counted exactly");
  print_text(world_console(), "instructions: counted\n");
}

static void takes_stack(void *context) {
  volatile char frame[1000];
  for (unsigned i = 0; i < sizeof frame; i++) frame[i] = *(char *)context;
  *(char *)context = frame[sizeof frame / 2];
}

static void stack(void) {
  char byte = 7;
  int counter = 0;
  const size_t least = world_stack_used(returns, &counter);
  const size_t used = world_stack_used(takes_stack, &byte);
  if (!used) {
    print_text(world_console(), "stack: not measured\n");
    return;
  }
  expect(counter == 1 && byte == 7, "what is measured is run");
  expect(least < 100, "a function that does nothing takes no stack");
  expect(used >= 1000 && used < 1200, "stack is measured");
  print_text(world_console(), "stack: measured\n");
}

// ## Memory, and what is read

static void memory(void) {
  size_t pool_size, heap_size;
  unsigned char *pool = world_pool(&pool_size);
  expect(world_pool(&pool_size) == pool && (uintptr_t)pool % 16 == 0, "the pool's place");
  bool zeroed = true;
  for (size_t i = 0; i < pool_size; i++) zeroed = zeroed && !pool[i];
  expect(zeroed, "the pool is zeroed");
  for (size_t i = 0; i < pool_size; i++) pool[i] = 0xFF;
  unsigned char *heap = world_heap(&heap_size);
  expect((uintptr_t)heap % WORLD_HEAP_ALIGN == 0, "the heap's place");
  expect(heap_size >= WORLD_HEAP_SPACE, "the heap's size");
  for (size_t i = 0; i < heap_size; i++) heap[i] = 0;
  bool kept = true;
  for (size_t i = 0; i < pool_size; i++) kept = kept && pool[i] == 0xFF;
  expect(kept, "heap and pool do not overlap");
}

// The file that this program is given has a byte for each offset: its last digit.
static void reading(void) {
  char bytes[16];
  uint64_t size = 0;
  while (world_read(size, bytes, 1) == 1) {
    expect(bytes[0] == (char)('0' + size % 10), "what is read");
    size++;
  }
  expect(size == 1234, "the file's size");
  expect(world_read(1000, bytes, 10) == 10 && bytes[0] == '0' && bytes[9] == '9', "a read inside");
  expect(world_read(size - 3, bytes, sizeof bytes) == 3 && bytes[0] == '1', "a read at the end");
  expect(world_read(size, bytes, sizeof bytes) == 0, "a read behind the end");
  expect(world_read(UINT64_MAX - 1, bytes, sizeof bytes) == 0, "a read far behind the end");
}

int program_main(void) {
  struct writer *console = world_console();
  print_text(console, "Hello world!\n");
  print_signed(console, INT64_MIN);
  print_text(console, "\n");
  faults();
  fault_addresses();
  instructions();
  stack();
  memory();
  reading();
  if (!failures) print_text(console, "world: all as promised\n");
  return failures ? 1 : 0;
}
