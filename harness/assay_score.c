// assay score
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"
#include "harness/program_file.h"
#include "harness/score.h"
#include "harness/score_workloads.h"

static const char help[] =
    "usage: assay score --strategy NAME [OPTION...] [FILE...]\n\n"
    "Prints the two figures that malloc labs grade a heap by, workload by workload and over all:\n"
    "  utilisation  the most payload live at a time by the most memory that the heap had\n"
    "  throughput   thousands of requests in a second of CPU time (median of the rounds)\n"
    "each beside what the C library's malloc does with the same workload in the same rounds. The\n"
    "workloads are made in code, after the kinds that courses have; FILEs (traces, or programs in\n"
    "text) come in addition. Nothing is checked: run `assay run` first. A heap that takes all of\n"
    "its memory at once has all of it as the most that it had.\n\n"
    "  --strategy NAME  one of `assay list`\n"
    "  --heap BYTES     the most that the heap gets (default: 20971520)\n"
    "  --seconds S      of CPU time for the rounds of each workload (default: 1)\n"
    "  --limit S        of CPU time after which a workload is given up (default: 60), or ten\n"
    "                   times that of wall time\n"
    "  --json           one JSON object a line; the last one is the mean\n\n"
    "Exit codes: 0 all workloads have a score, 1 some have none, and the line says why, 2 could "
    "not\nrun.\n";

struct request {
  uint64_t heap, seconds, limit;
};

// Of the workloads that have a score.
struct total {
  unsigned scored, of, libc_known;
  double utilisation, libc_utilisation;
  double operations, seconds, libc_seconds;
};

static double utilisation(const struct score *score, size_t heap) {
  return heap ? (double)score->peak_live / (double)heap : 0;
}

static double kops(double operations, double seconds) {
  return seconds > 0 ? operations / seconds / 1000 : 0;
}

static void add(struct total *total, const struct score *score) {
  total->of++;
  if (score->reason[0]) return;
  total->scored++;
  total->utilisation += utilisation(score, score->peak_heap);
  total->libc_utilisation += utilisation(score, score->libc_heap);
  total->libc_known += score->libc_heap > 0;
  total->operations += (double)score->operations;
  total->seconds += score->seconds;
  total->libc_seconds += score->libc_seconds;
}

// ## Output

// null where there is none.
static void print_figure(const char *name, bool known, double value) {
  printf(", \"%s\": ", name);
  if (known)
    printf("%.4f", value);
  else
    printf("null");
}

static void print_json(const char *name, const struct score *score) {
  bool scored = !score->reason[0];
  printf("{\"workload\": ");
  cli_print_json_text(name);
  printf(", \"operations\": %" PRIu64 ", \"peak_live\": %zu, \"peak_heap\": %zu, \"rounds\": %u",
         score->operations, score->peak_live, score->peak_heap, score->rounds);
  print_figure("utilisation", scored && score->peak_heap > 0, utilisation(score, score->peak_heap));
  print_figure("kops", scored, kops((double)score->operations, score->seconds));
  print_figure("libc_utilisation", scored && score->libc_heap > 0,
               utilisation(score, score->libc_heap));
  print_figure("libc_kops", scored, kops((double)score->operations, score->libc_seconds));
  printf(", \"reason\": ");
  cli_print_json_text(score->reason);
  printf("}\n");
}

static void print_row(const char *name, bool known, double mine, double speed, bool libc_known,
                      double theirs, double libc_speed) {
  printf("  %-16s", name);
  if (known)
    printf(" %5.1f %%", 100 * mine);
  else
    printf("     --");
  printf(" %12.0f", speed);
  if (libc_known)
    printf("   %5.1f %%", 100 * theirs);
  else
    printf("       --");
  printf(" %12.0f\n", libc_speed);
}

static void print_text(const char *name, const struct score *score) {
  if (score->reason[0]) {
    printf("  %-16s no score: %s\n", name, score->reason);
    return;
  }
  print_row(name, score->peak_heap > 0, utilisation(score, score->peak_heap),
            kops((double)score->operations, score->seconds), score->libc_heap > 0,
            utilisation(score, score->libc_heap),
            kops((double)score->operations, score->libc_seconds));
}

static void print_total(const struct cli_job *job, const struct total *total) {
  double mean = total->scored ? total->utilisation / total->scored : 0;
  double libc_mean = total->libc_known ? total->libc_utilisation / total->libc_known : 0;
  double speed = kops(total->operations, total->seconds);
  double libc_speed = kops(total->operations, total->libc_seconds);
  if (!job->json) {
    if (total->scored > 0)
      print_row("mean", mean > 0, mean, speed, libc_mean > 0, libc_mean, libc_speed);
    printf("  %u of %u workloads have a score\n", total->scored, total->of);
    return;
  }
  printf("{\"workload\": \"mean\", \"scored\": %u, \"of\": %u", total->scored, total->of);
  print_figure("utilisation", mean > 0, mean);
  print_figure("kops", total->scored > 0, speed);
  print_figure("libc_utilisation", libc_mean > 0, libc_mean);
  print_figure("libc_kops", total->scored > 0, libc_speed);
  printf("}\n");
}

// ## Workloads

static void score(const struct cli_job *job, const struct request *request, const char *name,
                  const struct program *program, size_t heap, struct total *total) {
  struct score score;
  score_run(&score, job->entry->strategy, program, heap, (unsigned)request->seconds,
            (unsigned)request->limit);
  add(total, &score);
  job->json ? print_json(name, &score) : print_text(name, &score);
  fflush(stdout);
}

struct files {
  const struct request *request;
  struct total *total;
};

// A trace knows how much it needs; who names a size means it.
static int score_file(const struct cli_job *job, const char *path, struct program *program,
                      void *context) {
  struct files *files = context;
  const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  score(job, files->request, name, program, (size_t)files->request->heap, files->total);
  return CLI_CLEAN;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'm':
    return cli_number("--heap", value, 1, PROGRAM_MAX_CAPACITY, &request->heap) ? CLI_TAKEN
                                                                                : CLI_REFUSED;
  case 'c':
    return cli_number("--seconds", value, 0, 3600, &request->seconds) ? CLI_TAKEN : CLI_REFUSED;
  case 'l':
    return cli_number("--limit", value, 1, 86400, &request->limit) ? CLI_TAKEN : CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

int command_score(int argc, char **argv) {
  static const struct option options[] = {{"heap", required_argument, NULL, 'm'},
                                          {"seconds", required_argument, NULL, 'c'},
                                          {"limit", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"score", help, "trace", true, options, take};
  struct request request = {.seconds = 1, .limit = 60};
  struct cli_job job = {.no_files = true, .allocators_only = true};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  struct total total = {0};
  struct program program = {0};
  if (!job.json)
    printf("%s\n  %-16s %7s %12s   %7s %12s\n", job.entry->name, "workload", "used", "kops", "libc",
           "kops");
  for (size_t i = 0; score_workloads[i].name; i++) {
    if (!score_workload_make(&program, i)) return cli_error("out of memory");
    score(&job, &request, score_workloads[i].name, &program, (size_t)request.heap, &total);
  }
  program_clear(&program);
  result = cli_each_trace(&job, score_file, &(struct files){&request, &total});
  print_total(&job, &total);
  if (result != CLI_CLEAN) return result;
  return total.scored == total.of ? CLI_CLEAN : CLI_FINDING;
}
