// How plain the heap, and how small the numbers of the operations that are needed can be.
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/minimize_search.h"
#include "harness/program_file.h"

static bool same(const struct record *a, const struct record *b) {
  return a->code == b->code && a->align == b->align && a->thread == b->thread &&
         a->slot == b->slot && a->size == b->size;
}

static void start_candidate(struct search *search) {
  memcpy(search->scratch, search->best->records, search->best->count * sizeof *search->scratch);
}

bool search_try_record(struct search *search, size_t index, struct record record) {
  if (same(&search->best->records[index], &record)) return false;
  start_candidate(search);
  search->scratch[index] = record;
  return search_improves(search, search->best->count);
}

static bool try_heap(struct search *search, const struct heap *heap) {
  return search_try_record(search, 0, heap_record(heap));
}

// The plainest heap that still shows it: field by field, as some may be needed.
bool search_simplify_heap(struct search *search) {
  bool any = false;
  const struct heap plain = program_heap(&(struct program){0});
  struct heap heap = program_heap(search->best);
#define TRY(field, value)                                                                          \
  do {                                                                                             \
    struct heap candidate = program_heap(search->best);                                            \
    candidate.field = (value);                                                                     \
    if (try_heap(search, &candidate)) any = true, heap = candidate;                                \
  } while (0)
  TRY(threads, plain.threads);
  if (heap.threads > 2) TRY(threads, 2);
  TRY(source, plain.source);
  TRY(variant, plain.variant);
  TRY(skew, plain.skew);
  TRY(page_size, plain.page_size);
  TRY(capacity, plain.capacity);
  // If the default is not it, the next power of two reads better than an odd number.
  if (heap.capacity != plain.capacity && heap.capacity & (heap.capacity - 1)) {
    uint64_t power = 1;
    while (power < heap.capacity) power *= 2;
    TRY(capacity, power);
    TRY(capacity, power / 2);
  }
#undef TRY
  return any;
}

static bool try_operation(struct search *search, size_t index, const struct operation *op) {
  return search_try_record(search, index + 1, operation_record(op));
}

// Whether the size is a number of bytes, or what else a collection is told in numbers.
static bool has_number(const struct search *search, const struct record *record) {
  if (search_driver(search)) return search_fields(search, record) & COLLECTION_VALUE;
  enum operation_kind kind = record_kind(record);
  return kind == OP_ALLOCATE || kind == OP_ALLOCATE_ZEROED || kind == OP_RESIZE;
}

// All operations in bytes that have size `from` get size `to`.
static bool try_equal(struct search *search, uint64_t from, uint64_t to) {
  start_candidate(search);
  for (size_t i = 1; i < search->best->count; i++) {
    struct record *record = &search->scratch[i];
    if (has_number(search, record) && record->size == from) record->size = to;
  }
  return search_improves(search, search->best->count);
}

static bool try_size(struct search *search, size_t index, uint64_t size) {
  struct record record = *program_at(search->best, index);
  record.size = size;
  return search_try_record(search, index + 1, record);
}

// The smallest size that still shows it, if smaller ones do not show it either: halving from both
// ends. `index` of an operation, or SIZE_MAX: of all that have this size.
static bool shrink(struct search *search, size_t index, uint64_t high) {
  static const uint64_t plain[] = {1, 8, 16, 64};
  uint64_t low = 0, first = high;
  for (size_t i = 0; i < sizeof plain / sizeof *plain && plain[i] < high; i++) {
    bool shown =
        index == SIZE_MAX ? try_equal(search, high, plain[i]) : try_size(search, index, plain[i]);
    if (shown) return true;
    low = plain[i];
  }
  while (high - low > 1 && !search->stopped) {
    uint64_t middle = low + (high - low) / 2;
    bool shown =
        index == SIZE_MAX ? try_equal(search, high, middle) : try_size(search, index, middle);
    if (shown)
      high = middle;
    else
      low = middle;
  }
  return high < first;
}

bool search_shrink_value(struct search *search, size_t index) {
  uint64_t value = program_at(search->best, index)->size;
  return value > 0 && (try_size(search, index, 0) || shrink(search, index, value));
}

bool search_shrink_equal_sizes(struct search *search) {
  bool any = false;
  for (size_t i = 0; i < program_length(search->best); i++) {
    const struct record *record = program_at(search->best, i);
    bool first = has_number(search, record), again = false;
    for (size_t j = 0; j < program_length(search->best) && first; j++) {
      const struct record *other = program_at(search->best, j);
      if (j == i || !has_number(search, other) || other->size != record->size) continue;
      if (j < i) first = false;
      again = true;
    }
    if (first && again && record->size > 1) any |= shrink(search, SIZE_MAX, record->size);
  }
  return any;
}

// A size that another operation has is easier to read than one more.
static bool merge_size(struct search *search, size_t index) {
  enum { TRIED = 8 };
  uint64_t size = program_at(search->best, index)->size;
  size_t tried = 0;
  for (size_t i = 0; i < program_length(search->best) && tried < TRIED; i++) {
    const struct record *other = program_at(search->best, i);
    if (!has_number(search, other) || other->size >= size) continue;
    tried++;
    if (try_size(search, index, other->size)) return true;
  }
  return false;
}

static bool shrink_size(struct search *search, size_t index) {
  const struct record *record = program_at(search->best, index);
  switch (record_kind(record)) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
  case OP_RESIZE:
    if (merge_size(search, index)) {
      shrink(search, index, program_at(search->best, index)->size);
      return true;
    }
    return shrink(search, index, record->size);
  case OP_FAULT:
    return record->size != 1 && try_size(search, index, 1);
  case OP_LINK:  // a slot
    return false;
  case OP_COLLECT:
  case OP_CRASH:
    return record->size > 0 && (try_size(search, index, 0) || shrink(search, index, record->size));
  default:
    return record->size > 0 && try_size(search, index, 0);
  }
}

bool search_simplify_operation(struct search *search, size_t index) {
  if (search_driver(search)) return search_simplify_verb(search, index);
  bool any = shrink_size(search, index);
  struct operation op = record_operation(program_at(search->best, index));
  static const uint64_t aligns[] = {1, 8, 16};
  for (size_t i = 0; i < sizeof aligns / sizeof *aligns; i++) {
    struct operation candidate = op;
    candidate.align = aligns[i];
    if (op.align <= aligns[i] && op.align > 0) break;
    if (try_operation(search, index, &candidate)) {
      any = true;
      break;
    }
  }
  op = record_operation(program_at(search->best, index));
  if (op.kind == OP_ALLOCATE_ZEROED || op.kind == OP_RESIZE) {
    struct operation candidate = op;
    candidate.kind = OP_ALLOCATE;
    candidate.count = 1;
    if (try_operation(search, index, &candidate)) any = true;
  }
  op = record_operation(program_at(search->best, index));
  if (op.thread > 0) {
    op.thread = 0;
    if (try_operation(search, index, &op)) any = true;
  }
  op = record_operation(program_at(search->best, index));
  if (op.slot > 0 && !operation_takes_slot(op.kind)) {  // a choice of something else
    op.slot = 0;
    if (try_operation(search, index, &op)) any = true;
  }
  op = record_operation(program_at(search->best, index));
  if (op.count > 1) {
    op.count = 1;
    if (try_operation(search, index, &op)) any = true;
  }
  return any;
}

// Slots numbered in the order in which they come, and no thread that the heap does not have.
bool search_rename_slots(struct search *search) {
  if (search_driver(search)) return search_rename_instances(search);
  enum { MOST_NAMES = 64 };
  uint32_t names[MOST_NAMES], count = 0;
  uint32_t mask = program_heap(search->best).slots - 1;
  unsigned threads = program_heap(search->best).threads;
  start_candidate(search);
  bool changed = false;
  for (size_t i = 1; i < search->best->count; i++) {
    struct record *record = &search->scratch[i];
    struct operation op = record_operation(record);
    uint64_t olds[] = {op.slot & mask, op.size & mask};
    unsigned slots = op.kind == OP_LINK ? 2 : operation_takes_slot(op.kind) ? 1 : 0;
    for (unsigned j = 0; j < slots; j++) {
      uint32_t name = 0;
      while (name < count && names[name] != olds[j]) name++;
      if (name == MOST_NAMES) return false;
      if (name == count) names[count++] = (uint32_t)olds[j];
      if (j == 0) op.slot = name;
      if (j == 1) op.size = name;
    }
    op.thread &= threads - 1;
    struct record renamed = operation_record(&op);
    changed |= !same(&renamed, record);
    *record = renamed;
  }
  return changed && search_improves(search, search->best->count);
}
