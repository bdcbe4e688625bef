#include "harness/program_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = TOKEN_SHOWN_SIZE - 4 };

struct token token_next(struct reader *reader) {
  while (is_blank(*reader->at)) reader->at++;
  struct token token = {reader->at, 0};
  while (!is_blank(token.start[token.length]) && !is_line_end(token.start[token.length]))
    token.length++;
  reader->at += token.length;
  return token;
}

bool token_is(struct token token, const char *word) {
  return strlen(word) == token.length && memcmp(token.start, word, token.length) == 0;
}

const char *token_show(struct token token, char shown[TOKEN_SHOWN_SIZE]) {
  size_t length = token.length < SHOWN ? token.length : SHOWN;
  for (size_t i = 0; i < length; i++)
    shown[i] = token.start[i] > ' ' && token.start[i] <= '~' ? token.start[i] : '?';
  memcpy(shown + length, token.length > length ? "..." : "", token.length > length ? 4 : 1);
  return shown;
}

bool token_reject(struct reader *reader, struct token token, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reader->reason, reader->reason_size, format, arguments);
  va_end(arguments);
  *reader->column = (size_t)(token.start - reader->line) + 1;
  return false;
}

static unsigned digit_of(char c) {
  if (c >= '0' && c <= '9') return (unsigned)(c - '0');
  if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return (unsigned)(c - 'A') + 10;
  return 16;
}

bool token_number(struct reader *reader, struct token token, uint64_t *number) {
  char shown[TOKEN_SHOWN_SIZE];
  bool hex = token.length > 2 && token.start[0] == '0' && (token.start[1] | 32) == 'x';
  unsigned base = hex ? 16 : 10;
  size_t i = hex ? 2 : 0;
  if (token.length == 0) return token_reject(reader, token, "a number is missing");
  for (*number = 0; i < token.length; i++) {
    unsigned digit = digit_of(token.start[i]);
    if (digit >= base)
      return token_reject(reader, token, "'%s' is not a number", token_show(token, shown));
    if (__builtin_mul_overflow(*number, (uint64_t)base, number) ||
        __builtin_add_overflow(*number, (uint64_t)digit, number))
      return token_reject(reader, token, "'%s' needs more than 64 bits", token_show(token, shown));
  }
  return true;
}
