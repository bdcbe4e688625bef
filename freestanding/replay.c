#include "freestanding/replay.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "collections/print.h"
#include "freestanding/judge.h"
#include "freestanding/world.h"

static const char magic[8] = "ASSAYPK1";

enum { NAME_MAX = 255, SIZE_BYTES = 4 };

struct pack {
  uint64_t offset;  // of what comes next
  unsigned index;   // of the entry that comes next
  unsigned judged, unfit;
};

static bool read_all(struct pack *pack, void *buffer, size_t size) {
  unsigned char *at = buffer;
  for (size_t got; size > 0; size -= got, at += got, pack->offset += got) {
    got = world_read(pack->offset, at, size);
    if (got == 0) return false;
  }
  return true;
}

static bool damaged(const char *what) {
  print_text(world_console(), "the pack is damaged: ");
  print_text(world_console(), what);
  print_char(world_console(), '\n');
  return false;
}

static void tell(const char *word, unsigned index, const char *name, const char *answer) {
  struct writer *console = world_console();
  print_text(console, word);
  print_unsigned(console, index);
  print_char(console, ' ');
  print_text(console, name);
  print_char(console, ' ');
  print_text(console, answer);
  print_char(console, '\n');
}

static void tell_unfit(struct pack *pack, const char *name, const char *reason) {
  pack->unfit++;
  tell("unfit ", pack->index, name, reason);
}

static bool replay_entry(struct pack *pack, const struct registry_entry *entry, size_t size) {
  judge_begin();
  void *bytes = malloc(size > 0 ? size : 1);
  if (!bytes) {
    pack->offset += size;
    tell_unfit(pack, entry->name, "memory");
    return true;
  }
  if (!read_all(pack, bytes, size)) return damaged("it ends inside a program");
  struct program program = {0};
  // In its own place: a record in memory is as large as one in the pack.
  program_decode_into(&program, bytes, bytes, size);
  struct judgement judgement;
  if (!judge(&judgement, entry->strategy, &program)) return false;
  if (judgement.unfit) {
    tell_unfit(pack, entry->name, judgement.unfit);
  } else {
    pack->judged++;
    tell("judged ", pack->index, entry->name, judgement.verdict.id);
  }
  return true;
}

static uint32_t number(const unsigned char bytes[SIZE_BYTES]) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

bool replay_has_pack(void) {
  char first;
  return world_read(0, &first, 1) == 1;
}

bool replay_pack(void) {
  struct pack pack = {0};
  char name[NAME_MAX + 1];
  unsigned char length, size[SIZE_BYTES];
  if (!replay_has_pack()) return true;
  if (!read_all(&pack, name, sizeof magic) || memcmp(name, magic, sizeof magic) != 0)
    return damaged("it does not begin as one");
  for (;; pack.index++) {
    if (!read_all(&pack, &length, 1)) return damaged("it has no end");
    if (length == 0) break;
    if (!read_all(&pack, name, length) || !read_all(&pack, size, sizeof size))
      return damaged("it ends inside an entry");
    name[length] = 0;
    const struct registry_entry *entry = registry_find(name);
    if (!entry)
      pack.offset += number(size);
    else if (!replay_entry(&pack, entry, number(size)))
      return false;
  }
  struct writer *console = world_console();
  print_text(console, "pack: ");
  print_unsigned(console, pack.judged);
  print_text(console, " judged, ");
  print_unsigned(console, pack.unfit);
  print_text(console, " unfit\n");
  return true;
}
