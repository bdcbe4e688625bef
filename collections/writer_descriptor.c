// The system call write, made by hand: the contract is writer_descriptor.h's.
#include "collections/writer_descriptor.h"

// Returns how many bytes were written, or the negative number of an error.
static long system_write(int descriptor, const char *bytes, size_t size) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(1L), "D"((long)descriptor), "S"(bytes), "d"(size)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__i386__)
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "0"(4L), "b"(descriptor), "c"(bytes), "d"(size)
                   : "memory");
  return result;
#elif defined(__aarch64__)
  register long x0 __asm__("x0") = descriptor;
  register const char *x1 __asm__("x1") = bytes;
  register size_t x2 __asm__("x2") = size;
  register long x8 __asm__("x8") = 64;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
  return x0;
#else
#error "writer_descriptor.c: add the system call write of this processor, or leave this file out"
#endif
}

#define ERROR_INTERRUPTED 4  // EINTR: of Linux, on every processor

static size_t take_into_descriptor(struct writer *base, const char *bytes, size_t size) {
  struct writer_descriptor *self = (struct writer_descriptor *)base;
  long result;
  do result = system_write(self->descriptor, bytes, size);
  while (result == -ERROR_INTERRUPTED);
  if (result >= 0) return (size_t)result;
  self->error = (int)-result;
  return 0;
}

void writer_descriptor_init(struct writer_descriptor *self, int descriptor) {
  *self = (struct writer_descriptor){.descriptor = descriptor};
  writer_init(&self->base, take_into_descriptor);
}
