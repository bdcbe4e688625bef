// Printing against the libc's, at the edges of every width, into ends that take little or nothing.
#include "collections/print.h"

#include <inttypes.h>
#include <string.h>

#include "allocators/check.h"

static char text[256], expected[256];
static struct writer_memory memory;

static struct writer *fresh(void) {
  memset(text, '#', sizeof text);
  writer_memory_init(&memory, text, sizeof text);
  return &memory.base;
}

static void check_text(const char *wanted) {
  CHECK(writer_result(&memory.base) == RESULT_OK);
  CHECK(strcmp(text, wanted) == 0);
  CHECK(memory.base.taken == strlen(wanted) && memory.base.asked == strlen(wanted));
}

#define CHECK_PRINTED(call, ...)                                                                   \
  do {                                                                                             \
    struct writer *w = fresh();                                                                    \
    CHECK((call) == RESULT_OK);                                                                    \
    snprintf(expected, sizeof expected, __VA_ARGS__);                                              \
    check_text(expected);                                                                          \
  } while (0)

static void check_integer(uint64_t value) {
  int64_t as_signed = (int64_t)value;
  CHECK_PRINTED(print_unsigned(w, value), "%" PRIu64, value);
  CHECK_PRINTED(print_signed(w, as_signed), "%" PRId64, as_signed);
  CHECK_PRINTED(print_hexadecimal(w, value), "0x%" PRIx64, value);
  bool negative = as_signed < 0;
  uint64_t magnitude = negative ? 0 - value : value;
#define CHECK_LAYOUT(format, ...)                                                                  \
  CHECK_PRINTED(print_integer(w, negative, magnitude, (struct print_layout){__VA_ARGS__}), format, \
                as_signed)
  CHECK_LAYOUT("%24" PRId64, .width = 24);
  CHECK_LAYOUT("%-24" PRId64, .width = 24, .left = true);
  CHECK_LAYOUT("%024" PRId64, .width = 24, .zeros = true);
  CHECK_LAYOUT("%+024" PRId64, .width = 24, .zeros = true, .plus = true);
  CHECK_LAYOUT("%+-7" PRId64, .width = 7, .zeros = true, .plus = true, .left = true);
  CHECK_LAYOUT("%3" PRId64, .width = 3);
  CHECK_PRINTED(
      print_integer(w, false, value,
                    (struct print_layout){.width = 17, .hexadecimal = true, .upper = true}),
      "%17" PRIX64, value);
}

static void test_integers(void) {
  check_integer(0);
  // Around every power of two and of ten, and so around the ends of every width.
  for (unsigned bit = 0; bit < 64; bit++)
    for (unsigned off = 0; off < 3; off++) {
      check_integer(((uint64_t)1 << bit) - 1 + off);
      check_integer(0 - ((uint64_t)1 << bit) + 1 - off);
    }
  for (uint64_t power = 1;; power *= 10) {
    check_integer(power);
    check_integer(power - 1);
    if (power > UINT64_MAX / 10) break;
  }
  for (uint64_t value = 1, i = 0; i < 20000; i++) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    CHECK_PRINTED(print_unsigned(w, value >> i % 64), "%" PRIu64, value >> i % 64);
  }
  // Every width around the length of a number.
  for (int width = 0; width < 24; width++)
    for (int value = -10101; value <= 10101; value += 10101) {
      bool negative = value < 0;
      uint64_t magnitude = negative ? 10101 : (uint64_t)value;
      struct print_layout layout = {.width = (unsigned)width};
      CHECK_PRINTED(print_integer(w, negative, magnitude, layout), "%*d", width, value);
      layout.zeros = true;
      CHECK_PRINTED(print_integer(w, negative, magnitude, layout), "%0*d", width, value);
      layout.left = true;
      CHECK_PRINTED(print_integer(w, negative, magnitude, layout), "%-*d", width, value);
    }
  CHECK_PRINTED(print_integer(w, true, UINT64_MAX, (struct print_layout){0}),
                "-18446744073709551615");
  CHECK_PRINTED(print_signed(w, INT64_MIN), "-9223372036854775808");
  CHECK_PRINTED(print_signed(w, INT32_MIN), "-2147483648");
  CHECK_PRINTED(print_signed(w, INT16_MIN), "-32768");
  CHECK_PRINTED(print_signed(w, INT8_MIN), "-128");
  CHECK_PRINTED(print_hexadecimal(w, (uint8_t)INT8_MIN), "0x80");
}

static void test_text(void) {
  CHECK_PRINTED(print_text(w, "Hello world!"), "Hello world!");
  CHECK_PRINTED(print_text(w, ""), "%s", "");
  CHECK_PRINTED(print_text(w, NULL), "(null)");
  CHECK_PRINTED(print_char(w, 'x'), "x");
  CHECK_PRINTED(print_bool(w, true), "true");
  CHECK_PRINTED(print_bool(w, false), "false");
  CHECK_PRINTED(print_pointer(w, text), "0x%" PRIxPTR, (uintptr_t)text);
  CHECK_PRINTED(print_pointer(w, NULL), "0x0");
  CHECK_PRINTED(print_padded(w, "abcd", 3, 8, false), "%8s", "abc");
  CHECK_PRINTED(print_padded(w, "abcd", 3, 8, true), "%-8s", "abc");
  CHECK_PRINTED(print_padded(w, "abcd", 4, 3, true), "abcd");
  CHECK_PRINTED(print_padded(w, "", 0, 40, true), "%40s", "");
  struct writer *w = fresh();
  CHECK(print_bytes(w, "a\0b", 3) == RESULT_OK && memory.base.taken == 3);
  CHECK(memcmp(text, "a\0b", 4) == 0);
}

static enum result print_short(struct writer *writer, const void *element, void *context) {
  ++*(unsigned *)context;
  return print_signed(writer, *(const int16_t *)element);
}

struct node {
  int16_t value;
  const struct node *next;
};

static const void *next_node(void *iterator) {
  const struct node **at = iterator, *node = *at;
  if (node != NULL) *at = node->next;
  return node;
}

static void test_collections(void) {
  const int16_t values[] = {1, -32768, 3};
  unsigned seen = 0;
  struct writer *writer = fresh();
  CHECK(print_array(writer, "[]", values, 3, sizeof *values, print_short, &seen) == RESULT_OK);
  check_text("[1, -32768, 3]");
  CHECK(seen == 3);
  writer = fresh();
  CHECK(print_array(writer, "()", NULL, 0, sizeof *values, print_short, &seen) == RESULT_OK);
  check_text("()");
  CHECK(seen == 3);
  const struct node last = {-7, NULL}, first = {5, &last}, *at = &first;
  writer = fresh();
  CHECK(print_each(writer, "{}", next_node, &at, print_short, &seen) == RESULT_OK);
  check_text("{5, -7}");
}

// Whatever the buffer, what is there is the beginning of the text, ended by 0, and what is not
// there is counted as by snprintf.
static void test_truncation(void) {
  const int16_t values[] = {12, 345, -6};
  const char *const whole = "[12, 345, -6]     0042";
  const size_t length = strlen(whole);
  for (size_t size = 0; size <= length + 2; size++) {
    unsigned seen = 0;
    memset(text, '#', sizeof text);
    writer_memory_init(&memory, text, size);
    print_array(&memory.base, "[]", values, 3, sizeof *values, print_short, &seen);
    print_padded(&memory.base, "", 0, 5, false);
    enum result result =
        print_integer(&memory.base, false, 42, (struct print_layout){.width = 4, .zeros = true});
    CHECK(seen == 3);
    size_t room = size == 0 ? 0 : size - 1, there = length < room ? length : room;
    CHECK(result == (room < length ? RESULT_NOT_WRITTEN : RESULT_OK));
    CHECK(writer_result(&memory.base) == result);
    CHECK(memory.base.asked == length && memory.base.taken == there);
    CHECK(memcmp(text, whole, there) == 0);
    if (size > 0) CHECK(text[there] == 0);
    CHECK(text[size] == '#');
  }
}

// An end that takes at most `step` bytes at a time, and `left` in all.
struct narrow {
  struct writer base;
  size_t step, left, used;
  unsigned calls, refusals;
  char got[64];
};

static size_t take_little(struct writer *base, const char *bytes, size_t size) {
  struct narrow *self = (struct narrow *)base;
  self->calls++;
  CHECK(size > 0 && base->taken == self->used);
  if (size > self->step) size = self->step;
  if (size > self->left) size = self->left;
  memcpy(self->got + self->used, bytes, size);
  self->used += size;
  self->left -= size;
  self->refusals += size == 0;
  return size;
}

static void test_short_writes(void) {
  const char *const whole = "Hello world! -9223372036854775808";
  const size_t length = strlen(whole);
  for (size_t step = 1; step <= 24; step++)
    for (size_t left = 0; left <= length; left++) {
      struct narrow end = {.step = step, .left = left};
      writer_init(&end.base, take_little);
      print_text(&end.base, "Hello world! ");
      CHECK(print_bytes(&end.base, "", 0) == writer_result(&end.base));
      enum result result = print_signed(&end.base, INT64_MIN);
      CHECK(result == (left < length ? RESULT_NOT_WRITTEN : RESULT_OK));
      CHECK(end.refusals == (left < length));  // asked once more than it takes, and never again
      CHECK(end.base.asked == length && end.base.taken == left);
      CHECK(memcmp(end.got, whole, left) == 0);
    }
}

int main(void) {
  test_integers();
  test_text();
  test_collections();
  test_truncation();
  test_short_writes();
  return 0;
}
