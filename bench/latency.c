#include "bench/latency.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/ticks.h"

// What the runs share.
struct shared {
  uint64_t refused;
  bool opened;
  char reason[128];
  uint32_t least[];  // ticks of each step
};

static void run_child(struct shared *shared, struct run *run, unsigned variant, uint32_t *spent) {
  const struct plan *plan = run->plan;
  if (!run_open(run, variant, shared->reason, sizeof shared->reason)) return;
  shared->opened = true;
  // A strategy's create is not timed either.
  if (run->api == RUN_LIBC) free(malloc(1));
  run_until(run, plan->start);
  run_clocked(run, spent);
  for (size_t i = plan->start; i < plan->steps; i++)
    if (spent[i] < shared->least[i]) shared->least[i] = spent[i];
  shared->refused = run->refused;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void reckon(struct latency *result, uint32_t *least, const struct plan *plan) {
  static const double shares[LATENCY_QUANTILE_COUNT] = LATENCY_QUANTILES;
  double scale = ticks_nanoseconds();
  uint64_t nothing = ticks_of_nothing();
  result->clock = (double)nothing * scale;
  result->step = (double)ticks_step() * scale;
  result->operations = plan->steps - plan->start;
  result->worst_step = plan->start;
  for (size_t i = plan->start; i < plan->steps; i++)
    if (least[i] > least[result->worst_step]) result->worst_step = i;
  uint32_t *times = least + plan->start;
  qsort(times, result->operations, sizeof *times, compare);
  for (size_t i = 0; i < LATENCY_QUANTILE_COUNT; i++) {
    uint64_t time = times[(size_t)(shares[i] * (double)(result->operations - 1))];
    result->quantiles[i] = time > nothing ? (double)(time - nothing) * scale : 0;
  }
}

bool latency_measure(struct latency *result, struct run *run, unsigned variant, char *reason,
                     size_t reason_size) {
  const struct plan *plan = run->plan;
  size_t size = plan->steps * sizeof(uint32_t);
  struct shared *shared = mmap(NULL, sizeof *shared + size, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (shared == MAP_FAILED) {
    perror("measure: memory for times");
    exit(2);
  }
  memset(shared->least, 0xFF, size);
  uint32_t *spent = run_memory(size);
  for (int i = 0; i < LATENCY_RUNS; i++) {
    pid_t child = fork();
    if (child == 0) {
      memset(spent, 0, size);  // present in this process: no step pays for that
      run_child(shared, run, variant, spent);
      _exit(0);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) {
      perror("measure: a process to run in");
      exit(2);
    }
    // What ended it, a limit of CPU time mostly, ends this one too.
    if (WIFSIGNALED(status)) raise(WTERMSIG(status));
    if (status != 0) exit(2);
    if (!shared->opened) {
      snprintf(reason, reason_size, "%s", shared->reason);
      return false;
    }
  }
  *result = (struct latency){.refused = shared->refused};
  reckon(result, shared->least, plan);
  return true;
}
