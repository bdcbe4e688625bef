// Programs in memory and in text: what goes in comes out.
#include "harness/program.h"

#include <string.h>

#include "allocators/check.h"
#include "harness/program_file.h"

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void fill_randomly(unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(next_random() >> 32);
}

static bool same_operation(const struct operation *a, const struct operation *b) {
  return a->kind == b->kind && a->count == b->count && a->thread == b->thread &&
         a->slot == b->slot && a->size == b->size && a->align == b->align;
}

static bool same_heap(const struct heap *a, const struct heap *b) {
  return a->source == b->source && a->page_size == b->page_size && a->capacity == b->capacity &&
         a->skew == b->skew && a->variant == b->variant && a->slots == b->slots &&
         a->threads == b->threads;
}

// ## Bytes

static void every_byte_string_is_a_program(void) {
  struct program program = {0};
  unsigned char bytes[80], again[80];
  for (size_t size = 0; size <= sizeof bytes; size++)
    for (int round = 0; round < 50; round++) {
      fill_randomly(bytes, size);
      CHECK(program_decode(&program, bytes, size));
      CHECK(program.count == size / RECORD_SIZE);
      CHECK(program.tail_size == size % RECORD_SIZE);
      CHECK(program_encoded_size(&program) == size);
      program_encode(&program, again);
      CHECK(memcmp(bytes, again, size) == 0);
    }
  program_clear(&program);
}

static void decoding_into_storage_is_the_same(void) {
  unsigned char bytes[75], again[75];
  struct record storage[4];
  struct program borrowed = {0};
  fill_randomly(bytes, sizeof bytes);
  program_decode_into(&borrowed, storage, bytes, sizeof bytes);
  CHECK(borrowed.records == storage && borrowed.capacity == 0 && borrowed.count == 4);
  program_encode(&borrowed, again);
  CHECK(memcmp(bytes, again, sizeof bytes) == 0);

  struct program copy = {0};
  CHECK(program_copy(&copy, &borrowed));
  CHECK(copy.records != storage && copy.capacity >= copy.count);
  memset(again, 0, sizeof again);
  program_encode(&copy, again);
  CHECK(memcmp(bytes, again, sizeof bytes) == 0);
  program_clear(&copy);
}

static void fields_are_little_endian(void) {
  const unsigned char bytes[RECORD_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  struct program program = {0};
  CHECK(program_decode(&program, bytes, sizeof bytes));
  const struct record *record = &program.records[0];
  CHECK(record->code == 1 && record->align == 2 && record->thread == 0x0403);
  CHECK(record->slot == 0x08070605 && record->size == 0x100f0e0d0c0b0a09);
  program_clear(&program);
}

static void appending_grows(void) {
  struct program program = {0};
  for (uint32_t i = 0; i < 1000; i++) {
    CHECK(program_append(&program, &(struct record){.slot = i, .size = ~(uint64_t)i}));
    CHECK(program.count == i + 1 && program.capacity >= program.count);
  }
  CHECK(program_length(&program) == 999);
  for (uint32_t i = 0; i < 999; i++) CHECK(program_at(&program, i)->slot == i + 1);

  struct program copy = {0};
  CHECK(program_copy(&copy, &program));
  CHECK(copy.count == program.count && copy.records != program.records);
  CHECK(memcmp(copy.records, program.records, copy.count * sizeof *copy.records) == 0);
  struct program nothing = {0};
  CHECK(program_copy(&copy, &nothing) && copy.count == 0 && copy.tail_size == 0);
  program_clear(&copy);
  program_clear(&program);
  CHECK(program.records == NULL && program.count == 0 && program_length(&program) == 0);
  program_clear(&program);
}

// ## What records mean

static void every_alignment_code_means_something(void) {
  for (unsigned code = 0; code < 256; code++) {
    uint64_t align = align_decode((uint8_t)code);
    CHECK(align_decode(align_encode(align)) == align);
    if (code < 127) CHECK(align_encode(align) == code);
  }
  CHECK(align_decode(0) == 1 && align_decode(63) == (uint64_t)1 << 63 && align_decode(64) == 0);
  CHECK(align_decode(65) == 3 && align_decode(126) == (uint64_t)3 << 61);
  CHECK(align_decode(127) == 1 && align_decode(127 + 16) == 65536);
  // What no record can say goes up to a power of two, or as far up as there is one.
  CHECK(align_decode(align_encode(5)) == 8);
  CHECK(align_decode(align_encode(((uint64_t)1 << 62) + 1)) == (uint64_t)1 << 63);
  CHECK(align_decode(align_encode((uint64_t)3 << 62)) == (uint64_t)1 << 63);
  CHECK(align_decode(align_encode(UINT64_MAX)) == (uint64_t)1 << 63);
}

static void operations_and_records_are_inverse(void) {
  for (unsigned code = 0; code < 256; code++)
    for (unsigned align = 0; align < 256; align++) {
      struct record raw = {.code = (uint8_t)code,
                           .align = (uint8_t)align,
                           .thread = (uint16_t)next_random(),
                           .slot = (uint32_t)next_random(),
                           .size = next_random()};
      struct operation operation = record_operation(&raw);
      CHECK(operation.kind < OP_KINDS && operation.count >= 1 && operation.count <= 16);
      CHECK(operation.count == 1 || operation.kind == OP_ALLOCATE_ZEROED ||
            operation.kind == OP_LINK || operation.kind == OP_CRASH);
      struct record canonical = operation_record(&operation);
      struct operation again = record_operation(&canonical);
      CHECK(same_operation(&operation, &again));
    }
  for (unsigned i = 0; i < OP_KINDS; i++) {
    const char *name = operation_name((enum operation_kind)i);
    CHECK(name && *name);
    for (unsigned j = 0; j < i; j++)
      CHECK(strcmp(name, operation_name((enum operation_kind)j)) != 0);
  }
}

static void heaps_and_records_are_inverse(void) {
  struct program program = {0};
  struct heap zero = program_heap(&program);
  CHECK(zero.source == HEAP_FIXED && zero.page_size == 4096 && zero.capacity == 65536);
  CHECK(zero.skew == 0 && zero.variant == 0 && zero.slots == 64);

  CHECK(program_append(&program, &(struct record){0}));
  for (int round = 0; round < 100000; round++) {
    struct record raw = {.code = (uint8_t)next_random(),
                         .align = (uint8_t)next_random(),
                         .thread = (uint16_t)next_random(),
                         .slot = (uint32_t)next_random(),
                         .size = next_random() >> next_random() % 64};
    program.records[0] = raw;
    struct heap heap = program_heap(&program);
    CHECK(heap.source < HEAP_SOURCES && heap.skew < 64);
    CHECK(heap.page_size >= 64 && heap.page_size <= 65536);
    CHECK(heap.capacity >= 1 && heap.capacity <= PROGRAM_MAX_CAPACITY);
    CHECK(heap.slots >= 1 && heap.slots <= 1 << 24 && (heap.slots & (heap.slots - 1)) == 0);
    program.records[0] = heap_record(&heap);
    struct heap again = program_heap(&program);
    CHECK(same_heap(&heap, &again));
  }
  // Out of range: brought into it.
  struct heap odd = {.page_size = 1, .capacity = 1, .slots = 5};
  program.records[0] = heap_record(&odd);
  CHECK(program_heap(&program).page_size == 64 && program_heap(&program).slots == 8);
  odd = (struct heap){.page_size = SIZE_MAX / 2 + 1, .capacity = UINT64_MAX, .slots = UINT32_MAX};
  program.records[0] = heap_record(&odd);
  CHECK(program_heap(&program).page_size == 65536 && program_heap(&program).slots == 1 << 24);
  CHECK(program_heap(&program).capacity == PROGRAM_MAX_CAPACITY);
  program_clear(&program);
}

// ## Text

// An operation with what its line of text says, so that operations can be compared by meaning.
static struct operation meaning(const struct record *record, uint32_t slots) {
  struct operation operation = record_operation(record);
  bool request = operation.kind == OP_ALLOCATE || operation.kind == OP_ALLOCATE_ZEROED ||
                 operation.kind == OP_RESIZE;
  switch (operation.kind) {
  case OP_RELEASE_FOREIGN:
  case OP_ROLLBACK:
    break;
  case OP_RESET:
  case OP_FAULT:
  case OP_MARK:
  case OP_COLLECT:
  case OP_REOPEN:
  case OP_CRASH:
    operation.slot = 0;
    break;
  default:
    operation.slot &= slots - 1;
  }
  if (!request) operation.align = 1;
  if (operation.kind == OP_LINK) operation.size &= slots - 1;
  if (!request && operation.kind != OP_FAULT && operation.kind != OP_LINK &&
      operation.kind != OP_COLLECT && operation.kind != OP_CRASH)
    operation.size = 0;
  return operation;
}

static void lines_keep_the_meaning(void) {
  char text[PROGRAM_LINE_MAX], again[PROGRAM_LINE_MAX], reason[160];
  size_t column;
  for (int round = 0; round < 50000; round++) {
    struct record raw = {.code = (uint8_t)next_random(),
                         .align = (uint8_t)next_random(),
                         .thread = (uint16_t)next_random(),
                         .slot = (uint32_t)next_random(),
                         .size = next_random() >> next_random() % 64};
    uint32_t slots = (uint32_t)1 << next_random() % 25;
    struct record parsed;
    memset(text, 'x', sizeof text);
    operation_format(&raw, slots, text, sizeof text);
    CHECK(memchr(text, '\0', sizeof text) != NULL);
    CHECK(operation_parse(text, &parsed, reason, sizeof reason, &column));
    struct operation before = meaning(&raw, slots), after = meaning(&parsed, slots);
    CHECK(same_operation(&before, &after));
    operation_format(&parsed, slots, again, sizeof again);
    CHECK(strcmp(text, again) == 0);

    struct program program = {.records = &raw, .count = 1};
    struct heap heap = program_heap(&program), parsed_heap;
    heap_format(&heap, text, sizeof text);
    CHECK(heap_parse(text, &parsed_heap, reason, sizeof reason, &column));
    CHECK(same_heap(&heap, &parsed_heap));
  }
}

static void check_line(const char *line, const char *formatted) {
  char text[PROGRAM_LINE_MAX], reason[160] = "";
  size_t column = 0;
  struct record record;
  if (!operation_parse(line, &record, reason, sizeof reason, &column))
    fprintf(stderr, "%s: %zu: %s\n", line, column, reason);
  CHECK(reason[0] == '\0');
  operation_format(&record, 0, text, sizeof text);
  CHECK(strcmp(text, formatted) == 0);
}

static void lines_are_read_as_people_write_them(void) {
  check_line("allocate 3 size=100", "allocate 3 size=100");
  check_line("  allocate\t3   align=0x10 size=0x64  # a comment", "allocate 3 size=100 align=16");
  check_line("allocate 4294967295 size=18446744073709551615 align=9223372036854775808 thread=65535",
             "allocate 4294967295 size=18446744073709551615 align=9223372036854775808 "
             "thread=65535");
  check_line("allocate 0 size=1 align=1 thread=0", "allocate 0 size=1");
  check_line("allocate 0 size=1 align=0", "allocate 0 size=1 align=0");
  check_line("allocate 0 size=1 align=48", "allocate 0 size=1 align=48");
  check_line("zeroed 7 size=8 count=16", "zeroed 7 count=16 size=8");
  check_line("release 7#", "release 7");
  check_line("release 7 thread=2", "release 7 thread=2");
  check_line("resize 7 size=0\r", "resize 7 size=0");
  check_line("use 0", "use 0");
  check_line("reset", "reset");
  check_line("fault mask=5", "fault mask=0x5");
  check_line("release_again 9", "release_again 9");
  check_line("release_foreign 0xA", "release_foreign 10");
}

static void check_refusal(const char *line, size_t column, const char *reason) {
  char found[160] = "";
  size_t found_column = 0;
  struct record record;
  struct heap heap;
  bool parsed = strncmp(line, "heap ", 5) == 0
                    ? heap_parse(line, &heap, found, sizeof found, &found_column)
                    : operation_parse(line, &record, found, sizeof found, &found_column);
  if (parsed || strcmp(found, reason) != 0 || found_column != column)
    fprintf(stderr, "%s\n  want %zu: %s\n  have %zu: %s\n", line, column, reason, found_column,
            found);
  CHECK(!parsed);
  CHECK(strcmp(found, reason) == 0);
  CHECK(found_column == column);
}

static void wrong_lines_are_explained(void) {
  check_refusal("", 1, "an operation is missing");
  check_refusal("allocat 3 size=1", 1, "unknown operation 'allocat'");
  check_refusal("  \033[31mnonsense-of-twenty-four-and-more", 3,
                "unknown operation '?[31mnonsense-of-twenty-...'");
  check_refusal("allocate", 9, "the slot is missing");
  check_refusal("allocate size=1", 10, "'size=1' is not a number");
  check_refusal("allocate -1 size=1", 10, "'-1' is not a number");
  check_refusal("allocate 4294967296 size=1", 10, "slot 4294967296 is too large");
  check_refusal("allocate 3", 11, "size= is missing");
  check_refusal("zeroed 3 size=1", 16, "count= is missing");
  check_refusal("zeroed 3 size=1 count=17", 23, "count=17 is not in 1..16");
  check_refusal("allocate 3 sise=1", 12, "unknown field 'sise'");
  check_refusal("allocate 3 1", 12, "'1' is no field; write NAME=VALUE");
  check_refusal("allocate 3 size=1 size=2", 19, "field 'size' stands twice");
  check_refusal("allocate 3 size=", 17, "a number is missing");
  check_refusal("allocate 3 size=0x", 17, "'0x' is not a number");
  check_refusal("allocate 3 size=1f", 17, "'1f' is not a number");
  check_refusal("allocate 3 size=18446744073709551616", 17,
                "'18446744073709551616' needs more than 64 bits");
  check_refusal("allocate 3 size=1 align=5", 25, "align=5 cannot be said; 0, 2^n and 3*2^n can");
  check_refusal("allocate 3 size=1 thread=65536", 26, "thread=65536 is not in 0..65535");
  check_refusal("release 3 size=1", 11, "unknown field 'size'");
  check_refusal("reset 3", 7, "'3' is no field; write NAME=VALUE");
  check_refusal("fault", 6, "mask= is missing");
  check_refusal("heap source=stack", 13, "unknown source 'stack'; there are 'fixed' and 'pages'");
  check_refusal("heap capacity=0", 15, "capacity=0 is not in 1..68719476736");
  check_refusal("heap page=65", 11, "page=65 is no power of two");
  check_refusal("heap page=32", 11, "page=32 is not in 64..65536");
  check_refusal("heap skew=64", 11, "skew=64 is not in 0..63");
  check_refusal("heap variant=256", 14, "variant=256 is not in 0..255");
  check_refusal("heap slots=33554432", 12, "slots=33554432 is not in 1..16777216");
  check_refusal("heap slots=3", 12, "slots=3 is no power of two");
  check_refusal("heap size=3", 6, "unknown field 'size'");
}

int main(void) {
  every_byte_string_is_a_program();
  decoding_into_storage_is_the_same();
  fields_are_little_endian();
  appending_grows();
  every_alignment_code_means_something();
  operations_and_records_are_inverse();
  heaps_and_records_are_inverse();
  lines_keep_the_meaning();
  lines_are_read_as_people_write_them();
  wrong_lines_are_explained();
  return 0;
}
