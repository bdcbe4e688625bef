// The log of glibc's mtrace(3): one call a line, behind where it was called from, if that is known.
//
//   @ FILE:(FUNCTION+0xOFFSET)[0xADDRESS] + 0xBLOCK 0xSIZE    an allocation
//   @ ... - 0xBLOCK                                           a release
//   @ ... < 0xBLOCK                                           a resize begins: of this block,
//   @ ... > 0xBLOCK 0xSIZE                                    and the next line says to which
//   @ ... ! 0xBLOCK 0xSIZE                                    a resize that failed
//
// between `= Start` and `= End`. A block of (nil) was never had. There are no threads, and calloc
// and the aligned kin look like malloc.
#include <string.h>

#include "harness/import_reader.h"

struct resize {
  bool begun;
  uint64_t old;
};

// Goes behind where the call came from: a file's name may hold anything, and so the sign is the
// first that stands between blanks behind a ']'.
static bool skip_caller(struct import *self) {
  if (import_peek(self) != '@') return true;
  const char *newline = memchr(self->at, '\n', (size_t)(self->end - self->at));
  const char *end = newline ? newline : self->end;
  for (const char *at = self->at; end - at > 3; at++) {
    at = memchr(at, ']', (size_t)(end - at));
    if (!at || end - at <= 3) break;
    if (at[1] == ' ' && import_one_of(at[2], "+-<>!") && at[3] == ' ') {
      self->at = at + 2;
      return true;
    }
  }
  return import_reject(self, "no '] ' and then one of + - < > ! behind the caller");
}

static bool end_of_pair(struct import *self, const struct resize *resize, char sign) {
  if (resize->begun == (sign == '>')) return true;
  return import_reject(self, resize->begun ? "a resize that began on the line before does not end "
                                             "here"
                                           : "the end of a resize that did not begin");
}

static bool read_call(struct import *self, struct resize *resize) {
  uint64_t block, size = 0;
  char sign = import_peek(self);
  if (!import_one_of(sign, "+-<>!"))
    return import_reject(self, "no call; there are + - < > ! and then a block");
  self->at++;
  if (import_peek(self) != ' ') return import_reject(self, "no blank behind the %c", sign);
  if (!import_hex(self, "the block", &block)) return false;
  if (import_one_of(sign, "+>!") && !import_hex(self, "the size", &size)) return false;
  if (!end_of_pair(self, resize, sign)) return false;
  resize->begun = sign == '<';
  switch (sign) {
  case '+':
    return import_allocate(self, block, size, import_alignment(self));
  case '-':
    return import_release(self, block);
  case '<':
    resize->old = block;
    return true;
  case '>':
    return import_resize(self, resize->old, block, size);
  default:
    self->account->failed++;
    return true;
  }
}

static bool read_line(struct import *self, struct resize *resize) {
  if (import_at_end_of_line(self)) return import_end_line(self);
  if (import_peek(self) == '=' || import_peek(self) == '#') {
    import_skip_line(self);
    return true;
  }
  return skip_caller(self) && read_call(self, resize) && import_end_line(self);
}

static bool read_lines(struct import *self) {
  struct resize resize = {0};
  self->account->threads = 1;
  while (import_more(self)) {
    import_begin_line(self);
    if (!read_line(self, &resize) && !import_take_partial(self)) return false;
  }
  if (!resize.begun || self->settings->partial) return true;
  return file_fail(self->error, self->name,
                   "line %llu: a resize begins, and the file is cut off before its end; copy it "
                   "again, or say --partial to take what is whole",
                   (unsigned long long)self->line);
}

// `= Start`, or a whole first call for a log whose start was cut away.
static bool recognises(const char *text, size_t size) {
  const char *newline = memchr(text, '\n', size);
  if (!newline) return false;
  if (newline - text >= 7 && memcmp(text, "= Start", 7) == 0) return true;
  struct file_error error;
  struct import_account account = {0};
  struct import self = {.text = text,
                        .at = text,
                        .start = text,
                        .end = text + size,
                        .name = "",
                        .error = &error,
                        .account = &account};
  uint64_t block;
  if (text[0] != '@' || !skip_caller(&self)) return false;
  self.at++;
  return import_hex(&self, "the block", &block);
}

const struct import_format import_mtrace = {"mtrace", recognises, read_lines};
