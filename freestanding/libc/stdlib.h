// Memory comes from the world's pool (heap.h). abort leaves what world_guarded runs.
#ifndef FREESTANDING_LIBC_STDLIB_H_
#define FREESTANDING_LIBC_STDLIB_H_

#include <stddef.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);

_Noreturn void abort(void);

void qsort(void *first, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
