// assay: one program for all that is done with programs, traces and strategies.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "harness/assay_cli.h"

#if defined(__has_include) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
  bool judges;
} commands[] = {
    {"list", command_list, "the strategies, or the planted bugs or properties", false},
    {"run", command_run, "run programs under the oracle, a verdict for each", true},
    {"repro", command_repro, "explain a finding: its operations, the guilty one, the state", true},
    {"minimize", command_minimize, "the smallest program that violates the same property", true},
    {"record", command_record, "record the allocations of a real program as traces", false},
    {"import", command_import, "make traces of other tools' traces", false},
    {"export", command_export, "write a program or trace for other tools", false},
    {"stats", command_stats, "what traces ask for: sizes, lifetimes, threads, peak", false},
    {"generate", command_generate, "make up a trace with the sizes and lifetimes of a profile",
     false},
    {"faults", command_faults, "refuse every acquisition from the source in turn", true},
    {"replay", command_replay, "replay a trace, with the oracle or bare, and time it", false},
    {"score", command_score, "utilisation and throughput, as malloc labs grade them", false},
    {"compare", command_compare, "run programs on several strategies, and compare what they do",
     true},
    {"enumerate", command_enumerate, "run every small program, and say what that covered", true},
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
      "text or trace form, or a trace of another tool (`assay import --help`).\n"
      "Exit codes: 0 clean, 1 finding, 2 could not run.\n");
}

// What an allocator makes of its addresses shows the same way in every process that has the same
// ones: starts anew without randomness, as debuggers do. Where a container forbids that, verdicts
// that hang on addresses may differ. Valgrind would not follow.
static void fix_addresses(char **argv) {
  int now = personality(0xffffffff);
  if (now == -1 || now & ADDR_NO_RANDOMIZE || RUNNING_ON_VALGRIND) return;
  if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) != -1) execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return CLI_CANNOT_RUN;
  }
  for (int i = 0; i < COMMANDS; i++) {
    if (strcmp(argv[1], commands[i].name) != 0) continue;
    if (commands[i].judges) fix_addresses(argv);
    return commands[i].run(argc - 1, argv + 1);
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
    print_help(stdout);
    return CLI_CLEAN;
  }
  return cli_error("unknown command '%s'; `assay --help` lists them", argv[1]);
}
