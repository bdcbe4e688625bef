// Traces of malloc labs (.rep): four numbers, and then one operation a line:
//
//   a ID SIZE     allocate          f ID     release
//   r ID SIZE     resize
//
// The numbers come in three dialects; see import.h. They bind nothing here, and are only compared
// with what there is: those in circulation are often wrong. So are some lines, which are read as
// drivers do: `f -1` releases NULL, `r` of an id that is not in use allocates, and a size that is
// missing is 0.
#include <inttypes.h>
#include <string.h>

#include "harness/import_reader.h"

enum { HEADER = 4, MOST_WEIGHT = 3 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

// ## Numbers in front

// Any of them may share a line or stand on its own.
static bool read_header(struct import *self) {
  static const char *const what[HEADER] = {"the first number", "the number of ids",
                                           "the number of operations", "the fourth number"};
  uint64_t numbers[HEADER];
  import_begin_line(self);
  for (unsigned i = 0; i < HEADER; i++) {
    while (import_at_end_of_line(self) && import_more(self)) {
      if (!import_end_line(self)) return false;
      import_begin_line(self);
    }
    if (!import_decimal(self, what[i], &numbers[i])) return false;
  }
  // In all dialects the two in the middle are the same; the others bind nothing.
  self->account->promised_ids = numbers[1];
  self->account->promised = numbers[2];
  return import_end_line(self);
}

// ## Operations

// An id names a block as an address does; 0 is none.
static bool read_id(struct import *self, uint64_t *name) {
  import_skip_blanks(self);
  if (import_peek(self) == '-')
    return import_reject(self, "an id below 0, which only 'f -1', to release NULL, may have");
  if (!import_decimal(self, "the id", name)) return false;
  if (*name > UINT32_MAX) return import_reject(self, "id %" PRIu64 " is too large", *name);
  if (*name >= self->account->found_ids) self->account->found_ids = *name + 1;
  ++*name;
  return true;
}

static bool read_size(struct import *self, uint64_t *size) {
  *size = 0;
  if (import_at_end_of_line(self)) {
    self->account->missing_sizes++;
    return true;
  }
  return import_decimal(self, "the size", size);
}

static bool read_allocation(struct import *self) {
  uint64_t name, size;
  if (!read_id(self, &name) || !read_size(self, &size)) return false;
  return import_allocate(self, name, size, import_alignment(self));
}

static bool read_resize(struct import *self) {
  uint64_t name, size;
  if (!read_id(self, &name) || !read_size(self, &size)) return false;
  return import_resize(self, name, size ? name : 0, size);
}

static bool read_release(struct import *self) {
  uint64_t name;
  import_skip_blanks(self);
  if (import_peek(self) == '-') {
    self->at++;
    if (!import_decimal(self, "the id", &name)) return false;
    return name == 1 ? import_release(self, 0)
                     : import_reject(self, "id -%" PRIu64 "; only -1, NULL, may be released", name);
  }
  return read_id(self, &name) && import_release(self, name);
}

static bool read_line(struct import *self) {
  char c = import_peek(self);
  if (c != 'a' && c != 'f' && c != 'r') {
    if (import_at_end_of_line(self)) return import_end_line(self);
    c = import_peek(self);
  }
  if (c == '#') {
    import_skip_line(self);
    return true;
  }
  self->at++;
  bool read;
  switch (c) {
  case 'a':
    read = read_allocation(self);
    break;
  case 'r':
    read = read_resize(self);
    break;
  case 'f':
    read = read_release(self);
    break;
  default:
    return import_reject(self, "no operation; there are 'a ID SIZE', 'r ID SIZE' and 'f ID'");
  }
  if (!read || !import_end_line(self)) return false;
  self->account->found++;
  return true;
}

// Fewer operations than promised, and the last line was never ended: they did not all arrive.
static bool is_cut(const struct import *self) {
  return self->account->open_end && self->account->found < self->account->promised;
}

static bool read_lines(struct import *self) {
  self->account->threads = 1;
  self->ids = true;
  if (!read_header(self)) return false;
  while (import_more(self)) {
    import_begin_line(self);
    if (!read_line(self) && !import_take_partial(self)) return false;
  }
  if (!is_cut(self)) return true;
  import_reject(self, "operation %" PRIu64 " of %" PRIu64, self->account->found,
                self->account->promised);
  return self->settings->partial;
}

// Four numbers, and then a letter, so that a first line that is wrong is told as such.
static bool recognises(const char *text, size_t size) {
  struct import self = {.at = text, .end = text + size};
  for (unsigned i = 0; i < HEADER; i++) {
    while (self.at < self.end && import_at_end_of_line(&self) && self.at < self.end) self.at++;
    const char *digits = self.at;
    while (is_digit(import_peek(&self))) self.at++;
    if (self.at == digits) return false;
  }
  bool newline = false;
  while (self.at < self.end && import_at_end_of_line(&self) && self.at < self.end)
    newline |= *self.at++ == '\n';
  if (!newline) return false;
  if (self.at == self.end) return true;
  return *self.at == '#' || is_letter(*self.at);
}

const struct import_format import_rep = {"rep", recognises, read_lines};
