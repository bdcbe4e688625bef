#include "harness/score.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/arena.h"
#include "harness/cpu_time.h"
#include "harness/oracle.h"
#include "harness/watch.h"

// Who is scored, or the C library.
struct subject {
  const struct strategy *strategy;
  struct allocator *allocator;
  struct source_limit limit;
};

struct trial {
  const struct program *program;
  struct heap heap;
  struct arena arena;
  void **slots;
  size_t *sizes;
  struct score *score;
};

// ## The C library, as a strategy: called like the others

static void *libc_allocate(struct allocator *self, size_t size, size_t align) {
  (void)self;
  return align <= _Alignof(max_align_t) ? malloc(size) : memalign(align, size);
}

static void *libc_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  void *block = libc_allocate(self, count * size, align);
  return block ? memset(block, 0, count * size) : NULL;
}

static enum release_result libc_release(struct allocator *self, void *block) {
  (void)self;
  free(block);
  return RELEASED;
}

static void *libc_resize(struct allocator *self, void *block, size_t size, size_t align) {
  (void)self, (void)align;
  return realloc(block, size);
}

static const struct strategy libc = {.name = "libc",
                                     .allocate = libc_allocate,
                                     .allocate_zeroed = libc_zeroed,
                                     .release = libc_release,
                                     .resize = libc_resize};

// Where its heap would end if it had nothing free.
static uintptr_t libc_heap_end(void) { return (uintptr_t)sbrk(0) - mallinfo2().fordblks; }

// One heap that only grows, like those of courses.
static void libc_prepare(void) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 0);
}

// ## One run

enum { ENDED = 42 };  // no code that an allocator would exit with by chance

static void explain_death(struct score *score, int status) {
  if (WIFSIGNALED(status) &&
      (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGALRM))
    snprintf(score->reason, sizeof score->reason, "not done in time");
  else if (WIFSIGNALED(status))
    snprintf(score->reason, sizeof score->reason, "signal %d: %s", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
  else
    snprintf(score->reason, sizeof score->reason, "it ended the process");
}

static bool fail(struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(struct trial *trial, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(trial->score->reason, sizeof trial->score->reason, format, arguments);
  va_end(arguments);
  return false;
}

static void *move(const struct subject *subject, void *block, size_t old, size_t size,
                  size_t align) {
  void *moved = subject->strategy->allocate(subject->allocator, size, align);
  if (!moved) return NULL;
  memcpy(moved, block, old < size ? old : size);
  subject->strategy->release(subject->allocator, block);
  return moved;
}

static void *zeroed(const struct subject *subject, size_t count, size_t size, size_t align) {
  const struct strategy *strategy = subject->strategy;
  if (strategy->allocate_zeroed)
    return strategy->allocate_zeroed(subject->allocator, count, size, align);
  void *block = strategy->allocate(subject->allocator, count * size, align);
  return block ? memset(block, 0, count * size) : NULL;
}

// Whether the operation is one that any heap knows, and it makes sense.
static bool counts(const struct trial *trial, const struct operation *op, uint32_t slot) {
  if (op->kind == OP_RELEASE) return trial->slots[slot] != NULL;
  return (op->kind == OP_ALLOCATE || op->kind == OP_ALLOCATE_ZEROED || op->kind == OP_RESIZE) &&
         op->size > 0 && op->align > 0 && (op->align & (op->align - 1)) == 0;
}

// `peaks`: notes them, and does not care for time. The block that a slot named before is released.
static bool run_all(struct trial *trial, struct subject *subject, bool peaks) {
  const struct strategy *strategy = subject->strategy;
  struct score *score = trial->score;
  size_t live = 0;
  for (size_t i = 0; i < program_length(trial->program); i++) {
    struct operation op = record_operation(program_at(trial->program, i));
    uint32_t slot = op.slot & (trial->heap.slots - 1);
    if (!counts(trial, &op, slot)) continue;
    void *former = trial->slots[slot], *block = NULL;
    size_t size = (size_t)op.size * op.count, old = trial->sizes[slot];
    bool resizes = op.kind == OP_RESIZE && former;
    if (former && !resizes) strategy->release(subject->allocator, former);
    if (former) live -= old;
    if (op.kind == OP_ALLOCATE_ZEROED)
      block = zeroed(subject, op.count, (size_t)op.size, (size_t)op.align);
    else if (resizes && strategy->resize)
      block = strategy->resize(subject->allocator, former, size, (size_t)op.align);
    else if (resizes)
      block = move(subject, former, old, size, (size_t)op.align);
    else if (op.kind != OP_RELEASE)
      block = strategy->allocate(subject->allocator, size, (size_t)op.align);
    if (op.kind != OP_RELEASE && !block)
      return fail(trial, "operation %zu, of %zu bytes, was refused", i, size);
    trial->slots[slot] = block;
    trial->sizes[slot] = op.kind == OP_RELEASE ? 0 : size;
    live += trial->sizes[slot];
    if (!peaks) continue;
    score->operations++;
    if (live > score->peak_live) score->peak_live = live;
    if (subject->limit.granted > score->peak_heap) score->peak_heap = subject->limit.granted;
  }
  return true;
}

static void release_all(struct trial *trial, const struct subject *subject) {
  for (uint32_t slot = 0; slot < trial->heap.slots; slot++) {
    if (trial->slots[slot]) subject->strategy->release(subject->allocator, trial->slots[slot]);
    trial->slots[slot] = NULL;
    trial->sizes[slot] = 0;
  }
}

// Returns CPU seconds; negative: it failed.
static double run_strategy(struct trial *trial, const struct strategy *strategy, bool peaks) {
  struct subject subject = {.strategy = strategy};
  source_limit_init(&subject.limit, arena_open(&trial->arena, &trial->heap, 0, ARENA_DIRT),
                    (size_t)trial->heap.capacity);
  subject.allocator = strategy->create(&subject.limit.base, &(struct strategy_options){0});
  if (!subject.allocator) {
    fail(trial, "it did not start on a heap of %zu bytes", (size_t)trial->heap.capacity);
    return -1;
  }
  uint64_t start = cpu_time();
  watch_forbids_fork = true;
  bool done = run_all(trial, &subject, peaks);
  watch_forbids_fork = false;
  double seconds = (double)(cpu_time() - start) / 1e9;
  strategy->destroy(subject.allocator);
  arena_close(&trial->arena);
  memset(trial->slots, 0, trial->heap.slots * sizeof *trial->slots);
  memset(trial->sizes, 0, trial->heap.slots * sizeof *trial->sizes);
  return done ? seconds : -1;
}

// Who sleeps uses no CPU time. Not inherited by a child's child.
static void limit_wall_time(void) {
  enum { WALL_PER_CPU = 10 };  // of a machine that has other things to do
  struct rlimit limit = {0, 0};
  getrlimit(RLIMIT_CPU, &limit);
  signal(SIGALRM, SIG_DFL);
  alarm((unsigned)limit.rlim_cur * WALL_PER_CPU);
}

// The same for one whose state is not that of a fresh process afterwards.
static double run_apart(struct trial *trial, const struct strategy *strategy, bool peaks) {
  struct score *score = trial->score;  // which both share
  score->seconds = -1;
  pid_t child = fork();
  if (child == 0) {
    limit_wall_time();
    score->seconds = run_strategy(trial, strategy, peaks);
    _exit(ENDED);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    fail(trial, "no process: %s", strerror(errno));
  else if (!WIFEXITED(status) || WEXITSTATUS(status) != ENDED)
    explain_death(score, status);
  return score->reason[0] ? -1 : score->seconds;
}

static double run_once(struct trial *trial, const struct strategy *strategy, bool peaks) {
  return strategy->traits & STRATEGY_KEEPS_STATE ? run_apart(trial, strategy, peaks)
                                                 : run_strategy(trial, strategy, peaks);
}

static double run_libc(struct trial *trial) {
  struct subject subject = {.strategy = &libc};
  uint64_t start = cpu_time();
  if (!run_all(trial, &subject, false)) return -1;
  double seconds = (double)(cpu_time() - start) / 1e9;
  release_all(trial, &subject);
  return seconds;
}

// ## Rounds

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, unsigned count) {
  qsort(values, count, sizeof *values, compare);
  return values[count / 2];
}

static void measure(struct trial *trial, const struct strategy *strategy, unsigned seconds) {
  struct score *score = trial->score;
  double mine[SCORE_ROUNDS_MAX], theirs[SCORE_ROUNDS_MAX];
  libc_prepare();
  uintptr_t before = libc_heap_end(), end_before = (uintptr_t)sbrk(0);
  if (run_libc(trial) < 0) {
    fail(trial, "the C library's malloc refused a request");
    return;
  }
  uintptr_t after = (uintptr_t)sbrk(0);
  // Both are warm then.
  if (run_once(trial, strategy, true) < 0) return;
  // If what was free already has sufficed, nobody knows how much of it was needed.
  if (after > end_before && after - before >= score->peak_live) score->libc_heap = after - before;
  uint64_t end = cpu_time() + (uint64_t)seconds * 1000000000u;
  while (score->rounds < SCORE_ROUNDS_MAX && (score->rounds == 0 || cpu_time() < end)) {
    mine[score->rounds] = run_once(trial, strategy, false);
    theirs[score->rounds] = run_libc(trial);
    if (mine[score->rounds] < 0 || theirs[score->rounds] < 0) return;
    score->rounds++;
  }
  score->seconds = median(mine, score->rounds);
  score->libc_seconds = median(theirs, score->rounds);
}

static void run_child(struct score *score, const struct strategy *strategy,
                      const struct program *program, size_t heap, unsigned seconds) {
  struct trial trial = {.program = program, .score = score};
  trial.heap = oracle_heap(strategy, program);
  if (heap > 0) trial.heap.capacity = heap;
  if (trial.heap.capacity < strategy->least_heap) trial.heap.capacity = strategy->least_heap;
  trial.slots = calloc(trial.heap.slots, sizeof *trial.slots);
  trial.sizes = calloc(trial.heap.slots, sizeof *trial.sizes);
  if (!trial.slots || !trial.sizes || !arena_init(&trial.arena, trial.heap.capacity)) {
    fail(&trial, "memory is out: %s", strerror(errno));
  } else {
    if (strategy->traits & STRATEGY_RELEASES)
      measure(&trial, strategy, seconds);
    else
      fail(&trial, "it does not release blocks");
    arena_free(&trial.arena);
  }
  free(trial.slots);
  free(trial.sizes);
}

// What the allocator prints is nobody's business here.
static void be_quiet(void) {
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
}

void score_run(struct score *score, const struct strategy *strategy, const struct program *program,
               size_t heap, unsigned seconds, unsigned limit) {
  *score = (struct score){0};
  struct score *shared =
      mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  fflush(NULL);
  pid_t child = shared == MAP_FAILED ? -1 : fork();
  if (child == 0) {
    setrlimit(RLIMIT_CPU, &(struct rlimit){limit, limit + 1});
    limit_wall_time();
    be_quiet();
    run_child(shared, strategy, program, heap, seconds);
    _exit(ENDED);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    snprintf(score->reason, sizeof score->reason, "no process: %s", strerror(errno));
  } else {
    *score = *shared;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != ENDED) explain_death(score, status);
  }
  if (shared != MAP_FAILED) munmap(shared, sizeof *shared);
}
