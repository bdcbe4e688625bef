/*
 * An example with a bug: to the size of a request those of header and footer are added, whatever it
 * is; close to SIZE_MAX that is a small block. All else is mm_classic.c.
 */
#include <stdint.h>

#define LARGEST SIZE_MAX
#include "mm_classic.c"
