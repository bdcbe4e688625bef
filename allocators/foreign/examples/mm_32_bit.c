/*
 * An allocator for machines of 32 bits: headers and the links of its lists are words of four bytes.
 * Elsewhere they truncate addresses. An example to run `ci/check --mm` on, which builds it for 32
 * bits; there it is correct.
 */
#include <errno.h>
#include <string.h>

#include "memlib.h"
#include "mm.h"

team_t team = {.teamname = "powers of two", .name1 = "D. Student", .id1 = "dstudent"};

#define WSIZE 4
#define BINS 24
#define SMALLEST 16 /* bytes of a block of bin 0, its header included */

#define GET(p) (*(unsigned int *)(p))
#define PUT(p, val) (*(unsigned int *)(p) = (unsigned int)(val))

#define SIZE_OF(bin) ((unsigned int)SMALLEST << (bin))
#define BIN_OF(bp) GET(&((char *)(bp))[-WSIZE])

static unsigned int lists[BINS]; /* addresses of free blocks */

int mm_init(void) {
  memset(lists, 0, sizeof lists);
  return mem_sbrk(WSIZE) == (void *)-1 ? -1 : 0; /* so that payloads are aligned to 8 */
}

void *mm_malloc(size_t size) {
  unsigned int bin = 0;
  char *bp;

  if (size == 0) return NULL;
  while (bin < BINS && SIZE_OF(bin) - WSIZE < size) bin++;
  if (bin == BINS) {
    errno = ENOMEM;
    return NULL;
  }
  if (lists[bin] != 0) {
    bp = (char *)lists[bin];
    lists[bin] = GET(bp);
    return bp;
  }
  if ((bp = mem_sbrk(SIZE_OF(bin))) == (void *)-1) return NULL;
  PUT(bp, bin);
  return bp + WSIZE;
}

void mm_free(void *bp) {
  if (bp == NULL) return;
  PUT(bp, lists[BIN_OF(bp)]);
  lists[BIN_OF(bp)] = (unsigned int)bp;
}

void *mm_realloc(void *ptr, size_t size) {
  size_t usable;
  void *moved;

  if (ptr == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(ptr);
    return NULL;
  }
  usable = SIZE_OF(BIN_OF(ptr)) - WSIZE;
  if (size <= usable) return ptr;
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  memcpy(moved, ptr, usable);
  mm_free(ptr);
  return moved;
}
