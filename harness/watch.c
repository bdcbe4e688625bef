#include "harness/watch.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "harness/forbid.h"

volatile bool watch_inside;
volatile unsigned long watch_progress;

static watch_handler *handler;

static void caught_access(enum watch_event event, const void *address, size_t size,
                          const char *what, const char *site) {
  watch_inside = false;  // what follows is ours
  if (handler) handler(&(struct watch_report){event, address, size, what, site});
}

static void caught(enum watch_event event, const void *address, const char *what) {
  caught_access(event, address, 1, what, NULL);
}

// ## memcpy: the linker's --wrap sends every call of the program here

void *__real_memcpy(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);

void *__wrap_memcpy(void *to, const void *from, size_t size) {
  if (watch_inside) {
    uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    // Equal addresses are a copy onto itself, which compilers emit for assignments of structures.
    if (a != b && (a < b ? b - a : a - b) < size) {
      char what[96];
      snprintf(what, sizeof what, "memcpy of %zu bytes onto itself, %zu bytes %s", size,
               (size_t)(a < b ? b - a : a - b), a < b ? "lower" : "higher");
      caught(WATCH_OVERLAPPING, to, what);
    }
  }
  return __real_memcpy(to, from, size);
}

// ## Sanitizers

#ifdef BUILT_WITH_ASAN
#include <sanitizer/asan_interface.h>

// Of UBSan's runtime, for processes that watch it (ubsan_monitor.h); no header is installed.
void __ubsan_get_current_report_data(const char **kind, const char **message, const char **file,
                                     unsigned *line, unsigned *column, char **address);

// The function of the allocator; NULL where an interceptor of the runtime made the report.
static const char *function_at(void *pc) {
  static char name[96];
  name[0] = 0;
  __sanitizer_symbolize_pc(pc, "%f", name, sizeof name);
  return name[0] && name[0] != '<' && strncmp(name, "__", 2) != 0 ? name : NULL;
}

// The address of a signal is not among what ASan tells; it is NULL then.
void __asan_on_error(void);
void __asan_on_error(void) {
  if (!watch_inside) return;
  // An instruction's access begins at the address. That of memset and the like begins somewhere
  // before, and the address is its first bad byte.
  size_t size = __asan_get_report_access_size();
  if (size == 0 || size > sizeof(long double)) size = 1;
  caught_access(WATCH_BAD_ACCESS, __asan_get_report_address(), size,
                __asan_get_report_description(), function_at(__asan_get_report_pc()));
}

void __ubsan_on_report(void);
void __ubsan_on_report(void) {
  if (!watch_inside) return;
  const char *kind, *message, *file;
  char *address;
  unsigned line, column;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  // An access through NULL is the crash that it would be in any other build.
  bool access = strcmp(kind, "null-pointer-use") == 0;
  caught(access ? WATCH_BAD_ACCESS : WATCH_UNDEFINED, NULL, message);
}
#endif

#ifdef BUILT_WITH_MSAN
#include <sanitizer/common_interface_defs.h>

// MSan has no hook before its report, only one after.
static void on_death(void) {
  if (watch_inside)
    caught(WATCH_UNDEFINED, NULL, "use of uninitialised memory (see MSan's report)");
}
#endif

// ## Signals

static void on_signal(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  if (watch_inside) {
    bool has_address = signal_number == SIGSEGV || signal_number == SIGBUS;
    caught(WATCH_CRASH, has_address ? info->si_addr : NULL, strsignal(signal_number));
  }
  signal(signal_number, SIG_DFL);  // the harness's own fault: die of it
  raise(signal_number);
}

static void on_timer(int signal_number) {
  (void)signal_number;
  static unsigned long last;
  static unsigned ticks;
  if (!watch_inside || watch_progress != last) {
    last = watch_progress;
    ticks = 0;
  } else if (++ticks >= WATCH_HANG_SECONDS) {
    caught(WATCH_HANG, NULL, NULL);
  }
}

static void install(int signal_number, void (*action)(int, siginfo_t *, void *), int flags) {
  struct sigaction sa = {.sa_sigaction = action, .sa_flags = SA_SIGINFO | flags};
  sigemptyset(&sa.sa_mask);
  sigaction(signal_number, &sa, NULL);
}

static void start_timer(void) {
  struct sigaction sa = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigemptyset(&sa.sa_mask);
  sigaction(SIGVTALRM, &sa, NULL);
  struct itimerval tick = {{1, 0}, {1, 0}};
  setitimer(ITIMER_VIRTUAL, &tick, NULL);
}

static void install_handlers(void) {
  // An allocator that recurses without end has no stack left to handle its signal on.
  static unsigned char stack[1 << 16];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
#ifndef BUILT_WITH_ASAN  // ASan has one of its own, and its handlers call __asan_on_error
  sigaltstack(&alternate, NULL);
  static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
    install(crashes[i], on_signal, SA_ONSTACK | SA_NODEFER);
#else
  (void)alternate;
  install(SIGILL, on_signal, SA_NODEFER);
  install(SIGTRAP, on_signal, SA_NODEFER);
#endif
#ifdef BUILT_WITH_MSAN
  __sanitizer_set_death_callback(on_death);
#endif
}

void watch_install(watch_handler *new_handler) {
  static bool installed;
  handler = new_handler;
  if (!installed) install_handlers();
  installed = true;
  start_timer();
}
