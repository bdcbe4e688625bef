// assay export: programs and traces, for other tools.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"
#include "harness/export_rep.h"

static const char help[] =
    "usage: assay export --form rep|text --output PATH [--header DIALECT] FILE\n\n"
    "Writes a program or trace, in any form that `assay import` knows, for others to read.\n\n"
    "  --form FORM       rep: a malloc lab's trace; text: Assay's own text form\n"
    "  --output PATH     the file to write\n"
    "  --header DIALECT  of rep, what its four first numbers are:\n"
    "                      heap_size       heap size, ids, operations, weight (default)\n"
    "                      ignore_ranges   weight, ids, operations, 0\n"
    "                      max_live_bytes  weight, ids, operations, most bytes live\n\n"
    "What rep cannot say (alignments beyond 16, zeroing, threads, writes to blocks) is lost, and\n"
    "told on standard error, a line each; a program with operations that it has no word for, such\n"
    "as reset, is refused. Text says all.\n";

struct request {
  const char *output;
  bool text, rep;
  enum rep_dialect dialect;
};

static bool find_dialect(const char *value, enum rep_dialect *dialect) {
  for (unsigned i = 0; i < REP_DIALECTS; i++)
    if (strcmp(value, rep_dialect_names[i]) == 0) {
      *dialect = (enum rep_dialect)i;
      return true;
    }
  cli_error("unknown header '%s'; there are heap_size, ignore_ranges and max_live_bytes", value);
  return false;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'o':
    request->output = value;
    return CLI_TAKEN;
  case 'f':
    request->text = strcmp(value, "text") == 0;
    request->rep = strcmp(value, "rep") == 0;
    if (request->text || request->rep) return CLI_TAKEN;
    cli_error("unknown form '%s'; there are rep and text", value);
    return CLI_REFUSED;
  case 'd':
    return find_dialect(value, &request->dialect) ? CLI_TAKEN : CLI_REFUSED;
  case 's':
  case 't':
  case 'j':
    cli_usage("export");
    return CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

static void tell(const char *path, uint64_t count, const char *what) {
  if (count) fprintf(stderr, "assay: %s: %" PRIu64 " %s\n", path, count, what);
}

static bool save_rep(const struct program *program, const struct request *request, const char *path,
                     struct file_error *error) {
  struct new_file file;
  struct rep_losses losses;
  if (!file_begin(&file, request->output, error)) return false;
  if (!export_rep(program, request->dialect, file.stream, path, &losses, error)) {
    file_abandon(&file);
    return false;
  }
  if (!file_commit(&file, error)) return false;
  tell(path, losses.alignments, "alignments beyond 16, which rep cannot say");
  tell(path, losses.zeroed, "zeroed allocations, now plain ones");
  tell(path, losses.threads, "operations of other threads, now of the one");
  tell(path, losses.uses, "writes to blocks, left out");
  tell(path, losses.skipped, "releases that name nothing, left out");
  return true;
}

static int export_program(const struct cli_job *job, const char *path, struct program *program,
                          void *context) {
  const struct request *request = context;
  struct file_error error;
  (void)job;
  bool done = request->rep ? save_rep(program, request, path, &error)
                           : program_save(program, FORM_TEXT, NULL, request->output, &error);
  return done ? CLI_CLEAN : cli_error("%s", error.text);
}

int command_export(int argc, char **argv) {
  static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                          {"form", required_argument, NULL, 'f'},
                                          {"header", required_argument, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"export", help, "program", false, options, take};
  struct request request = {0};
  struct cli_job job = {.no_strategy = true};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  if (!request.rep && !request.text) return cli_error("in which form? Say --form rep, or text");
  if (!request.output) return cli_error("where to? Say --output PATH");
  return cli_each_program(&job, export_program, &request);
}
