#include "bench/naive.h"

#include <stdio.h>
#include <stdlib.h>

#include "harness/cpu_time.h"
#include "harness/oracle.h"
#include "harness/payload.h"

struct range {
  struct range *next;
  unsigned char *low, *high;  // its first and last byte
  uint64_t key;
  uint32_t slot;
};

struct naive {
  struct range *ranges;
  enum naive_depth depth;
  uint64_t key;
};

static _Noreturn void give_up(const char *what) {
  fprintf(stderr, "ratios: naive checker: %s\n", what);
  exit(2);
}

static size_t size_of(const struct range *range) { return (size_t)(range->high - range->low) + 1; }

static void verify(const struct range *range) {
  if (payload_verify(range->low, 0, size_of(range), range->key) != PAYLOAD_INTACT)
    give_up("a block's bytes changed");
}

static void add(struct naive *self, unsigned char *block, size_t size, uint32_t slot) {
  unsigned char *high = block + size - 1;
  for (const struct range *other = self->ranges; other; other = other->next)
    if (block <= other->high && other->low <= high) give_up("two blocks overlap");
  struct range *range = malloc(sizeof *range);
  if (!range) give_up("out of memory");
  *range = (struct range){self->ranges, block, high, self->key += PAYLOAD_STEP, slot};
  payload_write(block, 0, size, range->key);
  self->ranges = range;
}

// Returns the block of the slot, or NULL.
static void *drop(struct naive *self, uint32_t slot) {
  for (struct range **at = &self->ranges; *at; at = &(*at)->next) {
    struct range *range = *at;
    if (range->slot != slot) continue;
    verify(range);
    void *block = range->low;
    *at = range->next;
    free(range);
    return block;
  }
  return NULL;
}

uint64_t naive_replay(struct arena *arena, const struct strategy *strategy,
                      const struct program *program, enum naive_depth depth, size_t start,
                      size_t end) {
  struct heap heap = oracle_heap(strategy, program);
  if (!arena_fits(arena, &heap)) {
    arena_free(arena);
    if (!arena_init(arena, heap.capacity)) give_up("no memory for the heap");
  }
  struct source_limit limit;
  source_limit_init(&limit, arena_open(arena, &heap, 0, ARENA_DIRT), heap.capacity);
  struct allocator *allocator = strategy->create(&limit.base, &(struct strategy_options){0});
  if (!allocator) give_up("no allocator");
  struct naive self = {.depth = NAIVE_RANGES};
  uint64_t began = cpu_time();
  for (size_t i = 0; i < end; i++) {
    if (i == start) {
      self.depth = depth;
      began = cpu_time();
    }
    struct operation op = record_operation(program_at(program, i));
    if (op.kind == OP_ALLOCATE) {
      void *block = strategy->allocate(allocator, (size_t)op.size, (size_t)op.align);
      if (!block) give_up("a request was refused");
      add(&self, block, (size_t)op.size, op.slot);
    } else {
      void *block = drop(&self, op.slot);
      if (block) strategy->release(allocator, block);
    }
    if (self.depth == NAIVE_BYTES)
      for (const struct range *range = self.ranges; range; range = range->next) verify(range);
  }
  uint64_t spent = cpu_time() - began;
  while (self.ranges) drop(&self, self.ranges->slot);
  strategy->destroy(allocator);
  arena_close(arena);
  return spent;
}
