// The program `assay`: its commands, and what they share.
#ifndef HARNESS_ASSAY_CLI_H_
#define HARNESS_ASSAY_CLI_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/registry.h"
#include "harness/isolate.h"
#include "harness/program.h"

struct option;  // of getopt.h

// Exit codes of all commands.
enum { CLI_CLEAN = 0, CLI_FINDING = 1, CLI_CANNOT_RUN = 2 };

// Each gets the command line from its own name on.
int command_list(int argc, char **argv);
int command_run(int argc, char **argv);
int command_repro(int argc, char **argv);
int command_minimize(int argc, char **argv);
int command_record(int argc, char **argv);
int command_import(int argc, char **argv);
int command_export(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_score(int argc, char **argv);
int command_faults(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_enumerate(int argc, char **argv);

// Prints `assay: <text>` to stderr and returns CLI_CANNOT_RUN.
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// An option that is not known or lacks its argument: says so, and how to get help.
int cli_usage(const char *command);

// A decimal number from `least` to `most`; false after an error message.
bool cli_number(const char *option, const char *text, uint64_t least, uint64_t most,
                uint64_t *number);

// ## Commands that run programs

// What all of them are told.
struct cli_job {
  const struct registry_entry *entry;  // --strategy
  enum tier tier;                      // --tier; what it is before cli_parse is the default
  const char *tier_name;               // as on the command line; NULL: not there
  bool json;                           // --json
  bool no_strategy;                    // --strategy may be missing; set before cli_parse
  bool no_files;                       // the same of files
  bool allocators_only;                // --strategy may be no collection; likewise
  char **files;
  int files_count;
};

enum cli_taken { CLI_TAKEN, CLI_NOT_MINE, CLI_REFUSED };

// What one of them is told beside that.
struct cli_syntax {
  const char *command, *help;
  const char *wanted;            // the word for what its files are; NULL: it takes none
  bool several;                  // files, and not just one
  const struct option *options;  // its own; ended by an entry without a name. Values are letters
  // Is shown each option first, and may take or refuse (after an error message) common ones too:
  // h, s, t and j.
  enum cli_taken (*take)(void *context, int option, const char *value);
};

// False if the command is over, with the exit code in `*result`: help was asked for, or the command
// line is wrong, and a message says how.
bool cli_parse(const struct cli_syntax *syntax, struct cli_job *job, void *context, int argc,
               char **argv, int *result);

// Acts on the program in each of the files, whatever became of others; a file that is none counts
// as CLI_CANNOT_RUN, after an error message. Returns the worst result.
typedef int cli_act(const struct cli_job *job, const char *path, struct program *program,
                    void *context);
int cli_each_program(const struct cli_job *job, cli_act *act, void *context);
// The same, where programs in bytes are refused.
int cli_each_trace(const struct cli_job *job, cli_act *act, void *context);

// ## Output

// A text as a JSON string, quotes included.
void cli_print_json_text(const char *text);

// The result of one run as a JSON object on one line.
void cli_print_json(const char *path, const struct registry_entry *entry,
                    const struct program *program, const struct isolated_run *run);

#endif
