// Mutations of programs that know operations: one implementation for libFuzzer and AFL++.
//
// A mutation works on whole records: it inserts, drops, duplicates, moves and changes operations,
// with slots that name something at that place and sizes near the edges where allocators break.
// Compare Padhye et al., "Semantic Fuzzing with Zest" (ISSTA 2019) for mutating structure rather
// than bytes, and ArcHeap (Yun et al., USENIX Security 2020) for the sizes.
#ifndef FUZZ_MUTATOR_H_
#define FUZZ_MUTATOR_H_

#include <stddef.h>
#include <stdint.h>

#include "fuzz/hints.h"

// Changes `size` bytes in place, where `max_size` fit, and returns the new size, of whole records.
// The same seed and hints give the same result. `max_size` below one record leaves the bytes as
// they are. No operation is made that the hints say the strategy does not offer. One call at a
// time: the program under mutation is static.
size_t mutator_mutate(const struct hints *hints, uint8_t *bytes, size_t size, size_t max_size,
                      uint32_t seed);

// Makes `out` of two programs: the heap and a beginning of the first, a piece of the second, and
// maybe the end of the first. Returns its size, at most `max_size`.
size_t mutator_cross(const struct hints *hints, const uint8_t *first, size_t first_size,
                     const uint8_t *second, size_t second_size, uint8_t *out, size_t max_size,
                     uint32_t seed);

#endif
