#include "freestanding/libc/heap.h"

#include <stdlib.h>

#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/source.h"
#include "collections/handle.h"
#include "freestanding/world.h"

extern const struct strategy free_list_strategy;

enum { ALIGN = 8 };  // of the widest integer

static struct source_buffer source;
static struct handle heap;
static bool refused;

void heap_begin(void) {
  size_t size;
  void *pool = world_pool(&size);
  source_buffer_init(&source, pool, size);
  heap.strategy = &free_list_strategy;
  heap.allocator = free_list_strategy.create(&source.base, &(struct strategy_options){0});
  refused = !heap.allocator;
}

bool heap_refused(void) { return refused; }

static void *answer(void *block) {
  refused |= !block;
  return block;
}

void *malloc(size_t size) {
  return answer(heap.allocator ? handle_allocate(heap, size, ALIGN) : NULL);
}

void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return answer(NULL);
  void *block = malloc(bytes);
  if (block) memset(block, 0, bytes);
  return block;
}

void *realloc(void *block, size_t size) {
  if (!block) return malloc(size);
  return answer(heap.strategy->resize(heap.allocator, block, size, ALIGN));
}

void free(void *block) { handle_release(heap, block); }
