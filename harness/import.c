// Which file is which, and what unpacks it.
#include "harness/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/import_reader.h"
#include "harness/import_unpack.h"

static const struct import_format *const formats[] = {&import_rep, &import_android,
                                                      &import_heaptrack, &import_mtrace};
enum { FORMATS = sizeof formats / sizeof *formats };

// ## Containers. Fuzzers' programs are any bytes, and so more than the magic must be right.

static bool is_zip(const unsigned char *bytes, size_t size) {
  enum { HEADER = 30, NEWEST = 63, DEFLATED = 8 };
  return size >= HEADER && memcmp(bytes, "PK\3\4", 4) == 0 && bytes[4] <= NEWEST &&
         (bytes[8] == 0 || bytes[8] == DEFLATED) && bytes[9] == 0;
}

static bool is_gzip(const unsigned char *bytes, size_t size) {
  enum { HEADER = 10, DEFLATED = 8, FLAGS = 0x1f, SYSTEMS = 13, UNKNOWN = 255 };
  return size >= HEADER && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == DEFLATED &&
         bytes[3] <= FLAGS && (bytes[8] == 0 || bytes[8] == 2 || bytes[8] == 4) &&
         (bytes[9] <= SYSTEMS || bytes[9] == UNKNOWN);
}

static bool is_zstd(const unsigned char *bytes, size_t size) {
  enum { HEADER = 6, RESERVED = 8 };
  return size >= HEADER && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0 && !(bytes[4] & RESERVED);
}

static const struct {
  const char *name;
  bool (*recognises)(const unsigned char *bytes, size_t size);
} containers[CONTAINERS] = {
    [CONTAINER_ZIP] = {"zip", is_zip},
    [CONTAINER_GZIP] = {"gzip", is_gzip},
    [CONTAINER_ZSTD] = {"zstd", is_zstd},
};

bool unpacked_reserve(struct unpacked *to, const char *name, struct file_error *error) {
  enum { FIRST = 1 << 16 };
  if (to->size < to->room) return true;
  if (to->size >= to->most)
    return file_fail(error, name,
                     "it unpacks to more than %" PRIu64 " bytes; unpack it, and cut it into parts",
                     to->most);
  uint64_t room = to->room ? 2 * (uint64_t)to->room : FIRST;
  if (room > to->most) room = to->most;
  unsigned char *bytes = realloc(to->bytes, (size_t)room);
  if (!bytes) return file_fail(error, name, "no memory for what it unpacks to");
  to->bytes = bytes;
  to->room = (size_t)room;
  return true;
}

void unpacked_clear(struct unpacked *to) {
  free(to->bytes);
  to->bytes = NULL;
  to->size = to->room = 0;
}

bool unpacked_cut(struct unpacked *to, uint64_t size, const char *name, struct file_error *error) {
  to->cut = true;
  to->cut_at = size;
  if (to->partial) return true;
  return file_fail(error, name,
                   "the packed file is cut off at offset %" PRIu64
                   "; copy it again, or say --partial to take what is whole",
                   size);
}

// ## Texts

static bool read_text(const struct import_format *format, struct program *program, const char *text,
                      size_t size, const char *name, const struct import_settings *settings,
                      struct trace_header *header, struct import_account *account,
                      struct file_error *error) {
  struct import self = {.text = text,
                        .end = text + size,
                        .at = text,
                        .start = text,
                        .name = name,
                        .settings = settings,
                        .account = account,
                        .header = header,
                        .error = error};
  account->format = format->name;
  const char *problem = trace_build_begin(&self.build, program, header);
  bool read = problem ? file_fail(error, name, "%s", problem) : format->read(&self);
  account->lines = self.line;
  header->threads = account->threads;
  if (read) trace_build_end(&self.build);
  trace_build_clear(&self.build);
  record_map_clear(&self.map);
  record_map_clear(&self.threads);
  if (!read) program_clear(program);
  return read;
}

static const struct import_format *recognise(const char *text, size_t size) {
  for (unsigned i = 0; i < FORMATS; i++)
    if (formats[i]->recognises(text, size)) return formats[i];
  return NULL;
}

static bool parse_unpacked(struct program *program, const void *bytes, size_t size,
                           const char *name, const struct import_settings *settings,
                           enum program_form *form, struct trace_header *header,
                           struct import_account *account, struct file_error *error) {
  static const char *const own[] = {
      [FORM_BYTES] = "bytes", [FORM_TEXT] = "text", [FORM_TRACE] = "trace"};
  const struct import_format *format = recognise(bytes, size);
  *form = FORM_TRACE;
  if (format)
    return read_text(format, program, bytes, size, name, settings, header, account, error);
  bool parsed = program_parse(program, bytes, size, name, form, header, error);
  account->format = own[*form];
  account->threads = header->threads;
  return parsed;
}

// ## Files

static bool parse_packed(struct program *program, enum import_container container,
                         const void *bytes, size_t size, const char *name,
                         const struct import_settings *settings, enum program_form *form,
                         struct trace_header *header, struct import_account *account,
                         struct file_error *error) {
  account->container = containers[container].name;
  if (!import_unpackers)
    return file_fail(error, name, "%s is not read by this program; unpack it first",
                     account->container);
  struct unpacked text = {.most = settings->most_bytes ? settings->most_bytes : PROGRAM_FILE_MAX,
                          .partial = settings->partial};
  if (!import_unpackers[container].unpack(&text, bytes, size, name, error)) return false;
  bool parsed = parse_unpacked(program, text.bytes ? (void *)text.bytes : "", text.size, name,
                               settings, form, header, account, error);
  // Bytes that were packed are no fuzzer's.
  if (parsed && *form == FORM_BYTES) {
    program_clear(program);
    parsed = file_fail(error, name, "what is packed in it is no trace that is known");
  }
  if (parsed && text.cut && account->cut_at == 0) account->cut_at = text.cut_at;
  unpacked_clear(&text);
  return parsed;
}

bool import_parse(struct program *program, const void *bytes, size_t size, const char *name,
                  const struct import_settings *settings, enum program_form *form,
                  struct trace_header *header, struct import_account *account,
                  struct file_error *error) {
  static const struct import_settings usual;
  struct trace_header own_header;
  enum program_form own_form;
  struct import_account own_account;
  if (!settings) settings = &usual;
  if (!header) header = &own_header;
  if (!form) form = &own_form;
  if (!account) account = &own_account;
  memset(header, 0, sizeof *header);
  memset(account, 0, sizeof *account);
  program_clear(program);
  for (unsigned i = 0; i < CONTAINERS; i++)
    if (containers[i].recognises(bytes, size))
      return parse_packed(program, (enum import_container)i, bytes, size, name, settings, form,
                          header, account, error);
  return parse_unpacked(program, bytes, size, name, settings, form, header, account, error);
}

bool import_load(struct program *program, const char *path, const struct import_settings *settings,
                 enum program_form *form, struct trace_header *header,
                 struct import_account *account, struct file_error *error) {
  unsigned char *bytes;
  size_t size;
  program_clear(program);
  if (!file_read(path, PROGRAM_FILE_MAX, &bytes, &size, error)) return false;
  bool parsed = import_parse(program, bytes, size, path, settings, form, header, account, error);
  free(bytes);
  return parsed;
}
