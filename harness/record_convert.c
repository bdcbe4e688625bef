#include "harness/record_convert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/record_log.h"
#include "harness/record_map.h"

enum {
  MAX_SLOTS = 1 << 24,
  MAX_ALIGN_LOG2 = 47,
  USUAL_ALIGN = 16,
  BLOCK_OVERHEAD = 64,
  MIN_CAPACITY = 1 << 20,
};

#define NO_SLOT UINT32_MAX
#define NONE UINT32_MAX

struct block {
  uint64_t size;
  uint64_t align;
  uint32_t next_free;  // slot
};

// A resize that has begun and not ended.
struct pending {
  uint64_t address;  // the old one
  uint64_t size;     // the new one
  uint32_t slot;     // NO_SLOT: the address was unknown
  uint32_t below;    // what this thread had begun before: a signal handler interrupted it
};

struct conversion {
  const unsigned char *log;
  size_t size;
  size_t offset;  // of the event in hand
  const char *name;
  struct file_error *error;

  struct program *program;
  struct trace_header *header;
  struct record_map map;  // address to slot

  struct block *blocks;  // by slot
  uint32_t block_count, block_room;
  uint32_t free_slot;  // or NO_SLOT

  struct pending *pending;
  uint32_t pending_count, pending_room, free_pending;

  uint32_t *top;  // by thread: its innermost pending resize, or NONE
  uint32_t thread_count, thread_room;

  uint64_t live_bytes, live_blocks;
  uint64_t live_room, peak_room;  // with headers and alignment
};

static bool refuse_event(struct conversion *self, const char *what) {
  return file_fail(self->error, self->name, "offset %zu: %s; record again", self->offset, what);
}

// Makes room for one more element of `size` bytes.
static bool reserve(struct conversion *self, void **elements, uint32_t count, uint32_t *room,
                    size_t size) {
  if (count < *room) return true;
  uint32_t larger = *room ? 2 * *room : 64;
  void *moved = larger > *room ? realloc(*elements, larger * size) : NULL;
  if (!moved) return refuse_event(self, "no memory to convert further");
  *elements = moved;
  *room = larger;
  return true;
}

// Whether the block ends where a signed distance can still reach.
static bool fits_addresses(uint64_t address, uint64_t size) {
  return address <= PTRDIFF_MAX && size <= PTRDIFF_MAX - address;
}

// ## Blocks

static uint64_t room_of(uint64_t size, uint64_t align) {
  return size + BLOCK_OVERHEAD + (align > USUAL_ALIGN ? align : 0);
}

static void add_to_peaks(struct conversion *self, uint64_t size, uint64_t align) {
  self->live_bytes += size;
  self->live_blocks++;
  self->live_room += room_of(size, align);
  if (self->live_bytes > self->header->peak_bytes) self->header->peak_bytes = self->live_bytes;
  if (self->live_blocks > self->header->peak_blocks) self->header->peak_blocks = self->live_blocks;
  if (self->live_room > self->peak_room) self->peak_room = self->live_room;
}

static void take_from_live(struct conversion *self, uint32_t slot) {
  const struct block *block = &self->blocks[slot];
  self->live_bytes -= block->size;
  self->live_blocks--;
  self->live_room -= room_of(block->size, block->align);
}

static bool take_slot(struct conversion *self, uint32_t *slot) {
  if (self->free_slot != NO_SLOT) {
    *slot = self->free_slot;
    self->free_slot = self->blocks[*slot].next_free;
    return true;
  }
  if (self->block_count == MAX_SLOTS)
    return refuse_event(self, "more than 16777216 blocks live at once, which no program can say");
  void *blocks = self->blocks;
  if (!reserve(self, &blocks, self->block_count, &self->block_room, sizeof *self->blocks))
    return false;
  self->blocks = blocks;
  *slot = self->block_count++;
  return true;
}

static void give_slot_back(struct conversion *self, uint32_t slot) {
  self->blocks[slot].next_free = self->free_slot;
  self->free_slot = slot;
}

// The address now names the slot's block.
static bool name_block(struct conversion *self, uint64_t address, uint32_t slot) {
  switch (record_map_add(&self->map, address, slot)) {
  case RECORD_MAP_ADDED:
    return true;
  case RECORD_MAP_PRESENT:
    return refuse_event(self, "an address was given out that was live");
  default:
    return refuse_event(self, "no memory to convert further");
  }
}

// ## Events

static bool emit(struct conversion *self, struct operation operation, uint32_t thread) {
  operation.thread = thread & UINT16_MAX;
  struct record record = operation_record(&operation);
  return program_append(self->program, &record) ||
         refuse_event(self, "no memory to convert further");
}

static bool convert_allocation(struct conversion *self, const struct raw_event *event) {
  struct operation operation = {
      .kind = OP_ALLOCATE, .count = 1, .size = event->size ? event->size : 1};
  if (event->align_log2 > MAX_ALIGN_LOG2)
    return refuse_event(self, "an alignment beyond all addresses");
  operation.align = (uint64_t)1 << event->align_log2;
  if (event->address & (operation.align - 1))
    return refuse_event(self, "a block that is not aligned as it was asked for");
  if (event->kind == RAW_ZEROED) {
    if (event->count < 1 || event->count > RAW_COUNT_MAX)
      return refuse_event(self, "a count that is not in 1..16");
    operation.kind = OP_ALLOCATE_ZEROED;
    operation.count = event->size ? event->count : 1;
  }
  uint64_t total;
  if (__builtin_mul_overflow(operation.size, (uint64_t)operation.count, &total) ||
      !fits_addresses(event->address, total))
    return refuse_event(self, "a block that does not fit the addresses");
  if (!take_slot(self, &operation.slot)) return false;
  if (!name_block(self, event->address, operation.slot)) return false;
  self->blocks[operation.slot] = (struct block){.size = total, .align = operation.align};
  add_to_peaks(self, total, operation.align);
  return emit(self, operation, event->thread);
}

static bool convert_release(struct conversion *self, uint64_t address, uint32_t thread) {
  struct operation operation = {.kind = OP_RELEASE, .count = 1, .align = 1};
  if (!record_map_take(&self->map, address, &operation.slot)) {
    self->header->unknown++;
    return true;
  }
  take_from_live(self, operation.slot);
  give_slot_back(self, operation.slot);
  return emit(self, operation, thread);
}

static bool begin_resize(struct conversion *self, const struct raw_event *event) {
  uint32_t index = self->free_pending;
  if (index != NONE) {
    self->free_pending = self->pending[index].below;
  } else {
    void *all = self->pending;
    if (!reserve(self, &all, self->pending_count, &self->pending_room, sizeof *self->pending))
      return false;
    self->pending = all;
    index = self->pending_count++;
  }
  struct pending *pending = &self->pending[index];
  *pending = (struct pending){.address = event->address,
                              .size = event->size,
                              .slot = NO_SLOT,
                              .below = self->top[event->thread]};
  self->top[event->thread] = index;
  if (!record_map_take(&self->map, event->address, &pending->slot)) self->header->unknown++;
  return true;
}

// Takes out the thread's resize of that address, and those begun after it: they ended by longjmp.
static bool take_pending(struct conversion *self, uint32_t thread, uint64_t address,
                         struct pending *found) {
  uint32_t index = self->top[thread];
  while (index != NONE) {
    *found = self->pending[index];
    self->pending[index].below = self->free_pending;
    self->free_pending = index;
    index = self->top[thread] = found->below;
    if (found->address == address) return true;
  }
  return refuse_event(self, "the end of a resize that never began");
}

static bool end_resize(struct conversion *self, const struct raw_event *event) {
  struct pending begun;
  if (!take_pending(self, event->thread, event->size, &begun)) return false;
  bool known = begun.slot != NO_SLOT;
  if (event->address == 0) {
    if (!known) return true;
    if (!name_block(self, begun.address, begun.slot)) return false;
    // To 0 bytes it released; otherwise it failed, and all is as it was.
    return begun.size != 0 || convert_release(self, begun.address, event->thread);
  }
  if (!known)
    return convert_allocation(self, &(struct raw_event){.kind = RAW_ALLOCATE,
                                                        .address = event->address,
                                                        .size = begun.size,
                                                        .thread = event->thread,
                                                        .align_log2 = 4});
  struct operation operation = {.kind = OP_RESIZE,
                                .count = 1,
                                .slot = begun.slot,
                                .size = begun.size ? begun.size : 1,
                                .align = USUAL_ALIGN};
  if (event->address & (USUAL_ALIGN - 1) || !fits_addresses(event->address, operation.size))
    return refuse_event(self, "a block that does not fit the addresses");
  if (!name_block(self, event->address, begun.slot)) return false;
  // A strategy that moves the block needs room for both.
  uint64_t both = self->live_room + room_of(operation.size, USUAL_ALIGN);
  if (both > self->peak_room) self->peak_room = both;
  take_from_live(self, begun.slot);
  self->blocks[begun.slot] = (struct block){.size = operation.size, .align = USUAL_ALIGN};
  add_to_peaks(self, operation.size, USUAL_ALIGN);
  return emit(self, operation, event->thread);
}

static bool meet_thread(struct conversion *self, uint32_t thread) {
  if (thread < self->thread_count) return true;
  if (thread > self->thread_count) return refuse_event(self, "a thread before the one before it");
  void *top = self->top;
  if (!reserve(self, &top, thread, &self->thread_room, sizeof *self->top)) return false;
  self->top = top;
  self->top[self->thread_count++] = NONE;
  return true;
}

static bool convert_event(struct conversion *self, const struct raw_event *event) {
  if (!meet_thread(self, event->thread)) return false;
  if (event->address == 0 && event->kind != RAW_RESIZE_END)
    return refuse_event(self, "an event without an address");
  switch (event->kind) {
  case RAW_ALLOCATE:
  case RAW_ZEROED:
    return convert_allocation(self, event);
  case RAW_RELEASE:
    return convert_release(self, event->address, event->thread);
  case RAW_RESIZE_BEGIN:
    return begin_resize(self, event);
  case RAW_RESIZE_END:
    return end_resize(self, event);
  default:
    return refuse_event(self, "an event of no known kind");
  }
}

static bool convert_events(struct conversion *self) {
  for (self->offset = sizeof(struct raw_header);
       self->size - self->offset >= sizeof(struct raw_event);
       self->offset += sizeof(struct raw_event)) {
    const unsigned char *at = self->log + self->offset;
    // The kind first: its event is whole, whoever is still writing behind it.
    if (__atomic_load_n(at + offsetof(struct raw_event, kind), __ATOMIC_ACQUIRE) == RAW_END) break;
    struct raw_event event;
    memcpy(&event, at, sizeof event);
    if (!convert_event(self, &event)) return false;
  }
  return true;
}

// ## The whole

static uint64_t power_of_two_above(uint64_t x, uint64_t least, uint64_t most) {
  uint64_t power = least;
  while (power < x && power < most) power *= 2;
  return power;
}

static void set_heap(struct conversion *self) {
  uint64_t room = self->peak_room < PROGRAM_MAX_CAPACITY ? 4 * self->peak_room : UINT64_MAX;
  struct heap heap = {
      .source = HEAP_FIXED,
      .page_size = 4096,
      .capacity = (size_t)power_of_two_above(room, MIN_CAPACITY, PROGRAM_MAX_CAPACITY),
      .slots = (uint32_t)power_of_two_above(self->block_count, 1, MAX_SLOTS),
  };
  self->program->records[0] = heap_record(&heap);
}

static bool is_zero(const unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (bytes[i] != 0) return false;
  return true;
}

// False with *whole set: there is no header, because the process ended before it was written.
static bool read_header(struct conversion *self, struct recording *recording, bool *whole) {
  struct raw_header header = {0};
  size_t there = self->size < sizeof header ? self->size : sizeof header;
  if (there > 0) memcpy(&header, self->log, there);
  size_t magic = there < sizeof header.magic ? there : sizeof header.magic;
  *whole = is_zero((unsigned char *)header.magic, magic) ||
           (there < sizeof header && memcmp(header.magic, RAW_MAGIC, magic) == 0);
  if (*whole) return false;
  if (memcmp(header.magic, RAW_MAGIC, sizeof header.magic) != 0)
    return file_fail(self->error, self->name, "offset 0: this is no raw log of the recorder");
  if (header.version != RAW_VERSION)
    return file_fail(self->error, self->name,
                     "offset 8: a raw log of version %" PRIu32 ", not %d; record again with the "
                     "recorder of this assay",
                     header.version, RAW_VERSION);
  header.program[sizeof header.program - 1] = '\0';
  memcpy(recording->program, header.program, sizeof recording->program);
  recording->process = header.process;
  recording->stopped = header.stopped;
  return true;
}

static bool convert(struct conversion *self, struct recording *recording) {
  bool whole;
  if (!program_append(self->program, &(struct record){0}))
    return file_fail(self->error, self->name, "no memory to convert it");
  if (read_header(self, recording, &whole)) whole = convert_events(self);
  if (whole) set_heap(self);
  return whole;
}

bool record_convert(const void *log, size_t size, const char *name, struct program *program,
                    struct trace_header *header, struct recording *recording,
                    struct file_error *error) {
  struct conversion self = {
      .log = log,
      .size = size,
      .name = name,
      .error = error,
      .program = program,
      .header = header,
      .free_slot = NO_SLOT,
      .free_pending = NONE,
  };
  program_clear(program);
  memset(header, 0, sizeof *header);
  memset(recording, 0, sizeof *recording);
  bool converted = convert(&self, recording);
  header->records = program->count;
  header->threads = self.thread_count;
  record_map_clear(&self.map);
  free(self.blocks);
  free(self.pending);
  free(self.top);
  if (!converted) program_clear(program);
  return converted;
}
