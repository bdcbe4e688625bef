/*
 * An allocator for machines of 32 bits: headers and the links of its lists are words of four bytes.
 * Elsewhere they truncate addresses. An example to run `ci/check --mm` on, which builds it for 32
 * bits; there it is correct.
 */
#include <string.h>

#include "memlib.h"
#include "mm.h"

team_t team = {.teamname = "powers of two", .name1 = "D. Student", .id1 = "dstudent"};

#define WSIZE 4
#define CLASSES 24
#define SMALLEST 16 /* bytes of a block of class 0, its header included */

#define GET(p) (*(unsigned int *)(p))
#define PUT(p, val) (*(unsigned int *)(p) = (unsigned int)(val))

#define SIZE_OF(class) ((unsigned int)SMALLEST << (class))
#define CLASS_OF(bp) GET((char *)(bp) - WSIZE)

static unsigned int lists[CLASSES]; /* addresses of free blocks */

int mm_init(void) {
  memset(lists, 0, sizeof lists);
  return mem_sbrk(WSIZE) == (void *)-1 ? -1 : 0; /* so that payloads are aligned to 8 */
}

void *mm_malloc(size_t size) {
  unsigned int class = 0;
  char *bp;

  if (size == 0) return NULL;
  while (class < CLASSES && SIZE_OF(class) - WSIZE < size) class ++;
  if (class == CLASSES) return NULL;
  if (lists[class] != 0) {
    bp = (char *)lists[class];
    lists[class] = GET(bp);
    return bp;
  }
  if ((bp = mem_sbrk(SIZE_OF(class))) == (void *)-1) return NULL;
  PUT(bp, class);
  return bp + WSIZE;
}

void mm_free(void *bp) {
  if (bp == NULL) return;
  PUT(bp, lists[CLASS_OF(bp)]);
  lists[CLASS_OF(bp)] = (unsigned int)bp;
}

void *mm_realloc(void *ptr, size_t size) {
  size_t usable;
  void *moved;

  if (ptr == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(ptr);
    return NULL;
  }
  usable = SIZE_OF(CLASS_OF(ptr)) - WSIZE;
  if (size <= usable) return ptr;
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  memcpy(moved, ptr, usable);
  mm_free(ptr);
  return moved;
}
