#include "fuzz/mutator.h"

#include <stdbool.h>
#include <string.h>

#include "harness/program.h"

enum { MAX_RECORDS = 4096, MAX_CAPACITY = 1 << 20, SLOTS = 64 };

// ## Chance: splitmix64 (Steele, Lea and Flood, OOPSLA 2014)

struct chance {
  uint64_t state;
};

static uint64_t draw(struct chance *chance) {
  uint64_t z = chance->state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// 0 .. limit - 1.
static uint64_t below(struct chance *chance, uint64_t limit) { return draw(chance) % limit; }

static bool one_in(struct chance *chance, unsigned n) { return below(chance, n) == 0; }

// ## A program under mutation

struct draft {
  struct chance chance;
  struct program program;
  size_t limit;  // records
  struct heap heap;
};

static struct record storage[MAX_RECORDS];

static void open_draft(struct draft *draft, const uint8_t *bytes, size_t size, size_t max_size,
                       uint32_t seed) {
  draft->chance.state = seed;
  draft->limit = max_size / RECORD_SIZE < MAX_RECORDS ? max_size / RECORD_SIZE : MAX_RECORDS;
  if (size > draft->limit * RECORD_SIZE) size = draft->limit * RECORD_SIZE;
  program_decode_into(&draft->program, storage, bytes, size);
  draft->program.tail_size = 0;
  if (draft->program.count == 0) {
    storage[0] = (struct record){0};
    draft->program.count = 1;
  }
  draft->heap = program_heap(&draft->program);
}

// Slots that name a block when operation `index` comes, as far as can be told without an allocator.
static uint64_t named_slots(const struct draft *draft, size_t index) {
  uint64_t named = 0;
  for (size_t i = 0; i < index && i < program_length(&draft->program); i++) {
    struct operation op = record_operation(program_at(&draft->program, i));
    uint64_t bit = (uint64_t)1 << op.slot % SLOTS;
    switch (op.kind) {
    case OP_ALLOCATE:
    case OP_ALLOCATE_ZEROED:
    case OP_RESIZE:
      named |= bit;
      break;
    case OP_RELEASE:
    case OP_OVERRUN:
      named &= ~bit;
      break;
    case OP_RESET:
      named = 0;
      break;
    default:
      break;
    }
  }
  return named;
}

// A slot with that bit in the set, or any slot if there is none.
static uint32_t slot_among(struct draft *draft, uint64_t set) {
  uint32_t start = (uint32_t)below(&draft->chance, SLOTS);
  for (uint32_t i = 0; i < SLOTS; i++) {
    uint32_t slot = (start + i) % SLOTS;
    if (set >> slot & 1) return slot;
  }
  return start;
}

static uint64_t some_size(struct draft *draft) {
  struct chance *chance = &draft->chance;
  uint64_t edge = below(chance, 33) - 16;  // -16 .. 16
  switch (below(chance, 12)) {
  case 0:
  case 1:
  case 2:
  case 3:
    return 1 + below(chance, 64);
  case 4:
  case 5:
  case 6:
    return 1 + below(chance, 512);
  case 7:
  case 8:
    return ((uint64_t)1 << below(chance, 17)) + edge;
  case 9:
    return draft->heap.page_size * (1 + below(chance, 4)) + edge;
  case 10:
    return draft->heap.capacity / (1 + below(chance, 4)) - below(chance, 160);
  default:
    // Near wrap-around, of the size alone or times a small count.
    return one_in(chance, 2) ? below(chance, 8192) : UINT64_MAX / (1 + below(chance, 4)) + edge;
  }
}

static uint64_t some_align(struct draft *draft) {
  if (one_in(&draft->chance, 24)) return align_decode((uint8_t)draw(&draft->chance));
  if (one_in(&draft->chance, 2)) return (uint64_t)1 << below(&draft->chance, 5);
  return (uint64_t)1 << below(&draft->chance, 14);
}

// Operations that only some strategies offer, together: a program that has some is worth more of
// the same.
static const struct theme {
  enum operation_kind kinds[5];
  size_t count;
} themes[] = {
    {{OP_RESET, OP_RESET, OP_RELEASE_AGAIN, OP_RELEASE_FOREIGN, OP_OVERRUN}, 5},
    {{OP_MARK, OP_MARK, OP_ROLLBACK}, 3},
    {{OP_ROOT, OP_UNROOT, OP_LINK, OP_LINK, OP_COLLECT}, 5},
    {{OP_CRASH, OP_CRASH, OP_REOPEN, OP_ROOT, OP_RESET}, 5},
};
enum { THEMES = sizeof themes / sizeof *themes };

static bool belongs(enum operation_kind kind, const struct theme *theme) {
  for (size_t i = 0; i < theme->count; i++)
    if (theme->kinds[i] == kind) return true;
  return false;
}

static enum operation_kind some_rare_kind(struct draft *draft) {
  const struct theme *theme = &themes[below(&draft->chance, THEMES)];
  size_t length = program_length(&draft->program);
  for (size_t i = 0; i < length && !one_in(&draft->chance, 8); i++) {
    enum operation_kind kind =
        record_kind(program_at(&draft->program, below(&draft->chance, length)));
    size_t found = 0;
    while (found < THEMES && !belongs(kind, &themes[found])) found++;
    if (found == THEMES) continue;
    theme = &themes[found];
    break;
  }
  return theme->kinds[below(&draft->chance, theme->count)];
}

// An operation that fits at that place.
static struct record some_operation(struct draft *draft, size_t index) {
  static const enum operation_kind kinds[] = {
      OP_ALLOCATE, OP_ALLOCATE, OP_ALLOCATE, OP_ALLOCATE,       OP_ALLOCATE,
      OP_ALLOCATE, OP_RELEASE,  OP_RELEASE,  OP_RELEASE,        OP_RELEASE,
      OP_RELEASE,  OP_RESIZE,   OP_RESIZE,   OP_RESIZE,         OP_USE,
      OP_USE,      OP_FAULT,    OP_RESET,    OP_ALLOCATE_ZEROED};
  struct operation op = {.kind = kinds[below(&draft->chance, sizeof kinds / sizeof *kinds)],
                         .count = 1};
  if (one_in(&draft->chance, 6)) op.kind = some_rare_kind(draft);
  op.thread = (unsigned)below(&draft->chance, draft->heap.threads);
  uint64_t named = named_slots(draft, index);
  switch (op.kind) {
  case OP_ALLOCATE_ZEROED:
    op.count = 1 + (unsigned)below(&draft->chance, 16);
    op.slot = slot_among(draft, ~named);
    break;
  case OP_ALLOCATE:
    op.slot = slot_among(draft, ~named);
    break;
  case OP_FAULT:
    op.size = one_in(&draft->chance, 2) ? 1 : below(&draft->chance, 16);
    return operation_record(&op);
  case OP_LINK:
    op.slot = slot_among(draft, named);
    op.size = slot_among(draft, named);
    op.count = 1 + (unsigned)below(&draft->chance, 4);
    return operation_record(&op);
  case OP_COLLECT:
    op.size = one_in(&draft->chance, 2) ? 0 : draw(&draft->chance);
    return operation_record(&op);
  case OP_CRASH:
    op.count = 1 + (unsigned)below(&draft->chance, one_in(&draft->chance, 4) ? 15 : 5);
    op.size = one_in(&draft->chance, 3)   ? 0
              : one_in(&draft->chance, 2) ? UINT64_MAX
                                          : draw(&draft->chance);
    return operation_record(&op);
  default:
    op.slot = slot_among(draft, named);
    break;
  }
  op.size = some_size(draft);
  op.align = some_align(draft);
  return operation_record(&op);
}

// ## Mutations. Each takes an index of an operation, or the length where it can append.

static void insert_at(struct draft *draft, size_t index, struct record record) {
  struct program *program = &draft->program;
  if (program->count >= draft->limit) return;
  struct record *at = &program->records[index + 1];
  memmove(at + 1, at, (program_length(program) - index) * sizeof *at);
  *at = record;
  program->count++;
}

static void insert(struct draft *draft, size_t index) {
  size_t count = 1 + below(&draft->chance, 4);
  for (size_t i = 0; i < count; i++)
    insert_at(draft, index + i <= program_length(&draft->program) ? index + i : index,
              some_operation(draft, index + i));
}

static void drop(struct draft *draft, size_t index) {
  struct program *program = &draft->program;
  size_t count = 1 + below(&draft->chance, one_in(&draft->chance, 4) ? 16 : 2);
  if (count > program_length(program) - index) count = program_length(program) - index;
  struct record *at = &program->records[index + 1];
  memmove(at, at + count, (program_length(program) - index - count) * sizeof *at);
  program->count -= count;
}

static void duplicate(struct draft *draft, size_t index) {
  struct record piece[8];
  size_t count = 1 + below(&draft->chance, 8);
  if (count > program_length(&draft->program) - index)
    count = program_length(&draft->program) - index;
  memcpy(piece, program_at(&draft->program, index), count * sizeof *piece);
  size_t to = below(&draft->chance, program_length(&draft->program) + 1);
  for (size_t i = count; i-- > 0;) insert_at(draft, to, piece[i]);
}

static void move(struct draft *draft, size_t index) {
  struct record record = *program_at(&draft->program, index);
  size_t to = below(&draft->chance, program_length(&draft->program));
  struct record *records = &draft->program.records[1];
  if (to > index)
    memmove(&records[index], &records[index + 1], (to - index) * sizeof *records);
  else
    memmove(&records[to + 1], &records[to], (index - to) * sizeof *records);
  records[to] = record;
}

static void change_size(struct draft *draft, size_t index) {
  struct record *record = &draft->program.records[index + 1];
  switch (below(&draft->chance, 6)) {
  case 0:
    record->size += below(&draft->chance, 17) - 8;
    break;
  case 1:
    record->size = (record->size | 15) + 1;
    break;
  case 2:
    record->size = record->size * 2;
    break;
  case 3:
    record->size = record->size / 2 + 1;
    break;
  case 4:  // the same as another one: what was released fits again exactly
    record->size =
        program_at(&draft->program, below(&draft->chance, program_length(&draft->program)))->size;
    break;
  default:
    record->size = some_size(draft);
  }
}

static void change_align(struct draft *draft, size_t index) {
  struct record *record = &draft->program.records[index + 1];
  uint64_t align = align_decode(record->align);
  uint64_t walked = one_in(&draft->chance, 2) ? align * 2 : align / 2;
  record->align = align_encode(walked && one_in(&draft->chance, 2) ? walked : some_align(draft));
}

static void change_slot(struct draft *draft, size_t index) {
  draft->program.records[index + 1].slot = slot_among(draft, named_slots(draft, index));
}

static void change_kind(struct draft *draft, size_t index) {
  struct record *record = &draft->program.records[index + 1];
  record->code = some_operation(draft, index).code;
}

static void replace(struct draft *draft, size_t index) {
  draft->program.records[index + 1] = some_operation(draft, index);
}

// A release becomes a release, and a request of about the same size for the same slot.
static void reuse(struct draft *draft, size_t index) {
  uint64_t named = named_slots(draft, index);
  struct operation release = {.kind = OP_RELEASE, .count = 1, .slot = slot_among(draft, named)};
  struct operation request = {.kind = OP_ALLOCATE, .count = 1, .slot = release.slot};
  request.align = some_align(draft);
  request.size = some_size(draft);
  for (size_t i = index; i-- > 0;) {
    struct operation op = record_operation(program_at(&draft->program, i));
    if (op.slot % SLOTS != release.slot || op.kind > OP_ALLOCATE_ZEROED) continue;
    request.size = op.size + below(&draft->chance, 33) - 16;
    break;
  }
  insert_at(draft, index, operation_record(&request));
  insert_at(draft, index, operation_record(&release));
}

// Releases every second of the blocks that are named: holes for coalescing and fitting.
static void make_holes(struct draft *draft, size_t index) {
  uint64_t named = named_slots(draft, index);
  bool odd = one_in(&draft->chance, 2);
  for (uint32_t slot = 0; slot < SLOTS; slot++) {
    if (!(named >> slot & 1)) continue;
    odd = !odd;
    if (odd)
      insert_at(
          draft, index,
          operation_record(&(struct operation){.kind = OP_RELEASE, .count = 1, .slot = slot}));
  }
}

static void change_heap(struct draft *draft) {
  struct heap *heap = &draft->heap;
  switch (below(&draft->chance, 5)) {
  case 0:
    heap->source = (enum heap_source)below(&draft->chance, HEAP_SOURCES);
    break;
  case 1:
    heap->page_size = (size_t)64 << below(&draft->chance, 8);
    break;
  case 2: {  // mostly small: exhaustion is near
    size_t capacity = (size_t)256 << below(&draft->chance, one_in(&draft->chance, 16) ? 13 : 8);
    heap->capacity =
        one_in(&draft->chance, 2) ? capacity : capacity + below(&draft->chance, capacity);
    if (heap->capacity > MAX_CAPACITY) heap->capacity = MAX_CAPACITY;
    break;
  }
  case 3:
    heap->skew = (unsigned)below(&draft->chance, 64);
    break;
  default:
    heap->variant = (unsigned)below(&draft->chance, 8);
  }
  heap->slots = SLOTS;
  draft->program.records[0] = heap_record(heap);
}

// Says anew which thread does what: by chance, in turn, or most of it by one of them.
static void deal_out(struct draft *draft) {
  struct chance *chance = &draft->chance;
  unsigned threads = one_in(chance, 4) ? 1 : 2u << below(chance, 3);
  uint64_t manner = below(chance, 3);
  draft->heap.threads = threads;
  draft->program.records[0] = heap_record(&draft->heap);
  for (size_t i = 0; i < program_length(&draft->program); i++)
    draft->program.records[i + 1].thread =
        (uint16_t)(manner == 0                        ? below(chance, threads)
                   : manner == 1 || one_in(chance, 4) ? i % threads
                                                      : 0);
}

static void mutate_once(struct draft *draft) {
  static void (*const mutations[])(struct draft *, size_t) = {
      insert,      insert,      insert,      drop,        drop,         duplicate,
      move,        change_size, change_size, change_size, change_align, change_slot,
      change_kind, replace,     reuse,       make_holes};
  size_t length = program_length(&draft->program);
  if (one_in(&draft->chance, 16)) {
    change_heap(draft);
  } else if (one_in(&draft->chance, draft->heap.threads > 1 ? 16 : 64)) {
    deal_out(draft);
  } else if (length == 0) {
    insert(draft, 0);
  } else {
    size_t index = below(&draft->chance, length);
    mutations[below(&draft->chance, sizeof mutations / sizeof *mutations)](draft, index);
    // A beginning grows best at its end.
    if (one_in(&draft->chance, 4)) insert(draft, program_length(&draft->program));
  }
}

size_t mutator_mutate(uint8_t *bytes, size_t size, size_t max_size, uint32_t seed) {
  if (max_size < RECORD_SIZE) return size;
  struct draft draft;
  open_draft(&draft, bytes, size, max_size, seed);
  size_t rounds = 1 + below(&draft.chance, 4);
  for (size_t i = 0; i < rounds; i++) mutate_once(&draft);
  program_encode(&draft.program, bytes);
  return program_encoded_size(&draft.program);
}

size_t mutator_cross(const uint8_t *first, size_t first_size, const uint8_t *second,
                     size_t second_size, uint8_t *out, size_t max_size, uint32_t seed) {
  struct chance chance = {seed};
  size_t first_count = first_size / RECORD_SIZE, second_count = second_size / RECORD_SIZE;
  size_t limit = max_size / RECORD_SIZE;
  if (first_count == 0 || second_count < 2 || limit == 0) {
    size_t size = first_size < max_size ? first_size : max_size;
    memcpy(out, first, size);
    return size;
  }
  size_t cut = 1 + below(&chance, first_count);  // records of the first before the piece
  size_t from = 1 + below(&chance, second_count - 1);
  size_t count = 1 + below(&chance, second_count - from);
  size_t rest = one_in(&chance, 2) ? first_count - cut : 0;
  if (cut > limit) cut = limit;
  if (count > limit - cut) count = limit - cut;
  if (rest > limit - cut - count) rest = limit - cut - count;
  memcpy(out, first, cut * RECORD_SIZE);
  memcpy(out + cut * RECORD_SIZE, second + from * RECORD_SIZE, count * RECORD_SIZE);
  memcpy(out + (cut + count) * RECORD_SIZE, first + (first_count - rest) * RECORD_SIZE,
         rest * RECORD_SIZE);
  return (cut + count + rest) * RECORD_SIZE;
}
