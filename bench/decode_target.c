// A fuzz target that only decodes its input: what full fuzz targets are compared with.
#include <stddef.h>
#include <stdint.h>

#include "harness/program.h"

enum { MAX_RECORDS = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct record records[MAX_RECORDS];
  if (size > sizeof records) return -1;
  struct program program;
  program_decode_into(&program, records, data, size);
  struct heap heap = program_heap(&program);
  uint64_t sum = heap.capacity;
  for (size_t i = 0; i < program_length(&program); i++)
    sum += record_operation(program_at(&program, i)).size;
  __asm__ volatile("" : : "r"(sum));
  return 0;
}
