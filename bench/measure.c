// measure: one workload on one allocator, once, in a process of its own. What ci/bench runs, round
// after round.
#include <dlfcn.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "allocators/registry.h"
#include "bench/footprint.h"
#include "bench/latency.h"
#include "bench/plan.h"
#include "bench/run.h"
#include "bench/sample.h"
#include "bench/worst.h"

enum { MEASURED = 0, UNSUPPORTED = 1, CANNOT_RUN = 2, LOOKS = 200, SLICES = 10 };

static const char help[] =
    "usage: measure --on NAME (--speed | --memory | --latency | --describe) WORKLOAD\n"
    "       measure --on NAME --worst FREE_BLOCKS\n\n"
    "Runs a workload once, and prints what was measured as one JSON object.\n\n"
    "  --on NAME      a strategy, or STRATEGY:VARIANT; `libc`: malloc as it is, or as LD_PRELOAD\n"
    "                 has it; `raw`: fresh pages of the system, for workloads that release "
    "nothing\n"
    "  --speed        CPU time of the operations, and of the loop around them\n"
    "  --memory       footprint over time: anonymous memory of the process, less what it had "
    "before\n"
    "  --latency      what single operations take: of each the least of several runs from the "
    "same\n"
    "                 state, and how long the slowest of them are\n"
    "  --describe     how many operations the workload has, and what lives at most; needs no --on\n"
    "  --worst N      single operations on a heap with N free blocks\n"
    "  --budget MS    CPU time after which workloads end that could go on for ever (100)\n"
    "  --limit S      CPU time after which SIGXCPU ends the process (none)\n\n"
    "WORKLOAD is lifo64, churn, fixed, bursts, region, pow2, pages or a file that `assay replay`\n"
    "reads.\n"
    "Exit codes: 0 measured, 1 the strategy cannot run it (the object says why), 2 could not "
    "run.\n";

struct request {
  const char *on;
  char mode;  // of the option
  uint64_t budget;
  size_t free_blocks;
  enum run_api api;
  const struct strategy *strategy;
  unsigned variant;
};

static int complain(const char *format, const char *what) {
  fprintf(stderr, "measure: ");
  fprintf(stderr, format, what);
  fprintf(stderr, "; see measure --help\n");
  return CANNOT_RUN;
}

static int unsupported(const char *reason) {
  printf("{\"unsupported\": \"%s\"}\n", reason);
  return UNSUPPORTED;
}

// Which library malloc is from: a library that cannot be preloaded is left out with a mere warning.
static const char *library_of_malloc(void) {
  Dl_info info;
  void *address = dlsym(RTLD_DEFAULT, "malloc");
  return address && dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

// The step at which memory is looked at next.
static size_t next_look(const struct plan *plan, size_t step) {
  // Odd, so that it does not fall in step with what a workload repeats.
  size_t stride = ((plan->steps + LOOKS - 1) / LOOKS) | 1, peak = plan->peak_step + 1;
  size_t next = step - step % stride + stride;
  if (step < peak && peak < next) next = peak;
  return next < plan->steps ? next : plan->steps;
}

// Live bytes once the steps up to `end` are done.
static size_t live_until(const struct plan *plan, uint64_t *sizes, size_t from, size_t end,
                         size_t live) {
  for (const struct step *step = plan->step + from; step < plan->step + end; step++) {
    if (step->kind == STEP_RESET) {
      memset(sizes, 0, plan->slots * sizeof *sizes);
      live = 0;
      continue;
    }
    live -= sizes[step->slot];
    sizes[step->slot] = step->kind == STEP_RELEASE  ? 0
                        : step->kind == STEP_ZEROED ? step->count * step->size
                                                    : step->size;
    live += sizes[step->slot];
  }
  return live;
}

static int describe(const struct plan *plan) {
  uint64_t *sizes = run_memory(plan->slots * sizeof *sizes);
  printf("{\"operations\": %zu, \"peak_live_bytes\": %zu, \"peak_live_blocks\": %zu, "
         "\"largest\": %zu, \"handed_out\": %zu, \"page_size\": %zu, \"live\": [",
         plan->steps - plan->start, plan->peak_bytes, plan->peak_blocks, plan->largest,
         plan->handed_out, plan->page_size);
  for (size_t step = 0, live = 0; step < plan->steps;) {
    size_t next = next_look(plan, step);
    live = live_until(plan, sizes, step, next, live);
    printf("%s[%zu, %zu]", step ? ", " : "", next, live);
    step = next;
  }
  printf("]}\n");
  return MEASURED;
}

// CPU time of a step. What can go on for ever is timed in slices, and the median of these taken: a
// neighbour that fills the caches for a moment slows down few of them.
static double time_of_step(struct run *run, uint64_t budget, uint64_t *steps) {
  struct sample slices = {.count = 0};
  *steps = 0;
  for (int i = 0; i < (run->plan->cyclic ? SLICES : 1); i++) {
    uint64_t nanoseconds, done = run_timed(run, budget / SLICES, &nanoseconds);
    sample_add(&slices, (double)nanoseconds / (double)done);
    *steps += done;
  }
  return sample_spread(&slices).median;
}

static int measure_speed(const struct request *request, const struct plan *plan) {
  static struct run loop, run;
  char reason[128];
  uint64_t steps;
  if (!run_prepare(&run, plan, request->api, request->strategy, reason, sizeof reason) ||
      !run_open(&run, request->variant, reason, sizeof reason))
    return unsupported(reason);
  run_prepare(&loop, plan, RUN_LOOP, NULL, reason, sizeof reason);
  run_until(&loop, plan->start);
  double loop_time = time_of_step(&loop, request->budget / 4, &steps);
  run_until(&run, plan->start);
  if (plan->cyclic) time_of_step(&run, request->budget / 4, &steps);
  double time = time_of_step(&run, request->budget, &steps);
  printf("{\"operations\": %" PRIu64 ", \"ns\": %.4f, \"loop_ns\": %.4f, \"refused\": %" PRIu64
         ", \"malloc\": \"%s\"}\n",
         steps, time, loop_time, run.refused, library_of_malloc());
  return MEASURED;
}

// ## Memory

struct look {
  size_t step, footprint;
};

static size_t net_footprint(size_t before) {
  size_t now;
  if (!footprint_now(&now)) exit(complain("%s", "no /proc/self/smaps_rollup to read"));
  return now > before ? now - before : 0;
}

static int measure_memory(const struct request *request, const struct plan *plan) {
  static struct look looks[LOOKS + 2];
  static struct run run;
  char reason[128];
  size_t count = 0, usable = 0, at_peak = 0, highest = 0, before = 0, peak = plan->peak_step + 1;
  // What the program itself uses is present before the first look.
  memset(looks, 0xFF, sizeof looks);
  if (!run_prepare(&run, plan, request->api, request->strategy, reason, sizeof reason))
    return unsupported(reason);
  if (!footprint_now(&before)) return complain("%s", "no /proc/self/smaps_rollup to read");
  if (!run_open(&run, request->variant, reason, sizeof reason)) return unsupported(reason);
  for (size_t step = 0; step < plan->steps;) {
    size_t next = next_look(plan, step);
    run_until(&run, next);
    step = next;
    struct look *look = &looks[count++];
    *look = (struct look){step, net_footprint(before)};
    if (look->footprint > highest) highest = look->footprint;
    if (step != peak) continue;
    at_peak = look->footprint;
    usable = run_usable(&run);
  }
  printf("{\"peak_footprint\": %zu, \"footprint_at_peak_live\": %zu, \"peak_live\": %zu, "
         "\"usable_at_peak_live\": %zu, \"peak_acquired\": %zu, \"refused\": %" PRIu64
         ", \"malloc\": \"%s\", \"samples\": [",
         highest, at_peak, plan->peak_bytes, usable, run.source.peak, run.refused,
         library_of_malloc());
  for (size_t i = 0; i < count; i++)
    printf("%s[%zu, %zu]", i ? ", " : "", looks[i].step, looks[i].footprint);
  printf("]}\n");
  return MEASURED;
}

// ## Single operations

static int measure_latency(const struct request *request, const struct plan *plan) {
  static const double shares[LATENCY_QUANTILE_COUNT] = LATENCY_QUANTILES;
  static struct run run;
  struct latency latency;
  char reason[128];
  if (request->api == RUN_RAW) return unsupported("it has no operations of its own");
  if (!run_prepare(&run, plan, request->api, request->strategy, reason, sizeof reason) ||
      !latency_measure(&latency, &run, request->variant, reason, sizeof reason))
    return unsupported(reason);
  printf("{\"operations\": %zu, \"clock_ns\": %.2f, \"step_ns\": %.2f, \"runs\": %d, "
         "\"worst_step\": %zu, "
         "\"refused\": %" PRIu64 ", \"malloc\": \"%s\", \"quantiles\": [",
         latency.operations, latency.clock, latency.step, LATENCY_RUNS, latency.worst_step,
         latency.refused, library_of_malloc());
  for (size_t i = 0; i < LATENCY_QUANTILE_COUNT; i++)
    printf("%s[%.6g, %.1f]", i ? ", " : "", shares[i], latency.quantiles[i]);
  printf("]}\n");
  return MEASURED;
}

static void print_numbers(const char *name, const double *numbers) {
  printf(", \"%s\": [", name);
  for (size_t i = 0; i < WORST_REQUESTS; i++) printf("%s%.0f", i ? ", " : "", numbers[i]);
  printf("]");
}

static int measure_worst(const struct request *request) {
  static struct worst worst;
  char reason[128];
  if (!worst_measure(&worst, request->strategy, request->variant, request->free_blocks, reason,
                     sizeof reason))
    return unsupported(reason);
  printf("{\"free_blocks\": %zu, \"pair_median\": %.2f, \"pair_worst\": %.2f, \"malloc\": \"%s\"",
         request->free_blocks, worst.pair_median, worst.pair_worst, library_of_malloc());
  print_numbers("allocate", worst.allocate);
  print_numbers("release", worst.release);
  printf("}\n");
  return MEASURED;
}

// ## The command line

static bool read_number(const char *text, uint64_t most, uint64_t *number) {
  char *end;
  *number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && *number > 0 && *number <= most;
}

static int find_strategy(struct request *request) {
  char name[64];
  const char *colon = strchrnul(request->on, ':');
  snprintf(name, sizeof name, "%.*s", (int)(colon - request->on), request->on);
  const struct registry_entry *entry = registry_find(name);
  if (!entry) return complain("unknown strategy '%s'", name);
  request->strategy = entry->strategy;
  if (*colon == '\0') return MEASURED;
  const char *const *variants = entry->strategy->variants;
  for (; variants && variants[request->variant]; request->variant++)
    if (strcmp(variants[request->variant], colon + 1) == 0) return MEASURED;
  return complain("no strategy has the variant '%s'", request->on);
}

static int find_subject(struct request *request) {
  request->api = RUN_STRATEGY;
  if (request->mode == 'd' && !request->on) return MEASURED;
  if (!request->on) return complain("%s", "say on what: --on NAME");
  if (strcmp(request->on, "libc") == 0) {
    request->api = RUN_LIBC;
  } else if (strcmp(request->on, "raw") == 0 && request->mode == 's') {
    request->api = RUN_RAW;
  } else {
    return find_strategy(request);
  }
  return MEASURED;
}

static int measure(const struct request *request, const char *workload) {
  const struct plan *plan = plan_make(workload);
  if (plan->error[0]) {
    fprintf(stderr, "measure: %s\n", plan->error);
    return CANNOT_RUN;
  }
  if (request->api == RUN_RAW && plan->kinds != 1u << STEP_ALLOCATE)
    return unsupported("it only hands out");
  if (request->mode == 'd') return describe(plan);
  if (request->mode == 't') return measure_latency(request, plan);
  return request->mode == 's' ? measure_speed(request, plan) : measure_memory(request, plan);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},        {"on", required_argument, NULL, 'o'},
      {"speed", no_argument, NULL, 's'},       {"memory", no_argument, NULL, 'm'},
      {"latency", no_argument, NULL, 't'},     {"describe", no_argument, NULL, 'd'},
      {"worst", required_argument, NULL, 'w'}, {"budget", required_argument, NULL, 'b'},
      {"limit", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
  static char output[1 << 14];
  setvbuf(stdout, output, _IOFBF, sizeof output);  // it would ask malloc for one
  struct request request = {.budget = 100};
  uint64_t number = 0;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'h':
      fputs(help, stdout);
      return MEASURED;
    case 'o':
      request.on = optarg;
      break;
    case 'b':
      if (!read_number(optarg, 1000000, &request.budget))
        return complain("'%s' is no number of milliseconds", optarg);
      break;
    case 'l':
      if (!read_number(optarg, 1000000, &number))
        return complain("'%s' is no number of seconds", optarg);
      setrlimit(RLIMIT_CPU, &(struct rlimit){number, number + 1});
      break;
    case 'w':
      if (!read_number(optarg, 1u << 26, &number))
        return complain("'%s' is no number of blocks", optarg);
      request.free_blocks = (size_t)number;
      request.mode = 'w';
      break;
    case '?':
      return complain("%s", "unknown option, or its value is missing");
    default:
      request.mode = (char)c;
    }
  }
  if (!request.mode) return complain("%s", "say what to measure");
  int code = find_subject(&request);
  if (code != MEASURED) return code;
  request.budget *= 1000000;
  if (request.mode == 'w') return measure_worst(&request);
  if (optind + 1 != argc) return complain("%s", "one workload, please");
  return measure(&request, argv[optind]);
}
