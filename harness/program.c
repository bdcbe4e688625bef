#include "harness/program.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"

enum { MIN_PAGE_LOG2 = 6, PAGE_LOG2_COUNT = 11, SLOTS_LOG2_COUNT = 25 };
// What a raw 0 means: 4 KiB pages, 64 slots, 64 KiB of heap.
enum { DEFAULT_PAGE_LOG2 = 12, DEFAULT_SLOTS_LOG2 = 6, DEFAULT_CAPACITY = 1 << 16, SKEWS = 64 };
enum { RANDOM_CAPACITY = 1 << 20, THREADS_LOG2_MAX = 3, ONE_THREAD = 12 };

static unsigned log2_floor(uint64_t x) { return x ? 63u - (unsigned)__builtin_clzll(x) : 0; }

struct heap program_heap(const struct program *program) {
  struct record zero = {0};
  const struct record *raw = program->count > 0 ? &program->records[0] : &zero;
  unsigned page = raw->align + (DEFAULT_PAGE_LOG2 - MIN_PAGE_LOG2);
  unsigned slots = (raw->thread >> 8) + DEFAULT_SLOTS_LOG2;
  unsigned threads = raw->code / OP_CODES;  // mostly one
  struct heap heap = {
      .source = (enum heap_source)(raw->code % OP_CODES % HEAP_SOURCES),
      .page_size = (size_t)1 << (MIN_PAGE_LOG2 + page % PAGE_LOG2_COUNT),
      .capacity = DEFAULT_CAPACITY,
      .skew = raw->slot % SKEWS,
      .variant = raw->thread & 0xff,
      .slots = (uint32_t)1 << (slots % SLOTS_LOG2_COUNT),
      .threads = 1u << (threads > ONE_THREAD ? threads - ONE_THREAD : 0),
  };
  if (raw->size > PROGRAM_MAX_CAPACITY)
    heap.capacity = 1 + raw->size % RANDOM_CAPACITY;
  else if (raw->size > 0)
    heap.capacity = raw->size;
  return heap;
}

struct record heap_record(const struct heap *heap) {
  unsigned page = log2_floor(heap->page_size);
  if (page < MIN_PAGE_LOG2) page = MIN_PAGE_LOG2;
  if (page >= MIN_PAGE_LOG2 + PAGE_LOG2_COUNT) page = MIN_PAGE_LOG2 + PAGE_LOG2_COUNT - 1;
  unsigned slots = log2_floor(heap->slots);
  if (heap->slots & (heap->slots - 1)) slots++;
  if (slots >= SLOTS_LOG2_COUNT) slots = SLOTS_LOG2_COUNT - 1;
  unsigned page_code =
      (page - MIN_PAGE_LOG2 + PAGE_LOG2_COUNT - (DEFAULT_PAGE_LOG2 - MIN_PAGE_LOG2)) %
      PAGE_LOG2_COUNT;
  unsigned slots_code = (slots + SLOTS_LOG2_COUNT - DEFAULT_SLOTS_LOG2) % SLOTS_LOG2_COUNT;
  unsigned threads = log2_floor(heap->threads);
  if (threads > THREADS_LOG2_MAX) threads = THREADS_LOG2_MAX;
  unsigned threads_code = threads == 0 ? 0 : ONE_THREAD + threads;
  return (struct record){
      .code = (uint8_t)(heap->source % HEAP_SOURCES + threads_code * OP_CODES),
      .align = (uint8_t)page_code,
      .thread = (uint16_t)(slots_code << 8 | (heap->variant & 0xff)),
      .slot = heap->skew % SKEWS,
      .size = heap->capacity == DEFAULT_CAPACITY      ? 0
              : heap->capacity > PROGRAM_MAX_CAPACITY ? PROGRAM_MAX_CAPACITY
                                                      : heap->capacity,
  };
}

uint8_t align_encode(uint64_t align) {
  if (align == 0) return ALIGN_ZERO;
  unsigned n = log2_floor(align);
  if ((align & (align - 1)) == 0) return (uint8_t)n;
  if (n < 63 && align == (uint64_t)3 << (n - 1)) return (uint8_t)(ALIGN_THREES + n - 1);
  return (uint8_t)(n < 63 ? n + 1 : 63);
}

struct record operation_record(const struct operation *operation) {
  unsigned kind = (unsigned)operation->kind, high = 0;
  switch (operation->kind) {
  case OP_ALLOCATE_ZEROED:
  case OP_LINK:
    high = operation->count - 1;
    break;
  case OP_UNROOT:
    kind = OP_ROOT;
    high = 1;
    break;
  case OP_CRASH:
    kind = OP_REOPEN;
    high = operation->count;
    break;
  default:
    break;
  }
  return (struct record){
      .code = (uint8_t)((high & 15) * OP_CODES + kind),
      .align = align_encode(operation->align),
      .thread = (uint16_t)operation->thread,
      .slot = operation->slot,
      .size = operation->size,
  };
}

enum { NEAR = 1 << 20, MOST_COUNT = 16 };

// 2^64 / n becomes 2^32 / n, and what is near it stays so: that is where products with n wrap.
static uint64_t size_narrow(uint64_t size) {
  if (size <= SIZE_MAX) return size;
  for (unsigned n = 1; n <= MOST_COUNT; n++) {
    uint64_t mark = UINT64_MAX / n, machine = SIZE_MAX / n;
    if (size <= mark && mark - size < NEAR) return machine - (mark - size);
    if (size > mark && size - mark < NEAR) return machine + (size - mark);
  }
  return SIZE_MAX;
}

void operation_narrow(struct operation *operation) {
  uint64_t align = operation->align;
  if (align > SIZE_MAX)
    operation->align = (align & (align - 1) ? 3 : 2) * (uint64_t)(SIZE_MAX / 4 + 1);
  if (operation->kind == OP_ALLOCATE || operation->kind == OP_ALLOCATE_ZEROED ||
      operation->kind == OP_RESIZE)
    operation->size = size_narrow(operation->size);
}

const char *operation_name(enum operation_kind kind) {
  static const char *const names[OP_KINDS] = {
      "allocate", "zeroed",        "release",         "resize", "use",      "reset",
      "fault",    "release_again", "release_foreign", "mark",   "rollback", "root",
      "link",     "collect",       "overrun",         "reopen", "unroot",   "crash"};
  return names[kind];
}

enum slot_use operation_slot_use(enum operation_kind kind) {
  switch (kind) {
  case OP_RESET:
  case OP_FAULT:
  case OP_MARK:
  case OP_COLLECT:
  case OP_REOPEN:
  case OP_CRASH:
    return SLOT_MEANINGLESS;
  case OP_RELEASE_AGAIN:
  case OP_RELEASE_FOREIGN:
  case OP_ROLLBACK:
    return SLOT_CHOOSES;
  default:
    return SLOT_NAMES;
  }
}

static uint64_t load(const unsigned char *bytes, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

static void store(unsigned char *bytes, unsigned size, uint64_t value) {
  for (unsigned i = 0; i < size; i++) bytes[i] = (unsigned char)(value >> (8 * i));
}

void program_decode_into(struct program *program, struct record *storage, const void *bytes,
                         size_t size) {
  const unsigned char *at = bytes;
  program->records = storage;
  program->count = size / RECORD_SIZE;
  for (size_t i = 0; i < program->count; i++, at += RECORD_SIZE)
    storage[i] = (struct record){
        .code = at[0],
        .align = at[1],
        .thread = (uint16_t)load(at + 2, 2),
        .slot = (uint32_t)load(at + 4, 4),
        .size = load(at + 8, 8),
    };
  program->tail_size = (uint8_t)(size % RECORD_SIZE);
  if (program->tail_size) memcpy(program->tail, at, program->tail_size);
}

static bool reserve(struct program *program, size_t count) {
  if (count <= program->capacity) return true;
  size_t bytes;
  if (!multiply_sizes(count, sizeof(struct record), &bytes)) return false;
  struct record *records = realloc(program->records, bytes);
  if (!records) return false;
  program->records = records;
  program->capacity = count;
  return true;
}

bool program_decode(struct program *program, const void *bytes, size_t size) {
  if (!reserve(program, size / RECORD_SIZE)) {
    program_clear(program);
    return false;
  }
  program_decode_into(program, program->records, bytes, size);
  return true;
}

size_t program_encoded_size(const struct program *program) {
  return program->count * RECORD_SIZE + program->tail_size;
}

void program_encode(const struct program *program, void *bytes) {
  unsigned char *at = bytes;
  for (size_t i = 0; i < program->count; i++, at += RECORD_SIZE) {
    const struct record *record = &program->records[i];
    at[0] = record->code;
    at[1] = record->align;
    store(at + 2, 2, record->thread);
    store(at + 4, 4, record->slot);
    store(at + 8, 8, record->size);
  }
  if (program->tail_size) memcpy(at, program->tail, program->tail_size);
}

bool program_copy(struct program *to, const struct program *from) {
  if (!reserve(to, from->count)) return false;
  if (from->count) memcpy(to->records, from->records, from->count * sizeof *from->records);
  to->count = from->count;
  to->tail_size = from->tail_size;
  memcpy(to->tail, from->tail, sizeof to->tail);
  return true;
}

bool program_append(struct program *program, const struct record *record) {
  if (program->count == program->capacity &&
      !reserve(program, program->count ? 2 * program->count : 16))
    return false;
  program->records[program->count++] = *record;
  return true;
}

void program_clear(struct program *program) {
  free(program->records);
  *program = (struct program){0};
}
