#include "fuzz/draft.h"

#include <string.h>

// Kinds that every other strategy offers, for when there are no hints: what else a program may have
// is told from what it has, and now and then tried.
#define USUAL                                                                                      \
  (1u << OP_ALLOCATE | 1u << OP_ALLOCATE_ZEROED | 1u << OP_RELEASE | 1u << OP_RESIZE |             \
   1u << OP_USE | 1u << OP_RESET | 1u << OP_FAULT)
enum { UNUSUAL_ONE_IN = 8 };

static uint32_t kinds_of(struct draft *draft) {
  uint32_t offered = __atomic_load_n(&draft->hints->offered, __ATOMIC_ACQUIRE);
  if (offered) return offered;
  if (one_in(&draft->chance, UNUSUAL_ONE_IN)) return (1u << OP_KINDS) - 1;
  uint32_t kinds = USUAL;
  for (size_t i = 0; i < draft_length(draft); i++) kinds |= 1u << record_kind(draft_at(draft, i));
  return kinds;
}

static void read_heap(struct draft *draft) {
  draft->heap = program_heap(&draft->program);
  draft->slots = draft->heap.slots < DRAFT_SLOTS ? draft->heap.slots : DRAFT_SLOTS;
  draft->reach = draft->slots;
  draft->named[0] = 0;
  draft->named_count = 1;
}

void draft_open(struct draft *draft, const uint8_t *bytes, size_t size, size_t max_size,
                uint64_t seed, const struct hints *hints) {
  draft->chance.state = seed;
  draft->hints = hints;
  draft->limit = max_size / RECORD_SIZE < DRAFT_RECORDS ? max_size / RECORD_SIZE : DRAFT_RECORDS;
  if (size > draft->limit * RECORD_SIZE) size = draft->limit * RECORD_SIZE;
  program_decode_into(&draft->program, draft->records, bytes, size);
  draft->program.tail_size = 0;
  if (draft->program.count == 0) {
    draft->records[0] = (struct record){0};
    draft->program.count = 1;
  }
  read_heap(draft);
  draft->kinds = kinds_of(draft);
  draft->palette_count = 0;
}

static void forget_named(struct draft *draft, size_t index) {
  if (draft->named_count > index + 1) draft->named_count = index + 1;
}

struct record *draft_change(struct draft *draft, size_t index) {
  forget_named(draft, index);
  return &draft->records[index + 1];
}

bool draft_insert_record(struct draft *draft, size_t index, struct record record) {
  if (draft_room(draft) == 0) return false;
  struct record *at = draft_change(draft, index);
  memmove(at + 1, at, (draft_length(draft) - index) * sizeof *at);
  *at = record;
  draft->program.count++;
  return true;
}

bool draft_insert(struct draft *draft, size_t index, const struct operation *operation) {
  return draft_insert_record(draft, index, operation_record(operation));
}

void draft_remove(struct draft *draft, size_t index, size_t count) {
  struct record *at = draft_change(draft, index);
  memmove(at, at + count, (draft_length(draft) - index - count) * sizeof *at);
  draft->program.count -= count;
}

void draft_put_heap(struct draft *draft) {
  draft->records[0] = heap_record(&draft->heap);
  read_heap(draft);
}

// Whether a request can be met at all, as far as its size says.
static bool can_be_met(const struct draft *draft, const struct operation *op) {
  return op->size > 0 && op->size <= draft->heap.capacity / op->count;
}

static uint64_t named_after(const struct draft *draft, size_t index, uint64_t named) {
  struct operation op = record_operation(draft_at(draft, index));
  uint64_t bit = (uint64_t)1 << op.slot % draft->slots;
  switch (op.kind) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
  case OP_RESIZE:
    return can_be_met(draft, &op) ? named | bit : named;
  case OP_RELEASE:
  case OP_OVERRUN:
    return named & ~bit;
  case OP_RESET:
    return 0;
  default:
    return named;
  }
}

uint64_t draft_named(struct draft *draft, size_t index) {
  for (size_t i = draft->named_count; i <= index; i++)
    draft->named[i] = named_after(draft, i - 1, draft->named[i - 1]);
  if (draft->named_count <= index) draft->named_count = index + 1;
  return draft->named[index];
}

uint32_t draft_slot_among(struct draft *draft, uint64_t set) {
  uint32_t start = (uint32_t)below(&draft->chance, draft->reach);
  set &= UINT64_MAX >> (DRAFT_SLOTS - draft->reach);
  if (!set) return start;
  // The first at or after `start`, in a circle.
  uint64_t after = set >> start << start;
  return (uint32_t)__builtin_ctzll(after ? after : set);
}
