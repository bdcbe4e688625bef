// assay repro
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/emit_c.h"
#include "harness/explain.h"

static const char help[] =
    "usage: assay repro --strategy NAME [OPTION...] FILE\n\n"
    "Explains what the program in FILE does to the strategy: its operations with their results, "
    "the\n"
    "guilty one marked with `>`, the live blocks and the allocator's own account at that point.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --tier TIER      fast, full (default) or paranoid, which looks after every operation and "
    "may\n"
    "                   therefore see another property fail sooner\n"
    "  --runs N         run it N times, and say how many violate the property (default 5)\n"
    "  --emit-c         print a C program against the vtable instead\n"
    "  --gdb            start gdb, stopped right before the guilty operation\n"
    "  --json           the verdict as a JSON object instead\n";

struct request {
  const char *path;
  const struct registry_entry *entry;
  struct program program;
  enum tier tier;
  unsigned long runs;
  bool quiet;
};

static bool verdict_of(const struct request *request, struct isolated_run *run) {
  struct isolate_settings settings = {.oracle.tier = request->tier, .quiet = true};
  if (isolate_run(run, &settings, request->entry->strategy, &request->program)) return true;
  cli_error("%s: could not be run: %s", request->path, strerror(errno));
  return false;
}

static int emit(const struct request *request) {
  struct isolated_run run;
  if (!verdict_of(request, &run)) return CLI_CANNOT_RUN;
  emit_c(stdout, request->entry, &request->program, &run.verdict);
  return run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
}

static int debug(const struct request *request, const char *tier) {
  struct isolated_run run;
  if (!verdict_of(request, &run)) return CLI_CANNOT_RUN;
  if (run.verdict.property == PROPERTY_NONE)
    return cli_error("%s: clean, nothing to stop at", request->path);
  char stop[32], self[4096];
  snprintf(stop, sizeof stop, "--stop-before=%zu", run.verdict.operation);
  ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
  if (size < 0) return cli_error("/proc/self/exe: %s", strerror(errno));
  self[size] = 0;
  execlp("gdb", "gdb", "-q", "-ex", "set breakpoint pending on", "-ex",
         "break explain_guilty_operation", "-ex", "run", "-ex", "up", "--args", self, "repro",
         "--strategy", request->entry->name, "--tier", tier, stop, request->path, (char *)NULL);
  return cli_error("gdb: %s; `ci/setup` installs it", strerror(errno));
}

static int tell(const struct request *request) {
  printf("%s on %s (%s)\n\n", request->path, request->entry->name,
         request->entry->strategy->summary);
  struct explanation how = {.tier = request->tier, .stop_before = SIZE_MAX};
  struct isolated_run run;
  if (!explain(&run, &how, request->entry->strategy, &request->program))
    return cli_error("%s: could not be run: %s", request->path, strerror(errno));
  bool found = run.verdict.property != PROPERTY_NONE;
  unsigned long same = 1;
  for (unsigned long i = 1; i < request->runs; i++) {
    struct isolated_run again;
    if (!verdict_of(request, &again)) return CLI_CANNOT_RUN;
    same += strcmp(again.verdict.id, run.verdict.id) == 0;
  }
  printf("\nVerdict: %s (%s), in %lu of %lu runs\n", run.verdict.id,
         property_text(run.verdict.property), same, request->runs);
  return found ? CLI_FINDING : CLI_CLEAN;
}

static int tell_json(const struct request *request) {
  struct isolated_run run;
  if (!verdict_of(request, &run)) return CLI_CANNOT_RUN;
  cli_print_json(request->path, request->entry, &request->program, &run);
  return run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
}

int command_repro(int argc, char **argv) {
  static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                          {"strategy", required_argument, NULL, 's'},
                                          {"tier", required_argument, NULL, 't'},
                                          {"runs", required_argument, NULL, 'n'},
                                          {"emit-c", no_argument, NULL, 'c'},
                                          {"gdb", no_argument, NULL, 'g'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"stop-before", required_argument, NULL, 'b'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {.tier = TIER_FULL, .runs = 5};
  const char *name = NULL, *tier = "full";
  unsigned long stop = 0;
  int what = 0;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'h':
      fputs(help, stdout);
      return CLI_CLEAN;
    case 's':
      name = optarg;
      break;
    case 't':
      if (!cli_tier(tier = optarg, &request.tier)) return CLI_CANNOT_RUN;
      break;
    case 'n':
      if (!cli_number("--runs", optarg, 10000, &request.runs)) return CLI_CANNOT_RUN;
      break;
    case 'b':  // what --gdb runs in gdb
      if (!cli_number("--stop-before", optarg, SIZE_MAX, &stop)) return CLI_CANNOT_RUN;
      what = c;
      break;
    case 'c':
    case 'g':
    case 'j':
      what = c;
      break;
    default:
      return cli_usage("repro");
    }
  }
  if (!cli_strategy(name, &request.entry)) return CLI_CANNOT_RUN;
  if (optind != argc - 1) return cli_error("give one program; see `assay repro --help`");
  request.path = argv[optind];
  if (!cli_load(request.path, &request.program)) return CLI_CANNOT_RUN;
  int result = CLI_CLEAN;
  if (what == 'b')
    explain_in_debugger(&(struct explanation){request.tier, stop}, request.entry->strategy,
                        &request.program);
  else
    result = what == 'c'   ? emit(&request)
             : what == 'g' ? debug(&request, tier)
             : what == 'j' ? tell_json(&request)
                           : tell(&request);
  program_clear(&request.program);
  return result;
}
