// UTF-8 for tests, as RFC 3629 describes rather than tabulates it: as many bits as are announced
// are put together, and only the number that results is judged.
#ifndef COLLECTIONS_UTF8_REFERENCE_H_
#define COLLECTIONS_UTF8_REFERENCE_H_

#include <stddef.h>
#include <stdint.h>

// Bytes of the sequence at the start of `text`; 0: none is well-formed.
static inline size_t reference_decode(const unsigned char *text, size_t size, uint32_t *number) {
  if (size == 0) return 0;
  size_t ones = 0;
  while (ones < 8 && text[0] & 1u << (7 - ones)) ones++;
  size_t length = ones == 0 ? 1 : ones;
  if (ones == 1 || ones > 4 || length > size) return 0;
  uint32_t value = text[0] % (1u << (7 - ones));
  for (size_t i = 1; i < length; i++) {
    if (text[i] / 64 != 2) return 0;
    value = value * 64 + text[i] % 64;
  }
  static const uint32_t least[] = {0, 0, 128, 2048, 65536};  // that needs so many bytes
  if (value < least[length] || value > 0x10FFFF || value / 2048 == 27) return 0;
  *number = value;
  return length;
}

static inline size_t reference_validate(const unsigned char *text, size_t size) {
  uint32_t number;
  for (size_t offset = 0, length; offset < size; offset += length) {
    length = reference_decode(text + offset, size - offset, &number);
    if (length == 0) return offset;
  }
  return size;
}

#endif
