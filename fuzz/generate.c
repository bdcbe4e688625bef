#include "fuzz/generate.h"

// How often each kind is made, of those that are offered.
static const unsigned char weights[OP_KINDS] = {
    [OP_ALLOCATE] = 24,
    [OP_ALLOCATE_ZEROED] = 6,
    [OP_RELEASE] = 18,
    [OP_RESIZE] = 12,
    [OP_USE] = 7,
    [OP_RESET] = 2,
    [OP_FAULT] = 3,
    [OP_RELEASE_AGAIN] = 4,
    [OP_RELEASE_FOREIGN] = 1,
    [OP_MARK] = 5,
    [OP_ROLLBACK] = 3,
    [OP_ROOT] = 4,
    [OP_LINK] = 8,
    [OP_COLLECT] = 4,
    [OP_OVERRUN] = 4,
    [OP_REOPEN] = 3,
    [OP_UNROOT] = 2,
    [OP_CRASH] = 12,
};

enum {
  ZERO_ONE_IN = 6,    // sizes, where that is a request like others
  COPIED_ONE_IN = 6,  // sizes that some operation has already
  ALIKE_ONE_IN = 12,
  WRAPPED_ONE_IN = 8,
  CRASH_MASK_BITS = 8,
  PAGES = 4,
};

// -16 .. 16, mostly close to 0.
static uint64_t some_step(struct chance *chance) {
  uint64_t reach = one_in(chance, 2) ? 1 : one_in(chance, 2) ? 8 : 16;
  return below(chance, 2 * reach + 1) - reach;
}

// ## Sizes

static uint64_t page_edge(struct draft *draft) {
  return draft->heap.page_size * (1 + below(&draft->chance, PAGES));
}

static uint64_t answer(struct draft *draft) {
  uint64_t count = __atomic_load_n(&draft->hints->answers_count, __ATOMIC_RELAXED);
  if (count == 0) return page_edge(draft);
  uint64_t kept = count < HINTS_ANSWERS ? count : HINTS_ANSWERS;
  const shared_word *place = &draft->hints->answers[below(&draft->chance, kept)];
  uint64_t value = __atomic_load_n(place, __ATOMIC_RELAXED);
  // What lies behind it, up to the end of the heap.
  bool rest = one_in(&draft->chance, 4) && value < draft->heap.capacity;
  return rest ? draft->heap.capacity - value : value;
}

static uint64_t class_edge(struct draft *draft) {
  uint32_t count = draft->hints->sizes_count;
  if (count == 0 || count > HINTS_SIZES) return page_edge(draft);
  // Mostly of those that the heap can give.
  for (int i = 0; i < 4; i++) {
    uint64_t size = draft->hints->sizes[below(&draft->chance, count)];
    if (size < draft->heap.capacity / 2) return size;
  }
  return draft->hints->sizes[0];
}

uint64_t some_edge(struct draft *draft) {
  uint64_t edge = one_in(&draft->chance, 2)   ? class_edge(draft)
                  : one_in(&draft->chance, 2) ? answer(draft)
                                              : page_edge(draft);
  return edge + some_step(&draft->chance);
}

uint64_t some_size(struct draft *draft) {
  struct chance *chance = &draft->chance;
  if (draft->palette_count > 0) {
    uint64_t size = draft->palette[below(chance, draft->palette_count)];
    return one_in(chance, 4) ? size + some_step(chance) : size;
  }
  switch (below(chance, 12)) {
  case 0:
  case 1:
  case 2:
  case 3:
    return 1 + below(chance, 64);
  case 4:
  case 5:
    return 1 + below(chance, 512);
  case 6:
    return ((uint64_t)1 << below(chance, 17)) + some_step(chance);
  case 7:
  case 8:
  case 9:
    return some_edge(draft);
  case 10:
    return draft->heap.capacity / (1 + below(chance, 4)) - below(chance, 160);
  default:
    if (one_in(chance, 2)) return below(chance, 8192);
    // Near wrap-around: of the size alone, with a header or an alignment on top, or times a small
    // count.
    return one_in(chance, 2) ? UINT64_MAX - below(chance, (uint64_t)16 << below(chance, 9))
                             : UINT64_MAX / (1 + below(chance, 4)) + some_step(chance);
  }
}

// What some operation asks for already: what was released fits again exactly.
static uint64_t size_in_use(struct draft *draft) {
  size_t length = draft_length(draft);
  if (length > 0) {
    const struct record *record = draft_at(draft, index_below(&draft->chance, length));
    if (kind_has_size(record_kind(record))) return record->size;
  }
  return some_size(draft);
}

uint64_t some_align(struct draft *draft) {
  if (one_in(&draft->chance, 24)) return align_decode((uint8_t)draw(&draft->chance));
  if (one_in(&draft->chance, 2)) return (uint64_t)1 << below(&draft->chance, 5);
  // One power more than what is served must be refused.
  uint64_t powers = draft->hints->offered ? draft->hints->align_log2 + 2 : 14;
  return (uint64_t)1 << below(&draft->chance, powers < 14 ? powers : 14);
}

// ## Operations

bool kind_has_size(enum operation_kind kind) {
  return kind == OP_ALLOCATE || kind == OP_ALLOCATE_ZEROED || kind == OP_RESIZE;
}

static bool needs_block(enum operation_kind kind) {
  return kind == OP_RELEASE || kind == OP_USE || kind == OP_OVERRUN || kind == OP_ROOT ||
         kind == OP_UNROOT || kind == OP_LINK;
}

// Which of the words lasted that were written before a crash: none, all, all but or only the first
// ones, all but or only one, any. Few words are written between two barriers.
static uint64_t some_crash_mask(struct chance *chance) {
  uint64_t bit = (uint64_t)1 << below(chance, CRASH_MASK_BITS), mask;
  switch (below(chance, 4)) {
  case 0:
    mask = 0;
    break;
  case 1:
    mask = bit - 1;
    break;
  case 2:
    mask = bit;
    break;
  default:
    return draw(chance);
  }
  return one_in(chance, 2) ? ~mask : mask;
}

struct operation operation_of_kind(struct draft *draft, enum operation_kind kind, size_t index) {
  struct chance *chance = &draft->chance;
  struct operation op = {.kind = kind, .count = 1};
  op.thread = (unsigned)below(chance, draft->heap.threads);
  uint64_t named = draft_named(draft, index);
  switch (kind) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
    if (kind == OP_ALLOCATE_ZEROED) op.count = 1 + (unsigned)below(chance, 16);
    op.slot = draft_slot_among(draft, ~named);
    break;
  case OP_FAULT:
    op.size = one_in(chance, 2) ? 1 : below(chance, 16);
    break;
  case OP_LINK:
    op.slot = draft_slot_among(draft, named);
    op.size = draft_slot_among(draft, named);
    op.count = 1 + (unsigned)below(chance, 4);
    break;
  case OP_COLLECT:
    op.size = one_in(chance, 2) ? 0 : draw(chance);
    break;
  case OP_CRASH:
    op.count = 1 + (unsigned)below(chance, one_in(chance, 4) ? 15 : 4);
    op.size = some_crash_mask(chance);
    break;
  case OP_RELEASE_AGAIN:
  case OP_RELEASE_FOREIGN:
  case OP_ROLLBACK:  // one of a few
    op.slot = (uint32_t)below(chance, one_in(chance, 2) ? 4 : draft->reach);
    break;
  default:
    op.slot = draft_slot_among(draft, named);
    break;
  }
  if (kind_has_size(kind)) {
    op.size = one_in(chance, COPIED_ONE_IN) ? size_in_use(draft) : some_size(draft);
    op.align = some_align(draft);
    // Where the size is the alignment, or little more or less, padding is decided.
    if (one_in(chance, ALIKE_ONE_IN) && op.align <= draft->heap.capacity)
      op.size = op.align * (1 + below(chance, 4)) + (one_in(chance, 2) ? 0 : some_step(chance));
  }
  if (kind_has_size(kind) && draft->hints->asks_zero && one_in(chance, ZERO_ONE_IN)) op.size = 0;
  // The product wraps around, to little.
  if (kind == OP_ALLOCATE_ZEROED && one_in(chance, WRAPPED_ONE_IN))
    op.size = UINT64_MAX / op.count + 1 + below(chance, 64);
  return op;
}

// A wheel with as many places for each kind as it has weight. The same kinds are asked for again
// and again.
static enum operation_kind some_kind_of(struct draft *draft, uint32_t kinds) {
  enum { PLACES = 256 };
  static struct {
    uint32_t kinds;
    size_t count;
    uint8_t places[PLACES];
  } wheel;
  if (wheel.kinds != kinds || wheel.count == 0) {
    wheel.kinds = kinds;
    wheel.count = 0;
    for (unsigned kind = 0; kind < OP_KINDS; kind++)
      for (unsigned i = kinds >> kind & 1 ? weights[kind] : 0; i > 0 && wheel.count < PLACES; i--)
        wheel.places[wheel.count++] = (uint8_t)kind;
  }
  if (wheel.count == 0) return OP_ALLOCATE;
  return (enum operation_kind)wheel.places[below(&draft->chance, wheel.count)];
}

struct operation some_operation(struct draft *draft, size_t index) {
  enum operation_kind kind = some_kind_of(draft, draft->kinds);
  if (needs_block(kind) && draft_named(draft, index) == 0) kind = OP_ALLOCATE;
  return operation_of_kind(draft, kind, index);
}

bool insert_crash(struct draft *draft, size_t index) {
  if (draft_room(draft) < 2) return false;
  // Without hints: those whose names say so.
  uint32_t dying = draft->hints->offered
                       ? draft->hints->dying
                       : 1u << OP_ALLOCATE | 1u << OP_ALLOCATE_ZEROED | 1u << OP_RELEASE |
                             1u << OP_RESIZE | 1u << OP_RESET | 1u << OP_ROOT;
  struct operation crash = operation_of_kind(draft, OP_CRASH, index);
  enum operation_kind kind = some_kind_of(draft, dying);
  if (needs_block(kind) && draft_named(draft, index) == 0) kind = OP_ALLOCATE;
  struct operation victim = operation_of_kind(draft, kind, index);
  return draft_insert(draft, index, &victim) && draft_insert(draft, index, &crash);
}

size_t insert_some_operation(struct draft *draft, size_t index) {
  struct operation op = some_operation(draft, index);
  if (op.kind == OP_CRASH && insert_crash(draft, index)) return 2;
  return draft_insert(draft, index, &op);
}

void narrow(struct draft *draft) {
  struct chance *chance = &draft->chance;
  draft->palette_count = 0;
  uint64_t sizes[DRAFT_PALETTE];
  size_t count = 1 + index_below(chance, DRAFT_PALETTE);
  for (size_t i = 0; i < count; i++) sizes[i] = some_size(draft);
  for (size_t i = 0; i < count; i++) draft->palette[i] = sizes[i];
  draft->palette_count = count;
  uint32_t some = (uint32_t)(draw(chance) | draw(chance)) | 1u << OP_ALLOCATE;
  draft->kinds &= some;
  draft->reach = 1 + (uint32_t)below(chance, draft->slots);
}
