// assay compare
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "harness/assay_cli.h"
#include "harness/differential.h"
#include "harness/minimize.h"
#include "harness/program_file.h"

static const char help[] =
    "usage: assay compare --strategies A,B[,...]|all [--tier TIER] [--json] FILE...\n\n"
    "Runs each program on all of the strategies, and compares what they do where their traits and\n"
    "bounds say that they must agree: what is given and refused, contents, zeroed blocks, usable\n"
    "sizes, releases. Two that disagree are a finding of the property `differential`, named after\n"
    "both; then the oracle's verdict on each of them alone is shown beside it.\n\n"
    "  --strategies NAMES  of `assay list` or of planted bugs, with commas between them, and\n"
    "                      perhaps with a variant (free_list:best_fit); or `all`\n"
    "  --tier TIER         of the oracle for verdicts on one alone: fast, full (default) or\n"
    "                      paranoid\n"
    "  --output OUT        write the smallest program on which the same two disagree, and tell "
    "that\n"
    "                      one; as text if it ends in .txt\n"
    "  --seconds N         stop minimising then, with the best so far (default 60)\n"
    "  --json              one JSON object a line\n";

// What the child leaves for its parent.
struct legacy {
  struct comparison_counts counts;
  struct disagreement found;
};

struct request {
  const char *names;
  const struct program *program;
  struct differential differential;
  struct legacy *legacy;
  const char *output;              // of the minimised program; NULL: not wanted
  uint64_t seconds;                // for minimising
  char wanted[VERDICT_SITE_SIZE];  // the names of the two that must disagree; empty: any
};

static bool compare(void *context, struct run_counts *counts) {
  struct request *request = context;
  if (!differential_run(&request->differential, request->program, &request->legacy->found))
    return false;
  request->legacy->counts = request->differential.counts;
  counts->operations = request->differential.counts.operations;
  const struct disagreement *found = &request->legacy->found;
  if (found->found) property_violated(&found->verdict, found->names);
  return true;
}

// The oracle's own opinion of one of the two.
static struct verdict alone(const struct cli_job *job, const struct contender *contender,
                            struct program *program) {
  struct isolate_settings settings = {.oracle.tier = job->tier, .quiet = true, .once = true};
  struct isolated_run run;
  struct record former = program->count > 0 ? program->records[0] : (struct record){0};
  if (contender->variant >= 0 && program->count > 0) {
    struct heap heap = program_heap(program);
    heap.variant = (unsigned)contender->variant;
    program->records[0] = heap_record(&heap);
  }
  if (!isolate_run(&run, &settings, contender->strategy, program))
    run.verdict = (struct verdict){.id = "not run"};
  if (program->count > 0) program->records[0] = former;
  return run.verdict;
}

static void print_json(const char *path, const struct request *request, struct program *program,
                       const struct isolated_run *run, const struct cli_job *job) {
  const struct legacy *legacy = request->legacy;
  const struct differential *all = &request->differential;
  printf("{\"file\": ");
  cli_print_json_text(path);
  printf(", \"strategies\": [");
  for (size_t i = 0; i < all->count; i++) {
    if (i > 0) printf(", ");
    cli_print_json_text(all->contenders[i].name);
  }
  printf("], \"verdict\": ");
  cli_print_json_text(run->verdict.id);
  printf(", \"operations\": %zu", program_length(program));
  if (run->verdict.property == PROPERTY_NONE) {
    const struct comparison_counts *counts = &legacy->counts;
    printf(", \"compared\": {\"given\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"contents\": %" PRIu64 ", \"zeroed\": %" PRIu64 ", \"usable\": %" PRIu64
           ", \"releases\": %" PRIu64 "}",
           counts->given, counts->refused, counts->contents, counts->zeroed, counts->usable,
           counts->releases);
  } else {
    printf(", \"signature\": \"%08" PRIx32 "\", \"operation\": %zu, \"diagnosis\": ",
           verdict_signature(&run->verdict, legacy->found.names), run->verdict.operation);
    cli_print_json_text(run->verdict.diagnosis);
    printf(", \"site\": ");
    cli_print_json_text(run->verdict.site);
  }
  if (legacy->found.found) {
    const struct contender *pair[] = {&all->contenders[legacy->found.first],
                                      &all->contenders[legacy->found.second]};
    printf(", \"between\": [");
    for (int i = 0; i < 2; i++) {
      struct verdict verdict = alone(job, pair[i], program);
      printf("%s{\"strategy\": ", i ? ", " : "");
      cli_print_json_text(pair[i]->name);
      printf(", \"alone\": ");
      cli_print_json_text(verdict.id);
      printf("}");
    }
    printf("]");
  }
  printf("}\n");
}

static void print_text(const char *path, const struct request *request, struct program *program,
                       const struct isolated_run *run, const struct cli_job *job) {
  const struct legacy *legacy = request->legacy;
  const struct comparison_counts *counts = &legacy->counts;
  if (run->verdict.property == PROPERTY_NONE) {
    printf("%s: clean, %zu strategies agree on %" PRIu64 " answers, %" PRIu64 " contents, %" PRIu64
           " usable sizes, %" PRIu64 " releases\n",
           path, request->differential.count, counts->given + counts->refused,
           counts->contents + counts->zeroed, counts->usable, counts->releases);
    return;
  }
  printf("%s: %s: %s\n", path, run->verdict.id, run->verdict.diagnosis);
  if (!legacy->found.found) return;
  const size_t pair[] = {legacy->found.first, legacy->found.second};
  for (int i = 0; i < 2; i++) {
    const struct contender *contender = &request->differential.contenders[pair[i]];
    struct verdict verdict = alone(job, contender, program);
    printf("  the oracle on %s alone: %s%s%s\n", contender->name, verdict.id,
           verdict.property ? ": " : "", verdict.diagnosis);
  }
}

// ## Minimising: the same two must disagree

static bool judge_once(struct request *request, const struct program *program,
                       struct isolated_run *run) {
  request->program = program;
  *request->legacy = (struct legacy){0};
  return isolate_call(run, &(struct isolate_settings){.quiet = true}, compare, request);
}

static bool judge(void *context, const struct program *program, struct isolated_run *run) {
  struct request *request = context;
  if (!judge_once(request, program, run)) return false;
  size_t died = run->verdict.operation;
  if (run->verdict.property != PROPERTY_NONE && !request->legacy->found.found && died > 0 &&
      died < program_length(program)) {
    // One of them died of what the others may have disagreed on before.
    struct program before = {.records = program->records, .count = died + 1};
    struct isolated_run sooner;
    if (!judge_once(request, &before, &sooner)) return false;
    if (request->legacy->found.found) *run = sooner;
  }
  if (request->wanted[0] && strcmp(request->legacy->found.names, request->wanted) != 0)
    run->verdict = (struct verdict){.id = "another"};
  return true;
}

static bool within_budget(void *context, size_t operations, size_t runs) {
  (void)operations, (void)runs;
  return time(NULL) < *(const time_t *)context;
}

// Makes the program that two disagree on the smallest, and writes it.
static bool reduce(struct request *request, struct program *program) {
  time_t end = time(NULL) + (time_t)request->seconds;
  struct minimization task = {.strategy = request->differential.contenders[0].strategy,
                              .property = property_id(PROPERTY_differential),
                              .progress = within_budget,
                              .context = &end,
                              .judge = judge,
                              .judge_context = request};
  snprintf(request->wanted, sizeof request->wanted, "%s", request->legacy->found.names);
  bool done = minimize(&task, program);
  request->wanted[0] = 0;
  if (!done) {
    cli_error("could not be minimised: %s", task.runs ? task.verdict.id : strerror(errno));
    return false;
  }
  size_t length = strlen(request->output);
  bool text = length > 4 && strcmp(request->output + length - 4, ".txt") == 0;
  struct file_error error;
  if (program_save(program, text ? FORM_TEXT : FORM_BYTES, NULL, request->output, &error))
    return true;
  cli_error("%s", error.text);
  return false;
}

static int compare_program(const struct cli_job *job, const char *path, struct program *program,
                           void *context) {
  struct request *request = context;
  struct isolated_run run;
  if (!judge(request, program, &run))
    return cli_error("%s: could not be run: %s", path, strerror(errno));
  if (request->output && request->legacy->found.found) {
    // What is told is what is left.
    if (!reduce(request, program)) return CLI_CANNOT_RUN;
    if (!judge(request, program, &run))
      return cli_error("%s: could not be run: %s", path, strerror(errno));
    path = request->output;
  }
  if (job->json)
    print_json(path, request, program, &run, job);
  else
    print_text(path, request, program, &run, job);
  return run.verdict.property == PROPERTY_NONE ? CLI_CLEAN : CLI_FINDING;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  if (option == 's') {
    cli_error("compare takes --strategies A,B[,...]");
    return CLI_REFUSED;
  }
  switch (option) {
  case 'S':
    request->names = value;
    return CLI_TAKEN;
  case 'o':
    request->output = value;
    return CLI_TAKEN;
  case 'n':
    return cli_number("--seconds", value, 1, 86400, &request->seconds) ? CLI_TAKEN : CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

int command_compare(int argc, char **argv) {
  static const struct option options[] = {{"strategies", required_argument, NULL, 'S'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"seconds", required_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"compare", help, "program", true, options, take};
  static struct request request = {.seconds = 60};
  struct cli_job job = {.tier = TIER_FULL, .no_strategy = true};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  char error[160];
  if (!request.names)
    return cli_error("which strategies? Say --strategies A,B or --strategies all");
  if (request.output && job.files_count > 1)
    return cli_error("--output takes one program, not %d", job.files_count);
  if (!differential_choose(&request.differential, request.names, error, sizeof error))
    return cli_error("%s", error);
  request.legacy =
      mmap(NULL, sizeof *request.legacy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (request.legacy == MAP_FAILED) return cli_error("no memory: %s", strerror(errno));
  int worst = cli_each_program(&job, compare_program, &request);
  munmap(request.legacy, sizeof *request.legacy);
  differential_free(&request.differential);
  return worst;
}
