/*
 * An example with a bug that does no harm by itself: to learn of a neighbour, free reads its header
 * before it asks whether there is one. The last block's lies past the break.
 *
 *   block:  | size, allocated: a word | payload ... |
 */
#include <stdbool.h>
#include <string.h>

#include "memlib.h"
#include "mm.h"

team_t team = {.teamname = "headers only", .name1 = "C. Student", .id1 = "cstudent"};

#define HEADER 8

struct block {
  unsigned int size; /* the header included */
  unsigned int free;
};

static struct block *next_of(struct block *block) {
  return (struct block *)((char *)block + block->size);
}

static bool in_heap(struct block *block) { return (char *)block <= (char *)mem_heap_hi(); }

int mm_init(void) { return 0; }

void *mm_malloc(size_t size) {
  struct block *block = mem_heap_lo(), *last = NULL;
  size_t asize = (size + HEADER + 7) & ~(size_t)7;

  if (size == 0 || size > 1 << 30) return NULL;
  while (in_heap(block) && !(block->free && block->size >= asize)) {
    last = block;
    block = next_of(block);
  }
  if (in_heap(block)) {
    block->free = 0;
    return block + 1;
  }
  if (last != NULL && last->free) { /* at the end: make it larger */
    if (mem_sbrk(asize - last->size) == (void *)-1) return NULL;
    block = last;
  } else if ((block = mem_sbrk(asize)) == (void *)-1) {
    return NULL;
  }
  block->size = (unsigned int)asize;
  block->free = 0;
  return block + 1;
}

void mm_free(void *payload) {
  struct block *block, *next;
  bool merge;

  if (payload == NULL) return;
  block = (struct block *)payload - 1;
  next = next_of(block);
  merge = next->free; /* too early */
  block->free = 1;
  if (in_heap(next) && merge) block->size += next->size;
}

void *mm_realloc(void *payload, size_t size) {
  size_t old;
  void *moved;

  if (payload == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(payload);
    return NULL;
  }
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  old = ((struct block *)payload - 1)->size - HEADER;
  memcpy(moved, payload, old < size ? old : size);
  mm_free(payload);
  return moved;
}
