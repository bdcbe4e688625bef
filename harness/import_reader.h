// What importers share: lines and numbers of a text in memory, and a trace in the making whose
// blocks are named by addresses. A format is a function that reads lines and says what happened.
#ifndef HARNESS_IMPORT_READER_H_
#define HARNESS_IMPORT_READER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "harness/import.h"
#include "harness/record_map.h"
#include "harness/trace_build.h"

struct import {
  const char *text, *end;
  const char *at;     // in the line
  const char *start;  // of the line
  uint64_t line;      // from 1

  const char *name;
  const struct import_settings *settings;
  struct import_account *account;
  struct trace_header *header;
  struct file_error *error;

  struct trace_build build;
  struct record_map map;      // address to slot
  bool ids;                   // they are ids: one given out again has lost its block
  struct record_map threads;  // the file's number to ours, while it lives
  uint64_t thread_name;       // of the thread in hand, as in the file
  uint32_t thread;            // as in the trace
  bool thread_known;
};

struct import_format {
  const char *name;
  bool (*recognises)(const char *text, size_t size);
  // Reads all lines. False with the error set.
  bool (*read)(struct import *import);
};

extern const struct import_format import_rep, import_android, import_heaptrack, import_mtrace;

// ## Lines. A function that returns false has set the error.

// `line N: reason`, or, if the line is the last and not ended, that the file is cut off there.
bool import_reject(struct import *import, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Whether the rejected line is one that a partial file may end with; it then is the end.
bool import_take_partial(struct import *import);

static inline bool import_more(const struct import *import) { return import->at < import->end; }

// The character in hand; '\n' also at the end of the text.
static inline char import_peek(const struct import *import) {
  return import->at < import->end ? *import->at : '\n';
}

static inline bool import_one_of(char c, const char *set) { return c && strchr(set, c); }

static inline void import_begin_line(struct import *import) {
  import->start = import->at;
  import->line++;
}

static inline void import_skip_blanks(struct import *import) {
  while (import->at < import->end && (*import->at == ' ' || *import->at == '\t')) import->at++;
}

// Goes behind the line's end, whatever there is before it.
void import_skip_line(struct import *import);

// Only blanks may be left on the line; goes behind its end.
bool import_end_line_slowly(struct import *import);
static inline bool import_end_line(struct import *import) {
  if (import_peek(import) == '\n' && import->at < import->end) {
    import->at++;
    return true;
  }
  return import_end_line_slowly(import);
}

static inline bool import_at_end_of_line(struct import *import) {
  import_skip_blanks(import);
  char c = import_peek(import);
  return c == '\n' || c == '\r';
}

// ## Numbers: blanks in front are skipped. `what` is for the error: "the size".

bool import_bad_number(struct import *import, const char *what, const char *from);

static inline bool import_decimal(struct import *import, const char *what, uint64_t *number) {
  import_skip_blanks(import);
  const char *from = import->at, *at = from, *end = import->end;
  uint64_t value = 0;
  // 19 digits cannot overflow.
  const char *safe = end - at > 19 ? at + 19 : end;
  while (at < safe && (unsigned char)(*at - '0') < 10)
    value = value * 10 + (unsigned char)(*at++ - '0');
  for (; at < end && (unsigned char)(*at - '0') < 10; at++)
    if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
        __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
      return import_bad_number(import, what, from);
  import->at = at;
  *number = value;
  bool ended = at == end || *at == ' ' || *at == '\n' || *at == '\r' || *at == '\t' || *at == ':';
  return (at > from && ended) || import_bad_number(import, what, from);
}

extern const uint8_t import_digits[256];  // the value of a hexadecimal digit; 16: it is none

// Digits alone, without 0x.
static inline bool import_hex_digits(struct import *import, const char *what, uint64_t *number) {
  const char *from = import->at, *at = from, *end = import->end;
  uint64_t value = 0;
  for (unsigned digit; at < end && (digit = import_digits[(unsigned char)*at]) < 16; at++) {
    if (value >> 60) return import_bad_number(import, what, from);
    value = value << 4 | digit;
  }
  import->at = at;
  *number = value;
  bool ended = at == end || *at == ' ' || *at == '\n' || *at == '\r' || *at == '\t';
  return (at > from && ended) || import_bad_number(import, what, from);
}

// With 0x, or without; `(nil)` is 0.
static inline bool import_hex(struct import *import, const char *what, uint64_t *number) {
  import_skip_blanks(import);
  const char *at = import->at;
  if (import->end - at > 2 && at[0] == '0' && (at[1] | 32) == 'x') import->at += 2;
  if (import->end - at >= 5 && at[0] == '(' && at[1] == 'n' && at[2] == 'i' && at[3] == 'l' &&
      at[4] == ')') {
    import->at += 5;
    *number = 0;
    return true;
  }
  return import_hex_digits(import, what, number);
}

// ## What happened

// The thread of the operations that follow, by the file's number for it.
bool import_meet_thread(struct import *import, uint64_t name);
static inline bool import_thread(struct import *import, uint64_t name) {
  if (import->thread_known && import->thread_name == name) return true;
  return import_meet_thread(import, name);
}
// The thread in hand has ended.
void import_end_thread(struct import *import);

// An address of 0 means that the call failed.
bool import_allocate(struct import *import, uint64_t address, uint64_t size, uint64_t align);
bool import_zeroed(struct import *import, uint64_t address, uint64_t count, uint64_t size);
bool import_release(struct import *import, uint64_t address);
bool import_resize(struct import *import, uint64_t old, uint64_t address, uint64_t size);

// For formats that name blocks otherwise.
bool import_built(struct import *import, const char *problem);
uint64_t import_size(struct import *import, uint64_t size);
uint64_t import_alignment(const struct import *import);

#endif
