// Programs in files: fuzz bytes, text, and traces.
//
// ## Text form
//
// One line an operation, in the order of execution; `#` starts a comment; blank lines are skipped;
// fields may come in any order and have the defaults shown; numbers are decimal or 0x. The first
// line that is no comment must be the heap's; slots count from 0 and are below its slots=. Every
// operation also takes thread=0.
//
//   heap source=fixed|pages capacity=65536 page=4096 skew=0 variant=0 slots=64
//   allocate SLOT size=N [align=1]
//   zeroed SLOT count=N size=N [align=1]
//   release SLOT
//   resize SLOT size=N [align=1]
//   use SLOT
//   reset
//   fault mask=0x5
//   release_again SLOT
//   release_foreign CHOICE     any number: of the address
//
// Formatting a program and parsing it back gives a program that means the same, and
// formatting that gives the same text.
//
// ## Trace form
//
// The 64-byte header of struct trace_header (little-endian), then the program's records. Unlike
// bare program bytes a trace knows how long it must be, so that a cut one is noticed.
#ifndef HARNESS_PROGRAM_FILE_H_
#define HARNESS_PROGRAM_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "harness/file.h"
#include "harness/program.h"

#define TRACE_MAGIC "assaytrc"
enum { TRACE_VERSION = 1, TRACE_HEADER_SIZE = 64 };

struct trace_header {
  char magic[8];         // TRACE_MAGIC without its final 0
  uint32_t version;      // TRACE_VERSION
  uint32_t checksum;     // CRC-32 of everything behind this field
  uint64_t records;      // the heap's included
  uint64_t peak_bytes;   // most requested bytes live at any time
  uint64_t peak_blocks;  // most blocks live at any time
  uint64_t unknown;   // releases (left out) and resizes (now allocations) of addresses never seen
  uint64_t threads;   // how many threads there were
  uint64_t reserved;  // 0
};

// Larger files are neither read nor written.
#define PROGRAM_FILE_MAX ((uint64_t)4 << 30)

enum program_form { FORM_BYTES, FORM_TEXT, FORM_TRACE };

// Reads a program from a file in any of the three forms: a trace by its magic (five bytes of it
// suffice, so that a cut trace is not taken for bytes), text by the first word that is in no
// comment ("heap", or the name of an operation with a blank behind it), all else, an empty file
// too, is bytes. False, with the error set and the program cleared, if the file cannot be read, is
// too large, or is a malformed text or trace. `form` and `header` may be NULL; a program that was
// no trace gives a header of which only `records` is filled in.
bool program_load(struct program *program, const char *path, enum program_form *form,
                  struct trace_header *header, struct file_error *error);

// The same from memory; `name` stands for the path in errors.
bool program_parse(struct program *program, const void *bytes, size_t size, const char *name,
                   enum program_form *form, struct trace_header *header, struct file_error *error);

// Writes a program whole or not at all (a temporary file beside it, then rename). False with the
// error. Only bytes keep what is behind the last whole record. Of `header`, which is for traces and
// may be NULL, only what a program does not tell by itself is taken: the peaks, unknown, threads.
bool program_save(const struct program *program, enum program_form form,
                  const struct trace_header *header, const char *path, struct file_error *error);

// The header of a trace of this program, complete; `from` as above.
void trace_seal(const struct program *program, const struct trace_header *from,
                unsigned char bytes[TRACE_HEADER_SIZE]);

// ## Text alone

// One operation as its line of text, without the newline; `size` of at least PROGRAM_LINE_MAX
// always suffices. Fields that mean nothing to the operation, and defaults, are left out. The slot
// is shown modulo `slots`, or raw if that is 0.
enum { PROGRAM_LINE_MAX = 160 };
void operation_format(const struct record *record, uint32_t slots, char *text, size_t size);
void heap_format(const struct heap *heap, char *text, size_t size);
// Parses one such line. False with a reason ("unknown field 'sise'") and the column, from 1.
bool operation_parse(const char *line, struct record *record, char *reason, size_t reason_size,
                     size_t *column);
bool heap_parse(const char *line, struct heap *heap, char *reason, size_t reason_size,
                size_t *column);

// Writes a whole program as text.
void program_print(const struct program *program, FILE *to);

// Whether the first word that is in no comment is one that a program begins with.
bool text_is_program(const char *text, size_t size);
// Parses a whole program. As program_parse; each error names line and column.
bool text_parse(struct program *program, const char *text, size_t size, const char *name,
                struct file_error *error);

#endif
