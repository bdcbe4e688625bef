#include "harness/preload/snapshot.h"

#include <stdbool.h>
#include <string.h>

void snapshot_clear(struct snapshot *self) { self->count = 0; }

void snapshot_add(struct snapshot *self, uintptr_t start, size_t size) {
  if (self->count == SNAPSHOT_PIECES) return;
  struct snapshot_piece *piece = &self->pieces[self->count++];
  piece->start = start;
  piece->size = size;
  memcpy(piece->bytes, (const void *)start, size);
}

const struct snapshot_piece *snapshot_changed(const struct snapshot *self) {
  for (unsigned i = 0; i < self->count; i++) {
    const struct snapshot_piece *piece = &self->pieces[i];
    if (memcmp(piece->bytes, (const void *)piece->start, piece->size) != 0) return piece;
  }
  return NULL;
}

// ## Samples: all of a small range; of a large one its ends and SAMPLES pieces between them

enum { WHOLE = 1 << 16, END = 1 << 13, SAMPLES = 256, SAMPLE = 64 };

typedef bool visitor(void *context, const unsigned char *start, size_t size);

// Until a visitor says false.
static void visit(const unsigned char *start, size_t size, visitor *visitor, void *context) {
  if (size <= WHOLE) {
    visitor(context, start, size);
    return;
  }
  if (!visitor(context, start, END)) return;
  size_t step = (size - 2 * END) / SAMPLES;
  for (size_t i = 0; i < SAMPLES; i++)
    if (!visitor(context, start + END + i * step, SAMPLE)) return;
  visitor(context, start + size - END, END);
}

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
  return hash ^ hash >> 32;
}

static bool hash_piece(void *context, const unsigned char *start, size_t size) {
  uint64_t hash = *(uint64_t *)context, word;
  for (; size >= sizeof word; start += sizeof word, size -= sizeof word) {
    memcpy(&word, start, sizeof word);
    hash = mix(hash, word);
  }
  word = 0;
  memcpy(&word, start, size);
  *(uint64_t *)context = mix(hash, word);
  return true;
}

uint64_t snapshot_hash(const void *start, size_t size) {
  uint64_t hash = size;
  visit(start, size, hash_piece, &hash);
  return hash;
}

static bool find_nonzero(void *context, const unsigned char *start, size_t size) {
  uint64_t word;
  while (size >= sizeof word && (memcpy(&word, start, sizeof word), word == 0))
    start += sizeof word, size -= sizeof word;
  while (size > 0 && *start == 0) start++, size--;
  if (size == 0) return true;
  *(const unsigned char **)context = start;
  return false;
}

const void *snapshot_find_nonzero(const void *start, size_t size) {
  const unsigned char *found = NULL;
  visit(start, size, find_nonzero, &found);
  return found;
}
