#include "harness/lazy.h"

#include <sys/mman.h>

void *lazy_map(size_t size) {
  void *table =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return table != MAP_FAILED ? table : NULL;
}

void lazy_unmap(void *table, size_t size) { munmap(table, size); }
