#include "harness/payload.h"

#include "harness/forbid.h"

typedef uint64_t __attribute__((may_alias, aligned(1))) word;

enum { WORD = sizeof(word) };
#define STEP 0x9E3779B97F4A7C15u  // 2^64 / golden ratio: consecutive words differ in most bytes

static uint64_t pattern(uint64_t key, size_t index) { return key + index * STEP; }

static unsigned char pattern_byte(uint64_t key, size_t offset) {
  return (unsigned char)(pattern(key, offset / WORD) >> (offset % WORD * 8));
}

SEES_FORBIDDEN void payload_write(void *block, size_t from, size_t to, uint64_t key) {
  unsigned char *bytes = block;
  for (; from < to && from % WORD; from++) bytes[from] = pattern_byte(key, from);
  uint64_t value = pattern(key, from / WORD);
  for (; from + WORD <= to; from += WORD, value += STEP) *(word *)(bytes + from) = value;
  for (; from < to; from++) bytes[from] = pattern_byte(key, from);
}

static SEES_FORBIDDEN size_t first_difference(const unsigned char *bytes, size_t from, size_t to,
                                              uint64_t key) {
  while (from < to && bytes[from] == pattern_byte(key, from)) from++;
  return from < to ? from : PAYLOAD_INTACT;
}

SEES_FORBIDDEN size_t payload_verify(const void *block, size_t from, size_t to, uint64_t key) {
  const unsigned char *bytes = block;
  size_t start = from;
  uint64_t difference = 0;
  for (; from < to && from % WORD; from++)
    difference |= (uint64_t)(bytes[from] ^ pattern_byte(key, from));
  uint64_t value = pattern(key, from / WORD);
  // No exit from the loop: it vectorises, and almost always there is nothing to find.
  for (; from + WORD <= to; from += WORD, value += STEP)
    difference |= *(const word *)(bytes + from) ^ value;
  for (; from < to; from++) difference |= (uint64_t)(bytes[from] ^ pattern_byte(key, from));
  return difference ? first_difference(bytes, start, to, key) : PAYLOAD_INTACT;
}

SEES_FORBIDDEN size_t payload_verify_byte(const void *start, unsigned char byte, size_t size) {
  const unsigned char *bytes = start;
  uint64_t expected = byte * 0x0101010101010101u, difference = 0;
  size_t i = 0;
  for (; i + WORD <= size; i += WORD) difference |= *(const word *)(bytes + i) ^ expected;
  for (; i < size; i++) difference |= (uint64_t)(bytes[i] ^ byte);
  if (!difference) return PAYLOAD_INTACT;
  for (i = 0; bytes[i] == byte;) i++;
  return i;
}

SEES_FORBIDDEN size_t payload_verify_zero(const void *block, size_t size) {
  return payload_verify_byte(block, 0, size);
}
