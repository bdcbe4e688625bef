// The one assertion of the unit tests. It is never compiled out.
#ifndef ALLOCATORS_CHECK_H_
#define ALLOCATORS_CHECK_H_

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) {                                                                                 \
      fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #cond);                     \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

// Tests that damage fields know their places in memory, which are those that words of 64 bits give
// them: with others they have nothing to damage.
#define WIDE_WORDS (sizeof(void *) == 8)

#endif
