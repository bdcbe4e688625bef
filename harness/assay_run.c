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

static int run_file(const char *path, const struct registry_entry *entry,
                    const struct isolate_settings *settings, bool json) {
  struct program program = {0};
  if (!cli_load(path, &program)) return CLI_CANNOT_RUN;
  struct isolated_run run;
  int result;
  if (!isolate_run(&run, settings, entry->strategy, &program)) {
    result = cli_error("%s: could not be run: %s", path, strerror(errno));
  } else {
    if (json)
      cli_print_json(path, entry, &program, &run);
    else if (run.verdict.property == PROPERTY_NONE)
      printf("%s: clean\n", path);
    else
      printf("%s: %s: %s\n", path, run.verdict.id, run.verdict.diagnosis);
    result = run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
  }
  program_clear(&program);
  return result;
}

int command_run(int argc, char **argv) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},       {"strategy", required_argument, NULL, 's'},
      {"tier", required_argument, NULL, 't'}, {"json", no_argument, NULL, 'j'},
      {"quiet", no_argument, NULL, 'q'},      {NULL, 0, NULL, 0}};
  const char *name = NULL;
  bool json = false;
  struct isolate_settings settings = {.oracle.tier = TIER_FULL};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'h':
      fputs(help, stdout);
      return CLI_CLEAN;
    case 's':
      name = optarg;
      break;
    case 't':
      if (!cli_tier(optarg, &settings.oracle.tier)) return CLI_CANNOT_RUN;
      break;
    case 'j':
      json = true;
      break;
    case 'q':
      settings.quiet = true;
      break;
    default:
      return cli_usage("run");
    }
  }
  const struct registry_entry *entry;
  if (!cli_strategy(name, &entry)) return CLI_CANNOT_RUN;
  if (optind == argc) return cli_error("no program given; see `assay run --help`");
  int worst = CLI_CLEAN;
  for (int i = optind; i < argc; i++) {
    int result = run_file(argv[i], entry, &settings, json);
    if (result > worst) worst = result;
  }
  return worst;
}
