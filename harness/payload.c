#include "harness/payload.h"

enum { WORD = PAYLOAD_WORD };

static inline unsigned char pattern_byte(uint64_t key, size_t offset) {
  return (unsigned char)payload_pattern(key, offset);
}

// A range of a word or more is covered by words, of which the last may overlap the one before.
SEES_FORBIDDEN void payload_write(void *block, size_t from, size_t to, uint64_t key) {
  unsigned char *bytes = block;
  if (to - from < WORD || to < from) {
    for (; from < to; from++) bytes[from] = pattern_byte(key, from);
    return;
  }
  *(payload_word *)(bytes + from) = payload_pattern(key, from);
  size_t at = (from + WORD) & ~(size_t)(WORD - 1);
  uint64_t value = payload_pattern(key, at);
  for (; at + WORD <= to; at += WORD, value += PAYLOAD_STEP) *(payload_word *)(bytes + at) = value;
  *(payload_word *)(bytes + to - WORD) = payload_pattern(key, to - WORD);
}

static SEES_FORBIDDEN size_t first_difference(const unsigned char *bytes, size_t from, size_t to,
                                              uint64_t key) {
  while (from < to && bytes[from] == pattern_byte(key, from)) from++;
  return from < to ? from : PAYLOAD_INTACT;
}

SEES_FORBIDDEN size_t payload_verify(const void *block, size_t from, size_t to, uint64_t key) {
  const unsigned char *bytes = block;
  if (to - from < WORD || to < from) return first_difference(bytes, from, to, key);
  uint64_t difference = *(const payload_word *)(bytes + from) ^ payload_pattern(key, from);
  difference |= *(const payload_word *)(bytes + to - WORD) ^ payload_pattern(key, to - WORD);
  size_t at = (from + WORD) & ~(size_t)(WORD - 1);
  uint64_t value = payload_pattern(key, at);
  // No exit from the loop: it vectorises, and almost always there is nothing to find.
  for (; at + WORD <= to; at += WORD, value += PAYLOAD_STEP)
    difference |= *(const payload_word *)(bytes + at) ^ value;
  return difference ? first_difference(bytes, from, to, key) : PAYLOAD_INTACT;
}

SEES_FORBIDDEN size_t payload_verify_byte(const void *start, unsigned char byte, size_t size) {
  const unsigned char *bytes = start;
  uint64_t expected = byte * 0x0101010101010101u, difference = 0;
  size_t i = 0;
  for (; i + WORD <= size; i += WORD) difference |= *(const payload_word *)(bytes + i) ^ expected;
  for (; i < size; i++) difference |= (uint64_t)(bytes[i] ^ byte);
  if (!difference) return PAYLOAD_INTACT;
  for (i = 0; bytes[i] == byte;) i++;
  return i;
}

SEES_FORBIDDEN size_t payload_verify_zero(const void *block, size_t size) {
  return payload_verify_byte(block, 0, size);
}
