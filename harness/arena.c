#include "harness/arena.h"

#include "allocators/arithmetic.h"
#include "harness/forbid.h"
#include "harness/payload.h"

enum { WORD = 64 };

// ## Canaries

static size_t canary_size(const struct arena *self) {
  return self->heap.source == HEAP_PAGES && self->heap.page_size < ARENA_CANARY_SIZE
             ? self->heap.page_size
             : ARENA_CANARY_SIZE;
}

static void place_canary(unsigned char *at, size_t size) {
  memory_open(at, size);
  memory_fill(at, ARENA_CANARY, size);
  memory_forbid(at, size);
}

static const unsigned char *canary_damage(const unsigned char *at, size_t size) {
  memory_open(at, size);
  size_t offset = payload_verify_byte(at, ARENA_CANARY, size);
  memory_close(at, size);
  return offset == PAYLOAD_INTACT ? NULL : at + offset;
}

static void hand_out(const struct arena *self, unsigned char *at, size_t size) {
  memory_open(at, size);
  memory_fill(at, self->dirt, size);
  memory_grant(at, size);
}

// ## One buffer

static const unsigned char *buffer_damage(const struct arena *self) {
  const unsigned char *damage = canary_damage(arena_buffer(self) + self->held, ARENA_CANARY_SIZE);
  return damage ? damage : canary_damage(self->start, self->heap.skew);
}

// The break is now here.
static void move_break(struct arena *self, size_t held) {
  unsigned char *buffer = arena_buffer(self);
  // So that who reads there reads the same in each process.
  size_t ahead = held + ARENA_CANARY_SIZE + ARENA_AHEAD;
  if (ahead > self->dirty) {
    size_t more = ahead - self->dirty;
    memory_open(buffer + self->dirty, more);
    memory_fill(buffer + self->dirty, self->dirt, more);
    memory_forbid(buffer + self->dirty, more);
    self->dirty = ahead;
  }
  self->held = held;
  place_canary(buffer + held, ARENA_CANARY_SIZE);
}

static void *acquire_growing(struct source *source, size_t size) {
  struct arena *self = (struct arena *)source;
  if (size == 0 || size > self->heap.capacity - self->held) return NULL;
  if (!self->damaged && self->held) self->damaged = buffer_damage(self);
  unsigned char *memory = arena_buffer(self) + self->held;
  // What lies behind the canary is dirty already, as far as that reaches.
  size_t canary = self->dirty == 0 ? 0 : size < ARENA_CANARY_SIZE ? size : ARENA_CANARY_SIZE;
  move_break(self, self->held + size);
  memory_open(memory, canary);
  memory_fill(memory, self->dirt, canary);
  memory_grant(memory, size);
  return memory;
}

// From the end.
static void release_growing(struct source *source, void *memory, size_t size) {
  struct arena *self = (struct arena *)source;
  if (!self->damaged) self->damaged = buffer_damage(self);
  memory_open(memory, size + ARENA_CANARY_SIZE);
  memory_fill(memory, self->dirt, size + ARENA_CANARY_SIZE);
  memory_forbid(memory, size + ARENA_CANARY_SIZE);
  move_break(self, self->held - size);
}

static size_t available_growing(const struct source *source) {
  const struct arena *self = (const struct arena *)source;
  return (size_t)self->heap.capacity - self->held;
}

static void *acquire_buffer(struct source *source, size_t size) {
  struct arena *self = (struct arena *)source;
  if (self->held) {
    self->exhausted = true;
    return NULL;
  }
  if (size == 0 || size > self->heap.capacity) return NULL;
  self->held = size;
  hand_out(self, arena_buffer(self), size);
  place_canary(self->start, self->heap.skew);
  place_canary(arena_buffer(self) + size, ARENA_CANARY_SIZE);
  return arena_buffer(self);
}

static void release_buffer(struct source *source, void *memory, size_t size) {
  struct arena *self = (struct arena *)source;
  if (!self->damaged) self->damaged = buffer_damage(self);
  memory_forbid(memory, size);
  self->held = self->adopted = 0;
}

static void persist_buffer(struct source *source, const void *start, size_t size) {
  struct arena *self = (struct arena *)source;
  if (self->crash) crash_barrier(self->crash, start, size);
}

static void *held_buffer(struct source *source, size_t *size) {
  struct arena *self = (struct arena *)source;
  if (self->adopted == 0) return NULL;
  *size = self->adopted;
  return arena_buffer(self);
}

static size_t available_buffer(const struct source *source) {
  const struct arena *self = (const struct arena *)source;
  return self->held ? 0 : (size_t)self->heap.capacity;
}

// ## Pages: first fit in a bitmap, one page of gap behind every stretch

static bool bit(const uint64_t *map, size_t i) { return map[i / WORD] >> (i % WORD) & 1; }

static void set_bits(uint64_t *map, size_t from, size_t count, bool value) {
  for (size_t i = from; i < from + count;) {
    size_t run = WORD - i % WORD;
    if (run > from + count - i) run = from + count - i;
    uint64_t mask = (run == WORD ? ~(uint64_t)0 : ((uint64_t)1 << run) - 1) << (i % WORD);
    if (value)
      map[i / WORD] |= mask;
    else
      map[i / WORD] &= ~mask;
    i += run;
  }
}

// The first bit of that value at or after `from`, or `end`.
static size_t find_bit(const uint64_t *map, size_t from, size_t end, bool value) {
  while (from < end) {
    uint64_t word = (value ? map[from / WORD] : ~map[from / WORD]) >> (from % WORD);
    if (word) {
      from += (size_t)__builtin_ctzll(word);
      return from < end ? from : end;
    }
    from += WORD - from % WORD;
  }
  return end;
}

static unsigned char *page_address(const struct arena *self, size_t page) {
  return self->start + page * self->heap.page_size;
}

// Of pages [first, end) that came back.
static const unsigned char *returned_damage(const struct arena *self, size_t first, size_t end) {
  if (end > self->top) end = self->top;
  while ((first = find_bit(self->returned, first, end, true)) < end) {
    const unsigned char *damage = canary_damage(page_address(self, first++), canary_size(self));
    if (damage) return damage;
  }
  return NULL;
}

static void *acquire_pages(struct source *source, size_t size) {
  struct arena *self = (struct arena *)source;
  size_t page_size = self->heap.page_size;
  if (size == 0 || (size & (page_size - 1)) != 0 || size > self->size) return NULL;
  size_t count = size >> self->page_shift, need = count + 1;
  size_t page = find_bit(self->taken, self->first_free, self->pages, false);
  self->first_free = page;
  for (;;) {
    // Everything from `top` on is free, so that the search never looks beyond.
    size_t end = page >= self->top ? self->pages : find_bit(self->taken, page, self->top, true);
    if (end == self->top) end = self->pages;
    if (need <= end - page) break;
    if (end >= self->pages) {
      self->exhausted = self->crowded = true;
      return NULL;
    }
    page = find_bit(self->taken, end, self->pages, false);
  }
  if (!self->damaged) self->damaged = returned_damage(self, page, page + need);
  set_bits(self->returned, page, need, false);
  set_bits(self->taken, page, need, true);
  set_bits(self->owned, page, count, true);
  if (page + need > self->top) self->top = page + need;
  unsigned char *at = page_address(self, page);
  hand_out(self, at, size);
  place_canary(at + size, canary_size(self));
  return at;
}

static void release_pages(struct source *source, void *memory, size_t size) {
  struct arena *self = (struct arena *)source;
  size_t page = (size_t)((unsigned char *)memory - self->start) >> self->page_shift;
  size_t count = size >> self->page_shift;
  if (!self->damaged)
    self->damaged = canary_damage((unsigned char *)memory + size, canary_size(self));
  set_bits(self->taken, page, count + 1, false);
  set_bits(self->owned, page, count, false);
  set_bits(self->returned, page, count + 1, true);  // the gap has its canary already
  // Opened and forbidden as one: what costs is to tell a sanitizer.
  memory_open(memory, size);
  for (size_t i = 0; i < count; i++)
    memory_fill(page_address(self, page + i), ARENA_CANARY, canary_size(self));
  memory_forbid(memory, size);
  if (page < self->first_free) self->first_free = page;
}

static size_t available_pages(const struct source *source) {
  const struct arena *self = (const struct arena *)source;
  return self->pages << self->page_shift;
}

// ## The heap

struct source *arena_open(struct arena *self, const struct heap *heap, unsigned shift,
                          unsigned char dirt) {
  self->heap = *heap;
  self->dirt = dirt;
  self->start = self->base + shift * ARENA_SHIFT;
  self->held = self->dirty = 0;
  self->adopted = 0;
  self->crash = NULL;
  self->exhausted = false;
  self->damaged = NULL;
  self->top = self->first_free = 0;
  if (heap->source == HEAP_FIXED) {
    self->pages = 0;
    self->source = (struct source){.name = "arena buffer",
                                   .traits = SOURCE_PERSISTS,
                                   .page_size = 1,
                                   .acquire = acquire_buffer,
                                   .release = release_buffer,
                                   .available = available_buffer,
                                   .persist = persist_buffer,
                                   .held = held_buffer};
    if (heap->grows)
      self->source = (struct source){.name = "arena break",
                                     .traits = SOURCE_CONTIGUOUS,
                                     .page_size = 1,
                                     .acquire = acquire_growing,
                                     .release = release_growing,
                                     .available = available_growing};
  } else {
    self->page_shift = (unsigned)__builtin_ctzll(heap->page_size);
    self->pages = (self->size - 2 * (size_t)ARENA_SHIFT) >> self->page_shift;
    self->source = (struct source){.name = "arena pages",
                                   .traits = SOURCE_RECLAIMS,
                                   .page_size = heap->page_size,
                                   .acquire = acquire_pages,
                                   .release = release_pages,
                                   .available = available_pages};
  }
  return &self->source;
}

struct source *arena_adopt(struct arena *self, const struct heap *heap, unsigned shift,
                           unsigned char dirt, const void *contents, size_t size) {
  struct source *source = arena_open(self, heap, shift, dirt);
  unsigned char *memory = acquire_buffer(source, size);
  memory_open(memory, size);
  memory_copy(memory, contents, size);
  memory_grant_contents(memory, size);
  self->adopted = size;
  return source;
}

void arena_close(struct arena *self) {
  if (self->heap.source == HEAP_FIXED) {
    if (self->held) memory_forbid(arena_buffer(self), self->held);
    self->held = 0;
    return;
  }
  memory_forbid(self->start, self->top * self->heap.page_size);
  set_bits(self->taken, 0, self->top, false);
  set_bits(self->owned, 0, self->top, false);
  set_bits(self->returned, 0, self->top, false);
  self->top = self->first_free = 0;
}

bool arena_holds_pages(const struct arena *self, const void *start, size_t size) {
  if (!range_within(start, size, self->start, self->top * self->heap.page_size)) return false;
  size_t offset = (size_t)((const unsigned char *)start - self->start);
  size_t first = offset >> self->page_shift;
  size_t last = (offset + (size ? size - 1 : 0)) >> self->page_shift;
  return find_bit(self->owned, first, last + 1, false) == last + 1;
}

const void *arena_damage(const struct arena *self) {
  if (self->damaged) return self->damaged;
  if (self->heap.source == HEAP_FIXED) return self->held ? buffer_damage(self) : NULL;
  for (size_t page = 0; page < self->top; page++) {
    page = find_bit(self->taken, page, self->top, true);
    if (page >= self->top || bit(self->owned, page)) continue;
    const void *damage = canary_damage(page_address(self, page), canary_size(self));
    if (damage) return damage;
  }
  return returned_damage(self, 0, self->top);
}
