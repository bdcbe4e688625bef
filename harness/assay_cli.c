#include "harness/assay_cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

bool cli_strategy(const char *name, const struct registry_entry **entry) {
  if (!name) {
    cli_error("which strategy? Say --strategy NAME; `assay list` shows them");
    return false;
  }
  *entry = registry_find(name);
  if (*entry) return true;
  cli_error("unknown strategy '%s'; `assay list` shows them", name);
  return false;
}

bool cli_tier(const char *name, enum tier *tier) {
  if (tier_find(name, tier)) return true;
  cli_error("unknown tier '%s'; it is fast, full or paranoid", name);
  return false;
}

bool cli_number(const char *option, const char *text, unsigned long most, unsigned long *number) {
  char *end;
  errno = 0;
  *number = strtoul(text, &end, 10);
  if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && *number <= most) return true;
  cli_error("%s takes a number from 0 to %lu, not '%s'", option, most, text);
  return false;
}

bool cli_load(const char *path, struct program *program) {
  struct file_error error;
  if (program_load(program, path, NULL, NULL, &error)) return true;
  cli_error("%s", error.text);
  return false;
}

void cli_print_json_text(const char *text) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\')
      printf("\\%c", *c);
    else if (*c < 0x20 || *c >= 0x7f)
      printf("\\u%04x", *c);
    else
      putchar(*c);
  }
  putchar('"');
}

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
