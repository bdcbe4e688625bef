#include "harness/byte_map.h"

#include <stdlib.h>

#include "harness/lazy.h"

enum { WORD = 64 };

void byte_map_cover(struct byte_map *self, const void *base, size_t size) {
  self->base = (uintptr_t)base;
  if (self->size == size) return;
  byte_map_free(self);
  void *words = lazy_map(size / 8);
  if (!words) abort();
  *self = (struct byte_map){words, (uintptr_t)base, size};
}

void byte_map_free(struct byte_map *self) {
  if (self->words) lazy_unmap((void *)self->words, self->size / 8);
  *self = (struct byte_map){0};
}

// Sets or clears the bits of a range, and returns which of them were set, all in one word.
static uint64_t change(struct byte_map *self, uintptr_t start, size_t size, bool taken) {
  uint64_t former = 0;
  for (size_t at = start - self->base, end = at + size; at < end;) {
    size_t run = WORD - at % WORD < end - at ? WORD - at % WORD : end - at;
    uint64_t mask = (run == WORD ? ~(uint64_t)0 : ((uint64_t)1 << run) - 1) << at % WORD;
    _Atomic uint64_t *word = &self->words[at / WORD];
    former |= mask & (taken ? atomic_fetch_or_explicit(word, mask, memory_order_relaxed)
                            : atomic_fetch_and_explicit(word, ~mask, memory_order_relaxed));
    at += run;
  }
  return former;
}

bool byte_map_take(struct byte_map *self, uintptr_t start, size_t size) {
  return change(self, start, size, true) == 0;
}

void byte_map_give(struct byte_map *self, uintptr_t start, size_t size) {
  change(self, start, size, false);
}
