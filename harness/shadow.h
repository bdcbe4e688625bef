// The shadow model: the independent account of what is live.
//
// It knows only what was requested and what was returned, and never asks the allocator: a corrupted
// header must not be able to lie to it. Each step costs the same however many blocks live and
// however large the heap is (a block's own size aside, at one word for 512 bytes); starting over
// costs what the last program left. Compare Nethercote and Seward's shadow memory for Memcheck (VEE
// 2007), here with bits for granules of 8 bytes rather than for bytes.
#ifndef HARNESS_SHADOW_H_
#define HARNESS_SHADOW_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/occupancy.h"

#define SHADOW_NO_SLOT UINT32_MAX

struct shadow_block {
  uintptr_t start;
  size_t size;    // bytes that belong to the block's owner. Of 0 the address is, as that of a byte
  uint64_t key;   // of its payload; never the same twice in a program
  uint32_t slot;  // or SHADOW_NO_SLOT: its slot was allocated into again
  uint32_t serial;  // 1 for the first block of the program, and so on
};

// Blocks that were released and whose memory was not given out since.
struct shadow_ghost {
  uintptr_t start;
  size_t size;
};
enum { SHADOW_GHOSTS = 8 };

struct shadow {
  struct occupancy occupancy;
  struct shadow_block *blocks;  // live ones, in no order
  size_t count, capacity;
  uint32_t *slots;  // index of the block + 1; 0: the slot names nothing
  uint32_t slot_mask;
  uint32_t serial;
  size_t live_bytes;
  struct shadow_ghost ghosts[SHADOW_GHOSTS];  // a ring; size 0: none
  unsigned next_ghost;
};

// Watches the addresses [base, base + size). False if memory is out.
bool shadow_init(struct shadow *self, const void *base, size_t size);
void shadow_free(struct shadow *self);

// Starts a program that has `slots` slots (a power of two). Blocks whose alignment may be less than
// a granule of the occupancy need `shared_granules`, those outside the range `anywhere`.
void shadow_begin(struct shadow *self, uint32_t slots, bool shared_granules, bool anywhere);

// The block that a slot names, or NULL. `slot` is taken modulo the slots.
static inline struct shadow_block *shadow_at(const struct shadow *self, uint32_t slot) {
  uint32_t index = self->slots[slot & self->slot_mask];
  return index ? &self->blocks[index - 1] : NULL;
}

// A new live block that the slot names from now on. NULL, and nothing changed, if it overlaps
// another. Pointers to blocks are valid until the next add, remove or clear.
struct shadow_block *shadow_add(struct shadow *self, uintptr_t start, size_t size, uint32_t slot);
void shadow_remove(struct shadow *self, struct shadow_block *block);
// The block lives on, but its slot names nothing.
void shadow_unname(struct shadow *self, struct shadow_block *block);
// The block lies elsewhere or has another size now. False, and nothing changed, if that overlaps
// another.
bool shadow_move(struct shadow *self, struct shadow_block *block, uintptr_t start, size_t size);
// The memory behind the shadow was mapped at another address: every block moves from old_base + x
// to base + x.
void shadow_rebase(struct shadow *self, const void *base);
// Nothing is live any more. What was released stays remembered.
void shadow_clear(struct shadow *self);

// Some block other than `except` that overlaps the range; NULL if none. Linear: for diagnoses only.
const struct shadow_block *shadow_overlapping(const struct shadow *self, uintptr_t start,
                                              size_t size, const struct shadow_block *except);

// Remembers a released block, until memory in [start, end) that overlaps it is forgotten.
void shadow_remember(struct shadow *self, uintptr_t start, size_t size);
void shadow_forget(struct shadow *self, uintptr_t start, uintptr_t end);
// One of the ghosts, chosen by `which`; NULL if there is none.
const struct shadow_ghost *shadow_ghost(const struct shadow *self, unsigned which);

// Bytes that the shadow uses when `extent` bytes of the address range are in use.
size_t shadow_memory(const struct shadow *self, size_t extent);

#endif
