// A program under mutation.
#ifndef FUZZ_DRAFT_H_
#define FUZZ_DRAFT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuzz/chance.h"
#include "fuzz/hints.h"
#include "harness/program.h"

enum { DRAFT_RECORDS = 4096, DRAFT_SLOTS = 64, DRAFT_PALETTE = 4 };

struct draft {
  struct chance chance;
  const struct hints *hints;
  struct program program;  // its records are those below
  struct heap heap;        // what record 0 says
  size_t limit;            // records that fit
  uint32_t slots;          // that are told apart: a power of two, 1 .. DRAFT_SLOTS
  // What new operations are made of.
  uint32_t kinds;                   // bit k: operations of kind k
  uint64_t palette[DRAFT_PALETTE];  // sizes, all there are for a while; none: any size
  size_t palette_count;
  uint32_t reach;  // slots below this: 1 .. slots
  struct record records[DRAFT_RECORDS + 1];
  uint64_t named[DRAFT_RECORDS + 1];  // before each operation, as far as it is known
  size_t named_count;                 // so far
};

// Decodes as much of the bytes as fits into `max_size`, at least one record.
void draft_open(struct draft *draft, const uint8_t *bytes, size_t size, size_t max_size,
                uint64_t seed, const struct hints *hints);

static inline size_t draft_length(const struct draft *draft) {
  return program_length(&draft->program);
}
static inline const struct record *draft_at(const struct draft *draft, size_t index) {
  return program_at(&draft->program, index);
}

// How many more fit.
static inline size_t draft_room(const struct draft *draft) {
  return draft->limit > draft->program.count ? draft->limit - draft->program.count : 0;
}

// All changes of operations go through these. Inserting into a full draft does nothing, and says
// false.
struct record *draft_change(struct draft *draft, size_t index);
bool draft_insert(struct draft *draft, size_t index, const struct operation *operation);
bool draft_insert_record(struct draft *draft, size_t index, struct record record);
void draft_remove(struct draft *draft, size_t index, size_t count);
// Writes draft->heap into record 0.
void draft_put_heap(struct draft *draft);

// Slots that name a block when operation `index` comes, as far as can be told without an allocator:
// bit s for slot s. `index` may be the length.
uint64_t draft_named(struct draft *draft, size_t index);
// A slot within reach with that bit in the set, or any within reach if there is none.
uint32_t draft_slot_among(struct draft *draft, uint64_t set);

#endif
