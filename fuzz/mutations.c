#include "fuzz/mutations.h"

#include <string.h>

#include "fuzz/generate.h"
#include "fuzz/mutations_collection.h"

enum { MAX_CAPACITY = 1 << 20, PIECE = 8, BURST = 40, RUN = 32 };

// The first operation at or after `index`, in a circle, that `wanted` is true of; the length if
// there is none.
static size_t find(const struct draft *draft, size_t index, bool (*wanted)(enum operation_kind)) {
  size_t length = draft_length(draft);
  for (size_t i = 0; i < length; i++) {
    size_t at = (index + i) % length;
    if (wanted(record_kind(draft_at(draft, at)))) return at;
  }
  return length;
}

static size_t shorter(size_t a, size_t b) { return a < b ? a : b; }

// ## More and fewer operations

static bool insert(struct draft *draft, size_t index) {
  size_t count = 1 + index_below(&draft->chance, 4), done = 0;
  while (done < count) {
    size_t inserted = insert_some_operation(draft, index + done);
    if (inserted == 0) break;
    done += inserted;
  }
  return done > 0;
}

// A beginning grows best at its end.
static bool append(struct draft *draft, size_t index) {
  (void)index;
  return insert(draft, draft_length(draft));
}

// Many operations that are few of a kind.
static bool burst(struct draft *draft, size_t index) {
  uint32_t kinds = draft->kinds, reach = draft->reach;
  narrow(draft);
  size_t count = 4 + index_below(&draft->chance, BURST), done = 0;
  if (one_in(&draft->chance, 2)) index = draft_length(draft);
  while (done < count) {
    size_t inserted = insert_some_operation(draft, index + done);
    if (inserted == 0) break;
    done += inserted;
  }
  draft->kinds = kinds;
  draft->reach = reach;
  draft->palette_count = 0;
  return done > 0;
}

// The same request for slot after slot: until a class, a chunk or the heap is full.
static bool fill(struct draft *draft, size_t index) {
  size_t count = 4 + index_below(&draft->chance, RUN), done = 0;
  struct operation op = operation_of_kind(draft, OP_ALLOCATE, index);
  for (; done < count; done++) {
    op.slot = draft_slot_among(draft, ~draft_named(draft, index + done));
    if (!draft_insert(draft, index + done, &op)) break;
  }
  return done > 0;
}

static bool drop(struct draft *draft, size_t index) {
  size_t count = 1 + index_below(&draft->chance, one_in(&draft->chance, 4) ? 16 : 2);
  draft_remove(draft, index, shorter(count, draft_length(draft) - index));
  return true;
}

void splice(struct draft *draft, size_t index, const struct record *from, size_t count) {
  uint32_t shift = one_in(&draft->chance, 2) ? 0 : (uint32_t)below(&draft->chance, draft->slots);
  for (size_t i = 0; i < count; i++) {
    struct record record = from[i];
    record.slot = (record.slot + shift) % draft->heap.slots;
    if (!draft_insert_record(draft, index + i, shift ? record : from[i])) return;
  }
}

static bool duplicate(struct draft *draft, size_t index) {
  struct record piece[PIECE];
  size_t count = shorter(1 + index_below(&draft->chance, PIECE), draft_length(draft) - index);
  memcpy(piece, draft_at(draft, index), count * sizeof *piece);
  if (draft_room(draft) == 0) return false;
  splice(draft, index_below(&draft->chance, draft_length(draft) + 1), piece, count);
  return true;
}

static bool move(struct draft *draft, size_t index) {
  size_t length = draft_length(draft);
  if (length < 2) return false;
  size_t to = (index + 1 + below(&draft->chance, length - 1)) % length;
  struct record record = *draft_at(draft, index);
  draft_remove(draft, index, 1);
  draft_insert_record(draft, to, record);
  return true;
}

// ## Slots

// From there on, two slots have each other's part.
static bool swap_slots(struct draft *draft, size_t index) {
  if (draft->slots < 2) return false;
  uint32_t mask = draft->slots - 1;
  uint32_t first = draft_at(draft, index)->slot & mask;
  uint32_t second = draft_slot_among(draft, draft_named(draft, index) & ~((uint64_t)1 << first));
  if (first == second) second = (second + 1) & mask;
  for (size_t i = index; i < draft_length(draft); i++) {
    uint32_t slot = draft_at(draft, i)->slot & mask;
    if (slot == first)
      draft_change(draft, i)->slot = second;
    else if (slot == second)
      draft_change(draft, i)->slot = first;
  }
  return true;
}

static bool change_slot(struct draft *draft, size_t index) {
  uint32_t slot = draft_slot_among(draft, draft_named(draft, index));
  draft_change(draft, index)->slot = slot;
  return true;
}

// ## Sizes and alignments

static bool nudge_size(struct draft *draft, size_t index) {
  index = find(draft, index, kind_has_size);
  if (index == draft_length(draft)) return false;
  struct chance *chance = &draft->chance;
  uint64_t size = draft_at(draft, index)->size;
  switch (below(chance, 8)) {
  case 0:
    size += below(chance, 17) - 8;
    break;
  case 1:
    size = one_in(chance, 2) ? size + 1 : size - 1;
    break;
  case 2:
    size = (size | 15) + 1;
    break;
  case 3:
    size = one_in(chance, 2) ? size * 2 : size / 2 + 1;
    break;
  case 4:
  case 5:
    size = some_edge(draft);
    break;
  case 6: {  // the same as another one: what was released fits again exactly
    size_t other = find(draft, index_below(chance, draft_length(draft)), kind_has_size);
    size = draft_at(draft, other)->size;
    break;
  }
  default:
    size = some_size(draft);
  }
  draft_change(draft, index)->size = size;
  return true;
}

static bool walk_align(struct draft *draft, size_t index) {
  index = find(draft, index, kind_has_size);
  if (index == draft_length(draft)) return false;
  uint64_t align = align_decode(draft_at(draft, index)->align);
  uint64_t walked = one_in(&draft->chance, 2) ? align * 2 : align / 2;
  if (!walked || one_in(&draft->chance, 4)) walked = some_align(draft);
  draft_change(draft, index)->align = align_encode(walked);
  return true;
}

// ## Kinds

static bool change_kind(struct draft *draft, size_t index) {
  struct operation op = some_operation(draft, index);
  bool sized = kind_has_size(op.kind) && kind_has_size(record_kind(draft_at(draft, index)));
  struct record *record = draft_change(draft, index);
  // What the rest of the record means to one kind it does not mean to another.
  if (sized)
    record->code = operation_record(&op).code;
  else
    *record = operation_record(&op);
  return true;
}

static bool replace(struct draft *draft, size_t index) {
  struct operation op = some_operation(draft, index);
  *draft_change(draft, index) = operation_record(&op);
  return true;
}

// Bytes as bytes, of the heap's record too: what no other mutation thinks of is a program as well.
static bool scramble(struct draft *draft, size_t index) {
  struct chance *chance = &draft->chance;
  bool heap = one_in(chance, 16);
  struct record *record = heap ? &draft->records[0] : draft_change(draft, index);
  unsigned char bytes[RECORD_SIZE];
  memcpy(bytes, record, sizeof bytes);
  for (uint64_t count = 1 + below(chance, 3); count > 0; count--) {
    unsigned char *byte = &bytes[below(chance, sizeof bytes)];
    *byte = (unsigned char)(one_in(chance, 2) ? *byte ^ 1u << below(chance, 8) : draw(chance));
  }
  uint8_t code = record->code;
  memcpy(record, bytes, sizeof bytes);
  if (!heap) {
    if (!(draft->kinds >> record_kind(record) & 1)) record->code = code;
    return true;
  }
  draft->heap = program_heap(&draft->program);
  if (draft->heap.capacity > MAX_CAPACITY) draft->heap.capacity = MAX_CAPACITY;
  draft_put_heap(draft);
  return true;
}

// ## Patterns of use

static bool is_release(enum operation_kind kind) { return kind == OP_RELEASE; }

// The size that the block in that slot was asked for before operation `index`; 0: none was.
static uint64_t size_before(const struct draft *draft, size_t index, uint32_t slot) {
  while (index-- > 0) {
    struct operation op = record_operation(draft_at(draft, index));
    if (op.slot % draft->slots == slot && kind_has_size(op.kind)) return op.size * op.count;
  }
  return 0;
}

// A release is followed by a request of about the same size for the same slot. Where nothing is
// released, something is.
static bool reuse(struct draft *draft, size_t index) {
  if (!(draft->kinds >> OP_RELEASE & 1)) return false;
  size_t at = one_in(&draft->chance, 4) ? draft_length(draft) : find(draft, index, is_release);
  if (at == draft_length(draft)) {
    if (draft_room(draft) < 2) return false;
    at = index;
    struct operation release = operation_of_kind(draft, OP_RELEASE, at);
    draft_insert(draft, at, &release);
  }
  struct operation request = operation_of_kind(draft, OP_ALLOCATE, at + 1);
  request.slot = draft_at(draft, at)->slot % draft->slots;
  uint64_t size = size_before(draft, at, request.slot);
  if (size) request.size = one_in(&draft->chance, 2) ? size : size + below(&draft->chance, 33) - 16;
  return draft_insert(draft, at + 1, &request);
}

static bool release_some(struct draft *draft, size_t index, uint64_t slots) {
  bool done = false;
  for (uint32_t slot = 0; slot < draft->slots; slot++) {
    if (!(slots >> slot & 1)) continue;
    struct operation release = {.kind = OP_RELEASE, .count = 1, .slot = slot};
    release.thread = (unsigned)below(&draft->chance, draft->heap.threads);
    done |= draft_insert(draft, index, &release);
  }
  return done;
}

// Releases every second of the blocks that are named: holes for coalescing and fitting.
static bool make_holes(struct draft *draft, size_t index) {
  if (!(draft->kinds >> OP_RELEASE & 1)) return false;
  uint64_t named = draft_named(draft, index), chosen = 0;
  bool odd = one_in(&draft->chance, 2);
  for (uint32_t slot = 0; slot < draft->slots; slot++) {
    if (!(named >> slot & 1)) continue;
    if (odd) chosen |= (uint64_t)1 << slot;
    odd = !odd;
  }
  return release_some(draft, index, chosen);
}

// Releases all of them: what is kept for later has nobody to serve.
static bool drain(struct draft *draft, size_t index) {
  if (!(draft->kinds >> OP_RELEASE & 1)) return false;
  return release_some(draft, index, draft_named(draft, index));
}

// Makes an operation that can die do so, or one that died die elsewhere.
static bool crash(struct draft *draft, size_t index) {
  if (!(draft->kinds >> OP_CRASH & 1)) return false;
  bool died = record_kind(draft_at(draft, index)) == OP_CRASH;
  uint32_t dying = draft->hints->offered ? draft->hints->dying : UINT32_MAX;
  struct operation op = operation_of_kind(draft, OP_CRASH, index);
  if (died)
    *draft_change(draft, index) = operation_record(&op);
  else if (dying >> record_kind(draft_at(draft, index)) & 1)
    return draft_insert(draft, index, &op);
  else
    return insert_crash(draft, index);
  return true;
}

// ## The heap, and threads

static bool change_heap(struct draft *draft, size_t index) {
  (void)index;
  struct heap *heap = &draft->heap;
  struct chance *chance = &draft->chance;
  switch (below(chance, 5)) {
  case 0:
    heap->source = (enum heap_source)below(chance, HEAP_SOURCES);
    break;
  case 1:
    heap->page_size = (size_t)64 << below(chance, 8);
    break;
  case 2: {  // mostly small: exhaustion is near
    size_t capacity = (size_t)256 << below(chance, one_in(chance, 16) ? 13 : 8);
    heap->capacity = one_in(chance, 2) ? capacity : capacity + index_below(chance, capacity);
    if (heap->capacity > MAX_CAPACITY) heap->capacity = MAX_CAPACITY;
    break;
  }
  case 3:
    heap->skew = (unsigned)below(chance, 64);
    break;
  default:
    heap->variant = (unsigned)below(chance, draft->hints->offered ? draft->hints->variants : 8);
  }
  heap->slots = DRAFT_SLOTS;
  draft_put_heap(draft);
  return true;
}

// Says anew which thread does what: by chance, in turn, or most of it by one of them.
static bool deal_out(struct draft *draft, size_t index) {
  (void)index;
  struct chance *chance = &draft->chance;
  // A strategy without threads has one carry out all of it.
  if (draft->hints->offered && !draft->hints->concurrent) return false;
  if (!draft->hints->offered && draft->heap.threads == 1 && !one_in(chance, 4)) return false;
  unsigned threads = draft->heap.threads > 1 && !one_in(chance, 3) ? 1 : 2u << below(chance, 3);
  uint64_t manner = below(chance, 3);
  draft->heap.threads = threads;
  draft_put_heap(draft);
  for (size_t i = 0; i < draft_length(draft); i++)
    draft_change(draft, i)->thread = (uint16_t)(manner == 0 ? below(chance, threads)
                                                : manner == 1 || one_in(chance, 4) ? i % threads
                                                                                   : 0);
  return true;
}

// ## All of them

const struct mutation mutations[] = {
    {"insert", insert, 12},
    {"append", append, 14},
    {"burst", burst, 4},
    {"fill", fill, 3},
    {"drop", drop, 9},
    {"duplicate", duplicate, 5},
    {"move", move, 5},
    {"swap slots", swap_slots, 2},
    {"change slot", change_slot, 4},
    {"nudge size", nudge_size, 12},
    {"walk align", walk_align, 4},
    {"change kind", change_kind, 4},
    {"replace", replace, 4},
    {"scramble", scramble, 3},
    {"reuse", reuse, 6},
    {"make holes", make_holes, 4},
    {"drain", drain, 1},
    {"crash", crash, 8},
    {"change heap", change_heap, 5},
    {"deal out threads", deal_out, 3},
    {NULL, NULL, 0},
};

const struct mutation *mutation_choose(const struct mutation *table, struct chance *chance) {
  unsigned sum = 0;
  for (const struct mutation *m = table; m->name; m++) sum += m->weight;
  uint64_t left = below(chance, sum);
  const struct mutation *m = table;
  for (; left >= m->weight; m++) left -= m->weight;
  return m;
}

void mutate_by(const struct mutation *table, struct draft *draft) {
  enum { TRIES = 8 };
  struct chance *chance = &draft->chance;
  for (int i = 0; i < TRIES; i++)
    if (mutation_choose(table, chance)->apply(draft, index_below(chance, draft_length(draft))))
      return;
}

void mutate(struct draft *draft) {
  if (draft->hints->verbs > 0) {
    mutate_collection(draft);
    return;
  }
  if (draft_length(draft) == 0) {
    // Nothing to change yet, but what it runs on.
    if (one_in(&draft->chance, 8))
      change_heap(draft, 0);
    else if (one_in(&draft->chance, 2) || !burst(draft, 0))
      insert(draft, 0);
    return;
  }
  // Programs of several threads cost far more, and what they reach differs from run to run, so that
  // they crowd the corpus: most of them go back to one.
  if (draft->heap.threads > 1 && one_in(&draft->chance, 8)) {
    deal_out(draft, 0);
    return;
  }
  mutate_by(mutations, draft);
}
