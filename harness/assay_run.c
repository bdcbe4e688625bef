// assay run
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"

static const char help[] =
    "usage: assay run --strategy NAME [--tier TIER] [--json] FILE...\n\n"
    "Runs each program on the strategy under the oracle, in a process of its own, and prints a\n"
    "verdict for each. All files are run, whatever the verdicts; a file that cannot be read makes\n"
    "the exit code 2.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug of `assay list --planted`\n"
    "  --tier TIER      fast, full (default) or paranoid\n"
    "  --json           one JSON object a line\n"
    "  --quiet          no output of the run itself on stderr\n";

static int run_program(const struct cli_job *job, const char *path, struct program *program,
                       void *context) {
  struct isolated_run run;
  if (!isolate_run(&run, context, job->entry->strategy, program))
    return cli_error("%s: could not be run: %s", path, strerror(errno));
  if (job->json)
    cli_print_json(path, job->entry, program, &run);
  else if (run.verdict.property == PROPERTY_NONE)
    printf("%s: clean\n", path);
  else
    printf("%s: %s: %s\n", path, run.verdict.id, run.verdict.diagnosis);
  return run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
}

static enum cli_taken take(void *context, int option, const char *value) {
  (void)value;
  struct isolate_settings *settings = context;
  if (option != 'q') return CLI_NOT_MINE;
  settings->quiet = true;
  return CLI_TAKEN;
}

int command_run(int argc, char **argv) {
  static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, {NULL, 0, NULL, 0}};
  struct isolate_settings settings = {0};
  static const struct cli_syntax syntax = {"run", help, "program", true, options, take};
  struct cli_job job = {.tier = TIER_FULL};
  int result;
  if (!cli_parse(&syntax, &job, &settings, argc, argv, &result)) return result;
  settings.oracle.tier = job.tier;
  settings.oracle.twice = true;
  return cli_each_program(&job, run_program, &settings);
}
