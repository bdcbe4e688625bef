#include "harness/preload/aside.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "allocators/arithmetic.h"

#define STRETCH ((size_t)256 << 20)

struct header {
  size_t size;
  size_t reserved;
};

struct deferred {
  struct deferred *next;
  void *block;
};

static _Atomic(unsigned char *) stretch;
static atomic_size_t used;
static _Atomic(struct deferred *) deferred;

static unsigned char *find_stretch(void) {
  unsigned char *start = atomic_load_explicit(&stretch, memory_order_acquire), *expected = NULL;
  if (start) return start;
  start = mmap(NULL, STRETCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
               -1, 0);
  if (start == MAP_FAILED) return NULL;
  if (atomic_compare_exchange_strong(&stretch, &expected, start)) return start;
  munmap(start, STRETCH);
  return expected;
}

void *aside_allocate(size_t size, size_t align) {
  unsigned char *start = find_stretch();
  size_t least = align < sizeof(struct header) ? sizeof(struct header) : align;
  size_t room;
  if (!start || !add_sizes(size, sizeof(struct header) + least, &room) ||
      !align_up(room, sizeof(struct header), &room) || room > STRETCH)
    return NULL;
  size_t offset = atomic_fetch_add(&used, room);
  if (offset > STRETCH - room) {
    atomic_fetch_sub(&used, room);
    return NULL;
  }
  uintptr_t first = address_of(start) + offset + sizeof(struct header), block;
  if (!align_up(first, least, &block)) return NULL;
  struct header *header = (struct header *)block - 1;
  header->size = size;
  return header + 1;
}

bool aside_owns(const void *block) {
  const unsigned char *start = atomic_load_explicit(&stretch, memory_order_relaxed);
  return start != NULL && range_within(block, 1, start, STRETCH);
}

size_t aside_size(const void *block) { return ((const struct header *)block)[-1].size; }

void aside_defer_release(void *block) {
  struct deferred *entry = aside_allocate(sizeof *entry, _Alignof(struct deferred));
  if (!entry) return;  // a block is lost, which is the least harm
  entry->block = block;
  entry->next = atomic_load(&deferred);
  while (!atomic_compare_exchange_weak(&deferred, &entry->next, entry)) continue;
}

void *aside_take_deferred(void) {
  if (atomic_load_explicit(&deferred, memory_order_relaxed) == NULL) return NULL;
  // Taken as a whole, as an entry alone could meanwhile be taken and put back by others.
  struct deferred *first = atomic_exchange(&deferred, NULL);
  if (!first) return NULL;
  struct deferred *rest = first->next;
  while (rest) {
    struct deferred *next = rest->next;
    rest->next = atomic_load(&deferred);
    while (!atomic_compare_exchange_weak(&deferred, &rest->next, rest)) continue;
    rest = next;
  }
  return first->block;
}
