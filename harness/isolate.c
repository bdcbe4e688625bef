#include "harness/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/concurrent.h"
#include "harness/cpu_time.h"
#include "harness/forbid.h"
#include "harness/watch.h"

// What depends on how threads meet does not show each time: so often, or so long, it is tried.
enum { ATTEMPTS = 20, ATTEMPT_SECONDS = 1 };

enum { DEFAULT_SECONDS = 60, IMPATIENT_MILLISECONDS = 36 };

// CPU time that a row spends in one child: whoever waits for it also wants to be asked whether to
// stop.
enum { ROW_SECONDS = 1 };

// By when a child whose time is up has ended by its own alarm, or never will.
enum { GRACE_SECONDS = 10 };

enum { EXIT_CLEAN = 0, EXIT_NO_MEMORY = 3, EXIT_NO_TIME = 4, EXIT_VIOLATED = 5 };

// What the child leaves for its parent.
struct legacy {
  size_t clean;  // runs of a row before the last one
  bool violated;
  bool done;          // it came to its own end: an allocator may call exit(0), too
  atomic_uint begun;  // runs
  struct isolated_run run;
};

static struct legacy *legacy;
static violation_handler *also;
static bool leave_at_once;

static void bequeath(const struct verdict *verdict) {
  legacy->run.verdict = *verdict;
  legacy->violated = true;
  if (also) also(verdict);
  if (leave_at_once) _exit(EXIT_VIOLATED);
}

static unsigned alarms;  // since the run began

// The time is up. The allocator hangs if a second later it is in the same operation still: asleep,
// as the watch would have noticed one that uses the processor. Else the run is only long.
static void on_alarm(int signal_number) {
  bool stuck = watch_stuck();
  if (alarms > 0 && !stuck) _exit(EXIT_NO_TIME);
  if (alarms > 0) signal(signal_number, SIG_DFL);
  alarms++;
  alarm(1);
}

static void begin_child(const struct isolate_settings *settings) {
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(SIGALRM, on_alarm);
  if (settings->output) dup2(settings->output, STDOUT_FILENO);
  if (settings->quiet) {
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  }
  also = settings->on_violation;
  leave_at_once = settings->quiet;
  property_on_violation(bequeath);
  if (settings->impatient) watch_be_impatient(IMPATIENT_MILLISECONDS);
}

static unsigned seconds_of(const struct isolate_settings *settings) {
  return settings->seconds ? settings->seconds : DEFAULT_SECONDS;
}

static void begin_run(const struct isolate_settings *settings) {
  alarms = 0;
  atomic_fetch_add_explicit(&legacy->begun, 1, memory_order_relaxed);
  alarm(seconds_of(settings));
}

static struct oracle oracle;  // of the child

static _Noreturn void leave(void) {
  legacy->done = true;
  _exit(EXIT_CLEAN);
}

static bool run_in_child(const struct isolate_settings *settings, const struct strategy *strategy,
                         const struct program *program) {
  begin_run(settings);
  if (!oracle_run(&oracle, strategy, program)) return false;
  legacy->run.counts = oracle.counts;
  struct heap heap = oracle_heap(strategy, program);
  bool chance = concurrent_possible(strategy, &heap) && !settings->once &&
                !(strategy->traits & STRATEGY_KEEPS_STATE);
  uint64_t start = cpu_time();
  for (int i = 1; chance && i < ATTEMPTS && cpu_time() - start < ATTEMPT_SECONDS * 1000000000ull;
       i++)
    oracle_run(&oracle, strategy, program);
  return true;
}

// One program under the oracle.
struct task {
  const struct isolate_settings *settings;
  const struct strategy *strategy;
  const struct program *program;
};

static bool run_task(void *context, struct run_counts *counts) {
  const struct task *task = context;
  (void)counts;  // run_in_child leaves those of the first run
  oracle_init(&oracle, &task->settings->oracle);
  return run_in_child(task->settings, task->strategy, task->program);
}

static _Noreturn void child(const struct isolate_settings *settings, isolated_body *body,
                            void *context) {
  begin_child(settings);
  begin_run(settings);
  if (!body(context, &legacy->run.counts)) _exit(EXIT_NO_MEMORY);
  concurrent_free();
  fflush(stdout);
  leave();
}

// The verdict on a child that left none.
static struct verdict death(int status, bool killed) {
  bool hang = killed || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
  enum property property = hang ? PROPERTY_hang : PROPERTY_crash;
  struct verdict verdict = {.property = property, .site = "process"};
  snprintf(verdict.id, sizeof verdict.id, "%s", property_id(property));
  if (hang)
    snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "the run did not end in time");
  else if (WIFSIGNALED(status))
    snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "the process died: %s",
             strsignal(WTERMSIG(status)));
  else
    snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "the process left with exit code %d",
             WEXITSTATUS(status));
  return verdict;
}

// Makes the child, which has no legacy yet. As fork; -1 with errno.
static pid_t begin(void) {
  if (!legacy) {
    void *shared =
        mmap(NULL, sizeof *legacy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return -1;
    legacy = shared;
  }
  *legacy = (struct legacy){0};
  fflush(NULL);
  return fork();
}

// Waits until something happens to the child. Returns the milliseconds that passed without.
static int watch_child(int child) {
  struct pollfd end = {.fd = child, .events = POLLIN};
  // Where the system has no such descriptor, poll only sleeps.
  int slice = child < 0 ? 1 : 1000;
  return poll(&end, 1, slice) == 0 ? slice : 0;
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434  // on every machine
#endif

// Waits for the child's end. One that blocks signals, or sleeps where they wait (TSan hands them on
// only between loops), never sees its alarm: it is killed. Time counts while this process runs:
// both may have been stopped. Negative: waiting failed; else whether it was killed.
static int await_end(pid_t pid, unsigned seconds, int *status) {
  // Valgrind does not know the call, and says so.
  int child = MEMORY_ON_VALGRIND ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
  unsigned begun = 0;
  uint64_t passed = 0, patience = (uint64_t)(seconds + GRACE_SECONDS) * 1000;
  bool killed = false;
  pid_t ended;
  while ((ended = waitpid(pid, status, killed ? 0 : WNOHANG)) <= 0) {
    if (ended < 0 && errno != EINTR) break;
    unsigned now = atomic_load_explicit(&legacy->begun, memory_order_relaxed);
    if (now != begun) passed = 0;
    begun = now;
    if (!killed) passed += (uint64_t)watch_child(child);
    if (passed < patience) continue;
    kill(pid, SIGKILL);
    killed = true;
  }
  if (child >= 0) close(child);
  return ended < 0 ? -1 : killed;
}

// Waits for the child, and for what it learnt in its last run.
static bool finish(pid_t pid, const struct isolate_settings *settings, struct isolated_run *run) {
  int status = 0;
  int killed = await_end(pid, seconds_of(settings), &status);
  if (killed < 0) return false;
  *run = legacy->run;
  if (legacy->violated) return true;
  if (legacy->done && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CLEAN) {
    snprintf(run->verdict.id, sizeof run->verdict.id, "%s", property_id(PROPERTY_NONE));
    return true;
  }
  run->verdict = death(status, killed);
  if (!WIFEXITED(status)) return true;
  if (WEXITSTATUS(status) == EXIT_NO_MEMORY) errno = ENOMEM;
  if (WEXITSTATUS(status) == EXIT_NO_TIME) errno = ETIMEDOUT;
  return WEXITSTATUS(status) != EXIT_NO_MEMORY && WEXITSTATUS(status) != EXIT_NO_TIME;
}

bool isolate_call(struct isolated_run *run, const struct isolate_settings *settings,
                  isolated_body *body, void *context) {
  pid_t pid = begin();
  if (pid < 0) return false;
  if (pid == 0) child(settings, body, context);
  return finish(pid, settings, run);
}

bool isolate_run(struct isolated_run *run, const struct isolate_settings *settings,
                 const struct strategy *strategy, const struct program *program) {
  return isolate_call(run, settings, run_task, &(struct task){settings, strategy, program});
}

// ## Rows

static bool clean(struct isolated_run *run) {
  *run = (struct isolated_run){0};
  snprintf(run->verdict.id, sizeof run->verdict.id, "%s", property_id(PROPERTY_NONE));
  return true;
}

// Returns in the child only if the run was clean.
static bool run_inside(struct isolated_row *self, const struct program *program,
                       struct isolated_run *run) {
  bool alone = self->alone || self->strategy->traits & STRATEGY_KEEPS_STATE;
  if (legacy->clean > 0 && (alone || cpu_time() > ROW_SECONDS * 1000000000ull)) leave();
  if (!run_in_child(&self->settings, self->strategy, program)) _exit(EXIT_NO_MEMORY);
  legacy->clean++;
  return clean(run);
}

bool row_run(struct isolated_row *self, const struct program *program, struct isolated_run *run) {
  if (self->inside) return run_inside(self, program, run);
  if (self->clean == 0 && !self->pending) {
    pid_t pid = begin();
    if (pid < 0) return false;
    if (pid == 0) {
      begin_child(&self->settings);
      oracle_init(&oracle, &self->settings.oracle);
      self->inside = true;
      return run_inside(self, program, run);
    }
    errno = 0;
    bool ran = finish(pid, &self->settings, &self->last);
    self->error = ran ? 0 : errno;
    self->clean = legacy->clean;
    // A child that left in peace ran nothing after what it counted.
    self->pending = !ran || self->last.verdict.property != PROPERTY_NONE;
    if (self->clean == 0 && !self->pending) return false;
  }
  if (self->clean > 0) {
    self->clean--;
    return clean(run);
  }
  self->pending = false;
  *run = self->last;
  errno = self->error;
  return self->error == 0;
}

void row_end(struct isolated_row *self) {
  if (self->inside) leave();
  self->clean = 0;
  self->pending = false;
}
