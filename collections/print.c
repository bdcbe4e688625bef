// Text made of values, and writers onto memory: the contract is print.h's.
#include "collections/print.h"

#include "allocators/memory.h"

static enum result write_all(struct writer *writer, const char *bytes, size_t size) {
  bool open = writer->taken == writer->asked;
  writer->asked += size;
  while (open && size > 0) {
    size_t taken = writer->take(writer, bytes, size);
    open = taken > 0;
    writer->taken += taken;
    bytes += taken;
    size -= taken;
  }
  return writer_result(writer);
}

// `count` times the same: "many blanks", without a buffer of that size.
static enum result fill(struct writer *writer, char byte, size_t count) {
  char some[16];
  memset(some, byte, sizeof some);
  for (; count > sizeof some; count -= sizeof some) write_all(writer, some, sizeof some);
  return write_all(writer, some, count);
}

static size_t length_of(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  return length;
}

// ## Memory

static size_t take_into_memory(struct writer *base, const char *bytes, size_t size) {
  struct writer_memory *self = (struct writer_memory *)base;
  if (self->size == 0) return 0;
  size_t used = (size_t)base->taken, room = self->size - 1 - used;
  if (size > room) size = room;
  memcpy(self->buffer + used, bytes, size);
  self->buffer[used + size] = 0;
  return size;
}

void writer_memory_init(struct writer_memory *self, char *buffer, size_t size) {
  *self = (struct writer_memory){.buffer = buffer, .size = size};
  writer_init(&self->base, take_into_memory);
  if (size > 0) buffer[0] = 0;
}

// ## Bytes

enum result print_bytes(struct writer *writer, const void *bytes, size_t size) {
  return write_all(writer, bytes, size);
}

enum result print_text(struct writer *writer, const char *text) {
  if (text == NULL) text = "(null)";
  return write_all(writer, text, length_of(text));
}

enum result print_char(struct writer *writer, char value) { return write_all(writer, &value, 1); }

enum result print_bool(struct writer *writer, bool value) {
  return print_text(writer, value ? "true" : "false");
}

enum result print_padded(struct writer *writer, const void *bytes, size_t size, size_t width,
                         bool left) {
  size_t padding = width > size ? width - size : 0;
  if (!left) fill(writer, ' ', padding);
  write_all(writer, bytes, size);
  return fill(writer, ' ', left ? padding : 0);
}

// ## Integers

// UINT64_MAX in base 10.
#define MOST_DIGITS 20

// *value /= base, and the remainder; base <= 16. Like long division on paper, so that no step needs
// more than 32 bits: the high half in one, the low one in two, as a remainder and 16 bits more fit.
static unsigned divide(uint64_t *value, uint32_t base) {
  uint32_t high = (uint32_t)(*value >> 32), low = (uint32_t)*value;
  uint32_t step = high % base << 16 | low >> 16;
  uint32_t last = step % base << 16 | (low & 0xFFFF);
  *value = (uint64_t)(high / base) << 32 | (step / base << 16 | last / base);
  return last % base;
}

enum result print_integer(struct writer *writer, bool negative, uint64_t magnitude,
                          struct print_layout layout) {
  const char *alphabet = layout.upper ? "0123456789ABCDEF" : "0123456789abcdef";
  // From the end; one more for the sign.
  char text[1 + MOST_DIGITS];
  char *const end = text + sizeof text;
  char *first = end;
  do *--first = alphabet[divide(&magnitude, layout.hexadecimal ? 16 : 10)];
  while (magnitude > 0);
  char sign = negative ? '-' : '+';
  bool has_sign = negative || layout.plus;
  if (layout.zeros && !layout.left) {
    if (has_sign) write_all(writer, &sign, 1);
    size_t used = (size_t)(end - first) + has_sign;
    fill(writer, '0', layout.width > used ? layout.width - used : 0);
    return write_all(writer, first, (size_t)(end - first));
  }
  if (has_sign) *--first = sign;
  return print_padded(writer, first, (size_t)(end - first), layout.width, layout.left);
}

enum result print_signed(struct writer *writer, int64_t value) {
  // Negated where it is unsigned: the most negative one has no positive counterpart.
  uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  return print_integer(writer, value < 0, magnitude, (struct print_layout){0});
}

enum result print_unsigned(struct writer *writer, uint64_t value) {
  return print_integer(writer, false, value, (struct print_layout){0});
}

enum result print_hexadecimal(struct writer *writer, uint64_t value) {
  print_text(writer, "0x");
  return print_integer(writer, false, value, (struct print_layout){.hexadecimal = true});
}

enum result print_pointer(struct writer *writer, const void *value) {
  return print_hexadecimal(writer, (uintptr_t)value);
}

// ## Collections

enum result print_each(struct writer *writer, const char *brackets, print_next *next,
                       void *iterator, print_element *print, void *context) {
  print_char(writer, brackets[0]);
  const char *between = "";
  for (const void *element; (element = next(iterator)) != NULL; between = ", ") {
    print_text(writer, between);
    print(writer, element, context);
  }
  return print_char(writer, brackets[1]);
}

struct array_iterator {
  const char *next;
  size_t size, left;
};

static const void *next_of_array(void *iterator) {
  struct array_iterator *self = iterator;
  if (self->left == 0) return NULL;
  const char *element = self->next;
  self->left--;
  self->next += self->size;
  return element;
}

enum result print_array(struct writer *writer, const char *brackets, const void *first,
                        size_t count, size_t size, print_element *print, void *context) {
  struct array_iterator iterator = {first, size, count};
  return print_each(writer, brackets, next_of_array, &iterator, print, context);
}
