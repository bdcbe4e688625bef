// Heaptrack's data. Each line begins with a letter; numbers are hexadecimal, without 0x:
//
//   v VERSION FILE-VERSION     what wrote it
//   a SIZE TRACE               interpreted, from file version 1 on: the next allocation info
//   + INFO   - INFO            and a block of such an info begins, or ends
//   + SIZE TRACE POINTER       raw, and file version 0: a block begins
//   - POINTER                  or ends
//
// The other letters tell of strings, code, time and the process, and mean nothing here. An info is
// a size and a call stack, which any number of blocks share: the one that ends is taken to be the
// youngest. There are no threads, no alignments, and no resizes: heaptrack makes two lines of one.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/import_reader.h"

enum { NEWEST_FILE = 3 };
#define NO_SLOT UINT32_MAX

// Allocation infos, and the blocks that live of each, youngest first.
struct infos {
  struct info {
    uint64_t size;
    uint32_t youngest;  // slot
  } *all;
  size_t count, room;
  uint32_t *older;  // by slot: the next block of the same info
  size_t slots;
};

static bool hex(struct import *self, const char *what, uint64_t *number) {
  import_skip_blanks(self);
  return import_hex_digits(self, what, number);
}

static bool grow(struct import *self, void **all, size_t *room, size_t size) {
  size_t larger = *room ? 2 * *room : 256;
  void *moved = realloc(*all, larger * size);
  if (!moved) return import_reject(self, "no memory for further allocations");
  *all = moved;
  *room = larger;
  return true;
}

static bool add_info(struct import *self, struct infos *infos) {
  uint64_t size, trace;
  if (!hex(self, "the size", &size) || !hex(self, "the trace", &trace)) return false;
  if (infos->count == infos->room) {
    void *all = infos->all;
    if (!grow(self, &all, &infos->room, sizeof *infos->all)) return false;
    infos->all = all;
  }
  infos->all[infos->count++] = (struct info){.size = size, .youngest = NO_SLOT};
  return import_end_line(self);
}

static bool find_info(struct import *self, const struct infos *infos, uint64_t index,
                      struct info **info) {
  if (index >= infos->count)
    return import_reject(self, "allocation info %" PRIx64 " of %zx; a line 'a' is missing", index,
                         infos->count);
  *info = &infos->all[index];
  return true;
}

static bool begin_block(struct import *self, struct infos *infos, uint64_t index) {
  struct info *info;
  if (!find_info(self, infos, index, &info)) return false;
  struct operation operation = {.kind = OP_ALLOCATE,
                                .count = 1,
                                .size = import_size(self, info->size),
                                .align = import_alignment(self)};
  if (!import_built(self, trace_build_allocate(&self->build, &operation))) return false;
  while (operation.slot >= infos->slots) {
    void *older = infos->older;
    if (!grow(self, &older, &infos->slots, sizeof *infos->older)) return false;
    infos->older = older;
  }
  infos->older[operation.slot] = info->youngest;
  info->youngest = operation.slot;
  return true;
}

static bool end_block(struct import *self, struct infos *infos, uint64_t index) {
  struct info *info;
  if (!find_info(self, infos, index, &info)) return false;
  uint32_t slot = info->youngest;
  if (slot == NO_SLOT) {
    self->account->unknown_releases++;
    self->header->unknown++;
    return true;
  }
  info->youngest = infos->older[slot];
  return import_built(self, trace_build_release(&self->build, slot, 0));
}

// How many numbers stand behind it says which of the two kinds of file this is.
static bool read_begin(struct import *self, struct infos *infos) {
  uint64_t first, trace, pointer;
  if (!hex(self, "the allocation", &first)) return false;
  if (import_at_end_of_line(self)) return begin_block(self, infos, first) && import_end_line(self);
  return hex(self, "the trace", &trace) && hex(self, "the pointer", &pointer) &&
         import_allocate(self, pointer, first, import_alignment(self)) && import_end_line(self);
}

static bool read_end(struct import *self, struct infos *infos) {
  uint64_t which;
  if (!hex(self, "the allocation", &which)) return false;
  bool ended = infos->count > 0 ? end_block(self, infos, which) : import_release(self, which);
  return ended && import_end_line(self);
}

static bool read_version(struct import *self) {
  uint64_t version, file = 0;
  if (!hex(self, "heaptrack's version", &version)) return false;
  if (!import_at_end_of_line(self) && !hex(self, "the file's version", &file)) return false;
  if (file > NEWEST_FILE)
    return import_reject(self, "a file of version %" PRIx64 "; up to %d are known", file,
                         NEWEST_FILE);
  import_skip_line(self);
  return true;
}

static bool read_line(struct import *self, struct infos *infos) {
  char letter = import_peek(self);
  if (letter == '\n' || letter == '\r') return import_end_line(self);
  self->at++;
  switch (letter) {
  case '+':
    return read_begin(self, infos);
  case '-':
    return read_end(self, infos);
  case 'a':
    return add_info(self, infos);
  case 'v':
    return read_version(self);
  case '#':
    break;
  default:
    if (!import_one_of(letter, "stixmXcRIASp"))
      return import_reject(self, "no letter that is known");
    if (import_peek(self) != ' ' && import_peek(self) != '\n' && import_peek(self) != '\r')
      return import_reject(self, "no blank behind the letter");
  }
  import_skip_line(self);
  return true;
}

static bool read_lines(struct import *self) {
  struct infos infos = {0};
  bool read = true;
  self->account->threads = 1;
  while (read && import_more(self)) {
    import_begin_line(self);
    read = read_line(self, &infos) || import_take_partial(self);
  }
  free(infos.all);
  free(infos.older);
  return read;
}

// A first line `v VERSION`, with a file version in all but the oldest.
static bool recognises(const char *text, size_t size) {
  const char *newline = memchr(text, '\n', size < 64 ? size : 64);
  if (!newline || newline - text < 3 || text[0] != 'v' || text[1] != ' ') return false;
  for (const char *c = text + 2; c < newline; c++)
    if (import_digits[(unsigned char)*c] == 16 && *c != ' ' && *c != '\r') return false;
  return true;
}

const struct import_format import_heaptrack = {"heaptrack", recognises, read_lines};
