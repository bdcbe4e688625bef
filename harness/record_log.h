// The raw log: what the recorder (record_preload.c) leaves of one process, and record_convert.c
// reads.
//
// A header, then events of fixed size in the order in which they happened, in the byte order of the
// machine, for the log never leaves it. The file grows in windows that are zero at first; the log
// ends at the first event of kind RAW_END or at the end of the file. A process that is killed
// leaves what it had logged: `magic` and each `kind` are written last.
//
// The order is causal: an address is logged as given up before the C library can hand it out again,
// and as obtained after it was handed out. That is why a resize is two events.
#ifndef HARNESS_RECORD_LOG_H_
#define HARNESS_RECORD_LOG_H_

#include <stdint.h>

#define RAW_MAGIC "assayraw"
enum { RAW_VERSION = 1 };

struct raw_header {
  char magic[8];
  uint32_t version;
  uint32_t process;
  uint32_t stopped;  // errno for which recording stopped early, or 0
  uint32_t reserved;
  char program[72];  // base name of the executable, ended by 0
};

enum raw_kind {
  RAW_END,
  RAW_ALLOCATE,      // address, size, align
  RAW_ZEROED,        // address, size (of one of `count`), align
  RAW_RELEASE,       // address
  RAW_RESIZE_BEGIN,  // address: the old one, size: the new one
  RAW_RESIZE_END,    // address: the new one, 0 if it failed or released; size: the old address
  RAW_KINDS
};

struct raw_event {
  uint64_t address;
  uint64_t size;
  uint32_t thread;     // from 0, in the order of their first events
  uint16_t count;      // RAW_ZEROED: 1 .. RAW_COUNT_MAX; larger counts are multiplied out
  uint8_t align_log2;  // RAW_ALLOCATE and RAW_ZEROED
  uint8_t kind;
};

enum { RAW_COUNT_MAX = 16 };
_Static_assert(sizeof(struct raw_event) == 24 && sizeof(struct raw_header) == 4 * 24,
               "windows of the file hold whole events");

// In the environment of a recorded program: the directory of its raw logs, which are named
// PROCESS.NUMBER.raw.
#define RAW_DIRECTORY_VARIABLE "ASSAY_RECORD_DIR"

#endif
