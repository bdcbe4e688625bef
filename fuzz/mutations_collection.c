#include "fuzz/mutations_collection.h"

#include <string.h>

#include "fuzz/mutations.h"
#include "harness/program_verbs.h"

enum { MOST_CAPACITY = 1 << 20, PIECE = 8, BURST = 40 };

// ## What records of verbs are made of

// Edges of what collections tell apart: lengths, bytes, code points, words.
static uint64_t some_constant(struct chance *chance) {
  static const uint64_t constants[] = {0x7f,   0x80,      0x7ff,     0x800,     0xd7ff,   0xd800,
                                       0xdfff, 0xe000,    0xffff,    0x10000,   0x10ffff, 0x110000,
                                       0x20,   INT64_MAX, INT32_MAX, UINT32_MAX};
  return constants[index_below(chance, sizeof constants / sizeof *constants)];
}

// A number that another operation has, or that the collection has had as its length.
static uint64_t some_known(struct draft *draft) {
  struct chance *chance = &draft->chance;
  uint64_t count = draft->hints->answers_count;
  if (count > 0 && one_in(chance, 2)) {
    uint64_t reach = count < HINTS_ANSWERS ? count : HINTS_ANSWERS;
    return draft->hints->answers[(count - 1 - below(chance, reach)) % HINTS_ANSWERS];
  }
  if (draft_length(draft) == 0) return 0;
  return draft_at(draft, index_below(chance, draft_length(draft)))->size;
}

static uint64_t some_value(struct draft *draft) {
  struct chance *chance = &draft->chance;
  switch (below(chance, 8)) {
  case 0:
  case 1:
  case 2:
    return below(chance, 8);
  case 3:
    return below(chance, 256);
  case 4:
    return some_known(draft) + below(chance, 5) - 2;
  case 5:
    return ((uint64_t)1 << below(chance, 64)) + below(chance, 3) - 1;
  case 6:
    return one_in(chance, 2) ? some_constant(chance) : UINT64_MAX - below(chance, 4);
  default:
    return draw(chance) >> below(chance, 64);
  }
}

static uint64_t some_mask(struct chance *chance) {
  if (one_in(chance, 4)) return UINT64_MAX << below(chance, 4);
  return (uint64_t)1 << below(chance, one_in(chance, 4) ? 16 : 3);
}

// Most happens to one instance.
static uint32_t some_instance(struct chance *chance) {
  return one_in(chance, 3) ? (uint32_t)below(chance, COLLECTION_INSTANCES) : 0;
}

static uint8_t some_small(struct chance *chance) {
  return (uint8_t)(one_in(chance, 3) ? draw(chance) : below(chance, 8));
}

static uint8_t some_count(struct chance *chance) {
  return (uint8_t)(one_in(chance, 2) ? 0 : below(chance, 16) * OP_CODES);
}

static struct record record_of(struct draft *draft, unsigned verb) {
  struct chance *chance = &draft->chance;
  unsigned fields = draft->hints->verb_fields[verb];
  struct record record = {.code = verb_code(verb), .slot = some_instance(chance)};
  if (fields & COLLECTION_VALUE) record.size = some_value(draft);
  if (fields & COLLECTION_COUNT) record.code = (uint8_t)(record.code | some_count(chance));
  if (fields & COLLECTION_SMALL) record.align = some_small(chance);
  if (fields & COLLECTION_OTHER) record.thread = (uint16_t)below(chance, COLLECTION_INSTANCES);
  return record;
}

// One of `verbs`, a set of bits; and now and then a fault.
static struct record some_record(struct draft *draft, uint32_t verbs) {
  struct chance *chance = &draft->chance;
  unsigned count = draft->hints->verbs, verb;
  if (one_in(chance, 16)) return (struct record){.code = OP_FAULT, .size = some_mask(chance)};
  do verb = (unsigned)below(chance, count);
  while (!(verbs >> verb & 1));
  return record_of(draft, verb);
}

static uint32_t all_verbs(const struct draft *draft) { return (1u << draft->hints->verbs) - 1; }

// ## Mutations

static bool insert(struct draft *draft, size_t index) {
  size_t count = 1 + index_below(&draft->chance, 4), done = 0;
  while (done < count &&
         draft_insert_record(draft, index + done, some_record(draft, all_verbs(draft))))
    done++;
  return done > 0;
}

static bool append(struct draft *draft, size_t index) {
  (void)index;
  return insert(draft, draft_length(draft));
}

// Many of few verbs: what a collection does as it grows and shrinks.
static bool burst(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  uint32_t verbs = 0;
  for (int i = 0; i < 3; i++) verbs |= 1u << below(chance, draft->hints->verbs);
  uint32_t instance = some_instance(chance);
  bool same_value = one_in(chance, 4), one = !one_in(chance, 4);
  uint64_t value = some_value(draft);
  size_t count = 4 + index_below(chance, BURST), done = 0;
  if (one_in(chance, 2)) index = draft_length(draft);
  for (; done < count; done++) {
    struct record record = some_record(draft, verbs);
    if (one) record.slot = instance;
    if (same_value && record.size != 0 && record.code != OP_FAULT) record.size = value;
    if (!draft_insert_record(draft, index + done, record)) break;
  }
  return done > 0;
}

// The same verb over and over, with values that ascend.
static bool climb(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  struct record record = record_of(draft, (unsigned)below(chance, draft->hints->verbs));
  size_t count = 2 + index_below(chance, BURST), done = 0;
  uint64_t by = one_in(chance, 2) ? 1 : below(chance, 64);
  for (; done < count; done++, record.size += by)
    if (!draft_insert_record(draft, index + done, record)) break;
  return done > 0;
}

static bool drop(struct draft *draft, size_t index) {
  size_t count = 1 + index_below(&draft->chance, one_in(&draft->chance, 4) ? 16 : 2);
  size_t left = draft_length(draft) - index;
  draft_remove(draft, index, count < left ? count : left);
  return true;
}

static bool duplicate(struct draft *draft, size_t index) {
  struct record piece[PIECE];
  size_t count = 1 + index_below(&draft->chance, PIECE), left = draft_length(draft) - index;
  if (count > left) count = left;
  memcpy(piece, draft_at(draft, index), count * sizeof *piece);
  size_t to = index_below(&draft->chance, draft_length(draft) + 1);
  for (size_t i = 0; i < count; i++)
    if (!draft_insert_record(draft, to + i, piece[i])) return i > 0;
  return true;
}

static bool move(struct draft *draft, size_t index) {
  size_t length = draft_length(draft);
  if (length < 2) return false;
  size_t to = (index + 1 + below(&draft->chance, length - 1)) % length;
  struct record record = *draft_at(draft, index);
  draft_remove(draft, index, 1);
  return draft_insert_record(draft, to, record);
}

static bool replace(struct draft *draft, size_t index) {
  struct record record = some_record(draft, all_verbs(draft));
  *draft_change(draft, index) = record;
  return true;
}

// Another verb with the same numbers: what was looked for is removed.
static bool change_verb(struct draft *draft, size_t index) {
  unsigned verb = (unsigned)below(&draft->chance, draft->hints->verbs);
  struct record *record = draft_change(draft, index);
  if (verb_of(record, draft->hints->verbs) < 0) return replace(draft, index);
  record->code = (uint8_t)(record->code / OP_CODES * OP_CODES + verb_code(verb));
  return true;
}

static bool nudge_value(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  uint64_t value = draft_at(draft, index)->size, mask = some_mask(chance);
  if (draft_at(draft, index)->code % OP_CODES == OP_FAULT) {
    draft_change(draft, index)->size = mask;
    return true;
  }
  switch (below(chance, 5)) {
  case 0:
    value = one_in(chance, 2) ? value + 1 : value - 1;
    break;
  case 1:
    value ^= (uint64_t)1 << below(chance, 64);
    break;
  case 2:
    value = some_known(draft);
    break;
  case 3:  // one of its bytes
    value ^= below(chance, 256) << 8 * below(chance, 8);
    break;
  default:
    value = some_value(draft);
  }
  draft_change(draft, index)->size = value;
  return true;
}

static bool change_arguments(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  uint8_t count = some_count(chance), small = some_small(chance);
  uint16_t other = (uint16_t)below(chance, COLLECTION_INSTANCES);
  uint32_t instance = some_instance(chance);
  uint64_t which = below(chance, 4);
  struct record *record = draft_change(draft, index);
  if (which == 0) record->code = (uint8_t)(record->code % OP_CODES + count);
  if (which == 1) record->align = small;
  if (which == 2) record->thread = other;
  if (which == 3) record->slot = instance;
  return true;
}

// The next request is refused, or one soon after.
static bool fault(struct draft *draft, size_t index) {
  return draft_insert_record(draft, index,
                             (struct record){.code = OP_FAULT, .size = some_mask(&draft->chance)});
}

static bool change_beneath(struct draft *draft, size_t index) {
  (void)index;
  struct heap *heap = &draft->heap;
  struct chance *chance = &draft->chance;
  switch (below(chance, 4)) {
  case 0:
    heap->source = (enum heap_source)below(chance, HEAP_SOURCES);
    heap->page_size = (size_t)64 << below(chance, 8);
    break;
  case 1:  // mostly small: exhaustion is near
    heap->capacity = (size_t)4096 << below(chance, one_in(chance, 8) ? 9 : 4);
    heap->capacity += below(chance, 4096);
    if (heap->capacity > MOST_CAPACITY) heap->capacity = MOST_CAPACITY;
    break;
  case 2:
    heap->skew = (unsigned)below(chance, 64);
    break;
  default:
    heap->variant = (unsigned)below(chance, 64);
  }
  heap->threads = 1;
  draft_put_heap(draft);
  return true;
}

static const struct mutation verb_mutations[] = {
    {"insert", insert, 12},
    {"append", append, 14},
    {"burst", burst, 8},
    {"climb", climb, 4},
    {"drop", drop, 9},
    {"duplicate", duplicate, 6},
    {"move", move, 4},
    {"replace", replace, 5},
    {"change verb", change_verb, 6},
    {"nudge value", nudge_value, 14},
    {"change arguments", change_arguments, 8},
    {"fault", fault, 4},
    {"change heap", change_beneath, 4},
    {NULL, NULL, 0},
};

void mutate_collection(struct draft *draft) {
  if (draft_length(draft) == 0) {
    if (one_in(&draft->chance, 8)) change_beneath(draft, 0);
    burst(draft, 0);
    return;
  }
  mutate_by(verb_mutations, draft);
}
