// Fuzz target: the parser of programs. Whatever the bytes, it either refuses them with one line or
// gives a program that every form carries unchanged.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEMAND_ID "parse"
#include "fuzz/demand.h"
#include "harness/program_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const struct program *program, size_t *size) {
  char *text = NULL;
  FILE *stream = open_memstream(&text, size);
  if (!stream) abort();
  program_print(program, stream);
  if (fclose(stream) != 0) abort();
  return text;
}

static bool same_records(const struct program *a, const struct program *b) {
  return a->count == b->count &&
         (a->count == 0 || memcmp(a->records, b->records, a->count * sizeof *a->records) == 0);
}

static void check_bytes(const struct program *program, const uint8_t *data, size_t size) {
  demand(program_encoded_size(program) == size, "bytes: the encoded size differs");
  unsigned char *again = malloc(size + 1);
  if (!again) abort();
  program_encode(program, again);
  demand(memcmp(again, data, size) == 0, "bytes: encoding the decoded gives other bytes");
  free(again);
}

// Formatted, parsed and formatted again, the text stays the same.
static void check_text(const struct program *program) {
  struct program parsed = {0};
  struct file_error error;
  enum program_form form;
  size_t size, again_size;
  char *text = print(program, &size);
  demand(program_parse(&parsed, text, size, "text", &form, NULL, &error) && form == FORM_TEXT,
         "text: what was formatted does not parse");
  char *again = print(&parsed, &again_size);
  demand(again_size == size && memcmp(text, again, size) == 0, "text: it is no fixed point");
  free(again);
  free(text);
  program_clear(&parsed);
}

static void check_trace(const struct program *program, const struct trace_header *header) {
  size_t size = TRACE_HEADER_SIZE + program->count * RECORD_SIZE;
  unsigned char *bytes = malloc(size + RECORD_SIZE);
  if (!bytes) abort();
  trace_seal(program, header, bytes);
  program_encode(program, bytes + TRACE_HEADER_SIZE);
  struct program parsed = {0};
  struct trace_header found;
  struct file_error error;
  enum program_form form;
  demand(program_parse(&parsed, bytes, size, "trace", &form, &found, &error) && form == FORM_TRACE,
         "trace: what was sealed does not parse");
  demand(same_records(program, &parsed), "trace: the records differ");
  demand(found.peak_bytes == header->peak_bytes && found.peak_blocks == header->peak_blocks &&
             found.unknown == header->unknown && found.threads == header->threads,
         "trace: the header differs");
  free(bytes);
  program_clear(&parsed);
}

// A checksum that the engine cannot guess would hide all that is behind it.
static uint8_t *repair_checksum(const uint8_t *data, size_t size) {
  struct program records = {0};
  struct trace_header from;
  uint8_t *repaired = malloc(size);
  if (!repaired) abort();
  memcpy(repaired, data, size);
  memcpy(&from, data, sizeof from);
  if (!program_decode(&records, data + TRACE_HEADER_SIZE, size - TRACE_HEADER_SIZE)) abort();
  records.tail_size = 0;
  trace_seal(&records, &from, repaired);
  program_clear(&records);
  return repaired;
}

static void check(const uint8_t *data, size_t size) {
  struct program program = {0};
  struct trace_header header;
  struct file_error error = {""};
  enum program_form form;
  if (program_parse(&program, data, size, "input", &form, &header, &error)) {
    if (form == FORM_BYTES) check_bytes(&program, data, size);
    program.tail_size = 0;
    check_text(&program);
    check_trace(&program, &header);
  } else {
    demand(program.records == NULL, "a refused program is not cleared");
    demand(strncmp(error.text, "input: ", 7) == 0, "an error does not name its file");
    demand(strpbrk(error.text, "\n\r") == NULL, "an error is more than one line");
  }
  program_clear(&program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(data, size);
  _Static_assert(sizeof(struct trace_header) == TRACE_HEADER_SIZE, "repair_checksum copies it");
  if (size >= TRACE_HEADER_SIZE && memcmp(data, TRACE_MAGIC, 8) == 0) {
    uint8_t *repaired = repair_checksum(data, size);
    check(repaired, size);
    free(repaired);
  }
  return 0;
}
