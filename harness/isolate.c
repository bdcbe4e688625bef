#include "harness/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/concurrent.h"
#include "harness/cpu_time.h"
#include "harness/watch.h"

// What depends on how threads meet does not show each time: so often, or so long, it is tried.
enum { ATTEMPTS = 20, ATTEMPT_SECONDS = 1 };

enum { DEFAULT_SECONDS = 60, EXIT_CLEAN = 0, EXIT_NO_MEMORY = 3, EXIT_NO_TIME = 4 };

// What the child leaves for its parent.
struct legacy {
  bool violated;
  struct isolated_run run;
};

static struct legacy *legacy;
static violation_handler *also;

static void bequeath(const struct verdict *verdict) {
  legacy->run.verdict = *verdict;
  legacy->violated = true;
  if (also) also(verdict);
}

// The time is up. The allocator hangs if a second later it is in the same operation still: asleep,
// as the watch would have noticed one that uses the processor. Else the run is only long.
static void on_alarm(int signal_number) {
  static bool asked;
  bool stuck = watch_stuck();
  if (asked && !stuck) _exit(EXIT_NO_TIME);
  if (asked) signal(signal_number, SIG_DFL);
  asked = true;
  alarm(1);
}

// One program under the oracle.
struct task {
  const struct isolate_settings *settings;
  const struct strategy *strategy;
  const struct program *program;
};

static bool run_task(void *context, struct run_counts *counts) {
  const struct task *task = context;
  static struct oracle oracle;
  oracle_init(&oracle, &task->settings->oracle);
  if (!oracle_run(&oracle, task->strategy, task->program)) return false;
  *counts = oracle.counts;
  struct heap heap = oracle_heap(task->strategy, task->program);
  bool chance = concurrent_possible(task->strategy, &heap) && !task->settings->once;
  for (int i = 1; chance && i < ATTEMPTS && cpu_time() < ATTEMPT_SECONDS * 1000000000ull; i++)
    oracle_run(&oracle, task->strategy, task->program);
  return true;
}

static _Noreturn void child(const struct isolate_settings *settings, isolated_body *body,
                            void *context) {
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(SIGALRM, on_alarm);
  alarm(settings->seconds ? settings->seconds : DEFAULT_SECONDS);
  if (settings->output) dup2(settings->output, STDOUT_FILENO);
  if (settings->quiet) {
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  }
  also = settings->on_violation;
  property_on_violation(bequeath);
  if (!body(context, &legacy->run.counts)) _exit(EXIT_NO_MEMORY);
  concurrent_free();
  fflush(stdout);
  _exit(EXIT_CLEAN);
}

// The verdict on a child that left none.
static struct verdict death(int status) {
  bool hang = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
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

bool isolate_call(struct isolated_run *run, const struct isolate_settings *settings,
                  isolated_body *body, void *context) {
  if (!legacy) {
    void *shared =
        mmap(NULL, sizeof *legacy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return false;
    legacy = shared;
  }
  *legacy = (struct legacy){0};
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) return false;
  if (pid == 0) child(settings, body, context);
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return false;
  if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_MEMORY) {
    errno = ENOMEM;
    return false;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_TIME && !legacy->violated) {
    errno = ETIMEDOUT;
    return false;
  }
  *run = legacy->run;
  if (!legacy->violated) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CLEAN)
      snprintf(run->verdict.id, sizeof run->verdict.id, "%s", property_id(PROPERTY_NONE));
    else
      run->verdict = death(status);
  }
  return true;
}

bool isolate_run(struct isolated_run *run, const struct isolate_settings *settings,
                 const struct strategy *strategy, const struct program *program) {
  return isolate_call(run, settings, run_task, &(struct task){settings, strategy, program});
}
