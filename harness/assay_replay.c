// assay replay
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
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
    "  --threads HOW    kept: several threads, as recorded; each keeps its own order, and so does\n"
    "                   each block; the trace's threads share as many as there are cores, 2 to 8.\n"
    "                   CPU time is then that of all, waiting included, and wall time is told.\n"
    "                   merged: one thread, in the order of the trace. Without: as the file says\n"
    "  --heap BYTES     size of the heap, instead of the one that the trace names\n"
    "  --progress       lines on stderr while it runs, as on a terminal\n"
    "  --json           one JSON object a line\n";

struct request {
  bool bare, progress;
  bool kept, merged;
  uint64_t heap;
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

static void tell_done(struct progress *progress, size_t done) {
  bool last = done == progress->operations;
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

static void tell_step(void *context, const struct step *step) {
  struct progress *progress = context;
  size_t done = step->index + 1;
  if (done % progress->every == 0 || done == progress->operations) tell_done(progress, done);
}

static void tell_stretch(void *context, size_t done) { tell_done(context, done); }

static void begin_progress(struct progress *progress, const char *path,
                           const struct program *program) {
  *progress = (struct progress){.path = path,
                                .operations = program_length(program),
                                .every = 1 << 14,
                                .terminal = isatty(STDERR_FILENO),
                                .begun = time(NULL)};
  progress->told = progress->begun;
}

static double each(uint64_t nanoseconds, uint64_t operations) {
  return operations ? (double)nanoseconds / (double)operations : 0;
}

static int refuse_heap(const struct cli_job *job, const char *path, const struct program *program) {
  return cli_error("%s: %s does not start on a heap of %" PRIu64 " bytes; say --heap with more",
                   path, job->entry->name, program_heap(program).capacity);
}

// ## Without the oracle

static void print_bare(const struct cli_job *job, const char *path, const struct replay *result) {
  double time = each(result->nanoseconds, result->operations);
  double wall = each(result->wall, result->operations);
  if (job->json) {
    printf("{\"file\": ");
    cli_print_json_text(path);
    printf(", \"strategy\": \"%s\", \"tier\": \"none\", \"operations\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"ns_per_operation\": %.2f, \"threads\": %u, "
           "\"wall_ns_per_operation\": %.2f}\n",
           job->entry->name, result->operations, result->refused, time, result->threads, wall);
    return;
  }
  printf("%s: %" PRIu64 " operations, %" PRIu64 " refused, %.1f ns each", path, result->operations,
         result->refused, time);
  if (result->threads > 1) printf(" on %u threads (%.1f ns of wall time)", result->threads, wall);
  printf(", not checked\n");
}

struct bare_outcome {
  int error;  // errno; 0: replayed
  struct replay result;
};

// In a child, as an allocator may do anything to the process that it is in.
static int replay_without_oracle(const struct cli_job *job, const struct request *request,
                                 const char *path, const struct program *program,
                                 unsigned threads) {
  struct bare_outcome *outcome =
      mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (outcome == MAP_FAILED) return cli_error("%s: %s", path, strerror(errno));
  struct progress progress;
  begin_progress(&progress, path, program);
  bool told = request->progress || progress.terminal;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    static struct arena arena;
    struct replay_settings settings = {
        .threads = threads, .told = told ? tell_stretch : NULL, .context = &progress};
    bool done = replay_with(&outcome->result, &arena, job->entry->strategy, program, &settings);
    outcome->error = done ? 0 : errno;
    _exit(0);
  }
  int status = 0;
  bool ended = child > 0 && waitpid(child, &status, 0) == child;
  struct bare_outcome was = *outcome;
  munmap(outcome, sizeof *outcome);
  if (progress.terminal) fputs("\r\033[K", stderr);
  if (!ended) return cli_error("%s: no process to replay it in: %s", path, strerror(errno));
  if (WIFSIGNALED(status))
    return cli_error("%s: signal %d ended the replay; `--tier fast` says what the allocator did",
                     path, WTERMSIG(status));
  if (status != 0)
    return cli_error("%s: the allocator ended the process; `--tier fast` says how", path);
  if (was.error == ENOSPC) return refuse_heap(job, path, program);
  if (was.error) return cli_error("%s: could not be replayed: %s", path, strerror(was.error));
  print_bare(job, path, &was.result);
  return CLI_CLEAN;
}

// ## With the oracle

static int replay_with_oracle(const struct cli_job *job, const struct request *request,
                              const char *path, const struct program *program) {
  // Under the paranoid tier a long trace may well take hours.
  struct isolate_settings settings = {
      .oracle = {.tier = job->tier, .timed = true}, .once = true, .seconds = 24 * 3600};
  bool slow = job->tier == TIER_PARANOID;
  struct progress progress;
  begin_progress(&progress, path, program);
  progress.twice = slow;
  if (slow) progress.every = 1;
  if (request->progress || progress.terminal) {
    settings.oracle.after = tell_step;
    settings.oracle.context = &progress;
  }
  struct isolated_run run;
  bool ran = isolate_run(&run, &settings, job->entry->strategy, program);
  if (progress.terminal) fputs("\r\033[K", stderr);
  if (!ran) return cli_error("%s: could not be replayed: %s", path, strerror(errno));
  // What did not begin is clean to an oracle, and no replay.
  if (run.verdict.property == PROPERTY_NONE && program_length(program) > 0 &&
      run.counts.operations + run.counts.skipped == 0)
    return refuse_heap(job, path, program);
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
  struct heap heap = program_heap(program);
  if (request->heap) heap.capacity = request->heap;
  if (request->merged) heap.threads = 1;
  if (request->kept) heap.threads = replay_threads(program);
  if (request->heap || request->merged || request->kept) program->records[0] = heap_record(&heap);
  size_t index = replay_unsupported(strategy, program);
  if (index < program_length(program))
    return cli_error(
        "%s: operation %zu is %s, which %s does not offer; `assay list` shows what each "
        "does",
        path, index, operation_name(record_operation(program_at(program, index)).kind),
        strategy->name);
  if (request->kept && heap.threads > 1 && !replay_serves_threads(strategy, program))
    return cli_error("%s: %s serves one thread at a time; replay it with --threads merged, or on a "
                     "strategy that `assay list` shows as concurrent",
                     path, strategy->name);
  if (request->kept && !request->bare && strategy->traits & STRATEGY_FOREIGN)
    return cli_error(
        "%s: the oracle follows %s in one thread only; say --threads merged, or --tier "
        "none",
        path, strategy->name);
  // What the file says may be for strategies that serve several.
  unsigned threads = replay_serves_threads(strategy, program) ? heap.threads : 1;
  return request->bare ? replay_without_oracle(job, request, path, program, threads)
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
  case 'k':
    request->kept = strcmp(value, "kept") == 0;
    request->merged = strcmp(value, "merged") == 0;
    if (request->kept || request->merged) return CLI_TAKEN;
    cli_error("--threads takes kept or merged, not '%s'", value);
    return CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

int command_replay(int argc, char **argv) {
  static const struct option options[] = {{"heap", required_argument, NULL, 'm'},
                                          {"progress", no_argument, NULL, 'p'},
                                          {"threads", required_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {0};
  static const struct cli_syntax syntax = {"replay", help, "trace", true, options, take};
  struct cli_job job = {.tier = TIER_FAST, .allocators_only = true};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  return cli_each_trace(&job, replay_program, &request);
}
