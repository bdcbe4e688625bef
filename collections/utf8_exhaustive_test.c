// All numbers of 21 bits, all texts of one to three bytes, and those of four by classes of bytes,
// against a reference.
#include <string.h>

#include "allocators/check.h"
#include "collections/utf8.h"
#include "collections/utf8_reference.h"

static size_t well_formed;  // of the texts that were compared

// Behind the text lie bytes of earlier ones: who looks at them is led astray.
static void compare(const unsigned char *bytes, size_t size) {
  const char *text = (const char *)bytes;
  size_t valid = reference_validate(bytes, size);
  CHECK(utf8_validate(text, size) == valid);
  uint32_t expected = 0xABCD, number = 0xABCD;
  CHECK(utf8_decode(text, size, &number) == reference_decode(bytes, size, &expected));
  CHECK(number == expected);
  if (valid == size) well_formed++;
}

static void test_all_numbers(void) {
  size_t encoded = 0;
  for (uint32_t number = 0; number < (uint32_t)1 << 21; number++) {
    char text[UTF8_LONGEST] = {'#', '#', '#', '#'};
    unsigned size = utf8_encode(number, text);
    bool scalar = number <= 0x10FFFF && number / 2048 != 27;
    CHECK((size != 0) == scalar);
    for (size_t i = size; i < UTF8_LONGEST; i++) CHECK(text[i] == '#');
    if (!scalar) continue;
    encoded++;
    uint32_t decoded = ~number;
    CHECK(utf8_decode(text, size, &decoded) == size && decoded == number);
    CHECK(reference_decode((unsigned char *)text, size, &decoded) == size && decoded == number);
    CHECK(utf8_validate(text, size) == size);
    // Cut short it is nothing, and between its bytes there is no boundary.
    for (unsigned i = 0; i < size; i++) {
      CHECK(utf8_decode(text, i, &decoded) == 0 && utf8_validate(text, i) == 0);
      CHECK(utf8_is_boundary(text, size, i) == (i == 0));
    }
    CHECK(utf8_is_boundary(text, size, size) && !utf8_is_boundary(text, size, size + 1));
  }
  CHECK(encoded == 0x110000 - 2048);
  char text[UTF8_LONGEST];
  for (unsigned bit = 21; bit < 32; bit++) CHECK(utf8_encode((uint32_t)1 << bit | 'x', text) == 0);
}

static void test_all_short_texts(void) {
  unsigned char text[3];
  well_formed = 0;
  for (unsigned a = 0; a < 256; a++) {
    text[0] = (unsigned char)a;
    compare(text, 1);
    for (unsigned b = 0; b < 256; b++) {
      text[1] = (unsigned char)b;
      compare(text, 2);
      for (unsigned c = 0; c < 256; c++) {
        text[2] = (unsigned char)c;
        compare(text, 3);
      }
    }
  }
  // With n1 .. n3 code points of so many bytes, a text of three bytes is n1^3, 2 n1 n2 or n3.
  size_t n1 = 128, n2 = 2048 - 128, n3 = 65536 - 2048 - 2048;
  CHECK(well_formed == n1 + (n1 * n1 + n2) + (n1 * n1 * n1 + 2 * n1 * n2 + n3));
}

// The first and last byte of each row of table 3-7, and their neighbours.
static const unsigned char classes[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                        0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                        0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};

// Any two neighbouring bytes are all that they can be, and the other two of every class.
static void test_texts_of_four(void) {
  unsigned char text[4];
  for (size_t at = 0; at < 3; at++) {
    size_t rest[2] = {at == 0 ? 2 : 0, at == 2 ? 1 : 3};
    for (size_t i = 0; i < sizeof classes; i++)
      for (size_t k = 0; k < sizeof classes; k++) {
        text[rest[0]] = classes[i];
        text[rest[1]] = classes[k];
        for (unsigned pair = 0; pair < 65536; pair++) {
          text[at] = (unsigned char)(pair >> 8);
          text[at + 1] = (unsigned char)pair;
          compare(text, 4);
        }
      }
  }
}

int main(void) {
  test_all_numbers();
  test_all_short_texts();
  test_texts_of_four();
  return 0;
}
