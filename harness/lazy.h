// Large tables of which little is used: zero, and only what was written costs memory.
#ifndef HARNESS_LAZY_H_
#define HARNESS_LAZY_H_

#include <stddef.h>

// `size` bytes (more than 0), all zero, to be given back with the same size. NULL if there is no
// such address range.
void *lazy_map(size_t size);
void lazy_unmap(void *table, size_t size);

#endif
