// assay import: traces of other tools, as traces of ours.
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/assay_cli.h"
#include "harness/import.h"
#include "harness/trace_stats.h"

static const char help[] =
    "usage: assay import --output TRACE [OPTION...] FILE\n"
    "       assay import --output FOLDER [OPTION...] FILE...\n\n"
    "Makes a trace of each file, which may be in any of these forms. Its content tells, not its\n"
    "name:\n\n"
    "  rep        a malloc lab's trace, whatever the dialect of its four first numbers\n"
    "  android    memory_replay's text (`TID: malloc 0xADDRESS SIZE`)\n"
    "  heaptrack  heaptrack's data, raw or interpreted\n"
    "  mtrace     the log of glibc's mtrace(3)\n"
    "  trace, text  Assay's own\n\n"
    "and packed with zip, gzip or zstd. All other commands read these forms directly, too.\n\n"
    "  --output PATH    the trace, or an existing folder, for FILE.trace in it\n"
    "  --alignment N    of what malloc, calloc and realloc gave, in bytes (default: 16)\n"
    "  --partial        of a file that is cut off, take what is whole\n"
    "  --json           one JSON object a line\n\n"
    "What is not in the trace as it was in the file is told, a line each: requests for 0 bytes\n"
    "(now 1), calls that failed (left out), releases of what was never allocated (left out) ...\n"
    "A bad line is named, and no trace is written. Exit codes: 0 done, 2 a file could not be\n"
    "imported.\n";

struct request {
  struct import_settings settings;
  const char *output;
  bool folder;
};

static bool is_folder(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  uint64_t number;
  switch (option) {
  case 'o':
    request->output = value;
    request->folder = is_folder(value);
    return CLI_TAKEN;
  case 'a':
    if (!cli_number("--alignment", value, 1, 4096, &number)) return CLI_REFUSED;
    if (number & (number - 1)) {
      cli_error("--alignment takes a power of two, not '%s'", value);
      return CLI_REFUSED;
    }
    request->settings.alignment = number;
    return CLI_TAKEN;
  case 'p':
    request->settings.partial = true;
    return CLI_TAKEN;
  case 's':
  case 't':
    cli_usage("import");
    return CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

// ## What is told

static const struct remark {
  const char *key;
  size_t offset;
  const char *words;
} remarks[] = {
#define REMARK(member, words) {#member, offsetof(struct import_account, member), words}
    REMARK(failed, "calls that failed, left out"),
    REMARK(null_releases, "releases of NULL, left out"),
    REMARK(unknown_releases, "releases of what is not allocated, left out"),
    REMARK(unknown_resizes, "resizes of what is not allocated, now allocations"),
    REMARK(zero_sizes, "requests for 0 bytes, now for 1"),
    REMARK(missing_sizes, "sizes missing, read as 0"),
    REMARK(huge, "requests beyond 64 GiB, kept, which no heap here can meet"),
    REMARK(released_unseen, "addresses given out while live, released first"),
    REMARK(lost, "ids allocated into while live; the former blocks stay live, without a name"),
#undef REMARK
};
enum { REMARKS = sizeof remarks / sizeof *remarks };

static uint64_t value_of(const struct import_account *account, const struct remark *remark) {
  uint64_t value;
  memcpy(&value, (const char *)account + remark->offset, sizeof value);
  return value;
}

static void print_words(const char *path, const char *output, const struct program *program,
                        const struct trace_header *header, const struct import_account *account) {
  printf("%s: %s%s%s, %zu operations, %" PRIu64 " thread%s, at most %" PRIu64 " bytes in %" PRIu64
         " blocks live -> %s\n",
         path, account->format, account->container ? " in " : "",
         account->container ? account->container : "", program_length(program), header->threads,
         header->threads == 1 ? "" : "s", header->peak_bytes, header->peak_blocks, output);
  for (unsigned i = 0; i < REMARKS; i++)
    if (value_of(account, &remarks[i]))
      printf("  %" PRIu64 " %s\n", value_of(account, &remarks[i]), remarks[i].words);
  if (account->promised && account->promised != account->found)
    printf("  %" PRIu64 " operations are promised, and %" PRIu64 " are there\n", account->promised,
           account->found);
  if (account->promised_ids && account->promised_ids != account->found_ids)
    printf("  %" PRIu64 " ids are promised, and %" PRIu64 " are there\n", account->promised_ids,
           account->found_ids);
  if (account->cut_at)
    printf("  cut off at offset %" PRIu64 ", line %" PRIu64 "; this is what is whole\n",
           account->cut_at, account->cut_line);
  else if (account->open_end)
    printf("  the last line is not ended; if the file was cut off, its last number is too small\n");
}

static void print_json(const char *path, const char *output, const struct program *program,
                       const struct trace_header *header, const struct import_account *account) {
  printf("{\"file\": ");
  cli_print_json_text(path);
  printf(", \"output\": ");
  cli_print_json_text(output);
  printf(", \"format\": \"%s\", \"container\": ", account->format);
  cli_print_json_text(account->container ? account->container : "");
  printf(", \"lines\": %" PRIu64 ", \"operations\": %zu, \"threads\": %" PRIu64
         ", \"peak_bytes\": %" PRIu64 ", \"peak_blocks\": %" PRIu64,
         account->lines, program_length(program), header->threads, header->peak_bytes,
         header->peak_blocks);
  for (unsigned i = 0; i < REMARKS; i++)
    printf(", \"%s\": %" PRIu64, remarks[i].key, value_of(account, &remarks[i]));
  printf(", \"operations_promised\": %" PRIu64 ", \"ids_promised\": %" PRIu64
         ", \"cut_at\": %" PRIu64 ", \"open_end\": %s}\n",
         account->promised, account->promised_ids, account->cut_at,
         account->open_end ? "true" : "false");
}

// ## One file

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool output_path(const struct request *request, const char *path, char output[PATH_MAX]) {
  int length = request->folder
                   ? snprintf(output, PATH_MAX, "%s/%s.trace", request->output, name_of(path))
                   : snprintf(output, PATH_MAX, "%s", request->output);
  if (length < PATH_MAX) return true;
  cli_error("%s: the path of the output is too long", path);
  return false;
}

// A text has no header: what one says is counted.
static bool count_header(struct trace_header *header, const struct program *program,
                         struct import_account *account) {
  struct trace_stats stats;
  bool counted = trace_stats(&stats, program);
  header->peak_bytes = stats.peak_bytes;
  header->peak_blocks = stats.peak_blocks;
  header->threads = account->threads = stats.threads_count;
  trace_stats_clear(&stats);
  return counted;
}

static int import_file(const struct cli_job *job, const struct request *request, const char *path) {
  struct program program = {0};
  struct trace_header header;
  struct import_account account;
  struct file_error error;
  char output[PATH_MAX];
  if (!output_path(request, path, output)) return CLI_CANNOT_RUN;
  enum program_form form;
  bool done = import_load(&program, path, &request->settings, &form, &header, &account, &error);
  // Any file is a program in bytes, and so that says nothing.
  if (done && form == FORM_BYTES)
    done = file_fail(&error, path, "no trace that is known; see `assay import --help`");
  if (done && form == FORM_TEXT && !count_header(&header, &program, &account))
    done = file_fail(&error, path, "no memory to count what it asks for");
  done = done && program_save(&program, FORM_TRACE, &header, output, &error);
  if (!done)
    cli_error("%s", error.text);
  else if (job->json)
    print_json(path, output, &program, &header, &account);
  else
    print_words(path, output, &program, &header, &account);
  program_clear(&program);
  return done ? CLI_CLEAN : CLI_CANNOT_RUN;
}

// Whether each file has an output of its own.
static bool outputs_differ(const struct cli_job *job, const struct request *request) {
  for (int i = 1; request->folder && i < job->files_count; i++)
    for (int j = 0; j < i; j++)
      if (strcmp(name_of(job->files[i]), name_of(job->files[j])) == 0) {
        cli_error("%s and %s: both would become %s/%s.trace; import them into folders of their own",
                  job->files[j], job->files[i], request->output, name_of(job->files[i]));
        return false;
      }
  return true;
}

int command_import(int argc, char **argv) {
  static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                          {"alignment", required_argument, NULL, 'a'},
                                          {"partial", no_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"import", help, "file", true, options, take};
  struct request request = {0};
  struct cli_job job = {.no_strategy = true};
  int result, worst = CLI_CLEAN;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  if (!request.output) return cli_error("where to? Say --output TRACE, or --output FOLDER");
  if (job.files_count > 1 && !request.folder)
    return cli_error("%s: is no folder, and %d files are to be imported", request.output,
                     job.files_count);
  if (!outputs_differ(&job, &request)) return CLI_CANNOT_RUN;
  for (int i = 0; i < job.files_count; i++) {
    result = import_file(&job, &request, job.files[i]);
    if (result > worst) worst = result;
  }
  return worst;
}
