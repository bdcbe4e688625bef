// What the harness writes into blocks, and how it tells that a byte of it changed.
//
// The word at offset 8 i of a block is key + i * STEP: two blocks differ, and so do two places of one
// block, so that contents that were moved to a wrong offset do not look right.
#ifndef HARNESS_PAYLOAD_H_
#define HARNESS_PAYLOAD_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes at each end of a block that the tier `fast` looks at.
enum { PAYLOAD_EDGE = 16 };

#define PAYLOAD_INTACT SIZE_MAX

// Writes bytes [from, to) of the block's pattern.
void payload_write(void *block, size_t from, size_t to, uint64_t key);
// The offset of the first byte in [from, to) that is not the pattern's, or PAYLOAD_INTACT.
size_t payload_verify(const void *block, size_t from, size_t to, uint64_t key);
// The offset of the first byte of [0, size) that is not zero, or PAYLOAD_INTACT.
size_t payload_verify_zero(const void *block, size_t size);
// The offset of the first byte of [0, size) that is not `byte`, or PAYLOAD_INTACT.
size_t payload_verify_byte(const void *start, unsigned char byte, size_t size);

#endif
