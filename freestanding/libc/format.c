#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "collections/print.h"

// One conversion, from behind its `%`; returns what comes after it.
static const char *convert(struct writer *to, const char *format, va_list *arguments) {
  if (*format == '%') {
    print_char(to, '%');
  } else if (*format == 's') {
    print_text(to, va_arg(*arguments, const char *));
  } else if (*format == 'u') {
    print_unsigned(to, va_arg(*arguments, unsigned));
  } else if (format[0] == 'z' && format[1] == 'u') {
    print_unsigned(to, va_arg(*arguments, size_t));
    format++;
  } else if (format[0] == '#' && format[1] == 't' && format[2] == 'x') {
    // As C has it, no 0x in front of nothing.
    uintptr_t value = (uintptr_t)va_arg(*arguments, ptrdiff_t);
    if (value)
      print_hexadecimal(to, value);
    else
      print_char(to, '0');
    format += 2;
  } else {
    abort();
  }
  return format + 1;
}

int vsnprintf(char *text, size_t size, const char *format, va_list arguments) {
  struct writer_memory memory;
  writer_memory_init(&memory, text, size);
  va_list left;
  va_copy(left, arguments);
  while (*format) {
    const char *plain = format;
    while (*format && *format != '%') format++;
    print_bytes(&memory.base, plain, (size_t)(format - plain));
    if (*format) format = convert(&memory.base, format + 1, &left);
  }
  va_end(left);
  return (int)memory.base.asked;
}

int snprintf(char *text, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, size, format, arguments);
  va_end(arguments);
  return length;
}
