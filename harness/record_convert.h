// From a raw log (record_log.h) to a program: addresses become slots.
//
// - malloc and realloc align to 16 bytes; a resize is one operation, at the time of its end.
// - calloc stays an allocation of `count` zeroed pieces if there were at most 16, else one piece.
// - A request for 0 bytes is recorded as one for 1 byte, which is what a C library makes of it.
// - Calls that failed are left out. realloc to 0 bytes that gave NULL is a release.
// - Releases of addresses that the log never gave out (made before recording began, or inherited by
// a
//   child process) are counted and left out; resizes of such addresses are counted and become
//   allocations.
// - Slots and the heap are as trace_build.h says.
#ifndef HARNESS_RECORD_CONVERT_H_
#define HARNESS_RECORD_CONVERT_H_

#include "harness/program_file.h"

struct recording {
  char program[72];  // base name of the executable
  uint32_t process;
  uint32_t stopped;  // errno for which recording stopped early, or 0
};

// A log that is cut, at whatever byte, gives what is whole of it; without a header that is an empty
// program. False, with the program cleared and an error that names `name` and the offset, if the
// log cannot have come from the recorder, or memory is out. A process that still runs may be adding
// to `log` meanwhile.
bool record_convert(const void *log, size_t size, const char *name, struct program *program,
                    struct trace_header *header, struct recording *recording,
                    struct file_error *error);

#endif
