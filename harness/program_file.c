#define _GNU_SOURCE
// Programs in files: which form is which, and the trace form.
#include "harness/program_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// ## CRC-32 as in zlib, gzip and PNG (reflected 0xEDB88320), eight bytes at a time: traces are
// long. (Kounavis and Berry 2005.)

enum { CRC_STEP = 8 };

struct crc {
  uint32_t table[CRC_STEP][256];  // of a byte with so many zero bytes behind it
  uint32_t state;
};

static void crc_start(struct crc *crc) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (unsigned bit = 0; bit < 8; bit++)
      value = value >> 1 ^ (value & 1 ? UINT32_C(0xEDB88320) : 0);
    crc->table[0][i] = value;
  }
  for (unsigned step = 1; step < CRC_STEP; step++)
    for (unsigned i = 0; i < 256; i++) {
      uint32_t value = crc->table[step - 1][i];
      crc->table[step][i] = value >> 8 ^ crc->table[0][value & 0xff];
    }
  crc->state = UINT32_MAX;
}

static uint32_t load_word(const unsigned char *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
         (uint32_t)bytes[3] << 24;
}

static void crc_add(struct crc *crc, const unsigned char *bytes, size_t size) {
  uint32_t state = crc->state;
  for (; size >= CRC_STEP; bytes += CRC_STEP, size -= CRC_STEP) {
    uint32_t low = state ^ load_word(bytes), high = load_word(bytes + 4);
    state = crc->table[7][low & 0xff] ^ crc->table[6][low >> 8 & 0xff] ^
            crc->table[5][low >> 16 & 0xff] ^ crc->table[4][low >> 24] ^
            crc->table[3][high & 0xff] ^ crc->table[2][high >> 8 & 0xff] ^
            crc->table[1][high >> 16 & 0xff] ^ crc->table[0][high >> 24];
  }
  for (size_t i = 0; i < size; i++) state = state >> 8 ^ crc->table[0][(state ^ bytes[i]) & 0xff];
  crc->state = state;
}

static uint32_t crc_finish(const struct crc *crc) { return ~crc->state; }

// ## Bytes of a program, a piece at a time, so that saving a large one needs no second copy

enum { PIECE = 1024 };

static size_t encode_piece(const struct program *program, size_t first,
                           unsigned char bytes[PIECE * RECORD_SIZE]) {
  size_t count = program->count - first < PIECE ? program->count - first : PIECE;
  struct program piece = {.records = program->records + first, .count = count};
  program_encode(&piece, bytes);
  return count;
}

static void write_records(const struct program *program, FILE *to) {
  unsigned char bytes[PIECE * RECORD_SIZE];
  for (size_t i = 0, count; i < program->count; i += count) {
    count = encode_piece(program, i, bytes);
    fwrite(bytes, RECORD_SIZE, count, to);
  }
}

static void crc_add_records(struct crc *crc, const struct program *program) {
  unsigned char bytes[PIECE * RECORD_SIZE];
  for (size_t i = 0, count; i < program->count; i += count) {
    count = encode_piece(program, i, bytes);
    crc_add(crc, bytes, count * RECORD_SIZE);
  }
}

// ## The trace header

enum {
  AT_VERSION = 8,
  AT_CHECKSUM = 12,
  AT_RECORDS = 16,
  AT_PEAK_BYTES = 24,
  AT_PEAK_BLOCKS = 32,
  AT_UNKNOWN = 40,
  AT_THREADS = 48,
  AT_RESERVED = 56,
};

static void put(unsigned char *bytes, unsigned size, uint64_t value) {
  for (unsigned i = 0; i < size; i++) bytes[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *bytes, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++) value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

void trace_seal(const struct program *program, const struct trace_header *from,
                unsigned char bytes[TRACE_HEADER_SIZE]) {
  memset(bytes, 0, TRACE_HEADER_SIZE);
  memcpy(bytes, TRACE_MAGIC, 8);
  put(bytes + AT_VERSION, 4, TRACE_VERSION);
  put(bytes + AT_RECORDS, 8, program->count);
  put(bytes + AT_PEAK_BYTES, 8, from ? from->peak_bytes : 0);
  put(bytes + AT_PEAK_BLOCKS, 8, from ? from->peak_blocks : 0);
  put(bytes + AT_UNKNOWN, 8, from ? from->unknown : 0);
  put(bytes + AT_THREADS, 8, from ? from->threads : 0);
  struct crc crc;
  crc_start(&crc);
  crc_add(&crc, bytes + AT_RECORDS, TRACE_HEADER_SIZE - AT_RECORDS);
  crc_add_records(&crc, program);
  put(bytes + AT_CHECKSUM, 4, crc_finish(&crc));
}

static struct trace_header read_header(const unsigned char bytes[TRACE_HEADER_SIZE]) {
  struct trace_header header = {
      .version = (uint32_t)get(bytes + AT_VERSION, 4),
      .checksum = (uint32_t)get(bytes + AT_CHECKSUM, 4),
      .records = get(bytes + AT_RECORDS, 8),
      .peak_bytes = get(bytes + AT_PEAK_BYTES, 8),
      .peak_blocks = get(bytes + AT_PEAK_BLOCKS, 8),
      .unknown = get(bytes + AT_UNKNOWN, 8),
      .threads = get(bytes + AT_THREADS, 8),
      .reserved = get(bytes + AT_RESERVED, 8),
  };
  memcpy(header.magic, bytes, sizeof header.magic);
  return header;
}

static bool is_trace(const unsigned char *bytes, size_t size) {
  return size >= 5 && memcmp(bytes, TRACE_MAGIC, size < 8 ? size : 8) == 0;
}

#define RECORD_AGAIN "; record or copy it again"

static bool check_trace(const unsigned char *bytes, size_t size, const char *name,
                        struct trace_header *header, struct file_error *error) {
  if (size < TRACE_HEADER_SIZE)
    return file_fail(error, name,
                     "the trace is cut at offset %zu, in its header of %d bytes" RECORD_AGAIN, size,
                     TRACE_HEADER_SIZE);
  *header = read_header(bytes);
  if (header->version != TRACE_VERSION)
    return file_fail(error, name,
                     "offset %d: a trace of version %" PRIu32
                     ", and only version %d is known; record "
                     "it again with this assay",
                     AT_VERSION, header->version, TRACE_VERSION);
  // In records, not bytes: no count, however wrong, can overflow.
  uint64_t whole = (size - TRACE_HEADER_SIZE) / RECORD_SIZE;
  uint64_t rest = (size - TRACE_HEADER_SIZE) % RECORD_SIZE;
  if (header->records > whole)
    return file_fail(error, name,
                     "the trace is cut at offset %zu: %" PRIu64 " of its %" PRIu64
                     " records are there" RECORD_AGAIN,
                     size, whole, header->records);
  if (header->records < whole || rest != 0)
    return file_fail(error, name,
                     "offset %" PRIu64 ": bytes behind the trace's last record" RECORD_AGAIN,
                     TRACE_HEADER_SIZE + header->records * RECORD_SIZE);
  struct crc crc;
  crc_start(&crc);
  crc_add(&crc, bytes + AT_RECORDS, size - AT_RECORDS);
  if (crc_finish(&crc) != header->checksum)
    return file_fail(error, name,
                     "offset %d: the checksum is %08" PRIx32 ", that of the bytes is %08" PRIx32
                     ": the trace is damaged" RECORD_AGAIN,
                     AT_CHECKSUM, header->checksum, crc_finish(&crc));
  if (header->reserved != 0)
    return file_fail(error, name, "offset %d: the reserved field is not 0" RECORD_AGAIN,
                     AT_RESERVED);
  return true;
}

// ## Reading

bool program_parse(struct program *program, const void *bytes, size_t size, const char *name,
                   enum program_form *form, struct trace_header *header, struct file_error *error) {
  struct trace_header own_header;
  enum program_form own_form;
  if (!header) header = &own_header;
  if (!form) form = &own_form;
  memset(header, 0, sizeof *header);
  program_clear(program);

  const unsigned char *records = bytes;
  *form = FORM_BYTES;
  if (size > 0 && is_trace(bytes, size)) {
    *form = FORM_TRACE;
    if (!check_trace(bytes, size, name, header, error)) return false;
    records += TRACE_HEADER_SIZE;
    size -= TRACE_HEADER_SIZE;
  } else if (size > 0 && text_is_program(bytes, size)) {
    *form = FORM_TEXT;
    if (!text_parse(program, bytes, size, name, error)) return false;
  }
  if (*form != FORM_TEXT && !program_decode(program, records, size))
    return file_fail(error, name, "no memory for its %zu operations", size / RECORD_SIZE);
  header->records = program->count;
  return true;
}

bool program_load(struct program *program, const char *path, enum program_form *form,
                  struct trace_header *header, struct file_error *error) {
  unsigned char *bytes;
  size_t size;
  program_clear(program);
  if (!file_read(path, PROGRAM_FILE_MAX, &bytes, &size, error)) return false;
  bool parsed = program_parse(program, bytes, size, path, form, header, error);
  free(bytes);
  return parsed;
}

// ## Writing

static void write_trace(const struct program *program, const struct trace_header *header,
                        FILE *to) {
  unsigned char bytes[TRACE_HEADER_SIZE];
  trace_seal(program, header, bytes);
  fwrite(bytes, 1, sizeof bytes, to);
  write_records(program, to);
}

bool program_save(const struct program *program, enum program_form form,
                  const struct trace_header *header, const char *path, struct file_error *error) {
  uint64_t most = (PROGRAM_FILE_MAX - TRACE_HEADER_SIZE) / RECORD_SIZE;
  if (program->count > most)
    return file_fail(error, path,
                     "%zu operations are more than the %" PRIu64 " that a file may hold",
                     program->count, most);
  struct new_file file;
  if (!file_begin(&file, path, error)) return false;
  if (form == FORM_TEXT) {
    program_print(program, file.stream);
  } else if (form == FORM_TRACE) {
    write_trace(program, header, file.stream);
  } else {
    write_records(program, file.stream);
    fwrite(program->tail, 1, program->tail_size, file.stream);
  }
  if (ftello(file.stream) > (off_t)PROGRAM_FILE_MAX) {
    file_abandon(&file);
    return file_fail(error, path, "%zu operations are more than a text may hold; save a trace",
                     program->count);
  }
  return file_commit(&file, error);
}
