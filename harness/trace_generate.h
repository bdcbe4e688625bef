// Traces that are made up, after a profile: the same seed gives the same trace, on every machine.
//
// What they have of the profile: sizes, lifetimes for each power of two of the size, what is
// leaked, resizes and their sizes, zeroing, alignments, threads and releases by other threads. What
// they have not: phases (what is likely is so at all times), and which block is resized (any).
#ifndef HARNESS_TRACE_GENERATE_H_
#define HARNESS_TRACE_GENERATE_H_

#include "harness/program_file.h"
#include "harness/trace_profile.h"

// False, with the program cleared and the error, if memory is out or too many blocks would live.
bool trace_generate(struct program *program, struct trace_header *header,
                    const struct profile *profile, uint64_t operations, uint64_t seed,
                    const char *name, struct file_error *error);

#endif
