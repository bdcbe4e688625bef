// A heap that takes its memory by sbrk, and gives back what is free at its end: no buffer, and no
// start of its own.
//
//   ci/check --heap heap_break.c --alloc my_malloc --free my_free --realloc my_realloc
//
// Right as it is. With --cflag=-DBUG_SHRINK it gives back 16 bytes more than the block that was
// last.
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct block {
  size_t size;          // of the whole block
  struct block *below;  // its neighbour; NULL: none
  int used;
  _Alignas(16) char bytes[];
};

enum { ALIGN = 16 };

static struct block *last;

static struct block *grow(size_t size) {
  size_t gap = last ? 0 : -(uintptr_t)sbrk(0) % ALIGN;
  char *memory = sbrk((intptr_t)(gap + size));
  if (memory == (void *)-1) return NULL;
  struct block *block = (struct block *)(memory + gap);
  block->size = size;
  block->below = last;
  last = block;
  return block;
}

void *my_malloc(size_t size) {
  if (size == 0 || size > PTRDIFF_MAX - 2 * sizeof(struct block)) return NULL;
  size = (size + sizeof(struct block) + ALIGN - 1) / ALIGN * ALIGN;
  struct block *block = last;
  while (block && (block->used || block->size < size)) block = block->below;
  if (!block) block = grow(size);
  if (!block) return NULL;
  block->used = 1;
  return block->bytes;
}

static struct block *block_of(void *bytes) {
  return (struct block *)((char *)bytes - offsetof(struct block, bytes));
}

void my_free(void *bytes) {
  if (!bytes) return;
  block_of(bytes)->used = 0;
  while (last && !last->used) {
    struct block *gone = last;
    last = gone->below;
#ifdef BUG_SHRINK
    sbrk(-(intptr_t)(gone->size + ALIGN));
#else
    sbrk(-(intptr_t)gone->size);
#endif
  }
}

void *my_realloc(void *bytes, size_t size) {
  if (!bytes) return my_malloc(size);
  size_t held = block_of(bytes)->size - sizeof(struct block);
  if (size != 0 && size <= held) return bytes;
  void *moved = my_malloc(size);
  if (moved) memcpy(moved, bytes, held);
  if (moved || size == 0) my_free(bytes);
  return moved;
}
