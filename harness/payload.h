// What the harness writes into blocks, and how it tells that a byte of it changed.
//
// The word at offset 8 i of a block is key + i * STEP: two blocks differ, and so do two places of
// one block, so that contents that were moved to a wrong offset do not look right.
#ifndef HARNESS_PAYLOAD_H_
#define HARNESS_PAYLOAD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/forbid.h"

// Bytes at each end of a block that the tier `fast` looks at.
enum { PAYLOAD_EDGE = 16 };

#define PAYLOAD_INTACT SIZE_MAX
#define PAYLOAD_STEP                                                                               \
  0x9E3779B97F4A7C15u  // 2^64 / golden ratio: consecutive words differ in most bytes

typedef uint64_t __attribute__((may_alias, aligned(1))) payload_word;
enum { PAYLOAD_WORD = sizeof(payload_word) };

// The eight bytes of the pattern at any offset.
static inline uint64_t payload_pattern(uint64_t key, size_t offset) {
  uint64_t low = key + offset / PAYLOAD_WORD * PAYLOAD_STEP;
  unsigned shift = (unsigned)(offset % PAYLOAD_WORD) * 8;
  // Shifted twice on the left side, since shifting by 64 at once is undefined.
  return low >> shift | (low + PAYLOAD_STEP) << 1 << (63 - shift);
}

// Writes bytes [from, to) of the block's pattern.
void payload_write(void *block, size_t from, size_t to, uint64_t key);
// The offset of the first byte in [from, to) that is not the pattern's, or PAYLOAD_INTACT.
size_t payload_verify(const void *block, size_t from, size_t to, uint64_t key);
// The offset of the first byte of [0, size) that is not zero, or PAYLOAD_INTACT.
size_t payload_verify_zero(const void *block, size_t size);
// The offset of the first byte of [0, size) that is not `byte`, or PAYLOAD_INTACT.
size_t payload_verify_byte(const void *start, unsigned char byte, size_t size);

// The same for the edges of a block alone; all of one that is not larger than both together.
static inline SEES_FORBIDDEN void payload_write_edges(void *block, size_t size, uint64_t key) {
  if (size < 2 * PAYLOAD_EDGE) {
    payload_write(block, 0, size, key);
    return;
  }
  unsigned char *bytes = block;
  for (size_t i = 0; i < PAYLOAD_EDGE; i += PAYLOAD_WORD) {
    *(payload_word *)(bytes + i) = payload_pattern(key, i);
    size_t end = size - PAYLOAD_EDGE + i;
    *(payload_word *)(bytes + end) = payload_pattern(key, end);
  }
}

static inline SEES_FORBIDDEN size_t payload_verify_edges(const void *block, size_t size,
                                                         uint64_t key) {
  if (size < 2 * PAYLOAD_EDGE) return payload_verify(block, 0, size, key);
  const unsigned char *bytes = block;
  uint64_t difference = 0;
  for (size_t i = 0; i < PAYLOAD_EDGE; i += PAYLOAD_WORD) {
    size_t end = size - PAYLOAD_EDGE + i;
    difference |= *(const payload_word *)(bytes + i) ^ payload_pattern(key, i);
    difference |= *(const payload_word *)(bytes + end) ^ payload_pattern(key, end);
  }
  if (!difference) return PAYLOAD_INTACT;
  size_t wrong = payload_verify(block, 0, PAYLOAD_EDGE, key);
  return wrong != PAYLOAD_INTACT ? wrong : payload_verify(block, size - PAYLOAD_EDGE, size, key);
}

#endif
