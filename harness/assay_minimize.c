// assay minimize
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/minimize.h"
#include "harness/program_file.h"

static const char help[] =
    "usage: assay minimize --strategy NAME --output OUT [OPTION...] FILE\n\n"
    "Writes the smallest program that violates the same property as FILE. Never changes to "
    "another\n"
    "property. Exit code 0 if OUT was written, 1 if FILE does not violate the property, 2 "
    "otherwise.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --output OUT     the result; as text if it ends in .txt, else as bytes\n"
    "  --property ID    the property to keep (default: whichever FILE violates)\n"
    "  --tier TIER      fast, full (default) or paranoid\n"
    "  --seconds N      stop then, with the best so far (default 60)\n"
    "  --json           print the verdict on the result as a JSON object\n";

struct budget {
  time_t end;
  bool terminal;
};

static bool within_budget(void *context, size_t operations, size_t runs) {
  const struct budget *budget = context;
  if (budget->terminal && runs % 64 == 0)
    fprintf(stderr, "\rminimising: %zu operations, %zu runs ", operations, runs);
  return time(NULL) < budget->end;
}

static bool save(const struct program *program, const char *path) {
  size_t length = strlen(path);
  bool text = length > 4 && strcmp(path + length - 4, ".txt") == 0;
  struct file_error error;
  if (program_save(program, text ? FORM_TEXT : FORM_BYTES, NULL, path, &error)) return true;
  cli_error("%s", error.text);
  return false;
}

struct request {
  struct minimization task;
  const char *output;
  uint64_t seconds;
};

static int minimize_program(const struct cli_job *job, const char *path, struct program *program,
                            void *context) {
  struct request *request = context;
  struct minimization *task = &request->task;
  struct budget budget = {.end = time(NULL) + (time_t)request->seconds,
                          .terminal = isatty(STDERR_FILENO)};
  task->strategy = job->entry->strategy;
  task->settings.oracle.tier = job->tier;
  task->progress = within_budget;
  task->context = &budget;
  size_t before = program_length(program);
  bool done = minimize(task, program);
  if (budget.terminal) fputs("\r\033[K", stderr);
  if (!done && task->runs == 0) return cli_error("%s: could not be run: %s", path, strerror(errno));
  if (!done) {
    cli_error("%s: %s%s%s, nothing to minimise", path, task->verdict.id,
              task->property ? ", not " : "", task->property ? task->property : "");
    return CLI_FINDING;
  }
  if (!save(program, request->output)) return CLI_CANNOT_RUN;
  if (job->json)
    cli_print_json(request->output, job->entry, program,
                   &(struct isolated_run){.verdict = task->verdict});
  else
    printf("%s: %s, %zu operations of %zu, %zu runs%s\n", request->output, task->verdict.id,
           program_length(program), before, task->runs,
           task->complete ? "" : " (stopped; it may get smaller)");
  return CLI_CLEAN;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'o':
    request->output = value;
    return CLI_TAKEN;
  case 'p':
    request->task.property = value;
    if (property_find(value)) return CLI_TAKEN;
    cli_error("unknown property '%s'; `assay list --properties` shows them", value);
    return CLI_REFUSED;
  case 'n':
    return cli_number("--seconds", value, 0, 86400, &request->seconds) ? CLI_TAKEN : CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

int command_minimize(int argc, char **argv) {
  static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                          {"property", required_argument, NULL, 'p'},
                                          {"seconds", required_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {.task.settings = {.quiet = true, .seconds = 20}, .seconds = 60};
  static const struct cli_syntax syntax = {"minimize", help, "program", false, options, take};
  struct cli_job job = {.tier = TIER_FULL};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  if (!request.output) return cli_error("where to? Say --output OUT");
  return cli_each_program(&job, minimize_program, &request);
}
