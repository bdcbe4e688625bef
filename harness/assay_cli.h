// The program `assay`: its commands, and what they share.
#ifndef HARNESS_ASSAY_CLI_H_
#define HARNESS_ASSAY_CLI_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/registry.h"
#include "harness/isolate.h"
#include "harness/program.h"

// Exit codes of all commands.
enum { CLI_CLEAN = 0, CLI_FINDING = 1, CLI_CANNOT_RUN = 2 };

// Each gets the command line from its own name on.
int command_list(int argc, char **argv);
int command_run(int argc, char **argv);
int command_repro(int argc, char **argv);
int command_minimize(int argc, char **argv);
int command_record(int argc, char **argv);
int command_replay(int argc, char **argv);

// Prints `assay: <text>` to stderr and returns CLI_CANNOT_RUN.
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// An option that is not known or lacks its argument: says so, and how to get help.
int cli_usage(const char *command);

// Look up what the command line names; false after an error message.
bool cli_strategy(const char *name, const struct registry_entry **entry);
bool cli_tier(const char *name, enum tier *tier);
bool cli_number(const char *option, const char *text, unsigned long most, unsigned long *number);
bool cli_load(const char *path, struct program *program);

// A text as a JSON string, quotes included.
void cli_print_json_text(const char *text);

// The result of one run as a JSON object on one line.
void cli_print_json(const char *path, const struct registry_entry *entry,
                    const struct program *program, const struct isolated_run *run);

#endif
