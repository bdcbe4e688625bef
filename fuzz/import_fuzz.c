// Fuzz target: the importers of other tools' traces. Whatever the bytes, they are either refused
// with one line, or give a program that is consistent: only what was allocated is released or
// resized. Linked with //harness:unpack the same bytes may be packed, and never fill more memory
// than they may.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEMAND_ID "import"
#include "fuzz/demand.h"
#include "harness/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_UNPACKED = 1 << 20 };

static void check(const uint8_t *bytes, size_t size, bool partial) {
  struct import_settings settings = {.most_bytes = MOST_UNPACKED, .partial = partial};
  struct program program = {0};
  struct trace_header header;
  struct import_account account;
  struct file_error error = {""};
  enum program_form form;
  if (import_parse(&program, bytes, size, "file", &settings, &form, &header, &account, &error)) {
    bool own = strcmp(account.format, "bytes") == 0 || strcmp(account.format, "text") == 0 ||
               strcmp(account.format, "trace") == 0;
    demand(own || form == FORM_TRACE, "what was imported is no trace");
    if (!own) demand_consistent(&program, &header);
  } else {
    demand(program.records == NULL, "a refused program is not cleared");
    demand(strncmp(error.text, "file: ", 6) == 0, "an error does not name its file");
    demand(strpbrk(error.text, "\n\r") == NULL, "an error is more than one line");
  }
  program_clear(&program);
}

// ## The bytes as calls: four bytes each, written as a line of the format that the first byte says.
// Addresses are few, so that they meet.

struct call {
  unsigned kind, address, other, size;
};

static void write_rep(FILE *to, struct call call) {
  static const char letters[4] = {'a', 'r', 'f', 'f'};
  if (call.kind % 4 == 3)
    fprintf(to, "f -1\n");
  else if (call.kind % 4 == 2)
    fprintf(to, "f %u\n", call.address);
  else
    fprintf(to, call.size == 7 ? "%c %u\n" : "%c %u %u\n", letters[call.kind % 4], call.address,
            call.size);
}

static void write_android(FILE *to, struct call call) {
  unsigned address = 16 * call.address, thread = call.size % 3;
  switch (call.kind % 6) {
  case 0:
    fprintf(to, "%u: malloc 0x%x %u\n", thread, address, call.size);
    break;
  case 1:
    fprintf(to, "%u: free 0x%x\n", thread, address);
    break;
  case 2:
    fprintf(to, "%u: realloc 0x%x 0x%x %u\n", thread, address, 16 * call.other, call.size);
    break;
  case 3:
    fprintf(to, "%u: calloc 0x%x %u %u 1 2\n", thread, address, call.other, call.size);
    break;
  case 4:
    fprintf(to, "%u: memalign 0x%x %u %u\n", thread, address, 1u << call.other, call.size);
    break;
  default:
    fprintf(to, "%u: thread_done 0x0\n", thread);
  }
}

static void write_heaptrack(FILE *to, struct call call) {
  if (call.kind % 4 == 0)
    fprintf(to, "a %x 1\n", call.size);
  else if (call.kind % 4 == 3)
    fprintf(to, "+ %x 1 %x\n", call.size, 16 * call.address);
  else
    fprintf(to, "%c %x\n", call.kind % 4 == 1 ? '+' : '-', call.address);
}

static void write_mtrace(FILE *to, struct call call) {
  const char *place = call.other % 2 ? "" : "@ ./a:[0x1f] ";
  switch (call.kind % 4) {
  case 0:
    fprintf(to, "%s+ 0x%x 0x%x\n", place, 16 * call.address, call.size);
    break;
  case 1:
    fprintf(to, "%s- 0x%x\n", place, 16 * call.address);
    break;
  case 2:
    fprintf(to, "%s< 0x%x\n%s> 0x%x 0x%x\n", place, 16 * call.address, place, 16 * call.other,
            call.size);
    break;
  default:
    fprintf(to, "%s! 0x%x 0x%x\n", place, 16 * call.address, call.size);
  }
}

static const struct {
  const char *beginning;
  void (*write)(FILE *to, struct call call);
} formats[] = {
    {"1\n9\n9\n0\n", write_rep},
    {"0: free 0x0\n", write_android},
    {"v 10500 3\n", write_heaptrack},
    {"= Start\n", write_mtrace},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static void check_calls(const uint8_t *data, size_t size) {
  char *text = NULL;
  size_t length = 0;
  FILE *to = open_memstream(&text, &length);
  if (!to) abort();
  unsigned format = data[0] % FORMATS;
  fputs(formats[format].beginning, to);
  for (size_t i = 1; i + 4 <= size; i += 4)
    formats[format].write(to, (struct call){.kind = data[i],
                                            .address = data[i + 1] % 16,
                                            .other = data[i + 2] % 16,
                                            .size = data[i + 3]});
  if (fclose(to) != 0) abort();
  check((uint8_t *)text, length, false);
  // And cut off somewhere.
  check((uint8_t *)text, length * data[0] / 255, true);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(data, size, size & 1);
  if (size > 0) check_calls(data, size);
  return 0;
}
