// JSON on standard output.
#ifndef HARNESS_JSON_H_
#define HARNESS_JSON_H_

#include <stdio.h>

// A text as a JSON string, quotes included.
static inline void json_print_text(const char *text) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\')
      printf("\\%c", *c);
    else if (*c < 0x20 || *c >= 0x7f)
      printf("\\u%04x", *c);
    else
      putchar(*c);
  }
  putchar('"');
}

#endif
