// Operations decoded beforehand, so that the loops of a bare replay cost next to nothing. Private
// to replay.c and replay_kept.c.
#ifndef HARNESS_REPLAY_DECODED_H_
#define HARNESS_REPLAY_DECODED_H_

#include "harness/replay.h"

// Operations between two words about progress.
enum { REPLAY_TOLD_EACH = 1 << 20 };

struct bare {
  uint32_t slot;
  uint8_t kind;
  uint8_t count;
  uint8_t align_factor;  // 0, 1 or 3: an alignment is that times a power of two
  uint8_t align_log2;
  size_t size;
};

// What a bare replay is about.
struct bare_run {
  const struct strategy *strategy;
  struct allocator *allocator;
  const struct program *program;
  const struct bare *bare;
  size_t length;
  uint32_t slots_count;
  void **slots;
};

// Carries out one operation other than a reset; false if it was refused.
static inline __attribute__((always_inline)) bool bare_execute(const struct bare_run *run,
                                                               const struct bare *op) {
  const struct strategy *strategy = run->strategy;
  void **slot = &run->slots[op->slot];
  size_t align = (size_t)op->align_factor << op->align_log2;
  void *block;
  switch (op->kind) {
  case OP_ALLOCATE:
    block = strategy->allocate(run->allocator, op->size, align);
    break;
  case OP_ALLOCATE_ZEROED:
    block = strategy->allocate_zeroed(run->allocator, op->count, op->size, align);
    break;
  case OP_RELEASE:
    strategy->release(run->allocator, *slot);
    *slot = NULL;
    return true;
  case OP_RESIZE:
    block = strategy->resize(run->allocator, *slot, op->size, align);
    break;
  default:  // what only an oracle has use for
    return true;
  }
  if (!block) {
    // As C has it, to resize to no bytes has released the block.
    if (op->kind == OP_RESIZE && op->size == 0 && strategy->traits & STRATEGY_C_EDGES) *slot = NULL;
    return false;
  }
  *slot = block;
  return true;
}

// On the run's threads. False with errno if there are none, or memory is out.
bool replay_kept(struct replay *result, const struct bare_run *run,
                 const struct replay_settings *settings);

#endif
