/*
 * An allocator in the style of the newer course: structures instead of macros, headers of eight
 * bytes, an explicit list of free blocks, names of C under DRIVER, contracts. An example to run
 * `ci/check --mm` on; it is correct.
 *
 *   block:  | header: size, allocated | payload or list links ... | footer, as the header |
 *   heap:   | prologue footer | blocks ... | epilogue header |
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "contracts.h"
#include "memlib.h"
#include "mm.h"

#ifdef DRIVER
#define malloc mm_malloc
#define free mm_free
#define realloc mm_realloc
#define calloc mm_calloc
#define memset mem_memset
#define memcpy mem_memcpy
#endif

typedef uint64_t word_t;

static const size_t wsize = sizeof(word_t);
static const size_t dsize = 2 * sizeof(word_t);
static const size_t min_block_size = 4 * sizeof(word_t);
static const size_t chunksize = 1 << 12;
static const word_t alloc_mask = 0x1;
static const word_t size_mask = ~(word_t)0xF;

typedef struct block {
  word_t header;
  union {
    struct {
      struct block *next;
      struct block *prev;
    };
    char payload[1];
  };
} block_t;

static block_t *heap_start = NULL;
static block_t *free_list = NULL;

static size_t round_up(size_t size, size_t n) { return n * ((size + (n - 1)) / n); }

static size_t get_size(block_t *block) { return block->header & size_mask; }

static bool get_alloc(block_t *block) { return block->header & alloc_mask; }

static word_t *footer_of(block_t *block) {
  return (word_t *)((char *)block + get_size(block) - wsize);
}

static void write_block(block_t *block, size_t size, bool alloc) {
  dbg_requires(size >= min_block_size && size % dsize == 0);
  block->header = size | (word_t)alloc;
  *footer_of(block) = block->header;
}

static block_t *next_of(block_t *block) { return (block_t *)((char *)block + get_size(block)); }

static bool prev_is_free(block_t *block) { return !(*((word_t *)block - 1) & alloc_mask); }

static block_t *prev_of(block_t *block) {
  return (block_t *)((char *)block - (*((word_t *)block - 1) & size_mask));
}

static void push(block_t *block) {
  block->prev = NULL;
  block->next = free_list;
  if (free_list != NULL) free_list->prev = block;
  free_list = block;
}

static void unlink_block(block_t *block) {
  if (block->prev != NULL)
    block->prev->next = block->next;
  else
    free_list = block->next;
  if (block->next != NULL) block->next->prev = block->prev;
}

/* Joins a block that is in no list with its neighbours, and lists the result. */
static block_t *coalesce(block_t *block) {
  size_t size = get_size(block);
  block_t *next = next_of(block);
  if (!get_alloc(next)) {
    unlink_block(next);
    size += get_size(next);
  }
  if (prev_is_free(block)) {
    block = prev_of(block);
    unlink_block(block);
    size += get_size(block);
  }
  write_block(block, size, false);
  push(block);
  dbg_ensures(!get_alloc(block));
  return block;
}

static block_t *extend_heap(size_t size) {
  size = round_up(size, dsize);
  void *old = mem_sbrk((intptr_t)size);
  if (old == (void *)-1) return NULL;
  block_t *block = (block_t *)((char *)old - wsize); /* over the old epilogue */
  write_block(block, size, false);
  next_of(block)->header = alloc_mask;
  return coalesce(block);
}

bool mm_init(void) {
  word_t *start = mem_sbrk((intptr_t)dsize);
  if (start == (void *)-1) return false;
  start[0] = alloc_mask; /* prologue */
  start[1] = alloc_mask; /* epilogue */
  heap_start = (block_t *)&start[1];
  free_list = NULL;
  return extend_heap(chunksize) != NULL;
}

static block_t *find_fit(size_t asize) {
  for (block_t *block = free_list; block != NULL; block = block->next)
    if (get_size(block) >= asize) return block;
  return NULL;
}

static void place(block_t *block, size_t asize) {
  size_t size = get_size(block);
  unlink_block(block);
  if (size - asize < min_block_size) {
    write_block(block, size, true);
    return;
  }
  write_block(block, asize, true);
  block_t *rest = next_of(block);
  write_block(rest, size - asize, false);
  push(rest);
}

void *malloc(size_t size) {
  if (heap_start == NULL && !mm_init()) return NULL;
  if (size == 0 || size > PTRDIFF_MAX - chunksize) return NULL;
  size_t asize = round_up(size + dsize, dsize);
  if (asize < min_block_size) asize = min_block_size;
  block_t *block = find_fit(asize);
  if (block == NULL) block = extend_heap(asize > chunksize ? asize : chunksize);
  if (block == NULL) return NULL;
  place(block, asize);
  return block->payload;
}

static block_t *block_of(void *payload) {
  return (block_t *)((char *)payload - offsetof(block_t, payload));
}

void free(void *payload) {
  if (payload == NULL) return;
  block_t *block = block_of(payload);
  write_block(block, get_size(block), false);
  coalesce(block);
}

void *realloc(void *payload, size_t size) {
  if (size == 0) {
    free(payload);
    return NULL;
  }
  void *moved = malloc(size);
  if (payload == NULL || moved == NULL) return moved;
  size_t kept = get_size(block_of(payload)) - dsize;
  memcpy(moved, payload, kept < size ? kept : size);
  free(payload);
  return moved;
}

void *calloc(size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  void *payload = malloc(count * size);
  if (payload != NULL) memset(payload, 0, count * size);
  return payload;
}

/* The lists and the blocks agree: every free block is listed, and nothing else. */
bool mm_checkheap(int line) {
  size_t in_heap = 0, in_list = 0;
  for (block_t *block = heap_start; get_size(block) > 0; block = next_of(block)) {
    if (*footer_of(block) != block->header) {
      dbg_printf("line %d: %p: header and footer differ\n", line, (void *)block);
      return false;
    }
    in_heap += !get_alloc(block);
  }
  for (block_t *block = free_list; block != NULL; block = block->next) {
    if (get_alloc(block) || (block->next != NULL && block->next->prev != block)) return false;
    in_list++;
  }
  (void)line;
  return in_heap == in_list;
}
