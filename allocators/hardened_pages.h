// The layout of the hardened allocator, what its metadata says, and what lies at an address.
// Private to hardened.c.
//
//   heap.start                                                  data: whole pages
//   | struct allocator | pages | quarantine | map | records | padding | guard | page | page | ...
#ifndef ALLOCATORS_HARDENED_PAGES_H_
#define ALLOCATORS_HARDENED_PAGES_H_

#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/misuse.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define MIN_ALIGN ((size_t)16)
#define MIN_PAGE ((size_t)512)      // of ours, where the source's are smaller
#define MAX_SLOT ((size_t)1 << 14)  // so that a size and a state fit into a record
#define NO_PAGE UINT32_MAX
#define MAP_BITS (sizeof(size_t) * 8)  // of a word of the map of free pages
enum { SLOTS = 256, BINS = 7, CANARY = 8 };

enum shape { NOTHING, GUARD, SLAB, HEAD, TAIL, SHAPES };  // HEAD, TAIL: of a large block
enum state { NEVER, LIVE, QUARANTINED, FORMER, STATES };  // of a slot or a large block

struct page {
  size_t size;              // HEAD: bytes asked for
  uint32_t next, previous;  // SLAB with an available slot: in the list of its bin
  uint32_t live, quarantined;
  uint8_t shape;  // what it is, or was last if it is not taken
  uint8_t bin;    // SLAB
  uint8_t state;  // HEAD
  uint8_t taken, listed, sealed;
};

struct allocator {
  // I1: heap, page size and layout agree
  struct fixed_heap heap;
  size_t page_size;
  size_t count;  // of pages
  unsigned char *data;
  // I2: slabs, and runs of a guard, a head, tails and a guard, are whole; their fields are in range
  // I3: a slab's or head's counts are those of its slots' states, and sizes leave room for a canary
  // I4: each bin lists its slabs with an available slot, and no others
  uint32_t slabs[BINS];
  // I5: the quarantine holds as many blocks as pages count, and each entry is one
  size_t oldest, waiting;
  // I6: blocks are counted, and no page below `first_free` is free
  size_t live;
  size_t first_free;
  // I7: the map has a bit for each free page, and no others
  uint64_t random, canary;
  struct misuse_listener listener;
};

static const char *const invariants[] = {
    "heap, page size and layout agree",
    "slabs, and runs of a guard, a head, tails and a guard, are whole; their fields are in range",
    "a slab's or head's counts are those of its slots' states, and sizes leave room for a canary",
    "each bin lists its slabs with an available slot, and no others",
    "the quarantine holds as many blocks as pages count, and each entry is one",
    "blocks are counted, and no page below `first_free` is free",
    "the map has a bit for each free page, and no others",
    NULL,
};

// A block, or a place for one.
struct place {
  struct page *page;
  size_t slot;  // SLAB
};

// ## Geometry

static size_t our_page_size(size_t page_size) {
  return page_size < MIN_PAGE ? MIN_PAGE : page_size;
}

static size_t least_slot(size_t page_size) {
  size_t least = page_size / SLOTS;
  return least < MIN_ALIGN ? MIN_ALIGN : least > MAX_SLOT ? MAX_SLOT : least;
}

static size_t most_slot(size_t page_size) {
  return page_size / 4 < MAX_SLOT ? page_size / 4 : MAX_SLOT;
}

static size_t slot_size(size_t page_size, size_t bin) { return least_slot(page_size) << bin; }

// Of the least slot, in a page.
static size_t most_slots(size_t page_size) {
  size_t most = page_size / MIN_ALIGN, least = page_size / MAX_SLOT;
  return most < SLOTS ? most : least > SLOTS ? least : SLOTS;
}

static size_t slots_in(size_t page_size, size_t bin) { return most_slots(page_size) >> bin; }

// The smallest bin whose slots hold a block and a byte of canary; BINS: it is a large one.
static size_t class_for(size_t page_size, size_t size, size_t align) {
  for (size_t bin = 0; bin < BINS && slot_size(page_size, bin) <= most_slot(page_size); bin++)
    if (slot_size(page_size, bin) > size && slot_size(page_size, bin) >= align) return bin;
  return BINS;
}

// Pages of a large block, with its canary, without its guards.
static size_t pages_for(size_t page_size, size_t size) { return size / page_size + 1; }

static size_t metadata_per_page(size_t page_size) {
  return sizeof(struct page) + sizeof(void *) + most_slots(page_size) * sizeof(uint16_t);
}

static size_t map_words(size_t pages) { return (pages + MAP_BITS - 1) / MAP_BITS; }

// Of so many pages: no more than that per page, a byte more for each, and a word.
static size_t metadata_of(size_t page_size, size_t pages) {
  return pages * metadata_per_page(page_size) + map_words(pages) * sizeof(size_t);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

// ## Accessors: no other function adds to an address

static struct page *pages_of(const struct allocator *self) { return (struct page *)(self + 1); }

static uint32_t index_of(const struct allocator *self, const struct page *page) {
  return (uint32_t)(page - pages_of(self));
}

static void **quarantine_of(const struct allocator *self) {
  return (void **)(pages_of(self) + self->count);
}

static size_t *map_of(const struct allocator *self) {
  return (size_t *)(quarantine_of(self) + self->count);
}

static uint16_t *record_of(const struct allocator *self, struct place at) {
  uint16_t *records = (uint16_t *)(map_of(self) + map_words(self->count));
  return records + index_of(self, at.page) * most_slots(self->page_size) + at.slot;
}

static unsigned char *memory_of(const struct allocator *self, const struct page *page) {
  return self->data + index_of(self, page) * self->page_size;
}

static size_t room_of(const struct allocator *self, struct place at) {
  return at.page->shape == SLAB ? slot_size(self->page_size, at.page->bin)
                                : pages_for(self->page_size, at.page->size) * self->page_size;
}

static unsigned char *start_of(const struct allocator *self, struct place at) {
  return memory_of(self, at.page) + (at.page->shape == SLAB ? at.slot * room_of(self, at) : 0);
}

static size_t size_of(const struct allocator *self, struct place at) {
  return at.page->shape == SLAB ? *record_of(self, at) / STATES : at.page->size;
}

static enum state state_of(const struct allocator *self, struct place at) {
  return at.page->shape == SLAB ? (enum state)(*record_of(self, at) % STATES)
                                : (enum state)at.page->state;
}

static void describe(const struct allocator *self, struct place at, size_t size, enum state state) {
  if (at.page->shape == SLAB)
    *record_of(self, at) = (uint16_t)(size * STATES + state);
  else
    *at.page = (struct page){.size = size,
                             .shape = HEAD,
                             .state = (uint8_t)state,
                             .taken = true,
                             .live = state == LIVE,
                             .quarantined = state == QUARANTINED,
                             .sealed = at.page->sealed};
}

static size_t slots_of(const struct allocator *self, const struct page *page) {
  return page->shape == SLAB ? slots_in(self->page_size, page->bin) : 1;
}

static size_t available_in(const struct allocator *self, const struct page *page) {
  return slots_of(self, page) - page->live - page->quarantined;
}

// The page of this address in `data`.
static struct page *page_at(const struct allocator *self, const void *address) {
  return pages_of(self) + (address_of(address) - address_of(self->data)) / self->page_size;
}

// Where the allocator and the data of a heap belong, and of how many pages. NULL: there is no room
// for a page besides the guard.
static struct allocator *lay_out(const struct fixed_heap *heap, size_t page_size, size_t *count,
                                 unsigned char **data) {
  uintptr_t start, first, end = address_of(heap->start) + heap->size;
  if (!align_up(address_of(heap->start), MIN_ALIGN, &start) || start > end) return NULL;
  size_t most = (end - start) / (page_size + metadata_per_page(page_size));
  for (size_t pages = most < NO_PAGE ? most : NO_PAGE - 1; pages >= 2; pages--) {
    first = start + sizeof(struct allocator) + metadata_of(page_size, pages);
    if (first < start || !align_up(first, page_size, &first) || first > end ||
        (end - first) / page_size < pages)
      continue;
    *count = pages;
    *data = (unsigned char *)first;
    return (struct allocator *)start;
  }
  return NULL;
}

// ## Runs of pages

// How many pages belong together from here on: a large block with its guards, or one.
static size_t extent_of(const struct allocator *self, const struct page *page) {
  const struct page *head = page + 1;
  bool is_run = page->taken && page->shape == GUARD && index_of(self, head) < self->count &&
                head->taken && head->shape == HEAD;
  return is_run ? pages_for(self->page_size, head->size) + 2 : 1;
}

// Whether no live block needs these pages: as the quarantine could be left at any time, that is as
// good as free.
static bool is_vacant(const struct allocator *self, const struct page *page) {
  if (!page->taken) return true;
  const struct page *owner = extent_of(self, page) == 1 ? page : page + 1;
  return owner->live == 0 && owner->quarantined != 0;
}

// ## The map of free pages

static size_t map_bit(size_t page) { return (size_t)1 << page % MAP_BITS; }

static bool is_mapped(const struct allocator *self, size_t page) {
  return (map_of(self)[page / MAP_BITS] & map_bit(page)) != 0;
}

static void map_pages(const struct allocator *self, size_t first, size_t count, bool are_free) {
  size_t *map = map_of(self);
  for (size_t i = first; i < first + count; i++)
    if (are_free)
      map[i / MAP_BITS] |= map_bit(i);
    else
      map[i / MAP_BITS] &= ~map_bit(i);
}

// The first page in [from, end) that is free, or that is not; `end` if there is none.
static size_t next_page(const struct allocator *self, size_t from, size_t end, bool is_free) {
  const size_t *map = map_of(self);
  size_t mask = SIZE_MAX << from % MAP_BITS;
  for (size_t word = from / MAP_BITS; word * MAP_BITS < end; word++, mask = SIZE_MAX) {
    size_t bits = (is_free ? map[word] : ~map[word]) & mask;
    if (bits == 0) continue;
    size_t page = word * MAP_BITS + (size_t)__builtin_ctzll(bits);
    return page < end ? page : end;
  }
  return end;
}

// ## Looking up

// What is at an address: the block that lives there or was released there, or else what it is.
struct finding {
  struct place at;
  enum state state;  // NEVER: no block begins here
  const char *what;
};

static struct finding find_block(const struct allocator *self, const void *address) {
  struct finding found = {.what = "outside the heap"};
  if (!range_within(address, 1, self->heap.start, self->heap.size)) return found;
  found.what = "in what the allocator keeps for itself";
  if (!range_within(address, 1, self->data, self->count * self->page_size)) return found;
  struct place at = {page_at(self, address), 0};
  size_t offset = (address_of(address) - address_of(self->data)) % self->page_size;
  switch ((enum shape)at.page->shape) {
  case SLAB:
    at.slot = offset / room_of(self, at);
    found.what = "inside a slot, not at its start";
    if (offset % room_of(self, at) != 0) return found;
    found.what = "a slot that was never allocated";
    break;
  case HEAD:
    found.what = "inside a large block";
    if (offset != 0) return found;
    break;
  case TAIL:
    found.what = "inside a large block";
    return found;
  case GUARD:
    found.what = "in a guard page";
    return found;
  default:
    found.what = "in a page that holds no block";
    return found;
  }
  return (struct finding){at, state_of(self, at), found.what};
}

#endif
