#ifndef FREESTANDING_LIBC_STRING_H_
#define FREESTANDING_LIBC_STRING_H_

#include "allocators/memory.h"

size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);

#endif
