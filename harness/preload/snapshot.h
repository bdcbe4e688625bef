// Bytes that must not change meanwhile, and other looks at what is in blocks.
#ifndef HARNESS_PRELOAD_SNAPSHOT_H_
#define HARNESS_PRELOAD_SNAPSHOT_H_

#include <stddef.h>
#include <stdint.h>

enum { SNAPSHOT_PIECE = 16, SNAPSHOT_PIECES = 24 };

struct snapshot_piece {
  uintptr_t start;
  size_t size;
  unsigned char bytes[SNAPSHOT_PIECE];
};

struct snapshot {
  unsigned count;
  struct snapshot_piece pieces[SNAPSHOT_PIECES];
};

void snapshot_clear(struct snapshot *self);
// At most SNAPSHOT_PIECE bytes. What is too much is left out.
void snapshot_add(struct snapshot *self, uintptr_t start, size_t size);
// The first piece that differs now, or NULL.
const struct snapshot_piece *snapshot_changed(const struct snapshot *self);

// Of all bytes of small ranges, and of a sample of large ones, the ends among them: so that the
// cost does not grow with them.
uint64_t snapshot_hash(const void *start, size_t size);

// The first byte that is not 0, of the same bytes; NULL: none.
const void *snapshot_find_nonzero(const void *start, size_t size);

#endif
