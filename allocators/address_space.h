// How much address space a process has, for tests that look for mappings left behind.
//
// Others may map and unmap meanwhile (sanitizers, Valgrind), so a test repeats what might leave
// something behind until that would stand out.
#ifndef ALLOCATORS_ADDRESS_SPACE_H_
#define ALLOCATORS_ADDRESS_SPACE_H_

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "allocators/check.h"

// In bytes. Takes no memory itself.
static inline size_t address_space(void) {
  char text[128] = "";
  int descriptor = open("/proc/self/statm", O_RDONLY);
  CHECK(descriptor >= 0);
  CHECK(read(descriptor, text, sizeof text - 1) > 0);
  close(descriptor);
  return (size_t)strtoull(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
