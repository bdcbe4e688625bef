// assay replay
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/program_file.h"
#include "harness/replay.h"

static const char help[] =
    "usage: assay replay --strategy NAME [OPTION...] FILE...\n\n"
    "Replays traces, or programs in text, on the strategy and prints, for each, the verdict and\n"
    "the CPU time an operation took. A strategy must offer what the trace asks for.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --tier TIER      none: without the oracle; fast (default), full or paranoid\n"
    "  --heap BYTES     size of the heap, instead of the one that the trace names\n"
    "  --progress       lines on stderr while it runs under the oracle, as on a terminal\n"
    "  --json           one JSON object a line\n";

struct request {
  bool bare, progress;
  unsigned long heap;
};

// ## Progress: told by the child that replays

struct progress {
  const char *path;
  size_t operations;
  size_t every;   // the clock is read once in so many operations
  bool terminal;  // one line that is written over, else a line each time
  bool twice;
  time_t begun, told;
};

static void tell_progress(void *context, const struct step *step) {
  struct progress *progress = context;
  size_t done = step->index + 1;
  bool last = done == progress->operations;
  if (done % progress->every != 0 && !last) return;
  time_t now = time(NULL);
  if (now == progress->told && !last) return;
  progress->told = now;
  double seconds = difftime(now, progress->begun);
  fprintf(stderr, "%s%s: %zu of %zu operations, %.0f s", progress->terminal ? "\r" : "",
          progress->path, done, progress->operations, seconds);
  if (!last)
    fprintf(stderr, ", about %.0f s to go",
            seconds / (double)done * (double)(progress->operations - done));
  else if (progress->twice)
    fprintf(stderr, "; now the same at other addresses");
  fputs(progress->terminal ? "\033[K" : "\n", stderr);
}

static double each(uint64_t nanoseconds, uint64_t operations) {
  return operations ? (double)nanoseconds / (double)operations : 0;
}

static int replay_without_oracle(const struct cli_job *job, const char *path,
                                 const struct program *program) {
  struct replay result;
  static struct arena arena;
  if (!replay_bare(&result, &arena, job->entry->strategy, program))
    return cli_error("%s: could not be replayed: %s", path, strerror(errno));
  if (job->json) {
    printf("{\"file\": ");
    cli_print_json_text(path);
    printf(", \"strategy\": \"%s\", \"tier\": \"none\", \"operations\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"ns_per_operation\": %.2f}\n",
           job->entry->name, result.operations, result.refused,
           each(result.nanoseconds, result.operations));
  } else {
    printf("%s: %" PRIu64 " operations, %" PRIu64 " refused, %.1f ns each, not checked\n", path,
           result.operations, result.refused, each(result.nanoseconds, result.operations));
  }
  return CLI_CLEAN;
}

static int replay_with_oracle(const struct cli_job *job, const struct request *request,
                              const char *path, const struct program *program) {
  // Under the paranoid tier a long trace may well take hours.
  struct isolate_settings settings = {
      .oracle = {.tier = job->tier, .timed = true}, .once = true, .seconds = 24 * 3600};
  bool slow = job->tier == TIER_PARANOID;
  struct progress progress = {.path = path,
                              .operations = program_length(program),
                              .every = slow ? 1 : 1 << 14,
                              .terminal = isatty(STDERR_FILENO),
                              .twice = slow,
                              .begun = time(NULL)};
  progress.told = progress.begun;
  if (request->progress || progress.terminal) {
    settings.oracle.after = tell_progress;
    settings.oracle.context = &progress;
  }
  struct isolated_run run;
  bool ran = isolate_run(&run, &settings, job->entry->strategy, program);
  if (progress.terminal) fputs("\r\033[K", stderr);
  if (!ran) return cli_error("%s: could not be replayed: %s", path, strerror(errno));
  bool clean = run.verdict.property == PROPERTY_NONE;
  if (job->json)
    cli_print_json(path, job->entry, program, &run);
  else if (clean)
    printf("%s: clean, %" PRIu64 " operations, %" PRIu64 " refused, %" PRIu64
           " skipped, %.1f ns each\n",
           path, run.counts.operations, run.counts.refused, run.counts.skipped,
           each(run.counts.nanoseconds, run.counts.operations));
  else
    printf("%s: %s: %s\n", path, run.verdict.id, run.verdict.diagnosis);
  return clean ? CLI_CLEAN : CLI_FINDING;
}

static int replay_program(const struct cli_job *job, const char *path, struct program *program,
                          void *context) {
  const struct request *request = context;
  const struct strategy *strategy = job->entry->strategy;
  if (program->count == 0) return cli_error("%s: an empty program", path);
  if (request->heap) {
    struct heap heap = program_heap(program);
    heap.capacity = request->heap;
    program->records[0] = heap_record(&heap);
  }
  size_t index = replay_unsupported(strategy, program);
  if (index < program_length(program))
    return cli_error(
        "%s: operation %zu is %s, which %s does not offer; `assay list` shows what each "
        "does",
        path, index, operation_name(record_operation(program_at(program, index)).kind),
        strategy->name);
  return request->bare ? replay_without_oracle(job, path, program)
                       : replay_with_oracle(job, request, path, program);
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 't':
    request->bare = strcmp(value, "none") == 0;
    return request->bare ? CLI_TAKEN : CLI_NOT_MINE;
  case 'm':
    return cli_number("--heap", value, 1, PROGRAM_MAX_CAPACITY, &request->heap) ? CLI_TAKEN
                                                                                : CLI_REFUSED;
  case 'p':
    request->progress = true;
    return CLI_TAKEN;
  default:
    return CLI_NOT_MINE;
  }
}

int command_replay(int argc, char **argv) {
  static const struct option options[] = {{"heap", required_argument, NULL, 'm'},
                                          {"progress", no_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {0};
  static const struct cli_syntax syntax = {"replay", help, "trace", true, options, take};
  struct cli_job job = {.tier = TIER_FAST};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  return cli_each_trace(&job, replay_program, &request);
}
