// A heap over one buffer that the whole program shares, as small systems have it: a list of blocks
// in the order of addresses, first fit (Knuth, TAOCP vol. 1, 2.5, algorithm A).
//
//   ci/check --heap heap_global.c --init pool_init --alloc pool_alloc --free pool_free
//            --realloc pool_realloc
//
// Right as it is. With --cflag=-DBUG_SPLIT a block that is split forgets the room for the header of
// its second half, and with -DBUG_GROW a block grows over its neighbour though that is in use.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct block {
  struct block *next;  // by address; NULL: the last
  size_t size;         // bytes behind this header
  bool used;
  _Alignas(16) unsigned char bytes[];
};

enum { ALIGN = 16 };

static struct block *first;

void pool_init(void *buffer, size_t size) {
  uintptr_t gap = -(uintptr_t)buffer % ALIGN;
  first = (struct block *)((char *)buffer + gap);
  first->next = NULL;
  first->size = (size - gap - sizeof *first) / ALIGN * ALIGN;
  first->used = false;
}

static void split(struct block *block, size_t size) {
#ifdef BUG_SPLIT
  if (block->size - size < ALIGN) return;
#else
  if (block->size - size < sizeof *block + ALIGN) return;
#endif
  struct block *rest = (struct block *)(block->bytes + size);
  rest->next = block->next;
  rest->size = block->size - size - sizeof *rest;
  rest->used = false;
  block->next = rest;
  block->size = size;
}

static bool is_free(const struct block *block) { return block && !block->used; }

// With all that is free right behind it.
static void merge(struct block *block) {
  while (is_free(block->next)) {
    block->size += sizeof *block + block->next->size;
    block->next = block->next->next;
  }
}

void *pool_alloc(size_t size) {
  if (size == 0 || size > SIZE_MAX - ALIGN) return NULL;
  size = (size + ALIGN - 1) / ALIGN * ALIGN;
  for (struct block *block = first; block; block = block->next) {
    if (block->used) continue;
    merge(block);
    if (block->size < size) continue;
    split(block, size);
    block->used = true;
    return block->bytes;
  }
  return NULL;
}

static struct block *block_of(void *bytes) {
  return (struct block *)((char *)bytes - offsetof(struct block, bytes));
}

void pool_free(void *bytes) {
  if (bytes) block_of(bytes)->used = false;
}

void *pool_realloc(void *bytes, size_t size) {
  if (!bytes) return pool_alloc(size);
  if (size == 0) {
    pool_free(bytes);
    return NULL;
  }
  struct block *block = block_of(bytes);
#ifdef BUG_GROW
  if (block->next) block->next->used = false;
#endif
  merge(block);
  if (size <= block->size) {
    split(block, (size + ALIGN - 1) / ALIGN * ALIGN);
    return bytes;
  }
  void *moved = pool_alloc(size);
  if (!moved) return NULL;
  memcpy(moved, bytes, block->size);
  pool_free(bytes);
  return moved;
}
