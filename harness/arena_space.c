// Where arenas lie: addresses of a process, of which memory is used as it is written.
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/arena.h"
#include "harness/forbid.h"

enum { GUARD = 1 << 16, WORD = 64, MIN_PAGE = 64, MAPS = 3 };

// Addresses for stretches, gaps and fragmentation. There may be fewer: a size_t may have 32 bits.
static uint64_t addresses_for(uint64_t capacity) {
  return 4 * capacity + 4 * (uint64_t)ARENA_ALIGN;
}

// A heap is made dirty from end to end: one that does not fit in memory would take the machine
// down.
static bool affordable(uint64_t capacity) {
  if (capacity > PROGRAM_MAX_CAPACITY || addresses_for(capacity) > SIZE_MAX / 2) return false;
  long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
  return pages <= 0 || page_size <= 0 ||
         capacity / (unsigned long)page_size <= (unsigned long)pages / 2;
}

// Where heaps begin if nothing else is there: at the same address in each process, as allocators
// that are chosen by the bits of their addresses need it. It is the one that courses take, beyond
// what 32 bits can say; there ASan has a gap in its shadow, so that with it another one is as good.
// With 32 bits it is between programs and shared objects, above ASan's shadow.
#if UINTPTR_MAX > UINT32_MAX
#ifdef BUILT_WITH_ASAN
#define PLACE ((uintptr_t)0x200800000000)
#else
#define PLACE ((uintptr_t)0x800000000)
#endif
#else
#define PLACE ((uintptr_t)0x70000000)
#endif

static unsigned char *map_addresses(size_t size) {
  enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
  // What does not know the last flag takes the address for a hint.
  void *mapping =
      mmap((void *)(PLACE - ARENA_ALIGN), size, PROT_NONE, FLAGS | MAP_FIXED_NOREPLACE, -1, 0);
  return mapping != MAP_FAILED ? mapping : mmap(NULL, size, PROT_NONE, FLAGS, -1, 0);
}

bool arena_init(struct arena *self, uint64_t capacity) {
  *self = (struct arena){0};
  if (!affordable(capacity)) {
    errno = ENOMEM;
    return false;
  }
  size_t size = (size_t)addresses_for(capacity);
  size_t mapping_size = size + 2 * (size_t)ARENA_ALIGN + 2 * (size_t)GUARD;
  unsigned char *mapping = map_addresses(mapping_size);
  if (mapping == MAP_FAILED) return false;
  size_t words = size / MIN_PAGE / WORD + 2;
  uint64_t *maps = mmap(NULL, MAPS * words * sizeof *maps, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  uintptr_t base = ((uintptr_t)mapping + GUARD + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
  self->mapping = mapping;
  self->mapping_size = mapping_size;
  self->base = mapping + (base - (uintptr_t)mapping);
  self->size = size;
  self->capacity = capacity;
  self->map_words = words;
  if (maps == MAP_FAILED || mprotect(self->base, size, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping, mapping_size);
    return false;
  }
  self->taken = maps;
  self->owned = maps + words;
  self->returned = maps + 2 * words;
  // The guards too: a sanitizer names the culprit's address, a signal does not.
  memory_forbid(self->base - GUARD, size + 2 * (size_t)GUARD);
  return true;
}

void arena_free(struct arena *self) {
  if (!self->mapping) return;
  // The addresses may serve something else.
  memory_grant(self->base - GUARD, self->size + 2 * (size_t)GUARD);
  munmap(self->mapping, self->mapping_size);
  munmap(self->taken, MAPS * self->map_words * sizeof *self->taken);
  *self = (struct arena){0};
}

bool arena_fits(const struct arena *self, const struct heap *heap) {
  return self->mapping && addresses_for(heap->capacity) <= self->size;
}
