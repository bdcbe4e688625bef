// Words of a line of a program's text: what blanks part, and how one that is wrong is told of.
// Private to program_text.c.
#ifndef HARNESS_PROGRAM_WORDS_H_
#define HARNESS_PROGRAM_WORDS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program_verbs;

struct reader {
  const char *line, *at;
  char *reason;  // why the line was rejected
  size_t reason_size;
  size_t *column;                     // of the token that it was for, from 1 on
  const struct program_verbs *verbs;  // that the heap's line named
};

struct token {
  const char *start;
  size_t length;  // 0 at the end of the line
};

enum { TOKEN_SHOWN_SIZE = 28 };

static inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
// A comment ends a line, too.
static inline bool is_line_end(char c) { return c == '\0' || c == '\n' || c == '#'; }

struct token token_next(struct reader *reader);
bool token_is(struct token token, const char *word);

// Part of a token as it can be shown in a message.
const char *token_show(struct token token, char shown[TOKEN_SHOWN_SIZE]);

// Says why, and where. Always false.
bool token_reject(struct reader *reader, struct token token, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Decimal, or hexadecimal behind 0x. False, and rejected, if it is none, or more than 64 bits.
bool token_number(struct reader *reader, struct token token, uint64_t *number);

#endif
