#include "fuzz/mutator.h"

#include <string.h>

#include "fuzz/mutations.h"

enum { ROUNDS = 4 };

size_t mutator_mutate(const struct hints *hints, uint8_t *bytes, size_t size, size_t max_size,
                      uint32_t seed) {
  static struct draft draft;
  if (max_size < RECORD_SIZE) return size;
  draft_open(&draft, bytes, size, max_size, seed, hints);
  size_t rounds = 1 + index_below(&draft.chance, ROUNDS);
  for (size_t i = 0; i < rounds; i++) mutate(&draft);
  program_encode(&draft.program, bytes);
  return program_encoded_size(&draft.program);
}

size_t mutator_cross(const struct hints *hints, const uint8_t *first, size_t first_size,
                     const uint8_t *second, size_t second_size, uint8_t *out, size_t max_size,
                     uint32_t seed) {
  static struct draft draft;
  static struct record piece[DRAFT_RECORDS];
  if (max_size < RECORD_SIZE || second_size < 2 * RECORD_SIZE) {
    size_t size = first_size < max_size ? first_size : max_size;
    if (size > 0) memcpy(out, first, size);
    return size;
  }
  draft_open(&draft, first, first_size, max_size, seed, hints);
  struct chance *chance = &draft.chance;
  size_t length = draft_length(&draft), count = second_size / RECORD_SIZE - 1;
  if (count > DRAFT_RECORDS) count = DRAFT_RECORDS;
  size_t from = index_below(chance, count);
  count = 1 + index_below(chance, count - from);
  memcpy(piece, second + (1 + from) * RECORD_SIZE, count * RECORD_SIZE);
  // In front of an operation of the first: what comes there stays, or the piece is the end.
  size_t cut = index_below(chance, length + 1);
  if (one_in(chance, 2)) draft_remove(&draft, cut, length - cut);
  splice(&draft, cut, piece, count);
  program_encode(&draft.program, out);
  return program_encoded_size(&draft.program);
}
