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

static int minimize_file(const char *path, const char *output, struct minimization *task,
                         const struct registry_entry *entry, bool json) {
  struct program program = {0};
  if (!cli_load(path, &program)) return CLI_CANNOT_RUN;
  size_t before = program_length(&program);
  const struct budget *budget = task->context;
  bool done = minimize(task, &program);
  if (budget->terminal) fputs("\r\033[K", stderr);
  int result = CLI_CLEAN;
  if (!done && task->runs == 0) {
    result = cli_error("%s: could not be run: %s", path, strerror(errno));
  } else if (!done) {
    cli_error("%s: %s%s%s, nothing to minimise", path, task->verdict.id,
              task->property ? ", not " : "", task->property ? task->property : "");
    result = CLI_FINDING;
  } else if (!save(&program, output)) {
    result = CLI_CANNOT_RUN;
  } else if (json) {
    cli_print_json(output, entry, &program, &(struct isolated_run){.verdict = task->verdict});
  } else {
    printf("%s: %s, %zu operations of %zu, %zu runs%s\n", output, task->verdict.id,
           program_length(&program), before, task->runs,
           task->complete ? "" : " (stopped; it may get smaller)");
  }
  program_clear(&program);
  return result;
}

int command_minimize(int argc, char **argv) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},         {"strategy", required_argument, NULL, 's'},
      {"output", required_argument, NULL, 'o'}, {"property", required_argument, NULL, 'p'},
      {"tier", required_argument, NULL, 't'},   {"seconds", required_argument, NULL, 'n'},
      {"json", no_argument, NULL, 'j'},         {NULL, 0, NULL, 0}};
  const char *name = NULL, *output = NULL;
  unsigned long seconds = 60;
  bool json = false;
  struct minimization task = {.settings = {.oracle.tier = TIER_FULL, .quiet = true, .seconds = 20}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'h':
      fputs(help, stdout);
      return CLI_CLEAN;
    case 's':
      name = optarg;
      break;
    case 'o':
      output = optarg;
      break;
    case 'p':
      if (!property_find(optarg))
        return cli_error("unknown property '%s'; `assay list --properties` shows them", optarg);
      task.property = optarg;
      break;
    case 't':
      if (!cli_tier(optarg, &task.settings.oracle.tier)) return CLI_CANNOT_RUN;
      break;
    case 'n':
      if (!cli_number("--seconds", optarg, 86400, &seconds)) return CLI_CANNOT_RUN;
      break;
    case 'j':
      json = true;
      break;
    default:
      return cli_usage("minimize");
    }
  }
  const struct registry_entry *entry;
  if (!cli_strategy(name, &entry)) return CLI_CANNOT_RUN;
  if (!output) return cli_error("where to? Say --output OUT");
  if (optind != argc - 1) return cli_error("give one program; see `assay minimize --help`");
  struct budget budget = {.end = time(NULL) + (time_t)seconds, .terminal = isatty(STDERR_FILENO)};
  task.strategy = entry->strategy;
  task.progress = within_budget;
  task.context = &budget;
  return minimize_file(argv[optind], output, &task, entry, json);
}
