// Heaps over buffers, as many as one likes: each is told apart by a handle. Free blocks are in one
// list; those that are neighbours are found by their boundary tags (Knuth, TAOCP vol. 1, 2.5,
// algorithm C).
//
//   ci/check --heap heap_handle.c --init heap_create --alloc heap_alloc --free heap_free
//            --align heap_alloc_aligned
//
// Right as it is. With --cflag=-DBUG_ALIGN it aligns offsets in the heap and not addresses, and
// with -DBUG_LIST a block that is merged with the one before it stays in the list of free blocks.
#include <stddef.h>
#include <stdint.h>

enum { ALIGN = 16, USED = 1 };

// Sizes are of whole blocks, header and footer included, with USED in the last bit.
struct block {
  size_t before;  // footer of the block before this one
  size_t size;
  struct block *next, *previous;  // if free; these are the first bytes of one that is used
};

enum { HEAD = offsetof(struct block, next), LEAST = sizeof(struct block) };

struct heap {
  struct block *free;
};

static struct block *at(struct block *block, size_t offset) {
  return (struct block *)((char *)block + offset);
}

static size_t size_of(const struct block *block) { return block->size & ~(size_t)USED; }

static void mark(struct block *block, size_t size, size_t used) {
  block->size = at(block, size)->before = size | used;
}

static void link_block(struct heap *heap, struct block *block) {
  block->next = heap->free;
  block->previous = NULL;
  if (heap->free) heap->free->previous = block;
  heap->free = block;
}

static void unlink_block(struct heap *heap, struct block *block) {
  if (block->next) block->next->previous = block->previous;
  if (block->previous)
    block->previous->next = block->next;
  else
    heap->free = block->next;
}

struct heap *heap_create(void *buffer, size_t size) {
  size_t gap = -(uintptr_t)buffer % ALIGN;
  size_t meta = gap + ALIGN + HEAD;  // the heap itself, and the header of an end that is never free
  if (size < meta + LEAST) return NULL;
  struct heap *heap = (struct heap *)((char *)buffer + gap);
  struct block *block = (struct block *)((char *)heap + ALIGN);
  size = (size - meta) / ALIGN * ALIGN;
  heap->free = NULL;
  block->before = USED;
  mark(block, size, 0);
  at(block, size)->size = USED;
  link_block(heap, block);
  return heap;
}

static void give(struct heap *heap, struct block *block, size_t size) {
  mark(block, size, 0);
  link_block(heap, block);
}

// Takes `size` bytes of a free block, from `skip` bytes on.
static void *take(struct heap *heap, struct block *block, size_t skip, size_t size) {
  size_t whole = size_of(block);
  unlink_block(heap, block);
  if (skip > 0) {
    give(heap, block, skip);
    block = at(block, skip);
    whole -= skip;
  }
  if (whole - size >= LEAST) {
    give(heap, at(block, size), whole - size);
    whole = size;
  }
  mark(block, whole, USED);
  return (char *)block + HEAD;
}

void *heap_alloc_aligned(struct heap *heap, size_t alignment, size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  size = (size + HEAD + ALIGN - 1) / ALIGN * ALIGN;
  if (size < LEAST) size = LEAST;
  for (struct block *block = heap->free; block; block = block->next) {
#ifdef BUG_ALIGN
    size_t skip = -((size_t)((char *)block - (char *)heap) + HEAD) % alignment;
#else
    size_t skip = -((size_t)block + HEAD) % alignment;
#endif
    while (skip > 0 && skip < LEAST) skip += alignment;
    if (size_of(block) >= skip && size_of(block) - skip >= size)
      return take(heap, block, skip, size);
  }
  return NULL;
}

void *heap_alloc(struct heap *heap, size_t size) { return heap_alloc_aligned(heap, ALIGN, size); }

void heap_free(struct heap *heap, void *bytes) {
  if (!bytes) return;
  struct block *block = (struct block *)((char *)bytes - HEAD);
  size_t size = size_of(block);
  struct block *after = at(block, size);
  if (!(after->size & USED)) {
    unlink_block(heap, after);
    size += size_of(after);
  }
  if (!(block->before & USED)) {
    block = (struct block *)((char *)block - block->before);
    size += size_of(block);
#ifndef BUG_LIST
    unlink_block(heap, block);
#endif
  }
  give(heap, block, size);
}
