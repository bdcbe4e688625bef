#include "harness/record_convert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "harness/record_log.h"
#include "harness/record_map.h"
#include "harness/trace_build.h"

enum { MAX_ALIGN_LOG2 = 47 };

#define NO_SLOT UINT32_MAX
#define NONE UINT32_MAX

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

  struct trace_build build;
  struct trace_header *header;
  struct record_map map;  // address to slot

  struct pending *pending;
  uint32_t pending_count, pending_room, free_pending;

  uint32_t *top;  // by thread: its innermost pending resize, or NONE
  uint32_t thread_count, thread_room;
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
  return address <= INT64_MAX && size <= INT64_MAX - address;
}

// Whether the trace could be built further.
static bool built(struct conversion *self, const char *problem) {
  return !problem || refuse_event(self, problem);
}

// ## Blocks

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
  operation.thread = event->thread;
  return built(self, trace_build_allocate(&self->build, &operation)) &&
         name_block(self, event->address, operation.slot);
}

static bool convert_release(struct conversion *self, uint64_t address, uint32_t thread) {
  uint32_t slot;
  if (record_map_take(&self->map, address, &slot))
    return built(self, trace_build_release(&self->build, slot, thread));
  self->header->unknown++;
  return true;
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
  uint64_t size = begun.size ? begun.size : 1;
  if (event->address & (TRACE_USUAL_ALIGN - 1) || !fits_addresses(event->address, size))
    return refuse_event(self, "a block that does not fit the addresses");
  return name_block(self, event->address, begun.slot) &&
         built(self, trace_build_resize(&self->build, begun.slot, size, TRACE_USUAL_ALIGN,
                                        event->thread));
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

static bool convert(struct conversion *self, struct program *program, struct recording *recording) {
  bool whole;
  const char *problem = trace_build_begin(&self->build, program, self->header);
  if (problem) return file_fail(self->error, self->name, "%s", problem);
  if (read_header(self, recording, &whole)) whole = convert_events(self);
  if (whole) trace_build_end(&self->build);
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
      .header = header,
      .free_pending = NONE,
  };
  memset(recording, 0, sizeof *recording);
  bool converted = convert(&self, program, recording);
  header->records = program->count;
  header->threads = self.thread_count;
  record_map_clear(&self.map);
  trace_build_clear(&self.build);
  free(self.pending);
  free(self.top);
  if (!converted) program_clear(program);
  return converted;
}
