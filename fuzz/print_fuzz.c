// Fuzz target: printing, against the libc's. Whatever is printed into whatever end, what arrives is
// the beginning of the text that snprintf makes of it, as much as the end takes, and the counts say
// so.
#include <inttypes.h>
#include <string.h>

#define DEMAND_ID "print"
#include "collections/print.h"
#include "fuzz/demand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALL_SIZE = 10, MOST_CALLS = 64, MOST_WIDTH = 64, MOST_TEXT = 8192 };

// What is printed: kind, widths and flags, and a value, as the input has them.
struct call {
  unsigned kind, flags, width;
  uint64_t value;
  char text[9];  // the value's bytes up to the first that is 0
};

enum { SIGNED, UNSIGNED, HEXADECIMAL, POINTER, TEXT, CHAR, BOOL, PADDED, LAID_OUT, ARRAY, KINDS };
enum { ZEROS = 1, LEFT = 2, PLUS = 4, UPPER = 8, AS_HEXADECIMAL = 16, NEGATIVE = 32 };

static enum result print_byte(struct writer *writer, const void *element, void *context) {
  demand(context == writer, "a callback's context is another one");
  return print_signed(writer, *(const signed char *)element);
}

static enum result print_call(struct writer *writer, const struct call *call) {
  switch (call->kind) {
  case SIGNED:
    return print_signed(writer, (int64_t)call->value);
  case UNSIGNED:
    return print_unsigned(writer, call->value);
  case HEXADECIMAL:
    return print_hexadecimal(writer, call->value);
  case POINTER:
    return print_pointer(writer, (const void *)(uintptr_t)call->value);
  case TEXT:
    return print_text(writer, call->text);
  case CHAR:
    return print_char(writer, call->text[0]);
  case BOOL:
    return print_bool(writer, call->value != 0);
  case PADDED:
    return print_padded(writer, call->text, strlen(call->text), call->width,
                        (call->flags & LEFT) != 0);
  case LAID_OUT:
    return print_integer(writer, (call->flags & NEGATIVE) != 0, call->value,
                         (struct print_layout){.width = call->width,
                                               .hexadecimal = (call->flags & AS_HEXADECIMAL) != 0,
                                               .upper = (call->flags & UPPER) != 0,
                                               .plus = (call->flags & PLUS) != 0,
                                               .zeros = (call->flags & ZEROS) != 0,
                                               .left = (call->flags & LEFT) != 0});
  default:
    return print_array(writer, "<>", call->text, call->width % 8, 1, print_byte, writer);
  }
}

// An integer with a sign of its own, which no format of the libc has: sign and digits are apart.
static int expect_laid_out(char *to, size_t room, const struct call *call) {
  char digits[24], number[MOST_WIDTH + 24];
  unsigned flags = call->flags, width = call->width;
  const char *sign = flags & NEGATIVE ? "-" : flags & PLUS ? "+" : "";
  snprintf(digits, sizeof digits,
           flags & AS_HEXADECIMAL ? flags & UPPER ? "%" PRIX64 : "%" PRIx64 : "%" PRIu64,
           call->value);
  snprintf(number, sizeof number, "%s%s", sign, digits);
  if (flags & LEFT) return snprintf(to, room, "%-*s", (int)width, number);
  if (!(flags & ZEROS)) return snprintf(to, room, "%*s", (int)width, number);
  size_t used = strlen(number), zeros = width > used ? width - used : 0;
  return snprintf(to, room, "%s%.*s%s", sign, (int)zeros,
                  "0000000000000000000000000000000000000000000000000000000000000000", digits);
}

static int expect_call(char *to, size_t room, const struct call *call) {
  switch (call->kind) {
  case SIGNED:
    return snprintf(to, room, "%" PRId64, (int64_t)call->value);
  case UNSIGNED:
    return snprintf(to, room, "%" PRIu64, call->value);
  case HEXADECIMAL:
    return snprintf(to, room, "0x%" PRIx64, call->value);
  case POINTER:
    return snprintf(to, room, "0x%" PRIxPTR, (uintptr_t)call->value);
  case TEXT:
    return snprintf(to, room, "%s", call->text);
  case CHAR:
    to[0] = call->text[0];
    return 1;
  case BOOL:
    return snprintf(to, room, "%s", call->value != 0 ? "true" : "false");
  case PADDED:
    return snprintf(to, room, call->flags & LEFT ? "%-*s" : "%*s", (int)call->width, call->text);
  case LAID_OUT:
    return expect_laid_out(to, room, call);
  default:
    break;
  }
  int length = 0;
  to[length++] = '<';
  for (unsigned i = 0; i < call->width % 8; i++)
    length += snprintf(to + length, room - (size_t)length, "%s%d", i == 0 ? "" : ", ",
                       (signed char)call->text[i]);
  to[length++] = '>';
  return length;
}

// Takes at most `step` bytes at a time, and `left` in all.
struct narrow {
  struct writer base;
  size_t step, left, used;
  bool refused;
  char got[MOST_TEXT];
};

static size_t take_little(struct writer *base, const char *bytes, size_t size) {
  struct narrow *self = (struct narrow *)base;
  demand(size > 0 && !self->refused, "an end is called for nothing, or after it took nothing");
  demand(base->taken == self->used, "an end is not told what it took");
  if (size > self->step) size = self->step;
  if (size > self->left) size = self->left;
  memcpy(self->got + self->used, bytes, size);
  self->used += size;
  self->left -= size;
  self->refused = size == 0;
  return size;
}

// What has arrived of `text` in an end that takes `room`, and what the writer says of it.
static void check(const struct writer *writer, enum result last, const char *got, const char *text,
                  size_t length, size_t room) {
  size_t taken = length < room ? length : room;
  demand(writer->asked == length, "not all that was printed is counted");
  demand(writer->taken == taken, "what the end took is not all that it could");
  demand(memcmp(got, text, taken) == 0, "the text is not snprintf's");
  demand(writer_result(writer) == (length <= room ? RESULT_OK : RESULT_NOT_WRITTEN),
         "the result is wrong");
  demand(last == writer_result(writer), "the last call says otherwise than the writer");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct call calls[MOST_CALLS];
  static char text[MOST_TEXT];
  if (size < 3) return 0;
  size_t room = data[0] + (data[1] & 3) * (size_t)256, step = data[2] % 32u + 1, count = 0;
  for (size_t at = 3; size - at >= CALL_SIZE && count < MOST_CALLS; at += CALL_SIZE, count++) {
    struct call *call = &calls[count];
    *call = (struct call){.kind = data[at] % KINDS,
                          .flags = data[at] / KINDS + data[at + 1] / (MOST_WIDTH / 2) * 8u,
                          .width = data[at + 1] % MOST_WIDTH};
    memcpy(&call->value, data + at + 2, sizeof call->value);
    memcpy(call->text, data + at + 2, sizeof call->value);
  }
  size_t length = 0;
  for (size_t i = 0; i < count; i++)
    length += (size_t)expect_call(text + length, sizeof text - length, &calls[i]);

  enum result last = RESULT_OK;
  char *buffer = malloc(room + 1);
  if (!buffer) abort();
  struct writer_memory memory;
  writer_memory_init(&memory, buffer, room + 1);
  for (size_t i = 0; i < count; i++) last = print_call(&memory.base, &calls[i]);
  check(&memory.base, last, buffer, text, length, room);
  demand(buffer[memory.base.taken] == 0, "the text in memory has no end");
  free(buffer);

  static struct narrow narrow;
  narrow = (struct narrow){.step = step, .left = room};
  writer_init(&narrow.base, take_little);
  last = RESULT_OK;
  for (size_t i = 0; i < count; i++) last = print_call(&narrow.base, &calls[i]);
  check(&narrow.base, last, narrow.got, text, length, room);
  return 0;
}
