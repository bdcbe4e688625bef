// assay replay
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"
#include "harness/program_file.h"
#include "harness/replay.h"

static const char help[] =
    "usage: assay replay --strategy NAME [--tier TIER] [--heap BYTES] FILE...\n\n"
    "Replays traces on the strategy and prints, for each, the verdict and the CPU time an "
    "operation\n"
    "took. A strategy must offer what the trace asks for.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --tier TIER      none: without the oracle; fast (default), full or paranoid\n"
    "  --heap BYTES     size of the heap, instead of the one that the trace names\n"
    "  --json           one JSON object a line\n";

struct request {
  const struct registry_entry *entry;
  bool bare, json;
  enum tier tier;
  unsigned long heap;
};

static double each(uint64_t nanoseconds, uint64_t operations) {
  return operations ? (double)nanoseconds / (double)operations : 0;
}

static int replay_without_oracle(const struct request *request, const char *path,
                                 const struct program *program) {
  struct replay result;
  static struct arena arena;
  if (!replay_bare(&result, &arena, request->entry->strategy, program))
    return cli_error("%s: could not be replayed: %s", path, strerror(errno));
  if (request->json) {
    printf("{\"file\": ");
    cli_print_json_text(path);
    printf(", \"strategy\": \"%s\", \"tier\": \"none\", \"operations\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"ns_per_operation\": %.2f}\n",
           request->entry->name, result.operations, result.refused,
           each(result.nanoseconds, result.operations));
  } else {
    printf("%s: %" PRIu64 " operations, %" PRIu64 " refused, %.1f ns each, not checked\n", path,
           result.operations, result.refused, each(result.nanoseconds, result.operations));
  }
  return CLI_CLEAN;
}

static int replay_with_oracle(const struct request *request, const char *path,
                              const struct program *program) {
  // Under the paranoid tier a long trace may well take hours.
  struct isolate_settings settings = {.oracle = {.tier = request->tier, .timed = true},
                                      .seconds = 24 * 3600};
  struct isolated_run run;
  if (!isolate_run(&run, &settings, request->entry->strategy, program))
    return cli_error("%s: could not be replayed: %s", path, strerror(errno));
  bool clean = run.verdict.property == PROPERTY_NONE;
  if (request->json)
    cli_print_json(path, request->entry, program, &run);
  else if (clean)
    printf("%s: clean, %" PRIu64 " operations, %" PRIu64 " refused, %" PRIu64
           " skipped, %.1f ns each\n",
           path, run.counts.operations, run.counts.refused, run.counts.skipped,
           each(run.counts.nanoseconds, run.counts.operations));
  else
    printf("%s: %s: %s\n", path, run.verdict.id, run.verdict.diagnosis);
  return clean ? CLI_CLEAN : CLI_FINDING;
}

static int replay_program(const struct request *request, const char *path,
                          struct program *program) {
  const struct strategy *strategy = request->entry->strategy;
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
  return request->bare ? replay_without_oracle(request, path, program)
                       : replay_with_oracle(request, path, program);
}

static int replay_file(const struct request *request, const char *path) {
  struct program program = {0};
  if (!cli_load(path, &program)) return CLI_CANNOT_RUN;
  int result = replay_program(request, path, &program);
  program_clear(&program);
  return result;
}

int command_replay(int argc, char **argv) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},       {"strategy", required_argument, NULL, 's'},
      {"tier", required_argument, NULL, 't'}, {"heap", required_argument, NULL, 'm'},
      {"json", no_argument, NULL, 'j'},       {NULL, 0, NULL, 0}};
  struct request request = {.tier = TIER_FAST};
  const char *name = NULL;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'h':
      fputs(help, stdout);
      return CLI_CLEAN;
    case 's':
      name = optarg;
      break;
    case 't':
      request.bare = strcmp(optarg, "none") == 0;
      if (!request.bare && !cli_tier(optarg, &request.tier)) return CLI_CANNOT_RUN;
      break;
    case 'm':
      if (!cli_number("--heap", optarg, PROGRAM_MAX_CAPACITY, &request.heap)) return CLI_CANNOT_RUN;
      break;
    case 'j':
      request.json = true;
      break;
    default:
      return cli_usage("replay");
    }
  }
  if (!cli_strategy(name, &request.entry)) return CLI_CANNOT_RUN;
  if (optind == argc) return cli_error("no trace given; see `assay replay --help`");
  int worst = CLI_CLEAN;
  for (int i = optind; i < argc; i++) {
    int result = replay_file(&request, argv[i]);
    if (result > worst) worst = result;
  }
  return worst;
}
