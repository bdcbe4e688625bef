// Where in a text a sequence lies must not matter: at each distance from the edges of the words in
// which ASCII is passed over, and at each alignment.
#include <string.h>

#include "allocators/check.h"
#include "collections/utf8.h"
#include "collections/utf8_reference.h"

#define LONGEST_TEXT (10 * sizeof(uintptr_t) + 3)

// In a block of exactly its size, at `shift` from an aligned address: sanitizers see who reads on.
static void check_validate(const char *text, size_t size, size_t shift, size_t expected) {
  char *block = malloc(shift + size);
  CHECK(block != NULL || shift + size == 0);
  if (size != 0) memcpy(block + shift, text, size);
  CHECK(reference_validate((const unsigned char *)text, size) == expected);
  CHECK(utf8_validate(block + shift, size) == expected);
  free(block);
}

static void test_every_place(void) {
  static const struct {
    const char *bytes;
    size_t valid;  // of them
  } sequences[] = {
      {"\xC3\xA9", 2},
      {"\xE2\x82\xAC", 3},
      {"\xF0\x9F\x98\x80", 4},
      {"\x80", 0},
      {"\xC0\x80", 0},
      {"\xC1\xBF", 0},
      {"\xE0\x9F\xBF", 0},
      {"\xED\xA0\x80", 0},
      {"\xED\xBF\xBF", 0},
      {"\xF0\x8F\xBF\xBF", 0},
      {"\xFF", 0},
      {"\xF4\x90\x80\x80", 0},
      {"\xC3", 0},
      {"\xE2\x82", 0},
      {"\xF0\x9F\x98", 0},
      {"\xC3\xA9\xBF", 2},
  };
  for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
    size_t length = strlen(sequences[i].bytes);
    bool valid = sequences[i].valid == length;
    for (size_t size = length; size <= LONGEST_TEXT; size++)
      for (size_t at = 0; at + length <= size; at++) {
        char text[LONGEST_TEXT];
        memset(text, 'a', size);
        memcpy(text + at, sequences[i].bytes, length);
        check_validate(text, size, (size + at) % sizeof(uintptr_t),
                       valid ? size : at + sequences[i].valid);
      }
  }
}

// Every byte whose top bit is set, alone, in each place of a word.
static void test_every_byte(void) {
  for (unsigned byte = 0; byte < 256; byte++)
    for (size_t at = 0; at < LONGEST_TEXT; at++) {
      char text[LONGEST_TEXT];
      memset(text, 0x7F, sizeof text);
      text[at] = (char)byte;
      check_validate(text, sizeof text, at % 3, byte < 0x80 ? sizeof text : at);
    }
}

static void test_no_text(void) {
  uint32_t number = 7;
  CHECK(utf8_validate(NULL, 0) == 0);
  CHECK(utf8_decode(NULL, 0, &number) == 0 && number == 7);
  CHECK(utf8_is_boundary(NULL, 0, 0) && !utf8_is_boundary(NULL, 0, 1));
  CHECK(!utf8_is_boundary(NULL, 0, SIZE_MAX));
}

static void test_numbers(void) {
  static const struct {
    uint32_t number;
    const char *bytes;  // NULL: cannot be said
  } numbers[] = {
      {0x7F, "\x7F"},
      {0x80, "\xC2\x80"},
      {0x7FF, "\xDF\xBF"},
      {0x800, "\xE0\xA0\x80"},
      {0xD7FF, "\xED\x9F\xBF"},
      {0xD800, NULL},
      {0xDFFF, NULL},
      {0xE000, "\xEE\x80\x80"},
      {0xFFFF, "\xEF\xBF\xBF"},
      {0x10000, "\xF0\x90\x80\x80"},
      {0x10FFFF, "\xF4\x8F\xBF\xBF"},
      {0x110000, NULL},
      {UINT32_MAX, NULL},
      {0x80000041, NULL},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    char text[UTF8_LONGEST];
    unsigned size = utf8_encode(numbers[i].number, text);
    if (numbers[i].bytes == NULL) {
      CHECK(size == 0);
      continue;
    }
    uint32_t number;
    CHECK(size == strlen(numbers[i].bytes) && memcmp(text, numbers[i].bytes, size) == 0);
    CHECK(utf8_decode(text, size, &number) == size && number == numbers[i].number);
  }
}

int main(void) {
  test_every_place();
  test_every_byte();
  test_no_text();
  test_numbers();
  return 0;
}
