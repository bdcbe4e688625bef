#include <stdint.h>
#include <string.h>

typedef uintptr_t __attribute__((may_alias)) word;
enum { WORD = sizeof(word) };

// A word at a time where both sides allow it.
static int together(const void *a, const void *b) {
  return (((uintptr_t)a ^ (uintptr_t)b) & (WORD - 1)) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  unsigned char *at = to;
  const unsigned char *source = from;
  if (together(at, source)) {
    for (; size > 0 && (uintptr_t)at % WORD; size--) *at++ = *source++;
    for (; size >= WORD; size -= WORD, at += WORD, source += WORD)
      *(word *)(void *)at = *(const word *)(const void *)source;
  }
  while (size-- > 0) *at++ = *source++;
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  unsigned char *at = to;
  const unsigned char *source = from;
  if ((uintptr_t)at - (uintptr_t)source < size)
    while (size-- > 0) at[size] = source[size];
  else
    for (size_t i = 0; i < size; i++) at[i] = source[i];
  return to;
}

void *memset(void *to, int byte, size_t size) {
  unsigned char *at = to;
  word pattern = (word)-1 / 0xff * (unsigned char)byte;
  for (; size > 0 && (uintptr_t)at % WORD; size--) *at++ = (unsigned char)byte;
  for (; size >= WORD; size -= WORD, at += WORD) *(word *)(void *)at = pattern;
  while (size-- > 0) *at++ = (unsigned char)byte;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *first = a, *second = b;
  for (size_t i = 0; i < size; i++)
    if (first[i] != second[i]) return first[i] - second[i];
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

int strncmp(const char *a, const char *b, size_t size) {
  for (; size > 0; size--, a++, b++)
    if (*a != *b || !*a) return (unsigned char)*a - (unsigned char)*b;
  return 0;
}

int strcmp(const char *a, const char *b) { return strncmp(a, b, SIZE_MAX); }
