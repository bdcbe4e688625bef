// assay generate: traces after a profile.
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/assay_cli.h"
#include "harness/import.h"
#include "harness/trace_generate.h"

enum { USUAL_OPERATIONS = 100000, MOST_OPERATIONS = (1 << 28) - 8 };

static const char help[] =
    "usage: assay generate --profile FILE --output TRACE [--operations N] [--seed S]\n\n"
    "Makes up a trace with the sizes, lifetimes and threads of a profile. The same seed gives the\n"
    "same trace.\n\n"
    "  --profile FILE   a trace, in any form that `assay import` knows; or what `assay stats\n"
    "                   --json` printed of one; or JSON by hand (below)\n"
    "  --output TRACE   the file to write\n"
    "  --operations N   how many (default: as many as the profile has, or 100000)\n"
    "  --seed S         any number (default: 1)\n\n"
    "By hand, all but sizes and lifetimes may be left out; ranges are [from, to, weight]:\n\n"
    "  {\"sizes\": [[16, 64, 9], [4096, 4096, 1]],      bytes\n"
    "   \"lifetimes\": [[1, 100, 5], [5000, 9000, 1]],  operations\n"
    "   \"leaked\": 0.01,      share of the blocks that is never released\n"
    "   \"resized\": 0.05,     share of the operations that resize, to one of the sizes\n"
    "   \"zeroed\": 0.1,       share of the allocations that is zeroed\n"
    "   \"alignments\": [[16, 9], [64, 1]], \"threads\": 4,\n"
    "   \"cross_thread\": 0.2, share of the releases that is another thread's\n"
    "   \"operations\": 100000}\n\n"
    "Each lifetime goes with its power of two of sizes. There are no phases: what is likely is so\n"
    "from the first to the last operation.\n";

struct request {
  const char *profile, *output;
  uint64_t operations, seed;
};

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  switch (option) {
  case 'p':
    request->profile = value;
    return CLI_TAKEN;
  case 'o':
    request->output = value;
    return CLI_TAKEN;
  case 'n':
    return cli_number("--operations", value, 1, MOST_OPERATIONS, &request->operations)
               ? CLI_TAKEN
               : CLI_REFUSED;
  case 'd':
    return cli_number("--seed", value, 0, UINT64_MAX, &request->seed) ? CLI_TAKEN : CLI_REFUSED;
  case 's':
  case 't':
  case 'j':
    cli_usage("generate");
    return CLI_REFUSED;
  default:
    return CLI_NOT_MINE;
  }
}

static bool is_json(const unsigned char *bytes, size_t size) {
  size_t at = 0;
  while (at < size && isspace(bytes[at])) at++;
  return at < size && bytes[at] == '{';
}

static bool profile_bytes(struct profile *profile, const unsigned char *bytes, size_t size,
                          const char *path, struct file_error *error) {
  struct program program = {0};
  enum program_form form;
  if (is_json(bytes, size)) return profile_parse(profile, (const char *)bytes, size, path, error);
  bool done = import_parse(&program, bytes, size, path, NULL, &form, NULL, NULL, error);
  if (done && form == FORM_BYTES)
    done = file_fail(error, path, "neither a profile in JSON nor a trace");
  done = done && profile_program(profile, &program, path, error);
  program_clear(&program);
  return done;
}

static bool profile_load(struct profile *profile, const char *path, struct file_error *error) {
  unsigned char *bytes;
  size_t size;
  if (!file_read(path, PROGRAM_FILE_MAX, &bytes, &size, error)) return false;
  bool done = profile_bytes(profile, bytes, size, path, error);
  free(bytes);
  return done;
}

static bool generate(const struct request *request, const struct profile *profile,
                     struct file_error *error) {
  struct program program = {0};
  struct trace_header header;
  uint64_t operations = request->operations   ? request->operations
                        : profile->operations ? profile->operations
                                              : USUAL_OPERATIONS;
  if (operations > MOST_OPERATIONS) operations = MOST_OPERATIONS;
  bool done = trace_generate(&program, &header, profile, operations, request->seed,
                             request->profile, error) &&
              program_save(&program, FORM_TRACE, &header, request->output, error);
  if (done)
    printf("%s: %zu operations, %" PRIu64 " thread%s, at most %" PRIu64 " bytes in %" PRIu64
           " blocks live\n",
           request->output, program_length(&program), header.threads,
           header.threads == 1 ? "" : "s", header.peak_bytes, header.peak_blocks);
  program_clear(&program);
  return done;
}

int command_generate(int argc, char **argv) {
  static const struct option options[] = {{"profile", required_argument, NULL, 'p'},
                                          {"output", required_argument, NULL, 'o'},
                                          {"operations", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"generate", help, NULL, false, options, take};
  struct request request = {.seed = 1};
  struct cli_job job = {.no_strategy = true};
  struct profile profile = {0};
  struct file_error error;
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  if (!request.profile) return cli_error("after what? Say --profile FILE");
  if (!request.output) return cli_error("where to? Say --output TRACE");
  if (!profile_load(&profile, request.profile, &error)) return cli_error("%s", error.text);
  bool done = generate(&request, &profile, &error);
  profile_clear(&profile);
  return done ? CLI_CLEAN : cli_error("%s", error.text);
}
