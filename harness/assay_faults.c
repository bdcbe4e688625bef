// assay faults
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/exhaust_faults.h"
#include "harness/program_file.h"

static const char help[] =
    "usage: assay faults --strategy NAME [OPTION...] FILE...\n\n"
    "Refuses every acquisition from the source in turn: runs each program once to count them,\n"
    "create's included, then twice for each: that one refused, and it with all that follow. Each\n"
    "run is judged by the oracle. A finding is a program that shows it by itself; of those that\n"
    "show the same at the same place only the first is told. At the end it says what was\n"
    "covered. Exit code 0 if nothing was found, 1 if something was, 2 if not all could be run.\n\n"
    "  --strategy NAME  one of `assay list`, or a planted bug\n"
    "  --tier TIER      fast, full (default) or paranoid\n"
    "  --output DIR     write each finding there, as text; else it is printed\n"
    "  --progress       lines on stderr while it runs, as on a terminal\n"
    "  --json           one JSON object a line: the findings, then the coverage\n";

struct request {
  const char *output;
  bool progress;
  struct fault_exhaustion task;
  // Of what is under way.
  const struct cli_job *job;
  const char *path;
  size_t position;       // of the file
  uint32_t *signatures;  // of findings that were told
  size_t told;
  bool failed;  // some finding could not be written
};

static volatile bool stop;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  stop = true;
}

// ## Findings

static bool is_told(struct request *request, uint32_t signature) {
  for (size_t i = 0; i < request->told; i++)
    if (request->signatures[i] == signature) return true;
  uint32_t *grown = realloc(request->signatures, (request->told + 1) * sizeof *request->signatures);
  if (!grown) abort();
  request->signatures = grown;
  grown[request->told++] = signature;
  return false;
}

static char *text_of(const struct program *program) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);
  if (!stream) abort();
  program_print(program, stream);
  fclose(stream);
  return text;
}

// Where the finding was written, for the caller to free; NULL: nowhere.
static char *save(struct request *request, const struct fault_finding *finding,
                  uint32_t signature) {
  if (!request->output) return NULL;
  char *path;
  if (asprintf(&path, "%s/%s-%s-%08" PRIx32 ".txt", request->output, request->job->entry->name,
               finding->run->verdict.id, signature) < 0)
    abort();
  for (char *c = path + strlen(request->output); *c; c++)
    if (*c == ':') *c = '-';
  struct file_error error;
  if (program_save(finding->program, FORM_TEXT, NULL, path, &error)) return path;
  cli_error("%s", error.text);
  request->failed = true;
  free(path);
  return NULL;
}

static void print_field(const char *name, const char *text) {
  printf(", \"%s\": ", name);
  cli_print_json_text(text);
}

static void print_json(const struct request *request, const struct fault_finding *finding,
                       uint32_t signature, const char *saved) {
  const struct verdict *verdict = &finding->run->verdict;
  const char *refused = finding->acquisition == 0 ? "none" : finding->all ? "from" : "once";
  printf("{\"file\": ");
  cli_print_json_text(request->path);
  print_field("strategy", request->job->entry->name);
  print_field("verdict", verdict->id);
  printf(", \"signature\": \"%08" PRIx32 "\", \"acquisition\": %zu, \"refused\": \"%s\", "
         "\"operation\": %zu",
         signature, finding->acquisition, refused, verdict->operation);
  print_field("diagnosis", verdict->diagnosis);
  print_field("site", verdict->site);
  char *text = saved ? NULL : text_of(finding->program);
  print_field(saved ? "output" : "program", saved ? saved : text);
  free(text);
  printf("}\n");
}

static void print(const struct request *request, const struct fault_finding *finding,
                  const char *saved) {
  const struct verdict *verdict = &finding->run->verdict;
  printf("%s: ", request->path);
  if (finding->acquisition > 0)
    printf("acquisition %zu%s refused: ", finding->acquisition,
           finding->all ? " and all that follow" : "");
  printf("%s: %s\n", verdict->id, verdict->diagnosis);
  if (saved)
    printf("  written to %s\n", saved);
  else
    program_print(finding->program, stdout);
}

static void hear(void *context, const struct fault_finding *finding) {
  struct request *request = context;
  uint32_t signature = verdict_signature(&finding->run->verdict, request->job->entry->name);
  if (is_told(request, signature)) return;
  char *saved = save(request, finding, signature);
  if (request->job->json)
    print_json(request, finding, signature, saved);
  else
    print(request, finding, saved);
  free(saved);
  fflush(stdout);
}

// ## Progress and coverage

static void tell_progress(void *context, size_t runs, size_t total) {
  const struct request *request = context;
  bool terminal = isatty(STDERR_FILENO);
  fprintf(stderr, "%s%s (file %zu): %zu of %zu runs%s", terminal ? "\r" : "", request->path,
          request->position, runs, total, terminal ? "\033[K" : "\n");
}

static void report_json(const struct request *request, bool complete) {
  const struct fault_coverage *coverage = &request->task.coverage;
  printf("{\"coverage\": \"faults\", \"strategy\": ");
  cli_print_json_text(request->job->entry->name);
  printf(", \"complete\": %s, \"programs\": %" PRIu64 ", \"acquisitions\": %" PRIu64
         ", \"out_of_reach\": %" PRIu64 ", \"runs\": %" PRIu64 ", \"operations\": %" PRIu64
         ", \"operations_refused\": %" PRIu64 ", \"acquisitions_refused\": %" PRIu64
         ", \"violations\": %" PRIu64 ", \"findings\": %zu}\n",
         complete ? "true" : "false", coverage->programs, coverage->acquisitions,
         coverage->out_of_reach, coverage->runs, coverage->operations, coverage->refused,
         coverage->injected, coverage->violations, request->told);
}

static void report(const struct request *request, bool complete) {
  const struct fault_coverage *coverage = &request->task.coverage;
  printf("%s: %s%zu findings; %" PRIu64 " programs, each of their %" PRIu64
         " acquisitions refused once and with all that follow",
         request->job->entry->name, complete ? "" : "not complete: ", request->told,
         coverage->programs, coverage->acquisitions - coverage->out_of_reach);
  if (coverage->out_of_reach > 0) printf(", %" PRIu64 " more out of reach", coverage->out_of_reach);
  printf("; %" PRIu64 " runs, in clean ones %" PRIu64 " operations, %" PRIu64
         " of them refused, %" PRIu64 " acquisitions refused\n",
         coverage->runs, coverage->operations, coverage->refused, coverage->injected);
}

// ## The command

static int exhaust_program(const struct cli_job *job, const char *path, struct program *program,
                           void *context) {
  struct request *request = context;
  if (stop) return CLI_CANNOT_RUN;
  request->job = job;
  request->path = path;
  request->position++;
  uint64_t violations = request->task.coverage.violations;
  bool all = exhaust_faults(&request->task, program);
  if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
  if (!all)
    return cli_error("%s: not all could be run: %s", path,
                     errno ? strerror(errno) : "a run died behind others, but not by itself");
  if (request->task.stopped) return CLI_CANNOT_RUN;
  return request->task.coverage.violations > violations ? CLI_FINDING : CLI_CLEAN;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'o':
    request->output = value;
    return CLI_TAKEN;
  case 'p':
    request->progress = true;
    return CLI_TAKEN;
  default:
    return CLI_NOT_MINE;
  }
}

int command_faults(int argc, char **argv) {
  static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                          {"progress", no_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
  struct request request = {.task = {.found = hear, .stop = &stop}};
  static const struct cli_syntax syntax = {"faults", help, "program", true, options, take};
  struct cli_job job = {.tier = TIER_FULL};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  if (!operation_offered(OP_FAULT, job.entry->strategy))
    return cli_error("%s: its source never fails; try another tier", job.entry->name);
  request.job = &job;
  request.task.strategy = job.entry->strategy;
  request.task.settings.oracle.tier = job.tier;
  request.task.settings.oracle.twice = true;
  request.task.context = &request;
  if (request.progress || isatty(STDERR_FILENO)) request.task.progress = tell_progress;
  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
  result = cli_each_program(&job, exhaust_program, &request);
  if (request.failed) result = CLI_CANNOT_RUN;
  bool complete = result != CLI_CANNOT_RUN;
  if (job.json)
    report_json(&request, complete);
  else
    report(&request, complete);
  free(request.signatures);
  return result;
}
