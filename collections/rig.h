// What the unit tests of collections put under one: a strategy over the libc's heap, so that
// sanitizers and Valgrind know each block's edges and whether it was written, which refuses what it
// is told to.
#ifndef COLLECTIONS_RIG_H_
#define COLLECTIONS_RIG_H_

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "collections/handle.h"

// All zero but `refused` at first: see rig_init.
struct allocator {
  size_t live;      // blocks
  size_t requests;  // since rig_refuse
  size_t refused;   // this request from then on, counted from 0
  bool refuse_all;  // that come after it, too
  size_t largest;   // size that was asked for
};

// Refuses the request `nth` from now on, counted from 0; SIZE_MAX: none.
static inline void rig_refuse(struct allocator *self, size_t nth, bool all_after) {
  self->requests = 0;
  self->refused = nth;
  self->refuse_all = all_after;
}

static inline void rig_init(struct allocator *self) {
  memset(self, 0, sizeof *self);
  rig_refuse(self, SIZE_MAX, false);
}

static inline void *rig_allocate(struct allocator *self, size_t size, size_t align) {
  size_t request = self->requests++;
  if (request == self->refused || (request > self->refused && self->refuse_all)) return NULL;
  if (size == 0 || !is_power_of_two(align) || size > PTRDIFF_MAX) return NULL;
  if (size > self->largest) self->largest = size;
  if (align < sizeof(void *)) align = sizeof(void *);
  void *block = memalign(align, size);
  if (!block) return NULL;
  self->live++;
  return block;
}

static inline enum release_result rig_release(struct allocator *self, void *block) {
  if (block) self->live--;
  free(block);
  return RELEASED;
}

// It always moves: whoever keeps an old address is seen.
static inline void *rig_resize(struct allocator *self, void *block, size_t size, size_t align) {
  void *moved = rig_allocate(self, size, align);
  if (!moved || !block) return moved;
  size_t old_size = malloc_usable_size(block);
  memcpy(moved, block, old_size < size ? old_size : size);
  rig_release(self, block);
  return moved;
}

static const struct strategy rig_strategy = {
    .name = "rig",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES,
    .min_align = 1,
    .max_align = (size_t)1 << 16,
    .allocate = rig_allocate,
    .release = rig_release,
    .resize = rig_resize,
};

static inline struct handle rig_handle(struct allocator *self) {
  return (struct handle){&rig_strategy, self};
}

#endif
