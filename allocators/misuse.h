// How strategies word a misuse for strategy_options.misuse: one line, without any libc.
#ifndef ALLOCATORS_MISUSE_H_
#define ALLOCATORS_MISUSE_H_

#include <stddef.h>
#include <stdint.h>

struct misuse_listener {
  void (*hear)(void *context, const char *message);  // NULL: nobody
  void *context;
};

// Worded "<name> of 0x<address>: <what>[ of <size> bytes][<where><offset>]", for example
// "double release of 0x1234: released block of 24 bytes".
struct misuse {
  const char *name;
  const void *address;
  const char *what;
  size_t size;        // 0: not told
  const char *where;  // NULL: not told
  size_t offset;
};

struct misuse_line {
  char text[192];
  size_t length;
};

static inline void misuse_put_text(struct misuse_line *line, const char *text) {
  while (*text != '\0' && line->length < sizeof line->text - 1)
    line->text[line->length++] = *text++;
  line->text[line->length] = '\0';
}

static inline void misuse_put_number(struct misuse_line *line, uintptr_t number, unsigned base) {
  char digits[24], *digit = digits + sizeof digits - 1;
  *digit = '\0';
  do *--digit = "0123456789abcdef"[number % base];
  while ((number /= base) != 0);
  misuse_put_text(line, digit);
}

static inline void misuse_tell(const struct misuse_listener *listener,
                               const struct misuse *misuse) {
  if (listener->hear == NULL) return;
  struct misuse_line line = {.length = 0};
  misuse_put_text(&line, misuse->name);
  misuse_put_text(&line, " of 0x");
  misuse_put_number(&line, (uintptr_t)misuse->address, 16);
  misuse_put_text(&line, ": ");
  misuse_put_text(&line, misuse->what);
  if (misuse->size != 0) {
    misuse_put_text(&line, " of ");
    misuse_put_number(&line, misuse->size, 10);
    misuse_put_text(&line, misuse->size == 1 ? " byte" : " bytes");
  }
  if (misuse->where != NULL) {
    misuse_put_text(&line, misuse->where);
    misuse_put_number(&line, misuse->offset, 10);
  }
  listener->hear(listener->context, line.text);
}

#endif
