#include "harness/import_reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PASTE_AGAIN "; copy it again, or say --partial to take what is whole"

// ## Lines

// Whether the file ends within the line in hand.
static bool is_open(const struct import *self) {
  return !memchr(self->start, '\n', (size_t)(self->end - self->start));
}

bool import_reject(struct import *self, const char *format, ...) {
  char reason[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  if (!is_open(self))
    return file_fail(self->error, self->name, "line %" PRIu64 ": %s", self->line, reason);
  self->account->cut_line = self->line;
  self->account->cut_at = (uint64_t)(self->end - self->text);
  return file_fail(self->error, self->name,
                   "the file is cut off at offset %" PRIu64 ", in line %" PRIu64
                   " (%s)" PASTE_AGAIN,
                   self->account->cut_at, self->line, reason);
}

bool import_take_partial(struct import *self) {
  if (!self->settings->partial || self->account->cut_line == 0) return false;
  self->line--;
  self->at = self->end;
  return true;
}

void import_skip_line(struct import *self) {
  const char *newline = memchr(self->at, '\n', (size_t)(self->end - self->at));
  self->at = newline ? newline + 1 : self->end;
}

// Part of what stands at `from`, as it can be shown in a message.
enum { SHOWN = 32 };
static const char *show(const struct import *self, const char *from, char shown[SHOWN + 4]) {
  size_t length = 0;
  while (length < SHOWN && from + length < self->end && from[length] != '\n' &&
         from[length] != '\r') {
    char c = from[length];
    shown[length++] = c >= ' ' && c <= '~' ? c : '?';
  }
  shown[length] = '\0';
  if (length == SHOWN) strcpy(shown + length, "...");
  return shown;
}

bool import_end_line_slowly(struct import *self) {
  char shown[SHOWN + 4];
  import_skip_blanks(self);
  if (self->at < self->end && *self->at == '\r') self->at++;
  if (self->at == self->end) {
    self->account->open_end = true;
    return true;
  }
  if (*self->at == '\n') {
    self->at++;
    return true;
  }
  return import_reject(self, "'%s' is more than the line should hold", show(self, self->at, shown));
}

// ## Numbers

#define SIXTEENS 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16
const uint8_t import_digits[256] = {
    SIXTEENS, SIXTEENS, SIXTEENS,  //
    0,        1,        2,        3,        4,        5,        6,        7,        8,
    9,        16,       16,       16,       16,       16,       16,  // '0'
    16,       10,       11,       12,       13,       14,       15,       16,       16,
    16,       16,       16,       16,       16,       16,       16,  // 'A'
    SIXTEENS,                                                        //
    16,       10,       11,       12,       13,       14,       15,       16,       16,
    16,       16,       16,       16,       16,       16,       16,  // 'a'
    SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS, SIXTEENS,
};

bool import_bad_number(struct import *self, const char *what, const char *from) {
  char shown[SHOWN + 4];
  size_t length = 0;
  while (from + length < self->end && length < SHOWN && from[length] > ' ') length++;
  if (length == 0) return import_reject(self, "%s is missing", what);
  bool digits = true, hex = from > self->start && from[-1] == 'x';
  for (size_t i = 0; i < length; i++)
    digits &= import_digits[(unsigned char)from[i]] < (hex ? 16 : 10);
  show(self, from, shown);
  if (length < SHOWN) shown[length] = '\0';
  return import_reject(
      self, digits ? "%s, '%s', needs more than 64 bits" : "%s, '%s', is no number", what, shown);
}

// ## Threads

bool import_meet_thread(struct import *self, uint64_t name) {
  uint32_t thread;
  if (name == UINT64_MAX) return import_reject(self, "a thread beyond all numbers");
  // The map's 0 is no key.
  if (!record_map_take(&self->threads, name + 1, &thread)) {
    if (self->account->threads == UINT32_MAX) return import_reject(self, "too many threads");
    thread = (uint32_t)self->account->threads++;
  }
  self->thread_name = name;
  self->thread = thread;
  self->thread_known = record_map_add(&self->threads, name + 1, thread) == RECORD_MAP_ADDED;
  return self->thread_known || import_reject(self, "no memory for further threads");
}

void import_end_thread(struct import *self) {
  uint32_t thread;
  if (self->thread_known) record_map_take(&self->threads, self->thread_name + 1, &thread);
  self->thread_known = false;
}

// ## What happened

bool import_built(struct import *self, const char *problem) {
  return !problem || import_reject(self, "%s", problem);
}

uint64_t import_size(struct import *self, uint64_t size) {
  if (size > PROGRAM_MAX_CAPACITY) self->account->huge++;
  if (size > 0) return size;
  self->account->zero_sizes++;
  return 1;
}

uint64_t import_alignment(const struct import *self) {
  return self->settings->alignment ? self->settings->alignment : TRACE_USUAL_ALIGN;
}

static bool release_slot(struct import *self, uint32_t slot) {
  return import_built(self, trace_build_release(&self->build, slot, self->thread));
}

// The address names a block from now on, whose slot is to be set. What it named before is gone: an
// address must have been released unseen, an id has just lost its block.
static uint32_t *name_block(struct import *self, uint64_t address) {
  bool fresh;
  uint32_t *slot = record_map_name(&self->map, address, &fresh);
  if (!slot) {
    import_reject(self, "no memory for further operations");
    return NULL;
  }
  if (fresh) return slot;
  if (self->ids) {
    self->account->lost++;
    return slot;
  }
  self->account->released_unseen++;
  return release_slot(self, *slot) ? slot : NULL;
}

static bool allocate(struct import *self, uint64_t address, struct operation operation) {
  if (address == 0) {
    self->account->failed++;
    return true;
  }
  operation.thread = self->thread;
  uint32_t *slot = name_block(self, address);
  if (!slot || !import_built(self, trace_build_allocate(&self->build, &operation))) return false;
  *slot = operation.slot;
  return true;
}

bool import_allocate(struct import *self, uint64_t address, uint64_t size, uint64_t align) {
  return allocate(
      self, address,
      (struct operation){
          .kind = OP_ALLOCATE, .count = 1, .size = import_size(self, size), .align = align});
}

bool import_zeroed(struct import *self, uint64_t address, uint64_t count, uint64_t size) {
  enum { MOST_PIECES = 16 };
  uint64_t total;
  if (__builtin_mul_overflow(count, size, &total)) {
    if (address != 0)
      return import_reject(self, "%" PRIu64 " times %" PRIu64 " bytes are more than 64 bits", count,
                           size);
    total = count = 0;
  }
  bool pieces = total > 0 && count <= MOST_PIECES;
  uint64_t whole = import_size(self, total);
  return allocate(self, address,
                  (struct operation){.kind = OP_ALLOCATE_ZEROED,
                                     .count = pieces ? (unsigned)count : 1,
                                     .size = pieces ? size : whole,
                                     .align = import_alignment(self)});
}

bool import_release(struct import *self, uint64_t address) {
  uint32_t slot;
  if (address == 0) {
    self->account->null_releases++;
    return true;
  }
  if (record_map_take(&self->map, address, &slot)) return release_slot(self, slot);
  self->account->unknown_releases++;
  self->header->unknown++;
  return true;
}

bool import_resize(struct import *self, uint64_t old, uint64_t address, uint64_t size) {
  uint32_t slot;
  if (old == 0) return import_allocate(self, address, size, import_alignment(self));
  if (address == 0 && size == 0) return import_release(self, old);
  if (address == 0) {
    self->account->failed++;
    return true;
  }
  if (!record_map_take(&self->map, old, &slot)) {
    self->account->unknown_resizes++;
    self->header->unknown++;
    return import_allocate(self, address, size, import_alignment(self));
  }
  uint32_t *named = name_block(self, address);
  if (!named) return false;
  *named = slot;
  return import_built(self, trace_build_resize(&self->build, slot, import_size(self, size),
                                               import_alignment(self), self->thread));
}
