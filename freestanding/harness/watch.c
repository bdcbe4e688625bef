// The watch of a world: overlapping copies are caught at the call, faults of the processor and
// operations that do not end after world_guarded has come back from them (watch_fault). What calls
// of an operating system would be, an allocator that is linked without one cannot make.
#include "harness/watch.h"
#include "freestanding/harness/watch_fault.h"

#include <stdint.h>
#include <stdio.h>

static struct watch_place places[WATCH_PLACES];
WATCH_PER_THREAD struct watch_place *watch_here = &places[0];
atomic_bool watch_races;
bool watch_lets_call;

static watch_handler *handler;

void watch_install(watch_handler *new_handler) { handler = new_handler; }

unsigned watch_place(void) { return 0; }

void watch_silence_others(void) {}

unsigned long watch_copies(void) {
  return atomic_load_explicit(&places[0].copies, memory_order_relaxed);
}

void *__real_memcpy(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);

void *__wrap_memcpy(void *to, const void *from, size_t size) {
  if (watch_inside()) {
    uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    unsigned long copies = watch_copies();
    atomic_store_explicit(&places[0].copies, copies + (a != b), memory_order_relaxed);
    uintptr_t distance = a < b ? b - a : a - b;
    // Equal addresses are a copy onto itself, which compilers emit for assignments of structures.
    if (a != b && distance < size) {
      char what[96];
      snprintf(what, sizeof what, "memcpy of %zu bytes onto itself, %zu bytes %s", size,
               (size_t)distance, a < b ? "lower" : "higher");
      watch_leave();  // what follows is ours
      handler(&(struct watch_report){
          .event = WATCH_OVERLAPPING, .address = to, .size = 1, .what = what});
    }
  }
  return __real_memcpy(to, from, size);
}

static const char *describe(enum world_fault fault) {
  switch (fault) {
  case WORLD_FAULT_MEMORY:
    return "Segmentation fault";
  case WORLD_FAULT_OTHER:
    return "an exception of the processor";
  default:
    return NULL;
  }
}

void watch_fault(enum world_fault fault) {
  watch_leave();
  const void *address = NULL;
  bool known = fault == WORLD_FAULT_MEMORY && world_fault_address(&address);
  handler(&(struct watch_report){.event = fault == WORLD_FAULT_WATCHDOG ? WATCH_HANG : WATCH_CRASH,
                                 .address = known ? address : NULL,
                                 .size = 1,
                                 .what = describe(fault)});
}
