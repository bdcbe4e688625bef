#include "harness/preload/verdict.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "harness/preload/heap.h"
#include "harness/preload/start.h"
#include "harness/preload/tell.h"
#include "harness/preload/thread.h"
#include "harness/record_events.h"

static const char *name;
static atomic_bool ended;

PER_THREAD struct {
  const char *call;  // what the strategy is doing; NULL: it is not its turn
  const char *last;
  size_t size;
  const void *block;
} turn;

PER_THREAD struct {
  enum verdict_event event;
  const void *block;
  size_t size, align;
  const void *former;
} pending;

void verdict_begin(const char *call, size_t size, const void *block) {
  turn.last = call;
  turn.size = size;
  turn.block = block;
  atomic_signal_fence(memory_order_seq_cst);
  turn.call = call;
}

void verdict_end(void) { turn.call = NULL; }

void verdict_record(enum verdict_event event, const void *block, size_t size, size_t align,
                    const void *former) {
  pending.event = event;
  pending.block = block;
  pending.size = size;
  pending.align = align;
  pending.former = former;
}

static void record_pending(void) {
  if (!preload_settings.records) return;
  if (pending.event == VERDICT_ALLOCATES)
    record_allocation(pending.block, pending.size, pending.align);
  else if (pending.event == VERDICT_RESIZES)
    record_resize_end(pending.block, (uintptr_t)pending.former);
}

// ## The note: id and diagnosis, a line each

static void leave_note(const struct verdict *verdict) {
  char path[sizeof preload_settings.shadow + 32], text[VERDICT_ID_SIZE + VERDICT_TEXT_SIZE + 8];
  snprintf(path, sizeof path, "%s/%ld.violation", preload_settings.shadow,
           (long)syscall(SYS_getpid));
  int size = snprintf(text, sizeof text, "%s\n%s\n", verdict->id, verdict->diagnosis);
  int descriptor = (int)syscall(SYS_openat, AT_FDCWD, path,
                                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return;
  syscall(SYS_write, descriptor, text, (size_t)size);
  syscall(SYS_close, descriptor);
}

static void end_process(const struct verdict *verdict) {
  preload_tell_stack();
  record_pending();
  leave_note(verdict);
  syscall(SYS_exit_group, PRELOAD_VIOLATION);
}

static _Noreturn void announce(const struct verdict *verdict) {
  // The first one is told; whoever comes later waits for its end.
  while (atomic_exchange(&ended, true)) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  property_violated(verdict, name);
}

static void describe_turn(char *text, size_t size) {
  if (!turn.last)
    text[0] = '\0';
  else if (turn.block)
    snprintf(text, size, "%s of %p: ", turn.last, turn.block);
  else if (turn.size)
    snprintf(text, size, "%s of %zu bytes: ", turn.last, turn.size);
  else
    snprintf(text, size, "%s: ", turn.last);
}

void verdict_violated(enum property property, const char *format, ...) {
  struct verdict verdict = {.property = property};
  char where[96], text[VERDICT_TEXT_SIZE - sizeof where];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  describe_turn(where, sizeof where);
  snprintf(verdict.id, sizeof verdict.id, "%s", property_id(property));
  snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "%s%s", where, text);
  announce(&verdict);
}

void verdict_broken(const struct broken_invariant *broken) {
  struct verdict verdict = {.property = PROPERTY_invariant};
  snprintf(verdict.id, sizeof verdict.id, "invariant:%s.I%u", heap_strategy->name, broken->number);
  snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "I%u does not hold, at %p: %s",
           broken->number, broken->where, heap_strategy->invariants[broken->number - 1]);
  announce(&verdict);
}

// ## Crashes

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { SIGNALS = sizeof signals / sizeof *signals };

static void on_crash(int number, siginfo_t *info, void *context) {
  (void)context;
  // The program's own: once more, without this handler.
  if (!turn.call) {
    signal(number, SIG_DFL);
    return;
  }
  verdict_violated(PROPERTY_crash, "%s at %p in the strategy's code",
                   number == SIGFPE   ? "SIGFPE"
                   : number == SIGILL ? "SIGILL"
                   : number == SIGBUS ? "SIGBUS"
                                      : "SIGSEGV",
                   info->si_addr);
}

void verdict_start(const char *strategy_name) {
  name = strategy_name;
  property_on_violation(end_process);
  for (size_t i = 0; i < SIGNALS; i++) {
    struct sigaction former, action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    action.sa_sigaction = on_crash;
    if (sigaction(signals[i], NULL, &former) == 0 && former.sa_handler == SIG_DFL)
      sigaction(signals[i], &action, NULL);
  }
}
