// malloc and its kin for those parts of the harness that are linked into the preloaded object,
// where the names themselves are the program's: the build renames their calls. Few and large, so
// each block is a mapping.
#include "harness/preload/own_memory.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/arithmetic.h"

enum { HEADER = 16 };

void *own_calloc(size_t count, size_t size) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes) || !add_sizes(bytes, HEADER, &bytes)) return NULL;
  void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return NULL;
  *(size_t *)mapping = bytes;
  return (unsigned char *)mapping + HEADER;
}

void own_free(void *block) {
  if (!block) return;
  void *mapping = (unsigned char *)block - HEADER;
  munmap(mapping, *(size_t *)mapping);
}
