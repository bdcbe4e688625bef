#include "harness/trace_build.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SLOTS = 1 << 24, BLOCK_OVERHEAD = 64, MIN_CAPACITY = 1 << 20 };

#define NO_SLOT UINT32_MAX

static const char no_memory[] = "no memory for further operations";

// ## What lives

static uint64_t room_of(uint64_t size, uint64_t align) {
  return size + BLOCK_OVERHEAD + (align > TRACE_USUAL_ALIGN ? align : 0);
}

static bool can_live(uint64_t size, uint64_t align) {
  return size <= PROGRAM_MAX_CAPACITY && align <= PROGRAM_MAX_CAPACITY;
}

static void add_to_live(struct trace_build *self, const struct trace_block *block) {
  if (!can_live(block->size, block->align)) return;
  struct trace_header *header = self->header;
  self->live_bytes += block->size;
  self->live_blocks++;
  self->live_room += room_of(block->size, block->align);
  if (self->live_bytes > header->peak_bytes) header->peak_bytes = self->live_bytes;
  if (self->live_blocks > header->peak_blocks) header->peak_blocks = self->live_blocks;
  if (self->live_room > self->peak_room) self->peak_room = self->live_room;
}

static void take_from_live(struct trace_build *self, const struct trace_block *block) {
  if (!can_live(block->size, block->align)) return;
  self->live_bytes -= block->size;
  self->live_blocks--;
  self->live_room -= room_of(block->size, block->align);
}

// ## Slots

static const char *take_slot(struct trace_build *self, uint32_t *slot) {
  if (self->free_slot != NO_SLOT) {
    *slot = self->free_slot;
    self->free_slot = self->blocks[*slot].next_free;
    return NULL;
  }
  if (self->count == MAX_SLOTS)
    return "more than 16777216 blocks live at once, which no program can say";
  if (self->count == self->room) {
    uint32_t larger = self->room ? 2 * self->room : 64;
    struct trace_block *moved = realloc(self->blocks, larger * sizeof *moved);
    if (!moved) return no_memory;
    self->blocks = moved;
    self->room = larger;
  }
  *slot = self->count++;
  return NULL;
}

// ## Operations

static const char *emit(struct trace_build *self, struct operation operation) {
  operation.thread &= UINT16_MAX;
  struct record record = operation_record(&operation);
  return program_append(self->program, &record) ? NULL : no_memory;
}

const char *trace_build_allocate(struct trace_build *self, struct operation *operation) {
  const char *problem = take_slot(self, &operation->slot);
  if (problem) return problem;
  struct trace_block *block = &self->blocks[operation->slot];
  *block =
      (struct trace_block){.size = operation->size * operation->count, .align = operation->align};
  add_to_live(self, block);
  return emit(self, *operation);
}

const char *trace_build_release(struct trace_build *self, uint32_t slot, uint32_t thread) {
  take_from_live(self, &self->blocks[slot]);
  self->blocks[slot].next_free = self->free_slot;
  self->free_slot = slot;
  return emit(self,
              (struct operation){
                  .kind = OP_RELEASE, .count = 1, .slot = slot, .align = 1, .thread = thread});
}

const char *trace_build_resize(struct trace_build *self, uint32_t slot, uint64_t size,
                               uint64_t align, uint32_t thread) {
  struct trace_block *block = &self->blocks[slot];
  // What is refused leaves the block as it was.
  if (can_live(size, align)) {
    // A strategy that moves the block needs room for both.
    if (self->live_room + room_of(size, align) > self->peak_room)
      self->peak_room = self->live_room + room_of(size, align);
    take_from_live(self, block);
    *block = (struct trace_block){.size = size, .align = align};
    add_to_live(self, block);
  }
  return emit(self, (struct operation){.kind = OP_RESIZE,
                                       .count = 1,
                                       .slot = slot,
                                       .size = size,
                                       .align = align,
                                       .thread = thread});
}

// ## The whole

const char *trace_build_begin(struct trace_build *self, struct program *program,
                              struct trace_header *header) {
  *self = (struct trace_build){.program = program, .header = header, .free_slot = NO_SLOT};
  program_clear(program);
  memset(header, 0, sizeof *header);
  return program_append(program, &(struct record){0}) ? NULL : no_memory;
}

static uint64_t power_of_two_above(uint64_t x, uint64_t least, uint64_t most) {
  uint64_t power = least;
  while (power < x && power < most) power *= 2;
  return power;
}

void trace_build_end(struct trace_build *self) {
  uint64_t room = self->peak_room < PROGRAM_MAX_CAPACITY ? 4 * self->peak_room : UINT64_MAX;
  struct heap heap = {
      .source = HEAP_FIXED,
      .page_size = 4096,
      .capacity = power_of_two_above(room, MIN_CAPACITY, PROGRAM_MAX_CAPACITY),
      .slots = (uint32_t)power_of_two_above(self->count, 1, MAX_SLOTS),
  };
  self->program->records[0] = heap_record(&heap);
  self->header->records = self->program->count;
  trace_build_clear(self);
}

void trace_build_clear(struct trace_build *self) {
  free(self->blocks);
  self->blocks = NULL;
  self->count = self->room = 0;
  self->free_slot = NO_SLOT;
}
