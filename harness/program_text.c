// The text form of programs. One table says which fields an operation takes; formatting and parsing
// both go by it.
#include <inttypes.h>
#include <string.h>

#include "harness/program_file.h"
#include "harness/program_verbs.h"
#include "harness/program_words.h"

// ## What may stand on a line

#define BIT(field) (1u << (field))

enum { FIELDS_MAX = 7, MAX_LINE = 1024 };

struct field {
  const char *name;
  uint64_t value;  // the default, until parsed
  uint64_t least, most;
  enum { PLAIN, POWER, ALIGNMENT, SOURCE, VERBS } rule;
  bool required;
  bool hex;  // as it is printed
  bool seen;
};

static const char *const source_names[HEAP_SOURCES] = {"fixed", "pages"};

static const struct program_verbs *spoken;
static find_verbs *known_verbs;

void program_speak(const struct program_verbs *verbs) { spoken = verbs; }
void program_knows_verbs(find_verbs *find) { known_verbs = find; }

enum {
  HEAP_SOURCE,
  HEAP_CAPACITY,
  HEAP_PAGE,
  HEAP_SKEW,
  HEAP_VARIANT,
  HEAP_SLOTS,
  HEAP_THREADS,
  HEAP_VERBS,
  HEAP_FIELDS
};
static const struct field heap_fields[HEAP_FIELDS] = {
    [HEAP_SOURCE] = {.name = "source", .rule = SOURCE},
    [HEAP_CAPACITY] = {.name = "capacity", 65536, 1, PROGRAM_MAX_CAPACITY},
    [HEAP_PAGE] = {.name = "page", 4096, 64, 65536, .rule = POWER},
    [HEAP_SKEW] = {.name = "skew", 0, 0, 63},
    [HEAP_VARIANT] = {.name = "variant", 0, 0, 255},
    [HEAP_SLOTS] = {.name = "slots", 64, 1, 1 << 24, .rule = POWER},
    [HEAP_THREADS] = {.name = "threads", 1, 1, 8, .rule = POWER},
    [HEAP_VERBS] = {.name = "verbs", .rule = VERBS},
};

enum {
  FIELD_COUNT,
  FIELD_REFERENCE,
  FIELD_BARRIER,
  FIELD_SIZE,
  FIELD_TO,
  FIELD_NOISE,
  FIELD_MASK,
  FIELD_ALIGN,
  FIELD_THREAD,
  OPERATION_FIELDS
};
// Fields of one group say the same member of an operation, and no operation has two of a group.
enum { COUNTS = BIT(FIELD_COUNT) | BIT(FIELD_REFERENCE) | BIT(FIELD_BARRIER) };
enum { SIZES = BIT(FIELD_SIZE) | BIT(FIELD_TO) | BIT(FIELD_NOISE) | BIT(FIELD_MASK) };

static const struct field operation_fields[OPERATION_FIELDS] = {
    [FIELD_COUNT] = {.name = "count", 1, 1, 16, .required = true},
    [FIELD_REFERENCE] = {.name = "reference", 1, 1, 16},
    [FIELD_BARRIER] = {.name = "barrier", 1, 1, 15, .required = true},
    [FIELD_SIZE] = {.name = "size", 0, 0, UINT64_MAX, .required = true},
    [FIELD_TO] = {.name = "to", 0, 0, UINT64_MAX, .required = true},
    [FIELD_NOISE] = {.name = "noise", 0, 0, UINT64_MAX},
    [FIELD_MASK] = {.name = "mask", 0, 0, UINT64_MAX, .required = true, .hex = true},
    [FIELD_ALIGN] = {.name = "align", 1, 0, UINT64_MAX, .rule = ALIGNMENT},
    [FIELD_THREAD] = {.name = "thread", 0, 0, UINT16_MAX},
};

enum { REQUEST = BIT(FIELD_SIZE) | BIT(FIELD_ALIGN) | BIT(FIELD_THREAD) };
static const unsigned shapes[OP_KINDS] = {
    [OP_ALLOCATE] = REQUEST,
    [OP_ALLOCATE_ZEROED] = REQUEST | BIT(FIELD_COUNT),
    [OP_RELEASE] = BIT(FIELD_THREAD),
    [OP_RESIZE] = REQUEST,
    [OP_USE] = BIT(FIELD_THREAD),
    [OP_RESET] = BIT(FIELD_THREAD),
    [OP_FAULT] = BIT(FIELD_MASK) | BIT(FIELD_THREAD),
    [OP_RELEASE_AGAIN] = BIT(FIELD_THREAD),
    [OP_RELEASE_FOREIGN] = BIT(FIELD_THREAD),
    [OP_MARK] = BIT(FIELD_THREAD),
    [OP_ROLLBACK] = BIT(FIELD_THREAD),
    [OP_ROOT] = BIT(FIELD_THREAD),
    [OP_LINK] = BIT(FIELD_REFERENCE) | BIT(FIELD_TO) | BIT(FIELD_THREAD),
    [OP_COLLECT] = BIT(FIELD_NOISE) | BIT(FIELD_THREAD),
    [OP_OVERRUN] = BIT(FIELD_THREAD),
    [OP_REOPEN] = BIT(FIELD_THREAD),
    [OP_UNROOT] = BIT(FIELD_THREAD),
    [OP_CRASH] = BIT(FIELD_BARRIER) | BIT(FIELD_MASK) | BIT(FIELD_THREAD),
};

// Those of verbs.
enum { VERB_VALUE, VERB_COUNT, VERB_SMALL, VERB_OTHER, VERB_FIELDS };
static const struct field verb_fields[VERB_FIELDS] = {
    [VERB_VALUE] = {.name = "value", 0, 0, UINT64_MAX},
    [VERB_COUNT] = {.name = "count", 1, 1, 16},
    [VERB_SMALL] = {.name = "small", 0, 0, 255},
    [VERB_OTHER] = {.name = "other", 0, 0, COLLECTION_INSTANCES - 1},
};
static const unsigned verb_bits[VERB_FIELDS] = {
    [VERB_VALUE] = COLLECTION_VALUE,
    [VERB_COUNT] = COLLECTION_COUNT,
    [VERB_SMALL] = COLLECTION_SMALL,
    [VERB_OTHER] = COLLECTION_OTHER,
};

// ## Formatting

static uint64_t verb_value(const struct record *record, unsigned field) {
  switch (field) {
  case VERB_VALUE:
    return record->size;
  case VERB_COUNT:
    return record->code / OP_CODES + 1u;
  case VERB_SMALL:
    return record->align;
  default:
    return record->thread % COLLECTION_INSTANCES;
  }
}

static void verb_format(const struct record *record, char *text, size_t size) {
  int verb = verb_of(record, spoken->count);
  if (verb < 0) {
    snprintf(text, size, "fault mask=0x%" PRIx64, record->size);
    return;
  }
  const struct collection_verb *word = &spoken->verbs[verb];
  size_t used =
      (size_t)snprintf(text, size, "%s %" PRIu32, word->name, record->slot % COLLECTION_INSTANCES);
  for (unsigned i = 0; i < VERB_FIELDS && used < size; i++) {
    uint64_t value = verb_value(record, i);
    if (word->fields & verb_bits[i] && value != verb_fields[i].value)
      used +=
          (size_t)snprintf(text + used, size - used, " %s=%" PRIu64, verb_fields[i].name, value);
  }
}

// The member of an operation that a field says.
static uint64_t field_value(const struct operation *operation, unsigned field) {
  if (BIT(field) & COUNTS) return operation->count;
  if (BIT(field) & SIZES) return operation->size;
  return field == FIELD_ALIGN ? operation->align : operation->thread;
}

void operation_format(const struct record *record, uint32_t slots, char *text, size_t size) {
  if (spoken) {
    verb_format(record, text, size);
    return;
  }
  struct operation operation = record_operation(record);
  enum slot_use slot = operation_slot_use(operation.kind);
  size_t used = (size_t)snprintf(text, size, "%s", operation_name(operation.kind));
  if (slot && used < size)
    used += (size_t)snprintf(text + used, size - used, " %" PRIu32,
                             operation.slot & (slot == SLOT_NAMES ? slots - 1 : UINT32_MAX));
  for (unsigned i = 0; i < OPERATION_FIELDS && used < size; i++) {
    const struct field *field = &operation_fields[i];
    uint64_t value = field_value(&operation, i);
    if (i == FIELD_TO) value &= slots - 1;
    bool shown = shapes[operation.kind] & BIT(i) && (field->required || value != field->value);
    if (shown)
      used += (size_t)snprintf(text + used, size - used,
                               field->hex ? " %s=0x%" PRIx64 : " %s=%" PRIu64, field->name, value);
  }
}

void heap_format(const struct heap *heap, char *text, size_t size) {
  char threads[32] = "";
  if (heap->threads > 1 && !spoken) snprintf(threads, sizeof threads, " threads=%u", heap->threads);
  if (spoken) snprintf(threads, sizeof threads, " verbs=%.20s", spoken->name);
  snprintf(text, size,
           "heap source=%s capacity=%" PRIu64 " page=%zu skew=%u variant=%u slots=%" PRIu32 "%s",
           source_names[heap->source], heap->capacity, heap->page_size, heap->skew, heap->variant,
           heap->slots, threads);
}

void program_print(const struct program *program, FILE *to) {
  struct heap heap = program_heap(program);
  char line[PROGRAM_LINE_MAX];
  heap_format(&heap, line, sizeof line);
  fprintf(to, "%s\n", line);
  for (size_t i = 0; i < program_length(program); i++) {
    operation_format(program_at(program, i), heap.slots, line, sizeof line);
    fprintf(to, "%s\n", line);
  }
}

// ## Fields

static bool parse_source(struct reader *reader, struct token token, uint64_t *value) {
  char shown[TOKEN_SHOWN_SIZE];
  for (unsigned i = 0; i < HEAP_SOURCES; i++)
    if (token_is(token, source_names[i])) {
      *value = i;
      return true;
    }
  return token_reject(reader, token, "unknown source '%s'; there are 'fixed' and 'pages'",
                      token_show(token, shown));
}

static bool parse_verbs(struct reader *reader, struct token token) {
  char shown[TOKEN_SHOWN_SIZE];
  reader->verbs = known_verbs ? known_verbs(token.start, token.length) : NULL;
  if (reader->verbs) return true;
  return token_reject(reader, token, "this program knows no collection '%s'",
                      token_show(token, shown));
}

static bool parse_value(struct reader *reader, struct token token, struct field *field) {
  if (field->rule == SOURCE) return parse_source(reader, token, &field->value);
  if (field->rule == VERBS) return parse_verbs(reader, token);
  if (!token_number(reader, token, &field->value)) return false;
  uint64_t value = field->value;
  if (value < field->least || value > field->most)
    return token_reject(reader, token, "%s=%" PRIu64 " is not in %" PRIu64 "..%" PRIu64,
                        field->name, value, field->least, field->most);
  if (field->rule == POWER && (value & (value - 1)) != 0)
    return token_reject(reader, token, "%s=%" PRIu64 " is no power of two", field->name, value);
  if (field->rule == ALIGNMENT && align_decode(align_encode(value)) != value)
    return token_reject(reader, token, "%s=%" PRIu64 " cannot be said; 0, 2^n and 3*2^n can",
                        field->name, value);
  return true;
}

static bool parse_fields(struct reader *reader, struct field *fields, size_t count) {
  char shown[TOKEN_SHOWN_SIZE];
  struct token token;
  while (token = token_next(reader), token.length > 0) {
    const char *equals = memchr(token.start, '=', token.length);
    if (!equals)
      return token_reject(reader, token, "'%s' is no field; write NAME=VALUE",
                          token_show(token, shown));
    struct token name = {token.start, (size_t)(equals - token.start)};
    struct token value = {equals + 1, token.length - name.length - 1};
    struct field *field = fields;
    while (field < fields + count && !token_is(name, field->name)) field++;
    if (field == fields + count)
      return token_reject(reader, token, "unknown field '%s'", token_show(name, shown));
    if (field->seen) return token_reject(reader, token, "field '%s' stands twice", field->name);
    field->seen = true;
    if (!parse_value(reader, value, field)) return false;
  }
  for (size_t i = 0; i < count; i++)
    if (fields[i].required && !fields[i].seen)
      return token_reject(reader, token, "%s= is missing", fields[i].name);
  return true;
}

// ## Lines

static bool find_operation(struct token word, enum operation_kind *kind) {
  for (unsigned i = 0; i < OP_KINDS; i++)
    if (token_is(word, operation_name((enum operation_kind)i))) {
      *kind = (enum operation_kind)i;
      return true;
    }
  return false;
}

static void set_field(struct operation *operation, unsigned field, uint64_t value) {
  if (BIT(field) & COUNTS)
    operation->count = (unsigned)value;
  else if (BIT(field) & SIZES)
    operation->size = value;
  else if (field == FIELD_ALIGN)
    operation->align = value;
  else
    operation->thread = (unsigned)value;
}

static bool verb_parse(struct reader *reader, struct record *record) {
  char shown[TOKEN_SHOWN_SIZE];
  const struct program_verbs *verbs = reader->verbs;
  struct token word = token_next(reader);
  if (token_is(word, "heap")) return token_reject(reader, word, "a second heap line");
  unsigned verb = 0;
  while (verb < verbs->count && !token_is(word, verbs->verbs[verb].name)) verb++;
  if (verb == verbs->count) {
    if (token_is(word, "fault"))
      return operation_parse(reader->line, record, reader->reason, reader->reason_size,
                             reader->column);
    return token_reject(reader, word, "'%s' is no verb of %s", token_show(word, shown),
                        verbs->name);
  }
  struct token token = token_next(reader);
  uint64_t slot;
  if (token.length == 0) return token_reject(reader, token, "the instance is missing");
  if (!token_number(reader, token, &slot)) return false;
  if (slot >= COLLECTION_INSTANCES)
    return token_reject(reader, token, "instance %" PRIu64 " is not below %d", slot,
                        COLLECTION_INSTANCES);
  struct field fields[VERB_FIELDS];
  unsigned count = 0, which[VERB_FIELDS];
  for (unsigned i = 0; i < VERB_FIELDS; i++)
    if (verbs->verbs[verb].fields & verb_bits[i]) {
      which[count] = i;
      fields[count++] = verb_fields[i];
    }
  if (!parse_fields(reader, fields, count)) return false;
  *record = (struct record){.code = verb_code(verb), .slot = (uint32_t)slot};
  for (unsigned i = 0; i < count; i++) {
    uint64_t value = fields[i].value;
    if (which[i] == VERB_VALUE) record->size = value;
    if (which[i] == VERB_COUNT) record->code = (uint8_t)(record->code + (value - 1) * OP_CODES);
    if (which[i] == VERB_SMALL) record->align = (uint8_t)value;
    if (which[i] == VERB_OTHER) record->thread = (uint16_t)value;
  }
  return true;
}

bool operation_parse(const char *line, struct record *record, char *reason, size_t reason_size,
                     size_t *column) {
  struct reader reader = {line, line, reason, reason_size, column, NULL};
  char shown[TOKEN_SHOWN_SIZE];
  struct token word = token_next(&reader);
  enum operation_kind kind;
  if (word.length == 0) return token_reject(&reader, word, "an operation is missing");
  if (token_is(word, "heap")) return token_reject(&reader, word, "a second heap line");
  if (!find_operation(word, &kind))
    return token_reject(&reader, word, "unknown operation '%s'", token_show(word, shown));

  uint64_t slot = 0;
  if (operation_slot_use(kind)) {
    struct token token = token_next(&reader);
    if (token.length == 0) return token_reject(&reader, token, "the slot is missing");
    if (!token_number(&reader, token, &slot)) return false;
    if (slot > UINT32_MAX)
      return token_reject(&reader, token, "slot %" PRIu64 " is too large", slot);
  }

  struct field fields[FIELDS_MAX];
  unsigned count = 0, which[FIELDS_MAX];
  for (unsigned i = 0; i < OPERATION_FIELDS; i++)
    if (shapes[kind] & BIT(i)) {
      which[count] = i;
      fields[count++] = operation_fields[i];
    }
  if (!parse_fields(&reader, fields, count)) return false;
  struct operation operation = {.kind = kind, .count = 1, .slot = (uint32_t)slot, .align = 1};
  for (unsigned i = 0; i < count; i++) set_field(&operation, which[i], fields[i].value);
  *record = operation_record(&operation);
  return true;
}

static bool parse_heap(const char *line, struct heap *heap, char *reason, size_t reason_size,
                       size_t *column, const struct program_verbs **verbs) {
  struct reader reader = {line, line, reason, reason_size, column, NULL};
  struct token word = token_next(&reader);
  if (!token_is(word, "heap"))
    return token_reject(&reader, word, "the first line must be the heap's: 'heap capacity=65536'");
  struct field fields[HEAP_FIELDS];
  memcpy(fields, heap_fields, sizeof fields);
  if (!parse_fields(&reader, fields, HEAP_FIELDS)) return false;
  *heap = (struct heap){
      .source = (enum heap_source)fields[HEAP_SOURCE].value,
      .page_size = (size_t)fields[HEAP_PAGE].value,
      .capacity = fields[HEAP_CAPACITY].value,
      .skew = (unsigned)fields[HEAP_SKEW].value,
      .variant = (unsigned)fields[HEAP_VARIANT].value,
      .slots = (uint32_t)fields[HEAP_SLOTS].value,
      .threads = (unsigned)fields[HEAP_THREADS].value,
  };
  *verbs = reader.verbs;
  return true;
}

bool heap_parse(const char *line, struct heap *heap, char *reason, size_t reason_size,
                size_t *column) {
  const struct program_verbs *verbs;
  return parse_heap(line, heap, reason, reason_size, column, &verbs);
}

// ## Whole texts

bool text_is_program(const char *text, size_t size) {
  size_t at = 0;
  while (at < size && (is_blank(text[at]) || text[at] == '\n' || text[at] == '#')) {
    if (text[at] == '#')
      while (at < size && text[at] != '\n') at++;
    else
      at++;
  }
  struct token word = {text + at, 0};
  while (at + word.length < size && !is_blank(word.start[word.length]) &&
         !is_line_end(word.start[word.length]))
    word.length++;
  at += word.length;
  enum operation_kind kind;
  if (token_is(word, "heap")) return at == size || text[at] != '\0';
  return find_operation(word, &kind) && at < size && is_blank(text[at]);
}

// Parses the line (in `line`, ended by 0) into the next record of the program, in the words that
// the heap's line names.
static bool parse_line(struct program *program, const char *line, char *reason, size_t reason_size,
                       size_t *column, const struct program_verbs **verbs) {
  struct record record;
  if (program->count == 0) {
    struct heap heap;
    if (!parse_heap(line, &heap, reason, reason_size, column, verbs)) return false;
    record = heap_record(&heap);
  } else if (*verbs) {
    struct reader reader = {line, line, reason, reason_size, column, *verbs};
    if (!verb_parse(&reader, &record)) return false;
  } else {
    if (!operation_parse(line, &record, reason, reason_size, column)) return false;
    uint32_t slots = program_heap(program).slots;
    bool any = operation_slot_use(record_kind(&record)) == SLOT_CHOOSES;
    if (record.slot >= slots && !any) {
      *column = 1;
      snprintf(reason, reason_size, "slot %" PRIu32 " is not below the heap's slots=%" PRIu32,
               record.slot, slots);
      return false;
    }
  }
  if (program_append(program, &record)) return true;
  *column = 1;
  snprintf(reason, reason_size, "no memory for more operations");
  return false;
}

static bool parse_lines(struct program *program, const char *text, size_t size, char *reason,
                        size_t reason_size, size_t *line_number, size_t *column) {
  size_t start = 0;
  const struct program_verbs *verbs = NULL;
  for (*line_number = 1; start < size; ++*line_number) {
    const char *newline = memchr(text + start, '\n', size - start);
    size_t end = newline ? (size_t)(newline - text) : size;
    const char *comment = memchr(text + start, '#', end - start);
    size_t length = comment ? (size_t)(comment - text) - start : end - start;
    while (length > 0 && is_blank(text[start + length - 1])) length--;
    char line[MAX_LINE + 1];
    if (length > MAX_LINE) {
      *column = MAX_LINE + 1;
      snprintf(reason, reason_size, "the line is longer than %d characters", MAX_LINE);
      return false;
    }
    const char *zero = memchr(text + start, '\0', length);
    if (zero) {
      *column = (size_t)(zero - text) - start + 1;
      snprintf(reason, reason_size, "a zero byte, which no text holds");
      return false;
    }
    memcpy(line, text + start, length);
    line[length] = '\0';
    if (line[strspn(line, " \t\r")] != '\0' &&
        !parse_line(program, line, reason, reason_size, column, &verbs))
      return false;
    start = end + 1;
  }
  *column = 1;
  if (program->count == 0) snprintf(reason, reason_size, "there is no line 'heap capacity=65536'");
  return program->count > 0;
}

bool text_parse(struct program *program, const char *text, size_t size, const char *name,
                struct file_error *error) {
  char reason[160];
  size_t line = 1, column = 1;
  program_clear(program);
  if (parse_lines(program, text, size, reason, sizeof reason, &line, &column)) return true;
  program_clear(program);
  return file_fail(error, name, "line %zu:%zu: %s", line, column, reason);
}
