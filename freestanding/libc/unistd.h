#ifndef FREESTANDING_LIBC_UNISTD_H_
#define FREESTANDING_LIBC_UNISTD_H_

#include <stddef.h>

typedef ptrdiff_t ssize_t;

enum { STDERR_FILENO = 2 };

// To the world's console, whatever the descriptor.
ssize_t write(int descriptor, const void *bytes, size_t size);

#endif
