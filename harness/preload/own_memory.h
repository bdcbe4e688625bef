#ifndef HARNESS_PRELOAD_OWN_MEMORY_H_
#define HARNESS_PRELOAD_OWN_MEMORY_H_

#include <stddef.h>

// Zeroed, and 16 bytes aligned. NULL: the system refuses.
void *own_calloc(size_t count, size_t size);
void own_free(void *block);

#endif
