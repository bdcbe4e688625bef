// What a fuzzer's input is: a program, within limits that keep every input quick.
#ifndef FUZZ_INPUT_H_
#define FUZZ_INPUT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/program.h"

// Decodes an input into `program`, whose records are this function's until the next call. False if
// it is not to be run: longer than 64 KiB, or with a heap of more than 1 MiB.
bool input_decode(struct program *program, const uint8_t *data, size_t size);

#endif
