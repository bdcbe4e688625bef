// Semihosting: a program's calls to whoever emulates or debugs it.
//
// Arm, "Semihosting for AArch32 and AArch64", release 2.0; for RISC-V the same calls by another
// instruction ("RISC-V Semihosting", 0.2). Only what a world needs.
#ifndef FREESTANDING_BOARD_SEMIHOSTING_H_
#define FREESTANDING_BOARD_SEMIHOSTING_H_

#include <stddef.h>
#include <stdint.h>

// The emulator ends with `code`.
_Noreturn void semihosting_exit(int code);

// Up to `size` bytes from `offset` of the file that the emulator's command line names as the
// program's argument; 0 at its end, or if none is named or it cannot be read.
size_t semihosting_read(uint32_t offset, void *buffer, size_t size);

// One call of the interface, by the machine's instruction for it.
uint32_t semihosting_call(uint32_t operation, const void *arguments);

#endif
