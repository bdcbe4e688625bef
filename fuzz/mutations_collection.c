#include "fuzz/mutations_collection.h"

#include "fuzz/generate.h"
#include "fuzz/mutations.h"

enum {
  FAULT_ONE_IN = 12,  // operations
  INSTANCES = 4,
  COUNTS = 16,
  BURST = 24,
  PIECE = 16,
};

// ## Numbers: a verb takes them for an index, a length, an element, whatever it has a use for

static uint64_t some_value(struct chance *chance) {
  switch (below(chance, 8)) {
  case 0:
  case 1:
    return below(chance, 8);
  case 2:
    return below(chance, 64);
  case 3:
    return below(chance, 512);
  case 4:
    return below(chance, (uint64_t)1 << 21);
  case 5:
    return ((uint64_t)1 << below(chance, 64)) + below(chance, 5) - 2;
  case 6:
    return UINT64_MAX - below(chance, 20);
  default:
    return draw(chance);
  }
}

static uint8_t some_small(struct chance *chance) {
  return (uint8_t)below(chance, one_in(chance, 2) ? 16 : 256);
}

// Mostly the first instance: what only a long life brings about needs one that is busy.
static unsigned some_instance(struct chance *chance) {
  return one_in(chance, 2) ? 0 : (unsigned)below(chance, INSTANCES);
}

static uint8_t code_of(unsigned verb, unsigned count) {
  unsigned code = verb >= OP_FAULT ? verb + 1 : verb;
  return (uint8_t)(code + OP_CODES * (count - 1));
}

static struct record some_record(struct draft *draft, unsigned verb) {
  struct chance *chance = &draft->chance;
  unsigned count = one_in(chance, 3) ? 1 : 1 + (unsigned)below(chance, COUNTS);
  return (struct record){
      .code = code_of(verb, count),
      .align = some_small(chance),
      .thread = (uint16_t)some_instance(chance),
      .slot = some_instance(chance),
      .size = some_value(chance),
  };
}

static struct record some_fault(struct chance *chance) {
  return (struct record){.code = OP_FAULT, .size = one_in(chance, 2) ? 1 : below(chance, 64)};
}

// ## Mutations

static void insert(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  unsigned verb = (unsigned)below(chance, draft->hints->verbs);
  struct record record = some_record(draft, verb);
  if (!draft_insert_record(draft, index, record)) return;
  // In front of it, or else there may be nothing to refuse.
  if (one_in(chance, FAULT_ONE_IN)) draft_insert_record(draft, index, some_fault(chance));
}

// The same few verbs over and over, on one instance: it becomes large, or empty.
static void burst(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  unsigned verbs[2] = {(unsigned)below(chance, draft->hints->verbs),
                       (unsigned)below(chance, draft->hints->verbs)};
  unsigned slot = some_instance(chance);
  for (size_t count = 1 + index_below(chance, BURST); count > 0; count--) {
    struct record record = some_record(draft, verbs[one_in(chance, 4)]);
    record.slot = slot;
    if (!draft_insert_record(draft, index, record)) return;
  }
}

static void duplicate(struct draft *draft, size_t index) {
  struct record piece[PIECE];
  size_t left = draft_length(draft) - index, count = 1 + index_below(&draft->chance, PIECE);
  if (count > left) count = left;
  for (size_t i = 0; i < count; i++) piece[i] = *draft_at(draft, index + i);
  splice(draft, index_below(&draft->chance, draft_length(draft) + 1), piece, count);
}

static void change(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  struct record *record = draft_change(draft, index);
  struct record other = some_record(draft, (unsigned)below(chance, draft->hints->verbs));
  switch (below(chance, 8)) {
  case 0:
    record->code = (uint8_t)(record->code / OP_CODES * OP_CODES + other.code % OP_CODES);
    break;
  case 1:
    record->code = (uint8_t)(other.code / OP_CODES * OP_CODES + record->code % OP_CODES);
    break;
  case 2:
    record->align = other.align;
    break;
  case 3:
    record->thread = other.thread;
    break;
  case 4:
    record->slot = other.slot;
    break;
  case 5:
    record->size += below(chance, 9) - 4;
    break;
  default:
    record->size = other.size;
  }
}

void mutate_collection(struct draft *draft) {
  struct chance *chance = &draft->chance;
  size_t length = draft_length(draft);
  if (length == 0 || one_in(chance, 12)) {
    if (length > 0 || one_in(chance, 8)) change_heap(draft, 0);
    if (length == 0) burst(draft, 0);
    return;
  }
  size_t index = index_below(chance, length);
  switch (below(chance, 16)) {
  case 0:
  case 1:
  case 2:
    insert(draft, index);
    break;
  case 3:
  case 4:
  case 5:
    insert(draft, length);
    break;
  case 6:
    burst(draft, one_in(chance, 2) ? index : length);
    break;
  case 7:
  case 8:
  case 9: {
    size_t count = 1 + index_below(chance, one_in(chance, 4) ? PIECE : 2);
    draft_remove(draft, index, count < length - index ? count : length - index);
    break;
  }
  case 10:
    duplicate(draft, index);
    break;
  default:
    change(draft, index);
  }
}
