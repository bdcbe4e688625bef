// How plain the operations of a collection's program can be.
#include <string.h>

#include "harness/minimize_search.h"

static bool try_code(struct search *search, size_t index, uint8_t code) {
  struct record record = *program_at(search->best, index);
  record.code = code;
  return search_try_record(search, index + 1, record);
}

static bool try_small(struct search *search, size_t index, uint8_t small) {
  struct record record = *program_at(search->best, index);
  record.align = small;
  return search_try_record(search, index + 1, record);
}

// The canonical code: `count` times more, less 1.
static uint8_t code_of(const struct search *search, const struct record *record, unsigned more) {
  int verb = verb_of(record, search_driver(search)->verb_count);
  return (uint8_t)((verb < 0 ? OP_FAULT : verb_code((unsigned)verb)) + more * OP_CODES);
}

static bool simplify_count(struct search *search, size_t index) {
  unsigned fields = search_fields(search, program_at(search->best, index));
  unsigned count = fields & COLLECTION_COUNT ? program_at(search->best, index)->code / OP_CODES : 0;
  for (unsigned fewer = 0; fewer <= count; fewer++)
    if (try_code(search, index, code_of(search, program_at(search->best, index), fewer)))
      return true;
  return false;
}

static bool simplify_small(struct search *search, size_t index) {
  unsigned small = program_at(search->best, index)->align;
  if (small > 0 && try_small(search, index, 0)) return true;
  if (!(search_fields(search, program_at(search->best, index)) & COLLECTION_SMALL)) return false;
  unsigned low = 0, high = small;
  while (high - low > 1 && high > low && !search->stopped) {
    unsigned middle = low + (high - low) / 2;
    if (try_small(search, index, (uint8_t)middle))
      high = middle;
    else
      low = middle;
  }
  return high < small;
}

// The fewest refusals, and the earliest.
static bool simplify_mask(struct search *search, size_t index) {
  struct record record = *program_at(search->best, index);
  uint64_t mask = record.size;
  if (mask == 0) return false;
  for (unsigned bit = 0; bit < 64; bit++) {
    record.size = (uint64_t)1 << bit;
    if (record.size == mask) return false;
    if (record.size <= mask && search_try_record(search, index + 1, record)) return true;
  }
  return false;
}

static bool simplify_instances(struct search *search, size_t index) {
  bool any = false;
  struct record record = *program_at(search->best, index);
  if (record.slot > 0) {
    record.slot = 0;
    any = search_try_record(search, index + 1, record);
  }
  record = *program_at(search->best, index);
  if (record.thread > 0) {
    record.thread = 0;
    any |= search_try_record(search, index + 1, record);
  }
  return any;
}

bool search_simplify_verb(struct search *search, size_t index) {
  const struct record *record = program_at(search->best, index);
  bool fault = verb_of(record, search_driver(search)->verb_count) < 0;
  bool any = fault ? simplify_mask(search, index) : search_shrink_value(search, index);
  any |= simplify_count(search, index);
  any |= simplify_small(search, index);
  return simplify_instances(search, index) || any;
}

// Instances numbered in the order in which they come.
bool search_rename_instances(struct search *search) {
  unsigned names[COLLECTION_INSTANCES], count = 0;
  bool known[COLLECTION_INSTANCES] = {false}, changed = false;
  memcpy(search->scratch, search->best->records, search->best->count * sizeof *search->scratch);
  for (size_t i = 1; i < search->best->count; i++) {
    struct record *record = &search->scratch[i], before = *record;
    unsigned olds[] = {record->slot % COLLECTION_INSTANCES, record->thread % COLLECTION_INSTANCES};
    bool two = search_fields(search, record) & COLLECTION_OTHER;
    bool fault = verb_of(record, search_driver(search)->verb_count) < 0;
    for (unsigned j = 0; j < (two ? 2u : 1u) && !fault; j++) {
      if (!known[olds[j]]) names[olds[j]] = count++;
      known[olds[j]] = true;
    }
    record->slot = fault ? 0 : names[olds[0]];
    record->thread = two ? (uint16_t)names[olds[1]] : 0;
    changed |= record->slot != before.slot || record->thread != before.thread;
  }
  return changed && search_improves(search, search->best->count);
}
