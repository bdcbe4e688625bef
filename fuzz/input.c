#include "fuzz/input.h"

enum { MAX_RECORDS = 4096 };
// Larger heaps only cost time: every edge of a heap is nearer in a small one.
#define MAX_CAPACITY ((size_t)1 << 20)

bool input_decode(struct program *program, const uint8_t *data, size_t size) {
  static struct record records[MAX_RECORDS];
  if (size > sizeof records) return false;
  program_decode_into(program, records, data, size);
  return program_heap(program).capacity <= MAX_CAPACITY;
}
