#include "harness/assay_cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/collection.h"
#include "harness/import.h"
#include "harness/json.h"
#include "harness/program_file.h"

int cli_error(const char *format, ...) {
  fflush(stdout);
  fputs("assay: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  return CLI_CANNOT_RUN;
}

int cli_usage(const char *command) {
  fprintf(stderr, "assay: see `assay %s --help`\n", command);
  return CLI_CANNOT_RUN;
}

bool cli_number(const char *option, const char *text, uint64_t least, uint64_t most,
                uint64_t *number) {
  char *end;
  errno = 0;
  *number = strtoull(text, &end, 10);
  bool whole = *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
  if (whole && *number >= least && *number <= most) return true;
  cli_error("%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, least, most,
            text);
  return false;
}

// ## Options

static const struct option common_options[] = {{"help", no_argument, NULL, 'h'},
                                               {"strategy", required_argument, NULL, 's'},
                                               {"tier", required_argument, NULL, 't'},
                                               {"json", no_argument, NULL, 'j'}};
enum { COMMON = sizeof common_options / sizeof *common_options, MOST_OPTIONS = 24 };

static void join_options(struct option all[MOST_OPTIONS], const struct option *own) {
  size_t count = 0;
  for (; count < COMMON; count++) all[count] = common_options[count];
  for (; own->name; own++) {
    if (count == MOST_OPTIONS - 1) abort();
    all[count++] = *own;
  }
  all[count] = (struct option){0};
}

static bool find_strategy(const char *name, const struct registry_entry **entry) {
  if (!name) {
    cli_error("which strategy? Say --strategy NAME; `assay list` shows them");
    return false;
  }
  *entry = registry_find(name);
  if (*entry) return true;
  cli_error("unknown strategy '%s'; `assay list` shows them", name);
  return false;
}

static bool find_tier(struct cli_job *job) {
  if (tier_find(job->tier_name, &job->tier)) return true;
  cli_error("unknown tier '%s'; it is fast, full or paranoid", job->tier_name);
  return false;
}

static bool find_files(const struct cli_syntax *syntax, struct cli_job *job, int argc,
                       char **argv) {
  job->files = argv + optind;
  job->files_count = argc - optind;
  if (!syntax->wanted) {
    if (job->files_count == 0) return true;
    cli_error("%s takes no argument '%s'", syntax->command, argv[optind]);
    return false;
  }
  if (job->no_files && job->files_count == 0) return true;
  if (syntax->several ? job->files_count > 0 : job->files_count == 1) return true;
  cli_error(syntax->several ? "no %s given; see `assay %s --help`"
                            : "give one %s; see `assay %s --help`",
            syntax->wanted, syntax->command);
  return false;
}

bool cli_parse(const struct cli_syntax *syntax, struct cli_job *job, void *context, int argc,
               char **argv, int *result) {
  struct option options[MOST_OPTIONS];
  join_options(options, syntax->options);
  const char *strategy = NULL;
  *result = CLI_CANNOT_RUN;
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    enum cli_taken taken = c == '?' ? CLI_NOT_MINE : syntax->take(context, c, optarg);
    if (taken == CLI_REFUSED) return false;
    if (taken == CLI_TAKEN) continue;
    switch (c) {
    case 'h':
      fputs(syntax->help, stdout);
      *result = CLI_CLEAN;
      return false;
    case 's':
      strategy = optarg;
      break;
    case 't':
      job->tier_name = optarg;
      if (!find_tier(job)) return false;
      break;
    case 'j':
      job->json = true;
      break;
    default:
      cli_usage(syntax->command);
      return false;
    }
  }
  if (!job->no_strategy && !find_strategy(strategy, &job->entry)) return false;
  if (job->entry && job->allocators_only && job->entry->strategy->traits & STRATEGY_COLLECTION) {
    cli_error("%s is a collection, and %s is about allocators; `assay run` judges collections",
              job->entry->name, syntax->command);
    return false;
  }
  collection_speak(job->entry ? job->entry->strategy : NULL);
  return find_files(syntax, job, argc, argv);
}

// ## Programs

enum { LOOKED_AT = 64 };

// Whether these are lines of text, of which the first that is no comment begins with a word. Bytes
// that an engine made up are not: neither a few letters, nor letters with anything else among them.
static bool is_prose(const unsigned char *bytes, size_t size) {
  enum { WORD = 4 };
  size_t lines = 0, at = 0, word = 0;
  for (size_t i = 0; i < size; i++) {
    if (!isprint(bytes[i]) && !strchr("\n\t\r", bytes[i] ? bytes[i] : 1)) return false;
    lines += bytes[i] == '\n';
  }
  while (at < size && (isspace(bytes[at]) || bytes[at] == '#')) {
    bool comment = bytes[at] == '#';
    while (comment && at < size && bytes[at] != '\n') at++;
    if (at < size) at++;
  }
  while (at + word < size && (islower(bytes[at + word]) || bytes[at + word] == '_')) word++;
  return lines > 0 && word >= WORD && (at + word == size || isspace(bytes[at + word]));
}

// What bytes resemble so much that they are meant to be that; NULL: nothing.
static const char *resemblance(const struct program *program) {
  struct program start = {.records = program->records,
                          .count = program->count < LOOKED_AT ? program->count : LOOKED_AT};
  if (start.count == program->count) {
    start.tail_size = program->tail_size;
    memcpy(start.tail, program->tail, program->tail_size);
  }
  unsigned char bytes[(LOOKED_AT + 1) * RECORD_SIZE];
  size_t size = program_encoded_size(&start), alike = 0;
  program_encode(&start, bytes);
  for (size_t i = 0; i < size && TRACE_MAGIC[i]; i++) alike += bytes[i] == TRACE_MAGIC[i];
  if (2 * alike > strlen(TRACE_MAGIC)) return "a trace with a damaged beginning";
  return is_prose(bytes, size) ? "text whose first word is wrong" : NULL;
}

static bool load(const char *path, bool refuse_bytes, struct program *program) {
  struct file_error error;
  enum program_form form;
  if (!import_load(program, path, NULL, &form, NULL, NULL, &error)) {
    cli_error("%s", error.text);
    return false;
  }
  if (form != FORM_BYTES) return true;
  const char *like = resemblance(program);
  if (refuse_bytes || like)
    cli_error("%s: neither a trace nor a program in text%s%s", path, like ? "; it looks like " : "",
              like ? like : "");
  return !refuse_bytes && !like;
}

static int each(const struct cli_job *job, bool refuse_bytes, cli_act *act, void *context) {
  int worst = CLI_CLEAN;
  for (int i = 0; i < job->files_count; i++) {
    struct program program = {0};
    int result = CLI_CANNOT_RUN;
    if (load(job->files[i], refuse_bytes, &program))
      result = act(job, job->files[i], &program, context);
    program_clear(&program);
    if (result > worst) worst = result;
  }
  return worst;
}

int cli_each_program(const struct cli_job *job, cli_act *act, void *context) {
  return each(job, false, act, context);
}

int cli_each_trace(const struct cli_job *job, cli_act *act, void *context) {
  return each(job, true, act, context);
}

// ## Output

void cli_print_json_text(const char *text) { json_print_text(text); }

void cli_print_json(const char *path, const struct registry_entry *entry,
                    const struct program *program, const struct isolated_run *run) {
  const struct verdict *verdict = &run->verdict;
  printf("{\"file\": ");
  cli_print_json_text(path);
  printf(", \"strategy\": ");
  cli_print_json_text(entry->name);
  printf(", \"verdict\": ");
  cli_print_json_text(verdict->id);
  printf(", \"operations\": %zu", program_length(program));
  if (verdict->property == PROPERTY_NONE) {
    printf(", \"executed\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"skipped\": %" PRIu64,
           run->counts.operations, run->counts.refused, run->counts.skipped);
  } else {
    printf(", \"signature\": \"%08" PRIx32 "\", \"operation\": %zu, \"diagnosis\": ",
           verdict_signature(verdict, entry->name), verdict->operation);
    cli_print_json_text(verdict->diagnosis);
    printf(", \"site\": ");
    cli_print_json_text(verdict->site);
  }
  printf("}\n");
}
