// A caller's buffer as a memory source: a stack of stretches that grows from the low end.
//
// Above the break, `used`, everything is free. Below it, stretches are held or are holes. A hole
// that reaches the break is no hole any more: the break drops to where it begins. Adjacent holes
// are merged at once, so one hole at most can reach the break at a time.
//
//   start                                             break        size
//   | held | hole | held | held |      hole      | held |     free     |
//                 ^ below <----------------------^ highest_hole
//
// A hole is named by the offset of its end, where its note lies. Thus a hole that grows downwards
// keeps its name, and the note above it needs no change.
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/source.h"

// The last bytes of a hole, at any alignment.
struct note {
  size_t size;   // of the hole
  size_t below;  // the next lower hole; 0: none
};

// False if no hole can end there or the note in it is damaged. An allocator under test may have
// written to what it had released, so a note is checked before it is followed.
static bool read_note(const struct source_buffer *self, size_t end, struct note *note) {
  if (end < sizeof *note || end > self->used) return false;
  memcpy(note, self->start + end - sizeof *note, sizeof *note);
  return note->size >= sizeof *note && note->size <= end &&
         (note->below == 0 || note->below < end - note->size);
}

static void write_note(struct source_buffer *self, size_t end, struct note note) {
  memcpy(self->start + end - sizeof note, &note, sizeof note);
}

static void dig_hole(struct source_buffer *self, size_t start, size_t end) {
  size_t above_end = 0;  // the lowest hole above
  size_t below_end = self->highest_hole;
  struct note above = {0, 0};
  while (below_end > start) {
    above_end = below_end;
    if (!read_note(self, above_end, &above)) return;
    below_end = above.below;
  }
  struct note hole = {end - start, below_end};

  // | hole |[released] ...  ->  |      hole      ] ...
  struct note below;
  if (below_end == start && read_note(self, below_end, &below)) {
    hole.size += below.size;
    hole.below = below.below;
  }

  // ... [released]| hole |  ->  ... [      hole      |
  if (above_end != 0 && end == above_end - above.size) {
    hole.size += above.size;
    write_note(self, above_end, hole);
    return;
  }

  if (hole.size < sizeof hole) return;
  write_note(self, end, hole);
  if (above_end == 0) {
    self->highest_hole = end;
  } else {
    above.below = end;
    write_note(self, above_end, above);
  }
}

static void lower_break(struct source_buffer *self, size_t offset) {
  struct note hole;
  if (self->highest_hole == offset && read_note(self, offset, &hole)) {
    offset -= hole.size;
    self->highest_hole = hole.below;
  }
  self->used = offset;
}

static size_t available_in_buffer(const struct source *base) {
  const struct source_buffer *self = (const struct source_buffer *)base;
  return self->size - self->used;
}

static void *acquire_from_buffer(struct source *base, size_t size) {
  struct source_buffer *self = (struct source_buffer *)base;
  if (size == 0 || size > available_in_buffer(base)) return NULL;
  void *memory = self->start + self->used;
  self->used += size;
  self->held += size;
  return memory;
}

static void release_to_buffer(struct source *base, void *memory, size_t size) {
  struct source_buffer *self = (struct source_buffer *)base;
  if (size == 0 || size > self->held || !range_within(memory, size, self->start, self->used))
    return;
  size_t start = address_of(memory) - address_of(self->start);
  size_t end = start + size;
  self->held -= size;
  if (self->held == 0) {
    self->used = 0;
    self->highest_hole = 0;
  } else if (end == self->used) {
    lower_break(self, start);
  } else {
    dig_hole(self, start, end);
  }
}

void source_buffer_init(struct source_buffer *self, void *buffer, size_t size) {
  *self = (struct source_buffer){
      .base = {.name = "buffer",
               .traits = SOURCE_CONTIGUOUS,
               .page_size = 1,
               .acquire = acquire_from_buffer,
               .release = release_to_buffer,
               .available = available_in_buffer},
      .start = buffer,
      .size = size,
  };
}
