// assay repro
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
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
    "guilty one marked with `>`, the live blocks, and the heap by the allocator's own account\n"
    "before, with what the operations around it changed (- went, + came).\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --tier TIER      fast, full (default) or paranoid, which looks after every operation and "
    "may\n"
    "                   therefore see another property fail sooner\n"
    "  --runs N         run it N times, and say how many violate the property (default 5)\n"
    "  --emit-c         print a C program against the vtable instead (of allocators only)\n"
    "  --gdb            start gdb, stopped where the guilty operation calls the allocator\n"
    "  --json           all of it as a JSON object instead; reports/README.md documents it\n";

struct request {
  const char *path;
  const struct cli_job *job;
  const struct program *program;
  uint64_t runs, stop;
  int what;  // instead of telling it: the option's letter
};

static const char *tier_of(const struct request *request) {
  return request->job->tier_name ? request->job->tier_name : "full";
}

static bool verdict_of(const struct request *request, struct isolated_run *run) {
  struct isolate_settings settings = {.oracle = {.tier = request->job->tier, .twice = true},
                                      .quiet = true};
  if (isolate_run(run, &settings, request->job->entry->strategy, request->program)) return true;
  cli_error("%s: could not be run: %s", request->path, strerror(errno));
  return false;
}

static int emit(const struct request *request) {
  if (request->job->entry->strategy->traits & STRATEGY_COLLECTION)
    return cli_error(
        "%s is a collection, and C programs are made for allocators only; `assay repro "
        "--gdb` stops in its driver",
        request->job->entry->name);
  struct isolated_run run;
  if (!verdict_of(request, &run)) return CLI_CANNOT_RUN;
  emit_c(stdout, request->job->entry, request->program, &run.verdict);
  return run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
}

static int debug(const struct request *request) {
  struct isolated_run run;
  if (!verdict_of(request, &run)) return CLI_CANNOT_RUN;
  if (run.verdict.property == PROPERTY_NONE)
    return cli_error("%s: clean, nothing to stop at", request->path);
  char stop[32], self[4096];
  snprintf(stop, sizeof stop, "--stop-before=%zu", run.verdict.operation);
  ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
  if (size < 0) return cli_error("/proc/self/exe: %s", strerror(errno));
  self[size] = 0;
  // At the call of the allocator; if there is none, before the operation, or at the verdict.
  bool operation = run.verdict.operation < program_length(request->program);
  bool call =
      explain_has_entry(request->job->entry->strategy, request->program, run.verdict.operation);
  execlp("gdb", "gdb", "-q", "-ex", "set breakpoint pending on", "-ex",
         operation ? "break explain_guilty_operation" : "break property_announce", "-ex", "run",
         "-ex", call ? "tbreak **(long *)&explain_call" : "up", "-ex", call ? "continue" : "echo",
         "--args", self, "repro", "--strategy", request->job->entry->name, "--tier",
         tier_of(request), stop, request->path, (char *)NULL);
  return cli_error("gdb: %s; `ci/setup` installs it", strerror(errno));
}

// How many of the runs show what the story shows; 0 if one could not be run.
static uint64_t count_same(const struct request *request, const struct story *story) {
  uint64_t same = 1;
  for (uint64_t i = 1; i < request->runs; i++) {
    struct isolated_run again;
    if (!verdict_of(request, &again)) return 0;
    same += strcmp(again.verdict.id, story->run.verdict.id) == 0;
  }
  return same;
}

static int tell(const struct request *request) {
  const struct registry_entry *entry = request->job->entry;
  bool json = request->what == 'j';
  if (!json) printf("%s on %s (%s)\n\n", request->path, entry->name, entry->strategy->summary);
  fflush(stdout);
  struct story story;
  bool told = story_tell(&story, request->job->tier, json, entry->strategy, request->program);
  uint64_t same = told ? count_same(request, &story) : 0;
  int result = CLI_CANNOT_RUN;
  if (!told) {
    cli_error("%s: could not be run: %s", request->path, strerror(errno));
  } else if (same > 0) {
    result = story.run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
    if (json) {
      story_print_json(&story, request->path, entry->name, tier_of(request), same, request->runs);
    } else {
      explain(&story);
      printf("\nVerdict: %s (%s), in %" PRIu64 " of %" PRIu64 " runs\n", story.run.verdict.id,
             property_text(story.run.verdict.property), same, request->runs);
    }
  }
  story_free(&story);
  return result;
}

static int act(const struct cli_job *job, const char *path, struct program *program,
               void *context) {
  struct request *request = context;
  request->job = job;
  request->path = path;
  request->program = program;
  switch (request->what) {
  case 'b':
    explain_in_debugger(job->tier, (size_t)request->stop, job->entry->strategy, program);
    return CLI_CLEAN;
  case 'c':
    return emit(request);
  case 'g':
    return debug(request);
  default:
    return tell(request);
  }
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'n':
    return cli_number("--runs", value, 1, 10000, &request->runs) ? CLI_TAKEN : CLI_REFUSED;
  case 'b':  // what --gdb runs in gdb
    request->what = option;
    return cli_number("--stop-before", value, 0, SIZE_MAX, &request->stop) ? CLI_TAKEN
                                                                           : CLI_REFUSED;
  case 'c':
  case 'g':
  case 'j':
    request->what = option;
    return CLI_TAKEN;
  default:
    return CLI_NOT_MINE;
  }
}

int command_repro(int argc, char **argv) {
  static const struct option options[] = {{"runs", required_argument, NULL, 'n'},
                                          {"emit-c", no_argument, NULL, 'c'},
                                          {"gdb", no_argument, NULL, 'g'},
                                          {"stop-before", required_argument, NULL, 'b'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {.runs = 5};
  static const struct cli_syntax syntax = {"repro", help, "program", false, options, take};
  struct cli_job job = {.tier = TIER_FULL};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  return cli_each_program(&job, act, &request);
}
