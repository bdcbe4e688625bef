/*
 * An example with a bug: segregated lists of free blocks, whose heads are static, and which mm_init
 * does not make empty. The course's driver calls mm_init again for each trace.
 */
#include <stdio.h>
#include <string.h>

#include "memlib.h"
#include "mm.h"

team_t team = {.teamname = "segregated", .name1 = "B. Student", .id1 = "bstudent"};

#define BINS 24
#define SMALLEST 16 /* bytes of a block of bin 0, its header included */

struct block {
  size_t bin; /* eight bytes, so that payloads are aligned */
#if __SIZEOF_SIZE_T__ == 4
  size_t padding;
#endif
  struct block *next;
};

#define HEADER offsetof(struct block, next)

static struct block *lists[BINS];

int mm_init(void) {
  /* what is missing: lists[...] = NULL */
  return (size_t)mem_heap_lo() % 8 == 0 ? 0 : -1;
}

void *mm_malloc(size_t size) {
  size_t bin = 0;
  struct block *block;

  if (size == 0) return NULL;
  while (bin < BINS && ((size_t)SMALLEST << bin) - HEADER < size) bin++;
  if (bin == BINS) return NULL;
  block = lists[bin];
  if (block != NULL) {
    lists[bin] = block->next;
  } else {
    block = mem_sbrk((size_t)SMALLEST << bin);
    if (block == (void *)-1) return NULL;
    block->bin = bin;
  }
  return &block->next;
}

void mm_free(void *payload) {
  struct block *block;

  if (payload == NULL) return;
  block = (struct block *)((char *)payload - HEADER);
  block->next = lists[block->bin];
  lists[block->bin] = block;
}

void *mm_realloc(void *payload, size_t size) {
  struct block *block;
  size_t usable;
  void *moved;

  if (payload == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(payload);
    return NULL;
  }
  block = (struct block *)((char *)payload - HEADER);
  usable = ((size_t)SMALLEST << block->bin) - HEADER;
  if (size <= usable) return payload;
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  memcpy(moved, payload, usable);
  mm_free(payload);
  return moved;
}
