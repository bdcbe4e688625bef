#include "harness/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "harness/cpu_time.h"
#include "harness/oracle.h"

// An operation decoded beforehand, so that the loop's own cost is next to nothing.
struct bare {
  uint32_t slot;
  uint8_t kind;
  uint8_t count;
  uint8_t align_factor;  // 0, 1 or 3: an alignment is that times a power of two
  uint8_t align_log2;
  size_t size;
};

size_t replay_unsupported(const struct strategy *strategy, const struct program *program) {
  size_t index = 0;
  while (index < program_length(program) &&
         operation_offered(record_kind(program_at(program, index)), strategy))
    index++;
  return index;
}

static struct bare *decode(const struct program *program, uint32_t mask) {
  size_t length = program_length(program);
  struct bare *bare = malloc((length + 1) * sizeof *bare);
  for (size_t i = 0; bare && i < length; i++) {
    struct operation op = record_operation(program_at(program, i));
    bare[i] = (struct bare){.slot = op.slot & mask,
                            .kind = (uint8_t)op.kind,
                            .count = (uint8_t)op.count,
                            .size = (size_t)op.size};
    if (!op.align) continue;
    bare[i].align_log2 = (uint8_t)__builtin_ctzll(op.align);
    bare[i].align_factor = (uint8_t)(op.align >> bare[i].align_log2);
  }
  return bare;
}

static void run_all(struct replay *result, const struct strategy *strategy,
                    struct allocator *allocator, const struct bare *bare, size_t length,
                    void **slots) {
  const struct bare *named = bare;  // no slot names a block for what came before
  for (const struct bare *op = bare, *end = bare + length; op < end; op++) {
    size_t align = (size_t)op->align_factor << op->align_log2;
    void *block;
    switch (op->kind) {
    case OP_ALLOCATE:
      block = strategy->allocate(allocator, op->size, align);
      if (block)
        slots[op->slot] = block;
      else
        result->refused++;
      break;
    case OP_ALLOCATE_ZEROED:
      block = strategy->allocate_zeroed(allocator, op->count, op->size, align);
      if (block)
        slots[op->slot] = block;
      else
        result->refused++;
      break;
    case OP_RELEASE:
      strategy->release(allocator, slots[op->slot]);
      slots[op->slot] = NULL;
      break;
    case OP_RESIZE:
      block = strategy->resize(allocator, slots[op->slot], op->size, align);
      if (block)
        slots[op->slot] = block;
      else
        result->refused++;
      break;
    case OP_RESET:
      strategy->reset(allocator);
      for (; named < op; named++) slots[named->slot] = NULL;
      break;
    default:  // what only an oracle has use for
      break;
    }
  }
}

bool replay_bare(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program) {
  *result = (struct replay){.operations = program_length(program)};
  struct heap heap = oracle_heap(strategy, program);
  if (!arena_fits(arena, &heap)) {
    arena_free(arena);
    if (!arena_init(arena, heap.capacity)) return false;
  }
  struct bare *bare = decode(program, heap.slots - 1);
  void **slots = calloc(heap.slots, sizeof *slots);
  struct source_limit limit;
  source_limit_init(&limit, arena_open(arena, &heap, 0, ARENA_DIRT), heap.capacity);
  struct allocator *allocator =
      strategy->create(&limit.base, &(struct strategy_options){.variant = heap.variant});
  bool done = bare && slots && allocator;
  if (done) {
    uint64_t start = cpu_time();
    run_all(result, strategy, allocator, bare, program_length(program), slots);
    result->nanoseconds = cpu_time() - start;
    strategy->destroy(allocator);
  } else {
    errno = allocator ? ENOMEM : ENOSPC;
  }
  arena_close(arena);
  free(bare);
  free(slots);
  return done;
}
