#include "freestanding/board/guard.h"

#include "collections/print.h"

extern char stack_top[];

struct context guard_context = {{0}};

static volatile bool guarded;
static volatile enum world_fault reason;
static struct guard_exception last;

static void leave_guard(void) {
  guard_unwatch();
  guarded = false;
  guard_context.words[0] = (uint32_t)(uintptr_t)stack_top;
}

bool world_guarded(void (*body)(void *), void *context, enum world_fault *fault) {
  if (context_save(&guard_context)) {
    leave_guard();
    *fault = reason;
    return false;
  }
  reason = WORLD_FAULT_NONE;
  guarded = true;
  guard_watch();
  body(context);
  leave_guard();
  *fault = WORLD_FAULT_NONE;
  return true;
}

_Noreturn void world_leave(void) {
  if (!guarded) world_exit(2);
  reason = WORLD_FAULT_LEFT;
  context_resume(&guard_context);
}

bool world_fault_address(const void **address) {
  *address = (const void *)(uintptr_t)last.accessed;
  return last.knows_accessed;
}

void guard_fault(enum world_fault fault, const struct guard_exception *exception) {
  last = *exception;
  if (guarded) {
    reason = fault;
    return;
  }
  struct writer *console = world_console();
  print_text(console, "exception ");
  print_unsigned(console, exception->number);
  print_text(console, " at ");
  print_hexadecimal(console, exception->program);
  if (exception->knows_accessed) {
    print_text(console, ", which accessed ");
    print_hexadecimal(console, exception->accessed);
  }
  print_text(console, "\n");
  world_exit(2);
}
