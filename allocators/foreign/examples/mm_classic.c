// An allocator in the style of the course's textbook: boundary tags in words of four bytes, an
// implicit list searched first fit. An example to run `ci/check --mm` on; it is correct.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memlib.h"
#include "mm.h"

team_t team = {"implicit", "A. Student", "astudent", "", "", "", "", "", "", "", "", "", ""};

#define WSIZE 4
#define DSIZE 8
#define CHUNKSIZE (1 << 12)

/* What the examples with a bug replace */
#ifndef LARGEST
#define LARGEST ((size_t)1 << 30) /* what a header's word can say */
#endif
#ifndef ROUNDED_TO
#define ROUNDED_TO DSIZE
#endif
#ifndef PUT_EPILOGUE
#define PUT_EPILOGUE(p) PUT(p, PACK(0, 1))
#endif

#define MAX(x, y) ((x) > (y) ? (x) : (y))

/* A size and a bit in a word */
#define PACK(size, alloc) ((unsigned int)(size) | (alloc))
#define GET(p) (*(unsigned int *)(p))
#define PUT(p, val) (*(unsigned int *)(p) = (val))
#define GET_SIZE(p) ((size_t)(GET(p) & ~(ROUNDED_TO - 1u)))
#define GET_ALLOC(p) (GET(p) & 0x1)

/* The tags of the block at bp, and its neighbours (versions of the tool disagree) */
/* clang-format off */
#define HDRP(bp) ((char *)(bp) - WSIZE)
#define FTRP(bp) ((char *)(bp) + GET_SIZE(HDRP(bp)) - DSIZE)
#define NEXT_BLKP(bp) ((char *)(bp) + GET_SIZE(HDRP(bp)))
#define PREV_BLKP(bp) ((char *)(bp) - GET_SIZE((char *)(bp) - DSIZE))
/* clang-format on */

static char *heap_listp; /* the prologue block */

static void *coalesce(void *bp) {
  int prev_alloc = GET_ALLOC(FTRP(PREV_BLKP(bp)));
  int next_alloc = GET_ALLOC(HDRP(NEXT_BLKP(bp)));
  size_t size = GET_SIZE(HDRP(bp));

  if (!next_alloc) size += GET_SIZE(HDRP(NEXT_BLKP(bp)));
  if (!prev_alloc) {
    size += GET_SIZE(HDRP(PREV_BLKP(bp)));
    bp = PREV_BLKP(bp);
  }
  PUT(HDRP(bp), PACK(size, 0));
  PUT(FTRP(bp), PACK(size, 0));
  return bp;
}

static void *extend_heap(size_t size) {
  char *bp = mem_sbrk(size);
  if (bp == (void *)-1) return NULL;
  PUT(HDRP(bp), PACK(size, 0)); /* over the old epilogue */
  PUT(FTRP(bp), PACK(size, 0));
  PUT_EPILOGUE(HDRP(NEXT_BLKP(bp)));
  return coalesce(bp);
}

int mm_init(void) {
  if ((heap_listp = mem_sbrk(4 * WSIZE)) == (void *)-1) return -1;
  PUT(heap_listp, 0);
  PUT(heap_listp + (1 * WSIZE), PACK(DSIZE, 1));
  PUT(heap_listp + (2 * WSIZE), PACK(DSIZE, 1));
  PUT(heap_listp + (3 * WSIZE), PACK(0, 1));
  heap_listp += (2 * WSIZE);
  if (extend_heap(CHUNKSIZE) == NULL) return -1;
  return 0;
}

static size_t block_size(size_t size) {
  return size <= DSIZE ? 2 * DSIZE : (size + DSIZE + ROUNDED_TO - 1) & ~(size_t)(ROUNDED_TO - 1);
}

static void *find_fit(size_t asize) {
  char *bp;
  for (bp = heap_listp; GET_SIZE(HDRP(bp)) > 0; bp = NEXT_BLKP(bp))
    if (!GET_ALLOC(HDRP(bp)) && asize <= GET_SIZE(HDRP(bp))) return bp;
  return NULL;
}

static void place(void *bp, size_t asize) {
  size_t csize = GET_SIZE(HDRP(bp));
  if (csize - asize >= 2 * DSIZE) {
    PUT(HDRP(bp), PACK(asize, 1));
    PUT(FTRP(bp), PACK(asize, 1));
    bp = NEXT_BLKP(bp);
    PUT(HDRP(bp), PACK(csize - asize, 0));
    PUT(FTRP(bp), PACK(csize - asize, 0));
  } else {
    PUT(HDRP(bp), PACK(csize, 1));
    PUT(FTRP(bp), PACK(csize, 1));
  }
}

void *mm_malloc(size_t size) {
  size_t asize;
  char *bp;

  if (size == 0 || size > LARGEST) return NULL;
  asize = block_size(size);
  if ((bp = find_fit(asize)) == NULL && (bp = extend_heap(MAX(asize, CHUNKSIZE))) == NULL)
    return NULL;
  place(bp, asize);
  return bp;
}

void mm_free(void *bp) {
  size_t size;

  if (bp == NULL) return;
  size = GET_SIZE(HDRP(bp));
  PUT(HDRP(bp), PACK(size, 0));
  PUT(FTRP(bp), PACK(size, 0));
  coalesce(bp);
}

void *mm_realloc(void *ptr, size_t size) {
  size_t keep;
  void *moved;

  if (ptr == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(ptr);
    return NULL;
  }
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  keep = GET_SIZE(HDRP(ptr)) - DSIZE;
  memcpy(moved, ptr, size < keep ? size : keep);
  mm_free(ptr);
  return moved;
}
