// Traces of other tools, as programs. A file is recognised by its content, never by its name:
//
//   rep        malloc-lab traces (`a ID SIZE`, `r ID SIZE`, `f ID` behind four numbers), in three
//              dialects of the numbers: heap size, ids, operations, weight; weight, ids,
//              operations, ignore_ranges; weight, ids, operations, max_live_bytes
//   android    memory_replay text (`TID: malloc 0xADDRESS SIZE` ...), times or no times
//   heaptrack  heaptrack's data, raw or interpreted, file versions 0 to 3
//   mtrace     the log of glibc's mtrace(3)
//
// and any of these within zip (one file in it), gzip or zstd, if the program has what unpacks them
// linked to it (import_unpack.h). Programs in Assay's own forms pass through.
//
// What becomes of the calls:
// - malloc, calloc and realloc align to `alignment`, whatever the addresses in the file; calloc is
//   an allocation of `count` zeroed pieces if there are at most 16, else of one piece.
// - A request for 0 bytes is recorded as one for 1 byte, which is what a C library makes of it;
//   realloc to 0 bytes is a release. Sizes of any 64 bits are data.
// - Calls that failed, and releases of NULL, are left out. Releases of what the file never
//   allocated are left out; resizes of such blocks become allocations.
// - An address that is given out while it is live must have been released unseen: it is released
//   first. An id of rep is no address: its former block stays live, without a name.
// - Threads are numbered in the order in which they appear; one that ended and came again is
//   another. An operation's thread is that number modulo 65536.
// All of these are counted.
#ifndef HARNESS_IMPORT_H_
#define HARNESS_IMPORT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/program_file.h"

struct import_settings {
  uint64_t alignment;   // bytes, a power of two; 0: 16
  uint64_t most_bytes;  // unpacked; 0: PROGRAM_FILE_MAX. Memory is some times that at most
  bool partial;         // of a file that is cut off, take what is whole
};

// What was read, and how it differs from what stands in the file.
struct import_account {
  const char *format;     // its name above; "trace", "text", "bytes": Assay's own
  const char *container;  // "zip", "gzip", "zstd"; NULL: none
  uint64_t lines;
  uint64_t threads;
  uint64_t failed;            // calls that gave NULL
  uint64_t null_releases;     // of NULL
  uint64_t unknown_releases;  // of what was never allocated, or not any more
  uint64_t unknown_resizes;   // of the same
  uint64_t zero_sizes;        // now 1 byte
  uint64_t missing_sizes;     // read as 0 bytes
  uint64_t huge;              // requests beyond PROGRAM_MAX_CAPACITY
  uint64_t released_unseen;   // addresses given out while live
  uint64_t lost;              // ids allocated into while live
  uint64_t promised;          // operations that the header promises; 0: it does not
  uint64_t promised_ids;      // likewise
  uint64_t found, found_ids;  // and what there was of them
  uint64_t cut_line, cut_at;  // where a partial file ends: line and offset; 0: it is whole
  bool open_end;              // the last line is whole, and not ended
};

// Reads a program in any form. False, with the program cleared and a one-line error, if a file
// cannot be read, is damaged or cut off, or unpacks to more than the settings allow; a bad line is
// named by its number and the reason. `form` is FORM_TRACE for what was imported. `settings`,
// `form`, `header` and `account` may be NULL.
bool import_load(struct program *program, const char *path, const struct import_settings *settings,
                 enum program_form *form, struct trace_header *header,
                 struct import_account *account, struct file_error *error);

// The same from memory; `name` stands for the path in errors.
bool import_parse(struct program *program, const void *bytes, size_t size, const char *name,
                  const struct import_settings *settings, enum program_form *form,
                  struct trace_header *header, struct import_account *account,
                  struct file_error *error);

#endif
