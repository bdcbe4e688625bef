// Page bump: bump inside chunks of whole pages; a chunk goes back when its last block has gone.
//
// A bump allocator needs all its memory at once, and gives it back at once. Cut into chunks that
// come from the source one by one, with a count of live blocks in each, it becomes a region
// allocator that grows and shrinks. The growing half is that of GNU obstacks (chunks, a next-free
// pointer, larger chunks for larger objects). The shrinking half, a count of live blocks that tells
// when pages are empty, is in most allocators that are built of pages, such as D. Leijen, B. Zorn
// and L. de Moura, "Mimalloc: Free List Sharding in Action", APLAS 2019.
//
//   memory                                                      top                memory + size
//   |                                                           |                  |
//   +---------+-----------------+-----------+-----+-------------+------------------+
//   | padding | header: chunk   |  block    | gap |   block     |       room       |
//   +---------+-----------------+-----------+-----+-------------+------------------+
//                                ^header|payload
//
// Only the current chunk serves requests, and only at its top: that is what makes it bump. The room
// of a released block comes back with its whole chunk. A gap that aligns a payload is a dead block,
// so that blocks follow each other without holes and a walk meets each. A chunk that becomes empty
// is returned at once, the current one too: between two blocks that live one after the other a page
// may go and come again, which is the price of holding nothing that nobody uses.
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define GRAIN ((size_t)16)  // all headers and payloads lie at multiples of it, all extents are such

// Chunks lie wherever the source has put them, so a damaged link can not be told by its value. The
// seal can: next, memory and size are stored once more, as a complemented sum (D. J. Taylor, D. E.
// Morgan and J. P. Black, "Redundancy in Data Structures", IEEE TSE 6(6), 1980), and followed only
// if it agrees. The weights are odd, so that no change of one word keeps the seal, and differ, so
// that two words can not be swapped; and no fill with equal words w passes: ~9w is never w.
struct chunk {
  // I1: a chunk's seal agrees with its next, memory and size
  _Alignas(16) struct chunk *next;
  unsigned char *memory;  // as the source gave it
  size_t size;            // of that
  uintptr_t seal;
  // I2: the chunks form a ring through the allocator's own, linked both ways, as long as counted
  struct chunk *previous;
  // I3: a chunk lies at the first grain of its memory, and its top at a grain within it
  size_t used;  // top: bytes from the header's start that are gone
  // I5: a chunk counts its live blocks, and has one (the allocator's own, which serves none, aside)
  size_t live;
};

struct block {
  // I4: blocks tile a chunk from its header to its top: each is whole grains, and names the chunk
  _Alignas(16) struct chunk *chunk;
  size_t extent_state;  // bytes, this header included, and STATE_LIVE
};

#define STATE_LIVE ((size_t)1)

_Static_assert(sizeof(struct block) == GRAIN, "a gap is whole grains, so it has room for a header");
_Static_assert(sizeof(struct chunk) % GRAIN == 0, "blocks follow a chunk's header without padding");

struct allocator {
  struct chunk own;  // the stretch in which the allocator lies, and the head of the ring
  struct source *source;
  size_t chunks;  // in the ring, without this one
  // I6: the current chunk is in the ring, or NULL
  struct chunk *current;
};

static const char *const invariants[] = {
    "a chunk's seal agrees with its next, memory and size",
    "the chunks form a ring through the allocator's own, linked both ways, as long as counted",
    "a chunk lies at the first grain of its memory, and its top at a grain within it",
    "blocks tile a chunk from its header to its top: each is whole grains, and names the chunk",
    "a chunk counts its live blocks, and has one (the allocator's own, which serves none, aside)",
    "the current chunk is in the ring, or NULL",
    NULL,
};

// ## Accessors: no other function adds to an address

static struct block *block_at(const void *start, size_t offset) {
  return (struct block *)((unsigned char *)start + offset);
}

static struct block *block_of(const void *payload) {
  return (struct block *)((unsigned char *)payload - sizeof(struct block));
}

static void *payload_of(struct block *block) { return block + 1; }

static size_t extent_of(const struct block *block) { return block->extent_state & ~STATE_LIVE; }

static bool is_live(const struct block *block) { return (block->extent_state & STATE_LIVE) != 0; }

static struct block *next_block(const struct block *block) {
  return block_at(block, extent_of(block));
}

static struct block *first_block(const struct chunk *chunk) { return (struct block *)(chunk + 1); }

static struct block *top_of(const struct chunk *chunk) { return block_at(chunk, chunk->used); }

// What is left above the top.
static size_t room_of(const struct chunk *chunk) {
  return address_of(chunk->memory) + chunk->size - address_of(top_of(chunk));
}

// How far the payload of a block is from the next multiple of `align`: whole grains.
static size_t gap_before(const struct block *block, size_t align) {
  return (0 - (address_of(block) + sizeof(struct block))) & (align - 1);
}

// The extent of a block for `size` bytes. False if that does not fit into a size_t.
static bool extent_for(size_t size, size_t *extent) {
  return add_sizes(size, sizeof(struct block), extent) && align_up(*extent, GRAIN, extent);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

// Pages for a header of `header` bytes, and `extent` bytes behind it with a gap of whole grains.
// Memory is aligned to its pages; where these are smaller than a grain, padding comes first.
static bool stretch_for(size_t header, size_t extent, size_t align, size_t page_size,
                        size_t *size) {
  size_t padding = page_size < GRAIN ? GRAIN - page_size : 0;
  size_t gap = align > GRAIN ? align - GRAIN : 0;
  return add_sizes(header + padding + gap, extent, size) && align_up(*size, page_size, size);
}

// ## Chunks

static uintptr_t seal_for(const struct chunk *chunk) {
  return ~(address_of(chunk->next) + 3 * address_of(chunk->memory) + 5 * chunk->size);
}

static bool is_sealed(const struct chunk *chunk) { return chunk->seal == seal_for(chunk); }

static void link_chunks(struct chunk *left, struct chunk *right) {
  left->next = right;
  right->previous = left;
  left->seal = seal_for(left);
}

// A chunk without links in memory fresh from the source, or NULL.
static struct chunk *acquire_chunk(struct source *source, size_t size, size_t header) {
  unsigned char *memory = source->acquire(source, size);
  if (memory == NULL) return NULL;
  struct chunk *chunk = (struct chunk *)(memory + ((0 - address_of(memory)) & (GRAIN - 1)));
  *chunk = (struct chunk){.memory = memory, .size = size, .used = header};
  return chunk;
}

static struct chunk *open_chunk(struct allocator *self, size_t extent, size_t align) {
  size_t size;
  if (!stretch_for(sizeof(struct chunk), extent, align, self->source->page_size, &size))
    return NULL;
  struct chunk *chunk = acquire_chunk(self->source, size, sizeof(struct chunk));
  if (chunk == NULL) return NULL;
  link_chunks(self->own.previous, chunk);
  link_chunks(chunk, &self->own);
  self->chunks++;
  return chunk;
}

static void close_chunk(struct allocator *self, struct chunk *chunk) {
  link_chunks(chunk->previous, chunk->next);
  self->chunks--;
  if (self->current == chunk) self->current = NULL;
  self->source->release(self->source, chunk->memory, chunk->size);
}

// ## Blocks

static bool has_room(const struct chunk *chunk, size_t extent, size_t align) {
  size_t room = room_of(chunk), gap = gap_before(top_of(chunk), align);
  return gap <= room && extent <= room - gap;
}

static struct block *push_extent(struct chunk *chunk, size_t extent, size_t state) {
  struct block *block = top_of(chunk);
  *block = (struct block){chunk, extent | state};
  chunk->used += extent;
  return block;
}

static struct block *push(struct chunk *chunk, size_t extent, size_t align) {
  size_t gap = gap_before(top_of(chunk), align);
  if (gap != 0) push_extent(chunk, gap, 0);
  chunk->live++;
  return push_extent(chunk, extent, STATE_LIVE);
}

static void drop(struct allocator *self, struct block *block) {
  struct chunk *chunk = block->chunk;
  block->extent_state &= ~STATE_LIVE;
  if (--chunk->live == 0) close_chunk(self, chunk);
}

// Moves the end of a block, which others can follow only if it is the last of its chunk. Another
// one need not move to shrink, but keeps all it has: what it would give up could serve nobody.
static bool stretch_in_place(struct block *block, size_t extent) {
  struct chunk *chunk = block->chunk;
  if (next_block(block) != top_of(chunk)) return extent <= extent_of(block);
  if (extent > extent_of(block) && extent - extent_of(block) > room_of(chunk)) return false;
  chunk->used += extent - extent_of(block);
  block->extent_state = extent | STATE_LIVE;
  return true;
}

// ## The table

static struct allocator *page_create(struct source *source,
                                     const struct strategy_options *options) {
  size_t size;
  if ((source->traits & SOURCE_RECLAIMS) == 0 || options->variant != 0 ||
      !stretch_for(sizeof(struct allocator), 0, 1, source->page_size, &size))
    return NULL;
  struct chunk *own = acquire_chunk(source, size, sizeof(struct allocator));
  if (own == NULL) return NULL;
  link_chunks(own, own);
  struct allocator *self = (struct allocator *)own;  // its first member
  self->source = source;
  self->chunks = 0;
  self->current = NULL;
  return self;
}

static void *page_allocate(struct allocator *self, size_t size, size_t align) {
  size_t extent;
  if (!is_request(size, align) || !extent_for(size, &extent)) return NULL;
  struct chunk *chunk = self->current;
  if (chunk == NULL || !has_room(chunk, extent, align)) chunk = open_chunk(self, extent, align);
  if (chunk == NULL) return NULL;
  struct block *block = push(chunk, extent, align);
  // Of an old and a new chunk the roomier is current: a large block ends no half-empty chunk.
  if (self->current == NULL || room_of(chunk) > room_of(self->current)) self->current = chunk;
  return payload_of(block);
}

static void *page_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = page_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static enum release_result page_release(struct allocator *self, void *payload) {
  if (payload != NULL) drop(self, block_of(payload));
  return RELEASED;
}

static size_t page_usable_size(const struct allocator *self, const void *payload) {
  (void)self;
  return payload == NULL ? 0 : extent_of(block_of(payload)) - sizeof(struct block);
}

static void *page_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  size_t extent;
  if (payload == NULL) return page_allocate(self, size, align);
  if (!is_request(size, align) || !extent_for(size, &extent)) return NULL;
  struct block *block = block_of(payload);
  if (gap_before(block, align) == 0 && stretch_in_place(block, extent)) return payload;
  void *moved = page_allocate(self, size, align);
  if (moved == NULL) return NULL;
  size_t usable = page_usable_size(self, payload);
  memcpy(moved, payload, usable < size ? usable : size);
  drop(self, block);
  return moved;
}

static void page_reset(struct allocator *self) {
  while (self->chunks != 0) close_chunk(self, self->own.previous);
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static struct broken_invariant check_shape(const struct chunk *chunk, size_t header) {
  uintptr_t start;
  if (!is_sealed(chunk)) return broken(1, chunk);
  if (!align_up(address_of(chunk->memory), GRAIN, &start) || start != address_of(chunk) ||
      chunk->used < header || chunk->used % GRAIN != 0 ||
      !range_within(chunk, chunk->used, chunk->memory, chunk->size))
    return broken(3, chunk);
  return broken(0, NULL);
}

// Whether `block`, below the top of `chunk`, has an extent that ends at the top at most.
static bool tiles(const struct chunk *chunk, const struct block *block) {
  size_t extent = extent_of(block);
  return block->chunk == chunk && extent != 0 && extent % GRAIN == 0 &&
         extent <= address_of(top_of(chunk)) - address_of(block);
}

static struct broken_invariant check_blocks(const struct chunk *chunk) {
  size_t live = 0;
  for (const struct block *block = first_block(chunk); block != top_of(chunk);
       block = next_block(block)) {
    if (!tiles(chunk, block)) return broken(4, block);
    live += is_live(block);
  }
  return live == chunk->live && live != 0 ? broken(0, NULL) : broken(5, chunk);
}

static struct broken_invariant page_check(const struct allocator *self) {
  struct broken_invariant found = check_shape(&self->own, sizeof(struct allocator));
  const struct chunk *left = &self->own;
  bool current_met = self->current == NULL;
  size_t met = 0;
  if (found.number != 0) return found;
  for (const struct chunk *chunk = left->next; chunk != &self->own; chunk = chunk->next) {
    found = check_shape(chunk, sizeof(struct chunk));
    if (found.number == 0 && (chunk->previous != left || met == self->chunks))
      found = broken(2, chunk);
    if (found.number == 0) found = check_blocks(chunk);
    if (found.number != 0) return found;
    current_met |= chunk == self->current;
    left = chunk;
    met++;
  }
  if (self->own.previous != left || met != self->chunks) return broken(2, &self->own);
  return current_met ? broken(0, NULL) : broken(6, self);
}

static void walk_chunk(const struct chunk *chunk, bool is_current, span_visitor *visit,
                       void *context) {
  if (check_shape(chunk, sizeof(struct chunk)).number != 0) {
    visit_span(visit, context, chunk->memory, chunk->size, SPAN_META);
    return;
  }
  struct block *block = first_block(chunk);
  visit_span(visit, context, chunk->memory, address_of(block) - address_of(chunk->memory),
             SPAN_META);
  for (; block != top_of(chunk) && tiles(chunk, block); block = next_block(block)) {
    visit_span(visit, context, block, sizeof(struct block), SPAN_META);
    visit_span(visit, context, payload_of(block), extent_of(block) - sizeof(struct block),
               is_live(block) ? SPAN_BLOCK : SPAN_META);
  }
  // The room of the current chunk can serve a request once a header is taken from it.
  size_t room = address_of(chunk->memory) + chunk->size - address_of(block);
  size_t serves = is_current && room > sizeof(struct block)
                      ? align_down(room - sizeof(struct block), GRAIN)
                      : 0;
  visit_span(visit, context, block, serves == 0 ? room : sizeof(struct block), SPAN_META);
  if (serves == 0) return;
  visit_span(visit, context, payload_of(block), serves, SPAN_FREE);
  visit_span(visit, context, block_at(payload_of(block), serves),
             room - sizeof(struct block) - serves, SPAN_META);
}

// Shows a damaged ring as far as its seals hold.
static void page_walk(const struct allocator *self, span_visitor *visit, void *context) {
  const struct chunk *chunk = &self->own;
  if (is_sealed(chunk)) visit_span(visit, context, chunk->memory, chunk->size, SPAN_META);
  while (is_sealed(chunk) && (chunk = chunk->next) != &self->own && is_sealed(chunk))
    walk_chunk(chunk, chunk == self->current, visit, context);
}

static struct statistics page_statistics(const struct allocator *self) {
  return statistics_by_walk(self, page_walk);
}

static void page_destroy(struct allocator *self) {
  page_reset(self);
  struct source *source = self->source;
  source->release(source, self->own.memory, self->own.size);
}

// At worst a block is the only one of a new chunk.
static size_t page_footprint(size_t size, size_t align, size_t page_size) {
  size_t extent, stretch;
  return is_request(size, align) && extent_for(size, &extent) &&
                 stretch_for(sizeof(struct chunk), extent, align, page_size, &stretch)
             ? stretch
             : SIZE_MAX;
}

const struct strategy page_bump_strategy = {
    .name = "page_bump",
    .summary = "bump inside chunks of pages; a chunk goes back when its last block has gone",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_RETURNS_MEMORY | STRATEGY_WALKS_BLOCKS,
    .needs = SOURCE_RECLAIMS,
    .min_align = GRAIN,
    .max_align = MAX_ALIGN,
    .overhead = sizeof(struct allocator) + GRAIN - 1,  // in whole pages, as all bounds
    .invariants = invariants,
    .create = page_create,
    .allocate = page_allocate,
    .allocate_zeroed = page_allocate_zeroed,
    .release = page_release,
    .resize = page_resize,
    .usable_size = page_usable_size,
    .reset = page_reset,
    .check = page_check,
    .walk = page_walk,
    .statistics = page_statistics,
    .destroy = page_destroy,
    .footprint = page_footprint,
};
