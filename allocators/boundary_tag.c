// Boundary tags: a block tells its size at both ends while it is free, and free blocks are in bins
// by size.
//
// Boundary tags and immediate coalescing: D. E. Knuth, "The Art of Computer Programming", vol. 1,
// 2.5, algorithms A and C. Segregated fits: P. R. Wilson, M. S. Johnstone, M. Neely and D. Boles,
// "Dynamic Storage Allocation: A Survey and Critical Review", IWMM 1995. One word of header, with a
// bit for the left neighbour: D. Lea, "A Memory Allocator", 1996.
//
// ## The layout
//
// Payloads begin at multiples of UNIT (two words), headers one word below them:
//
//      multiples of UNIT:    v           v           v           v           v
//                          +-----+-----------------------+-----+-----+-----+-----+-----+
//                          |size,| payload of            |size,|next |prev.|     |size | header ...
//                          |bits |        a live block   |bits |     |     |     |again|
//                          +-----+-----------------------+-----+-----+-----+-----+-----+
//              block begins^                             ^block begins                 ^
//
// Who releases a block must find the left neighbour only if that is free. So the second tag, the
// footer, is there only in free blocks, where it costs nothing; a live block has payload instead. A
// bit in the header of the right neighbour tells which it is.
//
// A released block still has its header, even if it lies inside a larger free block by now, and
// that is not marked live: it was marked free before anything was merged, and all that the
// allocator may write there since are links and sizes, whose lowest bits are 0. Only a block that
// covers the place may hold other things there. So double release is seen for certain.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  size_t size_state;  // bytes of this block, header included, and the bits below
  // Only in free blocks; in a live one this is payload already.
  struct block *next;      // in the bin
  struct block *previous;  // in the bin
};

#define HEADER offsetof(struct block, next)
#define UNIT (2 * HEADER)
#define LEAST (sizeof(struct block) + sizeof(size_t))  // bytes of a block: a footer fits as well
#define STATE_LIVE ((size_t)1)
#define STATE_LEFT_LIVE ((size_t)2)  // the left neighbour is live, or there is none
#define STATES (STATE_LIVE | STATE_LEFT_LIVE)

_Static_assert(LEAST == 2 * UNIT, "only a single unit is too small to be a block");
_Static_assert((UNIT & (UNIT - 1)) == 0 && UNIT / 2 > STATES, "links and sizes leave bits clear");

// Below EXACT units each size has its own bin; above, each power of two has 1 << SPLIT of them, and
// the last bin has all that is larger still.
enum { BINS = 64, EXACT = 32, EXACT_LOG = 5, SPLIT = 2 };

// Where to look in the bin of the request's own size, whose blocks may be too small. Every block of
// a larger bin fits, unless it must be aligned.
enum fit {
  FIRST_FIT,  // what was released last and fits; the first LOOKS blocks of a bin are tried before
              // the next bin is, and the others only before a request is refused: bounded time
  BEST_FIT,   // the smallest that fits: least fragmentation
  FITS
};

enum { LOOKS = 8 };

// A bit for each bin. As what it is in lies in front of a header, it is aligned like one.
typedef uint64_t __attribute__((aligned(sizeof(size_t)))) bin_set;

//   heap.start                                              end
//   | padding | struct allocator | block | block | ... | block | header | padding |
//
// `end` is a header without a block, of size 0 and live: a right neighbour for the last one.
struct allocator {
  struct fixed_heap heap;
  // I1: the allocator and `end` are where they must be in the heap, and the fit is a known one
  struct block *end;
  // I2: blocks tile the memory from the allocator to `end`, each of whole units, two at least
  // I3: each block knows whether its left neighbour is live
  // I4: no two neighbours are both free
  // I5: the footer of a free block is its size
  // I6: bins link all free blocks, and only those, each in the bin of its size, in both directions
  struct block *bins[BINS];
  // I7: a bit is set for each bin that is not empty, and for no other
  bin_set occupied;
  enum fit fit;
};

_Static_assert(_Alignof(struct allocator) <= HEADER, "it ends where a header begins");

static const char *const invariants[] = {
    "the allocator and `end` are where they must be in the heap, and the fit is a known one",
    "blocks tile the memory from the allocator to `end`, each of whole units, two at least",
    "each block knows whether its left neighbour is live",
    "no two neighbours are both free",
    "the footer of a free block is its size",
    "bins link all free blocks, and only those, each in the bin of its size, in both directions",
    "a bit is set for each bin that is not empty, and for no other",
    NULL,
};

// ## Accessors: no other function adds to an address

static struct block *block_at(const void *start, size_t offset) {
  return (struct block *)((unsigned char *)start + offset);
}

static struct block *block_of(const void *payload) {
  return (struct block *)((unsigned char *)payload - HEADER);
}

static void *payload_of(struct block *block) { return &block->next; }

static struct block *first_block(const struct allocator *self) {
  return (struct block *)(self + 1);
}

static size_t size_of(const struct block *block) { return block->size_state & ~STATES; }

static bool is_live(const struct block *block) { return (block->size_state & STATE_LIVE) != 0; }

static bool is_left_live(const struct block *block) {
  return (block->size_state & STATE_LEFT_LIVE) != 0;
}

// Of a free block.
static size_t *footer_of(const struct block *block) {
  return (size_t *)((unsigned char *)block + size_of(block)) - 1;
}

static struct block *right_of(const struct block *block) { return block_at(block, size_of(block)); }

// Only if the left neighbour is free.
static struct block *left_of(const struct block *block) {
  size_t left_size = ((const size_t *)block)[-1];
  return (struct block *)((unsigned char *)block - left_size);
}

static size_t usable_in(const struct block *block) { return size_of(block) - HEADER; }

// Between two headers: what a heap may use for blocks.
static size_t bytes_between(const struct block *left, const struct block *right) {
  return address_of(right) - address_of(left);
}

// How far behind its start a block must be cut for its payload to be aligned: nothing, or enough
// for a block in front.
static size_t gap_before(const struct block *block, size_t align) {
  size_t gap = (0 - (address_of(block) + HEADER)) & (align - 1);
  return gap == UNIT ? gap + align : gap;
}

// The size of a block for `size` bytes of payload. False if that does not fit into a size_t.
static bool size_with_header(size_t size, size_t *block_size) {
  if (!add_sizes(size, HEADER, block_size) || !align_up(*block_size, UNIT, block_size))
    return false;
  if (*block_size < LEAST) *block_size = LEAST;
  return true;
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

// Writes a header, and the footer that a free block has, and tells the right neighbour. Of blocks
// that are split, the right one goes first: its header must be there to be told.
static void mark(struct block *block, size_t size, size_t state) {
  block->size_state = size | state;
  struct block *right = right_of(block);
  if (state & STATE_LIVE) {
    right->size_state |= STATE_LEFT_LIVE;
  } else {
    right->size_state &= ~STATE_LEFT_LIVE;
    *footer_of(block) = size;
  }
}

// ## Bins

static unsigned bin_for(size_t size) {
  size_t units = size / UNIT;
  if (units < EXACT) return (unsigned)units;
  unsigned log = 63u - (unsigned)__builtin_clzll(units);
  unsigned bin = EXACT + ((log - EXACT_LOG) << SPLIT) +
                 (unsigned)(units >> (log - SPLIT) & (((size_t)1 << SPLIT) - 1));
  return bin < BINS ? bin : BINS - 1;
}

static void put_in_bin(struct allocator *self, struct block *block) {
  unsigned bin = bin_for(size_of(block));
  block->next = self->bins[bin];
  block->previous = NULL;
  if (block->next != NULL) block->next->previous = block;
  self->bins[bin] = block;
  self->occupied |= (uint64_t)1 << bin;
}

static void take_from_bin(struct allocator *self, struct block *block) {
  unsigned bin = bin_for(size_of(block));
  *(block->previous == NULL ? &self->bins[bin] : &block->previous->next) = block->next;
  if (block->next != NULL) block->next->previous = block->previous;
  if (self->bins[bin] == NULL) self->occupied &= ~((uint64_t)1 << bin);
}

static void mark_free(struct allocator *self, struct block *block, size_t size) {
  mark(block, size, STATE_LEFT_LIVE);  // else it would be merged
  put_in_bin(self, block);
}

// ## Fit

static bool fits(const struct block *block, size_t needed, size_t align) {
  size_t gap = gap_before(block, align), size = size_of(block);
  return gap < size && needed <= size - gap;
}

// Of the first `looks` blocks: one that fits, or the best of them.
static struct block *find_in_bin(struct block *first, size_t needed, size_t align, enum fit fit,
                                 size_t looks) {
  struct block *best = NULL;
  for (struct block *block = first; block != NULL && looks != 0; block = block->next, looks--)
    if (fits(block, needed, align) && (best == NULL || size_of(block) < size_of(best))) {
      best = block;
      if (fit == FIRST_FIT || size_of(best) == needed) break;
    }
  return best;
}

// From the bin of this size upwards, empty bins left out.
static struct block *find_up(const struct allocator *self, size_t needed, size_t align,
                             size_t looks) {
  uint64_t bins = self->occupied >> bin_for(needed) << bin_for(needed);
  for (; bins != 0; bins &= bins - 1) {
    struct block *first = self->bins[__builtin_ctzll(bins)];
    struct block *block = find_in_bin(first, needed, align, self->fit, looks);
    if (block != NULL) return block;
  }
  return NULL;
}

static struct block *find_fit(const struct allocator *self, size_t needed, size_t align) {
  if (self->fit == FIRST_FIT) {
    struct block *block = find_up(self, needed, align, LOOKS);
    if (block != NULL) return block;
  }
  return find_up(self, needed, align, SIZE_MAX);
}

// ## Splitting and coalescing

// Makes a live block of `needed` bytes inside a free one, `gap` bytes behind its start.
//
//   [             free              ]
//   [ gap: free ][ chosen ][  rest: free  ]      gap and rest may be nothing
//
// A single unit is no block, and stays with the chosen one.
static struct block *carve(struct allocator *self, struct block *block, size_t gap, size_t needed) {
  struct block *chosen = block_at(block, gap);
  size_t rest_size = size_of(block) - gap - needed;
  take_from_bin(self, block);
  if (rest_size >= LEAST)
    mark_free(self, block_at(chosen, needed), rest_size);
  else
    needed += rest_size;
  mark(chosen, needed, STATE_LIVE | STATE_LEFT_LIVE);
  if (gap != 0) mark_free(self, block, gap);
  return chosen;
}

// Makes a live block free, and merges it with its free neighbours:
//
//     live  [ block ]  live         ->    live  [ block ]  live
//     live  [ block ][ right ]      ->    live  [      block     ]
//   [ left ][ block ]  live         ->  [      left     ]  live
//   [ left ][ block ][ right ]      ->  [          left          ]
static void coalesce(struct allocator *self, struct block *block) {
  struct block *right = right_of(block);
  size_t size = size_of(block);
  block->size_state &= ~STATE_LIVE;  // first of all: this is what a second release will see
  if (!is_live(right)) {
    take_from_bin(self, right);
    size += size_of(right);
  }
  if (!is_left_live(block)) {
    block = left_of(block);
    take_from_bin(self, block);
    size += size_of(block);
  }
  mark_free(self, block, size);
}

// Gives back what a live block has beyond `needed` bytes. A single unit can go only to a right
// neighbour that is free.
static void trim(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(block);
  size_t rest_size = size_of(block) - needed;
  if (rest_size == 0) return;
  if (!is_live(right)) rest_size += size_of(right);
  if (rest_size < LEAST) return;
  if (!is_live(right)) take_from_bin(self, right);
  mark_free(self, block_at(block, needed), rest_size);
  mark(block, needed, block->size_state & STATES);
}

// ## Resizing in place

// Extends a live block over the whole of its right neighbour, if that is free and suffices.
static bool extend(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(block);
  if (is_live(right) || needed - size_of(block) > size_of(right)) return false;
  take_from_bin(self, right);
  mark(block, size_of(block) + size_of(right), block->size_state & STATES);
  return true;
}

// Moves a live block down into its free left neighbour, and over the right one if that is free too.
// NULL, and nothing changed, if these do not suffice.
//
//   [    left    ][ block ][ right ]
//   [ gap: free ][     chosen      ]      with `kept` bytes of the payload of block
static struct block *slide(struct allocator *self, struct block *block, size_t needed, size_t align,
                           size_t kept) {
  if (is_left_live(block)) return NULL;
  struct block *left = left_of(block), *right = right_of(block);
  size_t size = size_of(left) + size_of(block) + (is_live(right) ? 0 : size_of(right));
  size_t gap = gap_before(left, align);
  if (gap >= size || size - gap < needed) return NULL;
  take_from_bin(self, left);
  if (!is_live(right)) take_from_bin(self, right);
  block->size_state &= ~STATE_LIVE;
  struct block *chosen = block_at(left, gap);
  // Before any tag is written: they may come to lie where the payload was.
  memmove(payload_of(chosen), payload_of(block), kept);
  mark(chosen, size - gap, STATE_LIVE | STATE_LEFT_LIVE);
  if (gap != 0) mark_free(self, left, gap);
  return chosen;
}

// ## The table

// One free block over all the heap.
static void clear(struct allocator *self) {
  for (size_t i = 0; i < BINS; i++) self->bins[i] = NULL;
  self->occupied = 0;
  self->end->size_state = STATE_LIVE;
  struct block *all = first_block(self);
  mark_free(self, all, bytes_between(all, self->end));
}

// Where the first and the last header of a heap belong: the lowest place that leaves room for the
// allocator, and the highest. False if there is no block between.
static bool lay_out(const struct fixed_heap *heap, struct block **first, struct block **end) {
  uintptr_t start = address_of(heap->start), lowest;
  if (!align_up(start + sizeof(struct allocator) + HEADER, UNIT, &lowest)) return false;
  uintptr_t highest = align_down(start + heap->size, UNIT);
  *first = (struct block *)(lowest - HEADER);
  *end = (struct block *)(highest - HEADER);
  return lowest < highest && highest - lowest >= LEAST;
}

static struct allocator *tag_create(struct source *source, const struct strategy_options *options) {
  struct fixed_heap heap;
  if (options->variant >= FITS || !fixed_heap_acquire(&heap, source, options)) return NULL;
  struct block *first, *end;
  if (!lay_out(&heap, &first, &end)) {
    fixed_heap_release(heap);
    return NULL;
  }
  struct allocator *self = (struct allocator *)first - 1;
  *self = (struct allocator){.heap = heap, .end = end, .fit = (enum fit)options->variant};
  clear(self);
  return self;
}

static void *tag_allocate(struct allocator *self, size_t size, size_t align) {
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = find_fit(self, needed, align);
  if (block == NULL) return NULL;
  return payload_of(carve(self, block, gap_before(block, align), needed));
}

static void *tag_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = tag_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static enum release_result tag_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  const struct block *first = first_block(self);
  if (address_of(payload) % UNIT != 0 ||
      !range_within(payload, 1, first, bytes_between(first, self->end)))
    return RELEASE_FOREIGN;
  struct block *block = block_of(payload);
  if (!is_live(block)) return RELEASE_DOUBLE;
  coalesce(self, block);
  return RELEASED;
}

static size_t tag_usable_size(const struct allocator *self, const void *payload) {
  (void)self;
  return payload == NULL ? 0 : usable_in(block_of(payload));
}

static void *tag_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  size_t needed;
  if (payload == NULL) return tag_allocate(self, size, align);
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = block_of(payload);
  size_t usable = usable_in(block), kept = usable < size ? usable : size;
  bool stays =
      gap_before(block, align) == 0 && (needed <= size_of(block) || extend(self, block, needed));
  if (!stays) {
    // To the left rather than elsewhere: that costs one copy too, and leaves one hole less.
    struct block *slid = slide(self, block, needed, align, kept);
    if (slid == NULL) {
      void *moved = tag_allocate(self, size, align);
      if (moved == NULL) return NULL;
      memcpy(moved, payload, kept);
      coalesce(self, block);
      return moved;
    }
    block = slid;
  }
  trim(self, block, needed);
  return payload_of(block);
}

// Live blocks are marked free one by one: to release one of them after reset is a double release.
static void tag_reset(struct allocator *self) {
  for (struct block *block = first_block(self); block != self->end; block = right_of(block))
    block->size_state &= ~STATE_LIVE;
  clear(self);
}

// Whether `block` has a size that stays within the heap.
static bool tiles(const struct allocator *self, const struct block *block) {
  size_t size = size_of(block);
  return size >= LEAST && size % UNIT == 0 && size <= bytes_between(block, self->end);
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// Adds up to the same for the same addresses, in whatever order, and in practice for no others.
static uint64_t digest(const struct block *block) {
  uint64_t x = (uint64_t)address_of(block) * 0x9E3779B97F4A7C15u;
  return (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
}

// All that can be told block by block. `free` counts free blocks, and `strays` adds up to 0 if each
// of them is named by exactly one bin or `next`, and nothing else is.
static struct broken_invariant check_blocks(const struct allocator *self, size_t *free,
                                            uint64_t *strays) {
  size_t left_live = STATE_LEFT_LIVE;
  const struct block *block = first_block(self);
  for (; block != self->end; block = right_of(block)) {
    if (!tiles(self, block)) return broken(2, block);
    if ((block->size_state & STATE_LEFT_LIVE) != left_live) return broken(3, block);
    left_live = is_live(block) ? STATE_LEFT_LIVE : 0;
    if (is_live(block)) continue;
    if (!is_left_live(block)) return broken(4, block);
    if (*footer_of(block) != size_of(block)) return broken(5, block);
    *free += 1;
    *strays += digest(block) - (block->next == NULL ? 0 : digest(block->next));
  }
  if (size_of(block) != 0 || !is_live(block)) return broken(2, block);
  return broken((block->size_state & STATE_LEFT_LIVE) == left_live ? 0 : 3, block);
}

// A link is followed only once it is known to lead to a free block.
static struct broken_invariant tag_check(const struct allocator *self) {
  struct block *first, *end;
  if (!lay_out(&self->heap, &first, &end) || first != first_block(self) || end != self->end ||
      self->fit >= FITS)
    return broken(1, self);
  size_t free = 0;
  uint64_t strays = 0;
  struct broken_invariant found = check_blocks(self, &free, &strays);
  if (found.number != 0) return found;
  for (unsigned bin = 0; bin < BINS; bin++)
    if (self->bins[bin] != NULL) strays -= digest(self->bins[bin]);
  if (strays != 0) return broken(6, self);
  for (unsigned bin = 0; bin < BINS; bin++) {
    const struct block *previous = NULL;
    for (const struct block *block = self->bins[bin]; block != NULL; block = block->next, free--) {
      if (free == 0 || block->previous != previous || bin_for(size_of(block)) != bin)
        return broken(6, block);
      previous = block;
    }
    if ((self->occupied >> bin & 1) != (self->bins[bin] != NULL)) return broken(7, self);
  }
  return broken(free == 0 ? 0 : 6, self);
}

// Shows a damaged heap as far as its blocks tile it.
static void tag_walk(const struct allocator *self, span_visitor *visit, void *context) {
  struct block *block = first_block(self);
  visit_span(visit, context, self->heap.start, bytes_between((void *)self->heap.start, block),
             SPAN_META);
  for (; block != self->end && tiles(self, block); block = right_of(block)) {
    visit_span(visit, context, block, HEADER, SPAN_META);
    visit_span(visit, context, payload_of(block), usable_in(block),
               is_live(block) ? SPAN_BLOCK : SPAN_FREE);
  }
  size_t shown = bytes_between((void *)self->heap.start, block);
  visit_span(visit, context, block, self->heap.size - shown, SPAN_META);
}

static struct statistics tag_statistics(const struct allocator *self) {
  return statistics_by_walk(self, tag_walk);
}

static void tag_destroy(struct allocator *self) { fixed_heap_release(self->heap); }

// Blocks are placed at the low end of a free one, so the free block at the end of the heap loses to
// each at most its own size and the gap in front; and before a request is refused, every bin that
// may have that block is searched. (A unit that stays with a block was too little for any other.)
static size_t tag_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return SIZE_MAX;
  return add_saturating(needed, align > UNIT ? align + UNIT : 0);
}

static const char *const variants[] = {
    [FIRST_FIT] = "first_fit", [BEST_FIT] = "best_fit", [FITS] = NULL};

const struct strategy boundary_tag_strategy = {
    .name = "boundary_tag",
    .summary = "boundary tags, free blocks in bins by size, immediate coalescing, resize both ways",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_WALKS_BLOCKS,
    .min_align = UNIT,
    .max_align = MAX_ALIGN,
    // The allocator, the last header, and less than a unit on either side to meet the lattice.
    .overhead = sizeof(struct allocator) + HEADER + 2 * (UNIT - 1),
    .variants = variants,
    .invariants = invariants,
    .create = tag_create,
    .allocate = tag_allocate,
    .allocate_zeroed = tag_allocate_zeroed,
    .release = tag_release,
    .resize = tag_resize,
    .usable_size = tag_usable_size,
    .reset = tag_reset,
    .check = tag_check,
    .walk = tag_walk,
    .statistics = tag_statistics,
    .destroy = tag_destroy,
    .footprint = tag_footprint,
};
