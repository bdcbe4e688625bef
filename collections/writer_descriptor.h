// A writer onto a file descriptor of Linux, by the system call itself: no libc is needed.
//
// For x86-64, i386 and AArch64. A call that a signal interrupts is made again; any other error ends
// the writer, a descriptor that would block (EAGAIN) among them: it is for descriptors that block.
// What the kernel promises: write(2) of POSIX.1-2017, 2.9.7 and "Raw I/O"; how it is called: System
// V ABI for x86-64, A.2.1, and syscall(2) of Linux.
#ifndef COLLECTIONS_WRITER_DESCRIPTOR_H_
#define COLLECTIONS_WRITER_DESCRIPTOR_H_

#include "collections/print.h"

struct writer_descriptor {
  struct writer base;
  int descriptor;
  int error;  // the number of the error (errno) that ended it; 0: none
};

// `descriptor` stays the caller's.
void writer_descriptor_init(struct writer_descriptor *self, int descriptor);

#endif
