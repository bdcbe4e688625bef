// For tests of ci/check: a heap of the malloc-lab kind, first fit over blocks with a header, and
// what such heaps do wrong, chosen by -D.
#include "mm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memlib.h"

struct block {
  size_t size;  // of all of it; the lowest bit: taken
  size_t pad;
};

enum { HEADER = sizeof(struct block), LEAST = 2 * HEADER };

static char *first, *end;
static unsigned calls;

static size_t round_up(size_t size) {
#ifdef HEADER_FORGOTTEN
  size_t all = (size + 15) & ~(size_t)15;
#else
  size_t all = (size + HEADER + 15) & ~(size_t)15;
#endif
  return all < LEAST ? LEAST : all;
}

int mm_init(void) {
  first = end = mem_sbrk(0);
#ifdef STARTS_ONCE
  static int started;
  if (started++) return -1;
#endif
  return 0;
}

static void misbehave(void) {
  calls++;
#ifdef FLOODS
  printf("allocating, for the %u-th time\n", calls);
#endif
#ifdef LEAVES
  if (calls == 3) exit(0);
#endif
#ifdef MULTIPLIES
  if (calls >= 3) fork();
#endif
#ifdef HANGS
  while (calls == 3) continue;
#endif
#ifdef MAPS
  if (calls == 3) mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#endif
#ifdef BREAKS
  if (calls == 3) sbrk(4096);
#endif
#ifdef CRASHES
  if (calls == 3) *(volatile char *)8 = 1;
#endif
}

void *mm_malloc(size_t size) {
  if (size == 0) return NULL;
#ifndef SIZE_WRAPS
  if (size > (size_t)1 << 30) return NULL;
#endif
  misbehave();
  size_t all = round_up(size);
  for (char *at = first; at < end; at += ((struct block *)at)->size & ~(size_t)1) {
    struct block *block = (struct block *)at;
    if (block->size & 1 || block->size < all) continue;
    block->size |= 1;
#ifdef NARROW
    unsigned int place = (unsigned int)block;
    at = (char *)place;
#endif
    return at + HEADER;
  }
  char *at = mem_sbrk((intptr_t)all);
#ifndef EXHAUSTION_FORGOTTEN
  if (at == (char *)-1) return NULL;
#endif
  end = at + all;
  ((struct block *)at)->size = all | 1;
  return at + HEADER;
}

void mm_free(void *block) {
  if (block == NULL) return;
  ((struct block *)((char *)block - HEADER))->size &= ~(size_t)1;
}

#ifndef WITHOUT_REALLOC
void *mm_realloc(void *old, size_t size) {
  if (old == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(old);
    return NULL;
  }
  size_t had = (((struct block *)((char *)old - HEADER))->size & ~(size_t)1) - HEADER;
  void *new = mm_malloc(size);
  if (new == NULL) return NULL;
#ifdef COPIES_TOO_LITTLE
  memcpy(new, old, had / 2);
#else
  memcpy(new, old, had < size ? had : size);
#endif
  mm_free(old);
  return new;
}
#endif
