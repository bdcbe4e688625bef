// Payloads: every changed byte is found, at every alignment and length, and nothing beyond is
// looked at or written.
#include "harness/payload.h"

#include <string.h>

#include "allocators/check.h"

enum { ROOM = 512, AROUND = 0x77 };
#define KEY 0xD1B54A32D192ED03u

static unsigned char buffer[ROOM];

static void fresh(void) { memset(buffer, AROUND, sizeof buffer); }

static void check_around(size_t from, size_t to) {
  for (size_t i = 0; i < ROOM; i++)
    if (i < from || i >= to) CHECK(buffer[i] == AROUND);
}

static void test_every_byte_is_found(void) {
  for (size_t start = 0; start < 9; start++)
    for (size_t size = 1; size < 70; size++) {
      fresh();
      unsigned char *block = buffer + 16 + start;
      payload_write(block, 0, size, KEY);
      check_around(16 + start, 16 + start + size);
      CHECK(payload_verify(block, 0, size, KEY) == PAYLOAD_INTACT);
      for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit += 7) {
          block[i] ^= (unsigned char)(1 << bit);
          CHECK(payload_verify(block, 0, size, KEY) == i);
          // A part without it is intact; a part with it is not.
          CHECK(payload_verify(block, i + 1, size, KEY) == PAYLOAD_INTACT);
          CHECK(payload_verify(block, 0, i, KEY) == PAYLOAD_INTACT);
          CHECK(payload_verify(block, i, i + 1, KEY) == i);
          block[i] ^= (unsigned char)(1 << bit);
        }
    }
}

static void test_first_of_several(void) {
  fresh();
  payload_write(buffer, 0, 200, KEY);
  buffer[150] ^= 1;
  buffer[31] ^= 0x80;
  CHECK(payload_verify(buffer, 0, 200, KEY) == 31);
  CHECK(payload_verify(buffer, 32, 200, KEY) == 150);
  CHECK(payload_verify(buffer, 77, 77, KEY) == PAYLOAD_INTACT);
}

// What is written in pieces is what is written at once.
static void test_pieces(void) {
  static unsigned char whole[ROOM];
  payload_write(whole, 0, 300, KEY);
  for (size_t cut = 0; cut <= 300; cut += 7) {
    fresh();
    payload_write(buffer, cut, 300, KEY);
    check_around(cut, 300);
    payload_write(buffer, 0, cut, KEY);
    CHECK(memcmp(buffer, whole, 300) == 0);
  }
}

// Contents at a wrong offset, or of another block, do not look right; nor does one repeated byte.
static void test_unlike(void) {
  payload_write(buffer, 0, 400, KEY);
  for (size_t shift = 1; shift < 200; shift++)
    CHECK(payload_verify(buffer + shift, 0, 200, KEY) < 8);
  CHECK(payload_verify(buffer, 0, 200, 2 * KEY) < 8);
  for (int byte = 0; byte < 256; byte++) {
    memset(buffer, byte, 16);
    CHECK(payload_verify(buffer, 0, 16, KEY) < 16);
  }
}

static void test_bytes(void) {
  for (size_t start = 0; start < 9; start++)
    for (size_t size = 0; size < 70; size++) {
      unsigned char *at = buffer + 16 + start;
      fresh();
      memset(at, 0, size);
      CHECK(payload_verify_zero(at, size) == PAYLOAD_INTACT);
      memset(at, 0xA5, size);
      CHECK(payload_verify_byte(at, 0xA5, size) == PAYLOAD_INTACT);
      CHECK(payload_verify_zero(at, size) == (size ? 0 : PAYLOAD_INTACT));
      for (size_t i = 0; i < size; i++) {
        at[i] = 0xA4;
        CHECK(payload_verify_byte(at, 0xA5, size) == i);
        at[i] = 0xA5;
      }
    }
}

int main(void) {
  test_every_byte_is_found();
  test_first_of_several();
  test_pieces();
  test_unlike();
  test_bytes();
  return 0;
}
