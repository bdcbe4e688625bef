// assay: one program for all that is done with programs, traces and strategies.
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"list", command_list, "the strategies, or the planted bugs or properties"},
    {"run", command_run, "run programs under the oracle, a verdict for each"},
    {"repro", command_repro, "explain a finding: its operations, the guilty one, the state"},
    {"minimize", command_minimize, "the smallest program that violates the same property"},
    {"record", command_record, "record the allocations of a real program as traces"},
    {"faults", command_faults, "refuse every acquisition from the source in turn"},
    {"replay", command_replay, "replay a trace, with the oracle or bare, and time it"},
    {"compare", command_compare, "run programs on several strategies, and compare what they do"},
    {"enumerate", command_enumerate, "run every small program, and say what that covered"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *to) {
  fprintf(to, "usage: assay COMMAND [OPTION...]\n\n"
              "Tells whether a memory allocator is correct, and how it fails.\n\n");
  for (int i = 0; i < COMMANDS; i++)
    fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].summary);
  fprintf(
      to,
      "\n`assay COMMAND --help` explains each. A program may be in bytes (as fuzzers store it),\n"
      "text or trace form. Exit codes: 0 clean, 1 finding, 2 could not run.\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return CLI_CANNOT_RUN;
  }
  for (int i = 0; i < COMMANDS; i++)
    if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
    print_help(stdout);
    return CLI_CLEAN;
  }
  return cli_error("unknown command '%s'; `assay --help` lists them", argv[1]);
}
