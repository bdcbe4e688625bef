// The memory that an allocator under test gets: a source that makes mistakes visible.
//
// Fresh memory is handed out dirty (0xA5), never zero by luck. Below the heap is a page that cannot
// be accessed; past the end of each stretch are canary bytes, and at the start of each page that
// came back. All of it that is not handed out is forbidden (see forbid.h). The same address range
// serves program after program, and process after process: in 64 bits the first arena of each lies
// at the same place, if that is free.
//
// A buffer that grows is one stretch up to its break. The canary moves with the break, and what
// lies behind it is dirty as well. However large it may become, it costs what is used of it.
#ifndef HARNESS_ARENA_H_
#define HARNESS_ARENA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/source.h"
#include "harness/crash.h"
#include "harness/limits.h"
#include "harness/program.h"

enum { ARENA_DIRT = 0xA5, ARENA_CANARY = 0x5C, ARENA_CANARY_SIZE = 64 };

struct arena {
  struct source source;
  unsigned char *mapping;
  size_t mapping_size;
  unsigned char *base;  // aligned to ARENA_ALIGN; the page below is a guard
  size_t size;          // accessible bytes from base
  uint64_t capacity;    // that it was made for
  // The heap that is open now.
  struct heap heap;
  unsigned char *start;  // of its addresses
  unsigned char dirt;
  size_t held;   // HEAP_FIXED: bytes of the buffer that are out
  size_t dirty;  // HEAP_FIXED that grows: bytes of the buffer that were made dirty since open
  unsigned page_shift;  // HEAP_PAGES: log2 of the page size
  size_t pages;         // HEAP_PAGES: how many pages the range has
  size_t top;           // pages from this one on were never used since open
  size_t first_free;    // no free page below
  uint64_t *taken;      // one bit a page: handed out, or a gap behind what is
  uint64_t *owned;      // one bit a page: handed out
  uint64_t *returned;   // one bit a page: was handed out, and not since it came back
  size_t map_words;     // of each
  size_t adopted;       // HEAP_FIXED: of those held, bytes that an earlier life left
  struct crash *crash;  // told of barriers; NULL: nobody
  bool exhausted;       // refused for want of addresses, not of capacity
  bool crowded;         // HEAP_PAGES: that was so once since arena_init
  const void *damaged;  // a canary byte that had changed when its place was used again
};

// Room for heaps of `capacity` bytes. False, with errno, if there is no such address range, or if
// that is more than half of the machine's memory. (These three are in arena_space.c.)
bool arena_init(struct arena *self, uint64_t capacity);
void arena_free(struct arena *self);

// Whether arena_open accepts this heap, or a larger arena is needed.
bool arena_fits(const struct arena *self, const struct heap *heap);

// A fresh heap, all memory dirty. `shift` moves it by so many times ARENA_SHIFT (0 or 1), so
// that a result that depends on addresses shows; `dirt` is the byte that fresh memory holds.
struct source *arena_open(struct arena *self, const struct heap *heap, unsigned shift,
                          unsigned char dirt);
// Same, but HEAP_FIXED only, and as an earlier life left it: `size` bytes are held, and are these.
// The addresses are others than those of another arena, but lie alike in it.
struct source *arena_adopt(struct arena *self, const struct heap *heap, unsigned shift,
                           unsigned char dirt, const void *contents, size_t size);
// Ends the heap; the allocator must not be used any more.
void arena_close(struct arena *self);

// HEAP_FIXED: where the buffer begins.
static inline unsigned char *arena_buffer(const struct arena *self) {
  return self->start + self->heap.skew;
}

bool arena_holds_pages(const struct arena *self, const void *start, size_t size);

// Whether [start, start + size) lies in one stretch that is handed out. Constant time for blocks of
// up to 64 pages.
static inline bool arena_holds(const struct arena *self, const void *start, size_t size) {
  if (self->heap.source == HEAP_FIXED)
    return self->held && range_within(start, size, arena_buffer(self), self->held);
  return arena_holds_pages(self, start, size);
}

// The first canary byte that changed, or NULL. HEAP_FIXED: constant time.
const void *arena_damage(const struct arena *self);

// The address as an offset from the heap's start: what reports print, and what two runs can
// compare.
static inline intptr_t arena_offset(const struct arena *self, const void *address) {
  return (intptr_t)((uintptr_t)address - (uintptr_t)self->start);
}

#endif
