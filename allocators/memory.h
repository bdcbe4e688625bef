// The four functions that a freestanding C program must have anyway: compilers emit calls to them.
#ifndef ALLOCATORS_MEMORY_H_
#define ALLOCATORS_MEMORY_H_

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
