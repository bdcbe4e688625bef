// A pool that keeps no sizes: whoever releases a block says how large it was. Blocks are of powers
// of two, each with a list of those that were released; the handle is a structure of the user's.
//
//   ci/check --heap heap_sized.c --init pool_setup --alloc pool_get --free pool_put
//
// Right as it is. With --cflag=-DBUG_CLASS a block goes to the list of larger ones where its size
// is that of the whole block.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LEAST = 16, CLASSES = 24 };

struct cell {
  struct cell *next;
};

struct pool {
  unsigned char *unused, *end;
  struct cell *cells[CLASSES];
};

bool pool_setup(struct pool *pool, void *buffer, size_t size) {
  *pool = (struct pool){.unused = buffer, .end = (unsigned char *)buffer + size};
  size_t gap = -(uintptr_t)buffer % LEAST;
  if (size < gap) return false;
  pool->unused += gap;
  return true;
}

static unsigned class_of(size_t size) {
  unsigned class = 0;
  while (((size_t)LEAST << class) < size) class ++;
  return class;
}

void *pool_get(struct pool *pool, size_t size) {
  if (size == 0 || size > (size_t)LEAST << (CLASSES - 1)) return NULL;
  unsigned class = class_of(size);
  struct cell *cell = pool->cells[class];
  if (cell) {
    pool->cells[class] = cell->next;
    return cell;
  }
  size_t whole = (size_t)LEAST << class;
  if ((size_t)(pool->end - pool->unused) < whole) return NULL;
  void *block = pool->unused;
  pool->unused += whole;
  return block;
}

void pool_put(struct pool *pool, void *block, size_t size) {
  if (!block) return;
#ifdef BUG_CLASS
  size++;
#endif
  unsigned class = class_of(size);
  if (class >= CLASSES) return;
  struct cell *cell = block;
  cell->next = pool->cells[class];
  pool->cells[class] = cell;
}
