#include "harness/shadow.h"

#include <stdlib.h>

#include "harness/lazy.h"
#include "harness/limits.h"

bool shadow_init(struct shadow *self, const void *base, size_t size) {
  *self = (struct shadow){0};
  if (!occupancy_init(&self->occupancy, (uintptr_t)base, size)) return false;
  self->slots = lazy_map(SHADOW_SLOTS * sizeof *self->slots);
  self->blocks = malloc(SHADOW_BLOCKS * sizeof *self->blocks);
  self->capacity = SHADOW_BLOCKS;
  if (self->slots && self->blocks) return true;
  shadow_free(self);
  return false;
}

void shadow_free(struct shadow *self) {
  occupancy_free(&self->occupancy);
  if (self->slots) lazy_unmap(self->slots, SHADOW_SLOTS * sizeof *self->slots);
  free(self->blocks);
  *self = (struct shadow){0};
}

// What a block keeps from others: at least its address.
static size_t extent_of(size_t size) { return size + (size == 0); }

static bool take(struct shadow *self, uintptr_t start, size_t size) {
  return occupancy_take(&self->occupancy, start, extent_of(size));
}

static void give(struct shadow *self, uintptr_t start, size_t size) {
  occupancy_give(&self->occupancy, start, extent_of(size));
}

void shadow_begin(struct shadow *self, uint32_t slots, bool shared_granules, bool anywhere) {
  shadow_clear(self);
  for (unsigned i = 0; i < SHADOW_GHOSTS; i++) self->ghosts[i].size = 0;
  self->next_ghost = 0;
  self->slot_mask = slots - 1;
  self->serial = 0;
  occupancy_share_granules(&self->occupancy, shared_granules);
  occupancy_allow_anywhere(&self->occupancy, anywhere);
}

struct shadow_block *shadow_add(struct shadow *self, uintptr_t start, size_t size, uint32_t slot) {
  if (!take(self, start, size)) return NULL;
  if (self->count == self->capacity) {
    self->capacity *= 2;
    self->blocks = realloc(self->blocks, self->capacity * sizeof *self->blocks);
    if (!self->blocks) abort();  // a shadow that forgets would be worse than none
  }
  slot &= self->slot_mask;
  struct shadow_block *former = shadow_at(self, slot);
  if (former) former->slot = SHADOW_NO_SLOT;
  struct shadow_block *block = &self->blocks[self->count++];
  uint32_t serial = ++self->serial;
  *block = (struct shadow_block){.start = start,
                                 .size = size,
                                 .key = serial * 0xD1B54A32D192ED03u,
                                 .slot = slot,
                                 .serial = serial};
  self->slots[slot] = (uint32_t)self->count;
  self->live_bytes += size;
  return block;
}

void shadow_remove(struct shadow *self, struct shadow_block *block) {
  give(self, block->start, block->size);
  self->live_bytes -= block->size;
  if (block->slot != SHADOW_NO_SLOT) self->slots[block->slot] = 0;
  struct shadow_block *last = &self->blocks[--self->count];
  if (block == last) return;
  *block = *last;
  if (block->slot != SHADOW_NO_SLOT)
    self->slots[block->slot] = (uint32_t)(block - self->blocks) + 1;
}

void shadow_unname(struct shadow *self, struct shadow_block *block) {
  self->slots[block->slot] = 0;
  block->slot = SHADOW_NO_SLOT;
}

bool shadow_move(struct shadow *self, struct shadow_block *block, uintptr_t start, size_t size) {
  give(self, block->start, block->size);
  if (!take(self, start, size)) {
    take(self, block->start, block->size);
    return false;
  }
  self->live_bytes += size - block->size;
  block->start = start;
  block->size = size;
  return true;
}

void shadow_rebase(struct shadow *self, const void *base) {
  uintptr_t shift = (uintptr_t)base - self->occupancy.base;
  for (size_t i = 0; i < self->count; i++) self->blocks[i].start += shift;
  for (unsigned i = 0; i < SHADOW_GHOSTS; i++) self->ghosts[i].start += shift;
  self->occupancy.base = (uintptr_t)base;
}

void shadow_clear(struct shadow *self) {
  for (size_t i = 0; i < self->count; i++) {
    const struct shadow_block *block = &self->blocks[i];
    give(self, block->start, block->size);
    if (block->slot != SHADOW_NO_SLOT) self->slots[block->slot] = 0;
  }
  self->count = 0;
  self->live_bytes = 0;
}

const struct shadow_block *shadow_overlapping(const struct shadow *self, uintptr_t start,
                                              size_t size, const struct shadow_block *except) {
  for (size_t i = 0; i < self->count; i++) {
    const struct shadow_block *block = &self->blocks[i];
    if (block != except && block->start < start + extent_of(size) &&
        start < block->start + extent_of(block->size))
      return block;
  }
  return NULL;
}

void shadow_remember(struct shadow *self, uintptr_t start, size_t size) {
  self->ghosts[self->next_ghost] = (struct shadow_ghost){start, size};
  self->next_ghost = (self->next_ghost + 1) % SHADOW_GHOSTS;
}

void shadow_forget(struct shadow *self, uintptr_t start, uintptr_t end) {
  for (unsigned i = 0; i < SHADOW_GHOSTS; i++) {
    struct shadow_ghost *ghost = &self->ghosts[i];
    if (ghost->start < end && start < ghost->start + ghost->size) ghost->size = 0;
  }
}

const struct shadow_ghost *shadow_ghost(const struct shadow *self, unsigned which) {
  for (unsigned i = 0; i < SHADOW_GHOSTS; i++) {
    const struct shadow_ghost *ghost = &self->ghosts[(which + i) % SHADOW_GHOSTS];
    if (ghost->size > 0) return ghost;
  }
  return NULL;
}

size_t shadow_memory(const struct shadow *self, size_t extent) {
  return occupancy_memory(&self->occupancy, extent) + self->capacity * sizeof *self->blocks +
         self->count * sizeof *self->slots;
}
