// Fuzz target: the converter of raw logs. Whatever the events, it either refuses them with one line
// or gives a program that is consistent: only what was allocated is released or resized.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEMAND_ID "raw-log"
#include "fuzz/demand.h"
#include "harness/record_convert.h"
#include "harness/record_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *log, size_t size) {
  struct program program = {0};
  struct trace_header header;
  struct recording recording;
  struct file_error error = {""};
  if (record_convert(log, size, "log", &program, &header, &recording, &error)) {
    demand_consistent(&program, &header);
  } else {
    demand(program.records == NULL, "a refused program is not cleared");
    demand(strncmp(error.text, "log: ", 5) == 0, "an error does not name its file");
    demand(strpbrk(error.text, "\n\r") == NULL, "an error is more than one line");
  }
  program_clear(&program);
}

// The bytes as a log, and as the events of one: four bytes an event (kind, which address, size,
// thread), so that addresses meet often enough.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(data, size);
  size_t count = size / 4, log_size = sizeof(struct raw_header) + count * sizeof(struct raw_event);
  uint8_t *log = calloc(1, log_size);
  if (!log) abort();
  struct raw_header header = {.magic = "", .version = RAW_VERSION};
  memcpy(header.magic, RAW_MAGIC, sizeof header.magic);
  memcpy(log, &header, sizeof header);
  for (size_t i = 0; i < count; i++, data += 4) {
    struct raw_event event = {.kind = (uint8_t)(data[0] % RAW_KINDS),
                              .align_log2 = data[0] / RAW_KINDS % 8,
                              .address = (uint64_t)(data[1] % 32) * 16,
                              .size = data[2],
                              .count = data[2] % 18,
                              .thread = data[3] % 4};
    if (event.kind == RAW_RESIZE_END) event.size = (uint64_t)(data[2] % 32) * 16;
    memcpy(log + sizeof header + i * sizeof event, &event, sizeof event);
  }
  check(log, log_size);
  free(log);
  return 0;
}
