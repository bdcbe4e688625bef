#include "harness/watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "allocators/lock.h"
#include "harness/forbid.h"

static struct watch_place places[WATCH_PLACES];
WATCH_PER_THREAD struct watch_place *watch_here = &places[0];
atomic_bool watch_races;

static watch_handler *handler;

// A hang is so many of the timer's ticks without progress.
enum { HANG_TICKS = 3 };
static int64_t tick =
    WATCH_HANG_SECONDS * INT64_C(1000000000) / HANG_TICKS;  // in nanoseconds, CPU time

void watch_be_impatient(unsigned milliseconds) {
  tick = milliseconds * INT64_C(1000000) / HANG_TICKS;
}

// ASSAY_HANG_MS says otherwise than the default.
static void heed_environment(void) {
  static const int64_t usual = WATCH_HANG_SECONDS * INT64_C(1000000000) / HANG_TICKS;
  const char *told = getenv("ASSAY_HANG_MS");
  unsigned long milliseconds = told ? strtoul(told, NULL, 10) : 0;
  if (tick == usual && milliseconds >= HANG_TICKS && milliseconds <= 1000000)
    watch_be_impatient((unsigned)milliseconds);
}

static atomic_uint reporter;  // its place + 1

// Whether this thread is the one that reports: the first that asks.
static bool is_reporter(void) {
  unsigned none = 0, me = watch_place() + 1;
  watch_races = false;
  return atomic_compare_exchange_strong(&reporter, &none, me) || none == me;
}

void watch_silence_others(void) {
  if (is_reporter()) return;
  for (;;) pause();
}

unsigned watch_place(void) { return (unsigned)(watch_here - places); }

static void caught_access(enum watch_event event, const void *address, size_t size,
                          const char *what, const char *site, enum watch_access access) {
  watch_leave();  // what follows is ours
  if (handler)
    handler(&(struct watch_report){event, address, size, what, site, watch_place(), access});
}

static void caught(enum watch_event event, const void *address, const char *what) {
  caught_access(event, address, 1, what, NULL, WATCH_ACCESS_UNKNOWN);
}

// ## memcpy: the linker's --wrap sends every call of the program here

void *__real_memcpy(void *to, const void *from, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);

void *__wrap_memcpy(void *to, const void *from, size_t size) {
  if (watch_inside()) {
    uintptr_t a = (uintptr_t)to, b = (uintptr_t)from;
    unsigned long copies = atomic_load_explicit(&watch_here->copies, memory_order_relaxed);
    atomic_store_explicit(&watch_here->copies, copies + (a != b), memory_order_relaxed);
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

unsigned long watch_copies(void) {
  unsigned long copies = 0;
  for (unsigned i = 0; i < WATCH_PLACES; i++)
    copies += atomic_load_explicit(&places[i].copies, memory_order_relaxed);
  return copies;
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

void watch_caught(enum watch_event event, const char *what, void *caller) {
  caught_access(event, NULL, 1, what, function_at((char *)caller - 1), WATCH_ACCESS_UNKNOWN);
}

// The address of a signal is not among what ASan tells; it is NULL then.
void __asan_on_error(void);
void __asan_on_error(void) {
  if (!watch_inside()) return;
  // An instruction's access begins at the address. That of memset and the like begins somewhere
  // before, and the address is its first bad byte.
  size_t size = __asan_get_report_access_size();
  if (size == 0 || size > sizeof(long double)) size = 1;
  caught_access(WATCH_BAD_ACCESS, __asan_get_report_address(), size,
                __asan_get_report_description(), function_at(__asan_get_report_pc()),
                !__asan_get_report_address()      ? WATCH_ACCESS_UNKNOWN
                : __asan_get_report_access_type() ? WATCH_WRITE
                                                  : WATCH_READ);
}

void __ubsan_on_report(void);
void __ubsan_on_report(void) {
  if (!watch_inside()) return;
  const char *kind, *message, *file;
  char *address;
  unsigned line, column;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  // An access through NULL is the crash that it would be in any other build.
  bool access = strcmp(kind, "null-pointer-use") == 0;
  caught(access ? WATCH_BAD_ACCESS : WATCH_UNDEFINED, NULL, message);
}
#else
void watch_caught(enum watch_event event, const char *what, void *caller) {
  (void)caller;
  caught(event, NULL, what);
}
#endif

#ifdef BUILT_WITH_TSAN
#include <sanitizer/common_interface_defs.h>

// Of TSan's runtime (tsan_interface.h); no header is installed.
int __tsan_get_report_data(void *report, const char **description, int *count, int *stack_count,
                           int *mop_count, int *loc_count, int *mutex_count, int *thread_count,
                           int *unique_tid_count, void **sleep_trace, unsigned long trace_size);
int __tsan_get_report_mop(void *report, unsigned long index, int *thread, void **address, int *size,
                          int *write, int *atomic, void **trace, unsigned long trace_size);

// Who reports is not to go on: on a heap that threads have damaged it may loop for ever, where TSan
// hands on no signal, or wait for those that it has silenced. TSAN_OPTIONS win.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "halt_on_error=1:abort_on_error=1"; }

// The first function of a stack that is not the runtime's.
static void name_site(void *const *trace, size_t depth, char *name, size_t size) {
  name[0] = 0;
  for (size_t i = 0; i < depth && trace[i] && name[0] == 0; i++) {
    __sanitizer_symbolize_pc(trace[i], "%f", name, size);
    if (name[0] == '<' || strncmp(name, "__", 2) == 0 || strncmp(name, "mem", 3) == 0) name[0] = 0;
  }
}

// Who returns from its report ends the process, another's report with it; who pauses for ever holds
// locks of TSan's that the other may wait for.
static void await_reporter(void) {
  nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  watch_leave();  // that the process ends is not the allocator's doing
}

// After the report is printed. The two stacks in the order of their names: which of them comes
// first is chance.
void __tsan_on_report(void *report);
void __tsan_on_report(void *report) {
  enum { DEPTH = 8, NAME = 48 };
  if (atomic_load(&reporter) > 0 && !is_reporter()) {
    await_reporter();
    return;
  }
  if (!watch_races) return;
  void *traces[2][DEPTH] = {{0}}, *address = NULL;
  char names[2][NAME] = {{0}}, site[2 * NAME + 8];
  int thread, size = 1, write, atomic;
  const char *description;
  int counts[7];
  void *sleep[1];
  __tsan_get_report_data(report, &description, &counts[0], &counts[1], &counts[2], &counts[3],
                         &counts[4], &counts[5], &counts[6], sleep, 1);
  for (unsigned i = 0; i < 2 && (int)i < counts[2]; i++) {
    __tsan_get_report_mop(report, i, &thread, &address, &size, &write, &atomic, traces[i], DEPTH);
    name_site(traces[i], DEPTH, names[i], NAME);
  }
  if (!is_reporter()) {
    await_reporter();
    return;
  }
  unsigned first = strcmp(names[0], names[1]) > 0;
  snprintf(site, sizeof site, "%s and %s", names[first], names[!first]);
  caught_access(WATCH_RACE, address, (size_t)size, description, site, WATCH_ACCESS_UNKNOWN);
}
#endif

#ifdef BUILT_WITH_MSAN
#include <sanitizer/common_interface_defs.h>

// MSan has no hook before its report, only one after.
static void on_death(void) {
  if (watch_inside())
    caught(WATCH_UNDEFINED, NULL, "use of uninitialised memory (see MSan's report)");
}
#endif

// ## Signals

// As the processor tells of a fault on a page: bit 1 of the error code is set for a write.
static enum watch_access access_of(int signal_number, const void *context) {
#if (defined(__x86_64__) || defined(__i386__)) && defined(REG_ERR)
  const ucontext_t *at = context;
  if (signal_number == SIGSEGV)
    return at->uc_mcontext.gregs[REG_ERR] & 2 ? WATCH_WRITE : WATCH_READ;
#endif
  (void)signal_number, (void)context;
  return WATCH_ACCESS_UNKNOWN;
}

static void on_signal(int signal_number, siginfo_t *info, void *context) {
  if (watch_inside()) {
    bool has_address = signal_number == SIGSEGV || signal_number == SIGBUS;
    caught_access(WATCH_CRASH, has_address ? info->si_addr : NULL, 1, strsignal(signal_number),
                  NULL, access_of(signal_number, context));
  }
  signal(signal_number, SIG_DFL);  // the harness's own fault: die of it
  raise(signal_number);
}

// By bare system calls: TSan aborts from within its report, holding locks that its own sigaction
// and raise wait for.
static void die_of(int signal_number) {
  static const unsigned char by_default[64];  // all zero, whatever the kernel's structure
  enum { MASK_SIZE = 8 };
  syscall(SYS_rt_sigaction, signal_number, by_default, NULL, MASK_SIZE);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
}

// abort, by whoever was called. Engines want to be told of our own.
static struct sigaction former_abort;

static void on_abort(int signal_number, siginfo_t *info, void *context) {
  if (watch_inside()) caught(WATCH_ENDS, NULL, "it aborted");
  if (former_abort.sa_flags & SA_SIGINFO)
    former_abort.sa_sigaction(signal_number, info, context);
  else if (former_abort.sa_handler != SIG_DFL && former_abort.sa_handler != SIG_IGN)
    former_abort.sa_handler(signal_number);
  die_of(signal_number);
}

// Whether a thread is inside the call that it was in when `last` was noted.
static bool in_same_call(const struct watch_place *place, unsigned long *last) {
  unsigned long now = atomic_load_explicit(&place->progress, memory_order_relaxed);
  bool same = atomic_load_explicit(&place->inside, memory_order_relaxed) && now == *last;
  *last = now;
  return same;
}

bool watch_stuck(void) {
  static unsigned long last[WATCH_PLACES];
  bool stuck = false;
  for (unsigned i = 0; i < WATCH_PLACES; i++) stuck |= in_same_call(&places[i], &last[i]);
  return stuck;
}

static void on_timer(int signal_number) {
  (void)signal_number;
  static unsigned long last[WATCH_PLACES];
  static unsigned ticks[WATCH_PLACES];
  for (unsigned i = 0; i < WATCH_PLACES; i++) {
    ticks[i] = in_same_call(&places[i], &last[i]) ? ticks[i] + 1 : 0;
    if (ticks[i] < HANG_TICKS) continue;
    watch_leave();
    if (handler) handler(&(struct watch_report){.event = WATCH_HANG, .size = 1, .place = i});
  }
}

static void install(int signal_number, void (*action)(int, siginfo_t *, void *), int flags) {
  struct sigaction sa = {.sa_sigaction = action, .sa_flags = SA_SIGINFO | flags};
  sigemptyset(&sa.sa_mask);
  sigaction(signal_number, &sa, NULL);
}

// By the clock of the whole process, which counts exactly: who waits for a lock and yields is
// hardly ever there when time is sampled.
static void start_timer(void) {
  static pid_t owner;
  if (owner == getpid()) return;
  owner = getpid();
  struct sigaction sa = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigemptyset(&sa.sa_mask);
  sigaction(SIGVTALRM, &sa, NULL);
  timer_t timer = NULL;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
  struct timespec period = {(time_t)(tick / 1000000000), (long)(tick % 1000000000)};
  if (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0)
    timer_settime(timer, 0, &(struct itimerspec){period, period}, NULL);
}

// An allocator that recurses without end has no stack left to handle its signal on.
static void stack_for_signals(unsigned place) {
#ifndef BUILT_WITH_ASAN  // which has them of its own
  static unsigned char stacks[WATCH_PLACES][1 << 16];
  sigaltstack(&(stack_t){.ss_sp = stacks[place], .ss_size = sizeof stacks[place]}, NULL);
#else
  (void)place;
#endif
}

static void install_handlers(void) {
  stack_for_signals(0);
#ifndef BUILT_WITH_ASAN  // whose handlers call __asan_on_error
  static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
    install(crashes[i], on_signal, SA_ONSTACK | SA_NODEFER);
#else
  install(SIGILL, on_signal, SA_NODEFER);
  install(SIGTRAP, on_signal, SA_NODEFER);
#endif
  sigaction(SIGABRT, NULL, &former_abort);
  install(SIGABRT, on_abort, SA_ONSTACK | SA_NODEFER);
#ifdef BUILT_WITH_MSAN
  __sanitizer_set_death_callback(on_death);
#endif
}

void watch_begin_thread(unsigned place) {
  watch_here = &places[place];
  stack_for_signals(place);
}

// Libraries call fork where no linker's --wrap reaches, and would multiply with each program.
static void before_fork(void) {
  if (watch_inside()) watch_caught(WATCH_ENDS, "it called fork()", __builtin_return_address(0));
}

void watch_install(watch_handler *new_handler) {
  static bool installed;
  handler = new_handler;
  if (!installed) pthread_atfork(before_fork, NULL, NULL);
  if (!installed) heed_environment();
  if (!installed) install_handlers();
  if (!installed) ORDER_ATOMIC(places);
  installed = true;
  start_timer();
}
