// Android's memory_replay: text that malloc_debug's record_allocs writes, one call a line:
//
//   TID: malloc ADDRESS SIZE              TID: realloc ADDRESS OLD SIZE
//   TID: calloc ADDRESS COUNT SIZE        TID: memalign ADDRESS ALIGNMENT SIZE
//   TID: free ADDRESS                     TID: thread_done 0x0
//
// TID, COUNT, SIZE and ALIGNMENT are decimal, addresses are hexadecimal. Newer files have when the
// call began and ended, in nanoseconds, behind that; thread_done has the end alone.
#include <string.h>

#include "harness/import_reader.h"

enum { MOST_NUMBERS = 2 };

static const struct call {
  const char *name;
  size_t length;
  unsigned numbers;  // behind the address
  const char *what[MOST_NUMBERS];
  bool first_is_address;
} calls[] = {
    {"malloc", 6, 1, {"the size"}, false},
    {"free", 4, 0, {NULL}, false},
    {"realloc", 7, 2, {"the old address", "the size"}, true},
    {"calloc", 6, 2, {"the count", "the size"}, false},
    {"memalign", 8, 2, {"the alignment", "the size"}, false},
    {"thread_done", 11, 0, {NULL}, false},
};
enum call_kind {
  CALL_MALLOC,
  CALL_FREE,
  CALL_REALLOC,
  CALL_CALLOC,
  CALL_MEMALIGN,
  CALL_DONE,
  CALLS
};

static const struct call *find_call(struct import *self) {
  for (unsigned i = 0; i < CALLS; i++) {
    size_t length = calls[i].length;
    if ((size_t)(self->end - self->at) > length && self->at[length] == ' ' &&
        memcmp(self->at, calls[i].name, length) == 0) {
      self->at += length;
      return &calls[i];
    }
  }
  return NULL;
}

// Both times, or for thread_done the second, or none.
static bool skip_times(struct import *self, const struct call *call) {
  uint64_t time;
  if (import_at_end_of_line(self)) return true;
  if (!import_decimal(self, "the time of its begin", &time)) return false;
  if (call == &calls[CALL_DONE] && import_at_end_of_line(self)) return true;
  return import_decimal(self, "the time of its end", &time);
}

static bool align_of(struct import *self, uint64_t asked, uint64_t *align) {
  // As the C library does: a power of two, and never less than malloc's.
  for (*align = import_alignment(self); *align < asked && *align; *align *= 2) continue;
  return *align != 0 || import_reject(self, "an alignment beyond all addresses");
}

static bool perform(struct import *self, const struct call *call, uint64_t address,
                    const uint64_t numbers[MOST_NUMBERS]) {
  uint64_t align;
  switch ((enum call_kind)(call - calls)) {
  case CALL_MALLOC:
    return import_allocate(self, address, numbers[0], import_alignment(self));
  case CALL_FREE:
    return import_release(self, address);
  case CALL_REALLOC:
    return import_resize(self, numbers[0], address, numbers[1]);
  case CALL_CALLOC:
    return import_zeroed(self, address, numbers[0], numbers[1]);
  case CALL_MEMALIGN:
    return align_of(self, numbers[0], &align) && import_allocate(self, address, numbers[1], align);
  default:
    import_end_thread(self);
    return true;
  }
}

static bool read_line(struct import *self) {
  uint64_t thread, address, numbers[MOST_NUMBERS] = {0};
  if (import_at_end_of_line(self)) return import_end_line(self);
  if (!import_decimal(self, "the thread", &thread)) return false;
  if (import_peek(self) != ':') return import_reject(self, "no ':' behind the thread");
  self->at++;
  import_skip_blanks(self);
  const struct call *call = find_call(self);
  if (!call)
    return import_reject(self, "no call that is known; there are malloc, free, realloc, calloc, "
                               "memalign and thread_done, with an address behind");
  if (!import_hex(self, "the address", &address)) return false;
  for (unsigned i = 0; i < call->numbers; i++)
    if (!(i == 0 && call->first_is_address ? import_hex(self, call->what[i], &numbers[i])
                                           : import_decimal(self, call->what[i], &numbers[i])))
      return false;
  if (import_peek(self) != '\n' && !skip_times(self, call)) return false;
  return import_thread(self, thread) && perform(self, call, address, numbers) &&
         import_end_line(self);
}

static bool read_lines(struct import *self) {
  while (import_more(self)) {
    import_begin_line(self);
    if (!read_line(self) && !import_take_partial(self)) return false;
  }
  return true;
}

// A first line `TID: WORD 0x`, so that a wrong word is told as such.
static bool recognises(const char *text, size_t size) {
  struct import self = {.at = text, .end = text + size};
  while (self.at < self.end && import_at_end_of_line(&self) && self.at < self.end) self.at++;
  const char *digits = self.at;
  while (import_digits[(unsigned char)import_peek(&self)] < 10) self.at++;
  if (self.at == digits || import_peek(&self) != ':') return false;
  self.at++;
  import_skip_blanks(&self);
  const char *word = self.at;
  while ((import_peek(&self) >= 'a' && import_peek(&self) <= 'z') || import_peek(&self) == '_')
    self.at++;
  if (self.at == word || import_peek(&self) != ' ') return false;
  import_skip_blanks(&self);
  return self.end - self.at > 2 && self.at[0] == '0' && self.at[1] == 'x';
}

const struct import_format import_android = {"android", recognises, read_lines};
