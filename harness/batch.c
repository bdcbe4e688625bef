#include "harness/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_SECONDS = 60, TICK_MS = 250, EXIT_CLEAN = 0, EXIT_NO_MEMORY = 3 };

// What parent and child share.
struct tally {
  volatile size_t at;        // the program that is being run
  struct run_counts counts;  // of this child, programs before `at` only
};
static struct tally *tally;

// Where the child ends that begins with program `first`.
static size_t end_of_child(const struct batch *batch, size_t first) {
  return batch->strategy->traits & STRATEGY_KEEPS_STATE ? first + 1 : batch->count;
}

static _Noreturn void child(const struct batch *batch, size_t first) {
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(SIGALRM, SIG_DFL);  // a run that sleeps
  signal(SIGINT, SIG_IGN);   // the parent ends this process
  int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  property_on_violation(NULL);
  static struct oracle oracle;
  oracle_init(&oracle, &batch->settings.oracle);
  size_t end = end_of_child(batch, first);
  for (size_t i = first; i < end; i++) {
    struct program program = {0};
    tally->at = i;
    batch->make(batch->context, i, &program);
    alarm(batch->settings.seconds ? batch->settings.seconds : DEFAULT_SECONDS);
    if (!oracle_run(&oracle, batch->strategy, &program)) _exit(EXIT_NO_MEMORY);
    tally->counts = oracle.counts;
    program_clear(&program);
  }
  tally->at = end;
  _exit(EXIT_CLEAN);
}

static bool is_stopped(const struct batch *self) { return self->stop && *self->stop; }

// Until the child is gone: the pipe's other end is the child's.
static int wait_for(const struct batch *self, pid_t pid, int pipe_end) {
  struct pollfd end = {.fd = pipe_end, .events = POLLIN};
  for (int ready; (ready = poll(&end, 1, TICK_MS)) <= 0;) {
    if (is_stopped(self)) kill(pid, SIGKILL);
    if (ready == 0 && self->progress) self->progress(self->context, tally->at);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

static void add_counts(struct run_counts *to, const struct run_counts *from) {
  to->operations += from->operations;
  to->refused += from->refused;
  to->skipped += from->skipped;
  to->acquisitions += from->acquisitions;
  to->injected += from->injected;
  to->nanoseconds += from->nanoseconds;
  for (int i = 0; i < PROPERTY_COUNT; i++) to->exercised[i] += from->exercised[i];
}

// One child, from program `runs` on. False if the batch cannot go on.
static bool run_some(struct batch *self, bool *died) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  size_t end = end_of_child(self, self->runs);
  *tally = (struct tally){.at = self->runs};
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(self, self->runs);
  }
  close(ends[1]);
  int status = pid > 0 ? wait_for(self, pid, ends[0]) : 0;
  close(ends[0]);
  if (pid < 0) return false;
  add_counts(&self->counts, &tally->counts);
  self->runs = tally->at;
  self->stopped = is_stopped(self);
  if (self->stopped) return true;
  // An allocator may call exit(0), too.
  *died = !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_CLEAN || self->runs < end;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_NO_MEMORY) return true;
  errno = ENOMEM;
  return false;
}

// The program that ended a child, by itself.
static bool judge(struct batch *self) {
  struct isolate_settings settings = self->settings;
  settings.quiet = settings.once = true;
  struct program program = {0};
  struct isolated_run run;
  self->make(self->context, self->runs, &program);
  bool ran = isolate_run(&run, &settings, self->strategy, &program);
  bool violated = ran && run.verdict.property != PROPERTY_NONE;
  if (violated) {
    self->violations++;
    if (self->violated) self->violated(self->context, self->runs, &program, &run);
    self->runs++;
  }
  program_clear(&program);
  if (ran && !violated) errno = 0;
  return violated;
}

bool batch_run(struct batch *self) {
  if (!tally) {
    void *shared =
        mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return false;
    tally = shared;
  }
  self->runs = self->violations = 0;
  self->counts = (struct run_counts){0};
  self->stopped = false;
  while (self->runs < self->count && !self->stopped) {
    bool died = false;
    if (!run_some(self, &died)) return false;
    if (died && !judge(self)) return false;
  }
  return true;
}
