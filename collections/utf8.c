#include "collections/utf8.h"

// Bits of a byte that continues a sequence.
#define PAYLOAD_BITS 6

static bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// A row of table 3-7: what a first byte announces.
struct form {
  unsigned size;              // of the sequence in bytes; 0: nothing begins so
  unsigned char least, most;  // that the second byte may be; all later ones: 80..BF
};

static struct form form_of(unsigned char first) {
  if (first < 0x80) return (struct form){.size = 1};
  // 80..BF only continue; C0 and C1 would begin overlong forms of ASCII.
  if (first < 0xC2) return (struct form){.size = 0};
  if (first < 0xE0) return (struct form){2, 0x80, 0xBF};
  // Below E0 A0 a form is overlong; from ED A0 on lie the surrogates.
  if (first < 0xF0)
    return (struct form){3, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF};
  // Below F0 90 a form is overlong; from F4 90 on there are no code points.
  if (first < 0xF5)
    return (struct form){4, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF};
  return (struct form){.size = 0};
}

// Bytes of the sequence at the start of `text`, of which there is at least one; 0: not well-formed.
static unsigned sequence_size(const unsigned char *text, size_t size) {
  struct form form = form_of(text[0]);
  if (form.size > size) return 0;
  if (form.size > 1 && (text[1] < form.least || text[1] > form.most)) return 0;
  for (unsigned i = 2; i < form.size; i++)
    if (!continues(text[i])) return 0;
  return form.size;
}

// Whether any byte of a word is no ASCII; which one it is would depend on the order of bytes.
static bool has_high_bit(uintptr_t word) { return (word & (UINTPTR_MAX / 0xFF * 0x80)) != 0; }

// The builtin, since a compiler of freestanding code would call memcpy for every word.
static uintptr_t load_word(const unsigned char *from) {
  uintptr_t word;
  __builtin_memcpy(&word, from, sizeof word);
  return word;
}

// How many bytes at the start of `text` are ASCII.
static size_t ascii_size(const unsigned char *text, size_t size) {
  const size_t word = sizeof(uintptr_t);
  size_t offset = 0;
  while (size - offset >= 4 * word) {
    const unsigned char *at = text + offset;
    if (has_high_bit(load_word(at) | load_word(at + word) | load_word(at + 2 * word) |
                     load_word(at + 3 * word)))
      break;
    offset += 4 * word;
  }
  while (size - offset >= word && !has_high_bit(load_word(text + offset))) offset += word;
  while (offset < size && text[offset] < 0x80) offset++;
  return offset;
}

size_t utf8_validate(const char *text, size_t size) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t offset = 0;
  while (offset < size) {
    if (bytes[offset] < 0x80) {
      offset += ascii_size(bytes + offset, size - offset);
      continue;
    }
    unsigned length = sequence_size(bytes + offset, size - offset);
    if (length == 0) break;
    offset += length;
  }
  return offset;
}

unsigned utf8_decode(const char *text, size_t size, uint32_t *code_point) {
  const unsigned char *bytes = (const unsigned char *)text;
  unsigned length = size == 0 ? 0 : sequence_size(bytes, size);
  if (length == 0) return 0;
  // Of the first byte, as many bits say how long the sequence is, and then there is a 0.
  uint32_t value = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
  for (unsigned i = 1; i < length; i++) value = value << PAYLOAD_BITS | (bytes[i] & 0x3Fu);
  *code_point = value;
  return length;
}

unsigned utf8_encode(uint32_t code_point, char to[UTF8_LONGEST]) {
  if (code_point > UTF8_LAST_CODE_POINT || (code_point >= 0xD800 && code_point <= 0xDFFF)) return 0;
  if (code_point < 0x80) {
    to[0] = (char)code_point;
    return 1;
  }
  unsigned length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  for (unsigned i = length - 1; i > 0; i--) {
    to[i] = (char)(0x80 | (code_point & 0x3F));
    code_point >>= PAYLOAD_BITS;
  }
  to[0] = (char)((0xF00u >> length & 0xFF) | code_point);
  return length;
}

bool utf8_is_boundary(const char *text, size_t size, size_t offset) {
  if (offset >= size) return offset == size;
  return !continues((unsigned char)text[offset]);
}
