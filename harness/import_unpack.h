// Files that hold traces packed. What unpacks needs zlib and libzstd, and so is in a library of its
// own, which a program has or has not: `import_unpackers` is weak.
#ifndef HARNESS_IMPORT_UNPACK_H_
#define HARNESS_IMPORT_UNPACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/file.h"

struct unpacked {
  unsigned char *bytes;  // of the C library; grows while it is filled
  size_t size, room;
  uint64_t most;  // that it may hold
  bool partial;   // what a cut file gives is enough
  bool cut;       // and this is such
  uint64_t cut_at;
};

struct import_unpacker {
  // False with the error, and nothing to give back.
  bool (*unpack)(struct unpacked *to, const unsigned char *bytes, size_t size, const char *name,
                 struct file_error *error);
};

enum import_container { CONTAINER_ZIP, CONTAINER_GZIP, CONTAINER_ZSTD, CONTAINERS };

extern const struct import_unpacker import_unpackers[CONTAINERS] __attribute__((weak));

// ## What unpackers share

// Room for at least one more byte: doubles, up to `most`. False with the error if that is reached,
// or memory is out.
bool unpacked_reserve(struct unpacked *to, const char *name, struct file_error *error);
void unpacked_clear(struct unpacked *to);
// The packed file ends at `size`, and should not. True if what there is will do.
bool unpacked_cut(struct unpacked *to, uint64_t size, const char *name, struct file_error *error);

#endif
