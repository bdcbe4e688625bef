// A handle: what a collection gets its memory from.
//
// One allocator together with the strategy that it is an instance of, so that a collection works
// over any strategy, whatever that offers: without resize a block is moved by hand, without release
// it is left to the allocator's end. Compare the `Allocator` of Zig's standard library, a pointer
// with its table of functions.
#ifndef COLLECTIONS_HANDLE_H_
#define COLLECTIONS_HANDLE_H_

#include <stddef.h>

#include "allocators/memory.h"
#include "allocators/strategy.h"

// To be passed by value. The allocator must outlive whoever holds the handle.
struct handle {
  const struct strategy *strategy;
  struct allocator *allocator;
};

// `size` bytes, aligned to `align`, owned by the caller until released; NULL as the strategy
// refuses (strategy.h), size 0 included.
static inline void *handle_allocate(struct handle handle, size_t size, size_t align) {
  return handle.strategy->allocate(handle.allocator, size, align);
}

// Gives a block back; NULL is none. Where the strategy does not release, nothing happens.
static inline void handle_release(struct handle handle, void *block) {
  if (block && handle.strategy->traits & STRATEGY_RELEASES)
    handle.strategy->release(handle.allocator, block);
}

// The block with `size` bytes (more than 0), at the same place where the strategy can, and with its
// first min(old_size, size) bytes kept. NULL, and the block as it was, if the strategy refuses.
// `block` NULL: as handle_allocate.
static inline void *handle_resize(struct handle handle, void *block, size_t old_size, size_t size,
                                  size_t align) {
  if (!block) return handle_allocate(handle, size, align);
  if (handle.strategy->traits & STRATEGY_RESIZES)
    return handle.strategy->resize(handle.allocator, block, size, align);
  void *moved = handle_allocate(handle, size, align);
  if (!moved) return NULL;
  memcpy(moved, block, old_size < size ? old_size : size);
  handle_release(handle, block);
  return moved;
}

#endif
