// Free list: headers before every block, and the free ones in a list by address.
//
// First, next and best fit with splitting and immediate coalescing: D. E. Knuth, "The Art of
// Computer Programming", vol. 1, 2.5 (first fit, boundary tags, the roving pointer). Why the list
// is kept by address: P. R. Wilson, M. S. Johnstone, M. Neely and D. Boles, "Dynamic Storage
// Allocation: A Survey and Critical Review", IWMM 1995 (on sequential fits: best fit and
// address-ordered first fit fragment least).
//
// ## The lattice
//
// A block is a header of two words, and then its payload. Payloads begin at multiples of UNIT (four
// words), so headers begin half a unit below them, and every block is a whole number of units:
//
//      multiples of UNIT:    v               v               v               v
//                    +-------+---------------+-------+-------+-------+-------+-------+
//                    |header |    payload            |header |next,  |               |header ...
//                    |       |    of a live block    |       |prev.  |  free         |
//                    +-------+---------------+-------+-------+-------+-------+-------+
//        block begins^                               ^block begins                   ^
//
// Three things follow from it, and make the rest of this file short:
//   - A free block always has room for its links. What is cut off a block, in front to align the
//     payload or behind, is whole units: a block in its own right.
//   - Edges of blocks lie in front of headers, never between a header and its payload. So as long
//     as no other block has the first byte of a payload, none has the header.
//   - Therefore a released block still has its header, and that still says free, even if it lies
//     inside a larger free block by now: every header is marked free before it is merged, and only
//     a new block in that place writes there. Double release is seen for certain, and at once.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  size_t left_size;   // bytes of the block to the left; 0: there is none
  size_t size_state;  // bytes of this block, header included, and STATE_FREE if it is free
  // Only in free blocks; in a live one this is payload already.
  struct block *next;      // the next free block by address
  struct block *previous;  // the one before
};

#define UNIT sizeof(struct block)
#define HEADER offsetof(struct block, next)
#define STATE_FREE ((size_t)1)

_Static_assert((UNIT & (UNIT - 1)) == 0 && HEADER * 2 == UNIT, "a header is half a unit");

enum fit { FIRST_FIT, NEXT_FIT, BEST_FIT, FITS };

//   heap.start                                              end
//   | padding | struct allocator | block | block | ... | block | header | padding |
//
// `end` is a header without a block, of size 0 and never free: a right neighbour for the last one.
struct allocator {
  struct fixed_heap heap;
  // I1: the allocator and `end` are where they must be in the heap, and the fit is a known one
  struct block *end;
  // I2: blocks tile the memory from the allocator to `end`: sizes are whole units and not zero
  // I3: each block knows the size of its left neighbour
  // I4: no two neighbours are both free
  // I5: the list links all free blocks, and only those, by ascending address, in both directions
  struct block *first;
  // I6: the rover is NULL or a free block (next fit goes on there; NULL: from the start)
  struct block *rover;
  enum fit fit;
};

static const char *const invariants[] = {
    "the allocator and `end` are where they must be in the heap, and the fit is a known one",
    "blocks tile the memory from the allocator to `end`: sizes are whole units and not zero",
    "each block knows the size of its left neighbour",
    "no two neighbours are both free",
    "the list links all free blocks, and only those, by ascending address, in both directions",
    "the rover is NULL or a free block (next fit goes on there; NULL: from the start)",
    NULL,
};

// ## Accessors: no other function adds to an address

static struct block *block_at(const void *start, size_t offset) {
  return (struct block *)((unsigned char *)start + offset);
}

static struct block *block_of(void *payload) {
  return (struct block *)((unsigned char *)payload - HEADER);
}

static void *payload_of(struct block *block) { return &block->next; }

static struct block *first_block(const struct allocator *self) {
  return (struct block *)(self + 1);
}

static size_t size_of(const struct block *block) { return block->size_state & ~STATE_FREE; }

static bool is_free(const struct block *block) { return (block->size_state & STATE_FREE) != 0; }

static struct block *right_of(const struct block *block) { return block_at(block, size_of(block)); }

static struct block *left_of(const struct block *block) {
  return block->left_size == 0 ? NULL : (struct block *)((unsigned char *)block - block->left_size);
}

// Between two headers: what a heap may use for blocks.
static size_t bytes_between(const struct block *left, const struct block *right) {
  return address_of(right) - address_of(left);
}

// How far the payload is from the next multiple of `align`: whole units.
static size_t gap_before(const struct block *block, size_t align) {
  return (0 - (address_of(block) + HEADER)) & (align - 1);
}

// The size of a block for `size` bytes of payload. False if that does not fit into a size_t.
static bool size_with_header(size_t size, size_t *block_size) {
  return add_sizes(size, HEADER, block_size) && align_up(*block_size, UNIT, block_size);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

// ## Marks and links

// Writes a header, and tells the right neighbour.
static void mark(struct block *block, size_t size, size_t state) {
  block->size_state = size | state;
  right_of(block)->left_size = size;
}

// `previous` NULL: `block` becomes the first.
static void link_after(struct allocator *self, struct block *previous, struct block *block) {
  block->previous = previous;
  block->next = previous == NULL ? self->first : previous->next;
  *(previous == NULL ? &self->first : &previous->next) = block;
  if (block->next != NULL) block->next->previous = block;
}

// A rover that was there goes on behind it.
static void unlink_block(struct allocator *self, struct block *block) {
  *(block->previous == NULL ? &self->first : &block->previous->next) = block->next;
  if (block->next != NULL) block->next->previous = block->previous;
  if (self->rover == block) self->rover = block->next;
}

// `heir` takes the place of `block` in the list: no free block lies between the two.
static void relink(struct allocator *self, struct block *block, struct block *heir) {
  struct block *previous = block->previous;
  unlink_block(self, block);
  link_after(self, previous, heir);
}

// The last free block before `block`, or NULL. Two searches in step: along the list from its start,
// and leftwards through the blocks. If F blocks are free and L live, the first ends after F steps
// and the second after L / F on average: the faster of the two needs at most about sqrt(L).
static struct block *nearest_free(const struct allocator *self, const struct block *block) {
  struct block *listed = NULL, *next = self->first;
  for (struct block *left = left_of(block); left != NULL; left = left_of(left)) {
    if (is_free(left)) return left;
    if (next == NULL || next > block) return listed;
    listed = next;
    next = next->next;
  }
  return NULL;
}

// ## Fit

static bool fits(const struct block *block, size_t needed, size_t align) {
  size_t gap = gap_before(block, align), size = size_of(block);
  return gap < size && needed <= size - gap;
}

// The first that fits from `from` on, before `until`.
static struct block *find_first(struct block *from, const struct block *until, size_t needed,
                                size_t align) {
  while (from != until && !fits(from, needed, align)) from = from->next;
  return from == until ? NULL : from;
}

// The smallest that fits; of several, the one at the lowest address.
static struct block *find_best(struct block *first, size_t needed, size_t align) {
  struct block *best = NULL;
  for (struct block *block = first; block != NULL; block = block->next)
    if (fits(block, needed, align) && (best == NULL || size_of(block) < size_of(best))) {
      best = block;
      if (size_of(best) == needed) break;
    }
  return best;
}

static struct block *find_fit(const struct allocator *self, size_t needed, size_t align) {
  if (self->fit == BEST_FIT) return find_best(self->first, needed, align);
  if (self->fit == FIRST_FIT || self->rover == NULL)
    return find_first(self->first, NULL, needed, align);
  struct block *block = find_first(self->rover, NULL, needed, align);
  return block != NULL ? block : find_first(self->first, self->rover, needed, align);
}

// ## Splitting and coalescing

// Makes a live block of `needed` bytes inside a free one, `gap` bytes behind its start.
//
//   [             free              ]
//   [ gap: free ][ chosen ][  rest: free  ]      gap and rest may be nothing
static struct block *carve(struct allocator *self, struct block *block, size_t gap, size_t needed) {
  size_t rest_size = size_of(block) - gap - needed;
  struct block *chosen = block_at(block, gap);
  struct block *rest = block_at(chosen, needed);
  struct block *follower = block->next;
  if (rest_size != 0) {
    mark(rest, rest_size, STATE_FREE);
    if (gap != 0)
      link_after(self, block, rest);
    else
      relink(self, block, rest);
    follower = rest;
  } else if (gap == 0) {
    unlink_block(self, block);
  }
  if (gap != 0) mark(block, gap, STATE_FREE);
  mark(chosen, needed, 0);
  self->rover = follower;
  return chosen;
}

// Makes a live block free, and merges it with its free neighbours.
static void coalesce(struct allocator *self, struct block *block) {
  struct block *left = left_of(block), *right = right_of(block);
  size_t size = size_of(block);
  bool joins_left = left != NULL && is_free(left), joins_right = is_free(right);
  mark(block, size, STATE_FREE);  // first of all: this is what a second release will see

  if (joins_left && joins_right) {  // [ left ][ block ][ right ] -> [          left          ]
    unlink_block(self, right);
    mark(left, size_of(left) + size + size_of(right), STATE_FREE);
  } else if (joins_left) {  //         [ left ][ block ]   live   -> [      left     ]  live
    mark(left, size_of(left) + size, STATE_FREE);
  } else if (joins_right) {  //          live  [ block ][ right ] ->  live  [     block      ]
    relink(self, right, block);
    mark(block, size + size_of(right), STATE_FREE);
  } else {  //                           live  [ block ]   live
    link_after(self, nearest_free(self, block), block);
  }
}

// Gives back what a live block has beyond `needed` bytes.
static void trim(struct allocator *self, struct block *block, size_t needed) {
  size_t rest_size = size_of(block) - needed;
  if (rest_size == 0) return;
  mark(block, needed, 0);
  struct block *rest = right_of(block);
  mark(rest, rest_size, 0);
  coalesce(self, rest);
}

// Extends a live block over the whole of its right neighbour, if that is free and suffices.
static bool extend(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(block);
  if (!is_free(right) || needed - size_of(block) > size_of(right)) return false;
  unlink_block(self, right);
  mark(block, size_of(block) + size_of(right), 0);
  return true;
}

// ## The table

// One free block over all the heap.
static void clear(struct allocator *self) {
  struct block *all = first_block(self);
  self->first = NULL;
  self->rover = NULL;
  mark(all, bytes_between(all, self->end), STATE_FREE);
  link_after(self, NULL, all);
}

// Where the first and the last header of a heap belong: the lowest place that leaves room for the
// allocator, and the highest. False if there is no block between.
static bool lay_out(const struct fixed_heap *heap, struct block **first, struct block **end) {
  uintptr_t start = address_of(heap->start), lowest;
  if (!align_up(start + sizeof(struct allocator) + HEADER, UNIT, &lowest)) return false;
  uintptr_t highest = align_down(start + heap->size, UNIT);
  *first = (struct block *)(lowest - HEADER);
  *end = (struct block *)(highest - HEADER);
  return lowest < highest;
}

static struct allocator *list_create(struct source *source,
                                     const struct strategy_options *options) {
  struct fixed_heap heap;
  if (options->variant >= FITS || !fixed_heap_acquire(&heap, source, options)) return NULL;
  struct block *first, *end;
  if (!lay_out(&heap, &first, &end)) {
    fixed_heap_release(heap);
    return NULL;
  }
  struct allocator *self = (struct allocator *)first - 1;
  *self = (struct allocator){.heap = heap, .end = end, .fit = (enum fit)options->variant};
  first->left_size = 0;
  end->size_state = 0;
  clear(self);
  return self;
}

static void *list_allocate(struct allocator *self, size_t size, size_t align) {
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = find_fit(self, needed, align);
  if (block == NULL) return NULL;
  return payload_of(carve(self, block, gap_before(block, align), needed));
}

static void *list_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = list_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static enum release_result list_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  const struct block *first = first_block(self);
  if (address_of(payload) % UNIT != 0 ||
      !range_within(payload, 1, first, bytes_between(first, self->end)))
    return RELEASE_FOREIGN;
  struct block *block = block_of(payload);
  if (is_free(block)) return RELEASE_DOUBLE;
  coalesce(self, block);
  return RELEASED;
}

static size_t list_usable_size(const struct allocator *self, const void *payload) {
  (void)self;
  return payload == NULL ? 0 : size_of(block_of((void *)payload)) - HEADER;
}

static void *list_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  size_t needed;
  if (payload == NULL) return list_allocate(self, size, align);
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = block_of(payload);
  bool in_place =
      gap_before(block, align) == 0 && (needed <= size_of(block) || extend(self, block, needed));
  if (in_place) {
    trim(self, block, needed);
    return payload;
  }
  void *moved = list_allocate(self, size, align);
  if (moved == NULL) return NULL;
  size_t usable = size_of(block) - HEADER;
  memcpy(moved, payload, usable < size ? usable : size);
  coalesce(self, block);
  return moved;
}

// Live blocks are marked free one by one: to release one of them after reset is a double release.
static void list_reset(struct allocator *self) {
  for (struct block *block = first_block(self); block != self->end; block = right_of(block))
    block->size_state |= STATE_FREE;
  clear(self);
}

// Whether `block` has a size that stays within the heap.
static bool tiles(const struct allocator *self, const struct block *block) {
  size_t size = size_of(block);
  return size != 0 && size % UNIT == 0 && size <= bytes_between(block, self->end);
}

// As both blocks and list ascend, one pass over the blocks must meet the listed ones in turn: no
// link is ever followed, only compared with where the pass is anyway.
static struct broken_invariant list_check(const struct allocator *self) {
  struct block *first, *end;
  if (!lay_out(&self->heap, &first, &end) || first != first_block(self) || end != self->end ||
      self->fit >= FITS)
    return (struct broken_invariant){1, self};

  const struct block *listed = NULL, *expected = self->first, *left = NULL;
  bool rover_met = self->rover == NULL;
  for (const struct block *block = first; block != end; left = block, block = right_of(block)) {
    if (!tiles(self, block)) return (struct broken_invariant){2, block};
    if (block->left_size != (left == NULL ? 0 : size_of(left)))
      return (struct broken_invariant){3, block};
    if (!is_free(block)) continue;
    if (left != NULL && is_free(left)) return (struct broken_invariant){4, block};
    if (block != expected || block->previous != listed) return (struct broken_invariant){5, block};
    listed = block;
    expected = block->next;
    rover_met |= block == self->rover;
  }
  if (end->size_state != 0) return (struct broken_invariant){2, end};
  if (end->left_size != size_of(left)) return (struct broken_invariant){3, end};
  if (expected != NULL) return (struct broken_invariant){5, listed};
  if (!rover_met) return (struct broken_invariant){6, self};
  return (struct broken_invariant){0, NULL};
}

// Shows a damaged heap as far as its blocks tile it.
static void list_walk(const struct allocator *self, span_visitor *visit, void *context) {
  struct block *block = first_block(self);
  visit_span(visit, context, self->heap.start, bytes_between((void *)self->heap.start, block),
             SPAN_META);
  for (; block != self->end && tiles(self, block); block = right_of(block)) {
    visit_span(visit, context, block, HEADER, SPAN_META);
    visit_span(visit, context, payload_of(block), size_of(block) - HEADER,
               is_free(block) ? SPAN_FREE : SPAN_BLOCK);
  }
  size_t shown = bytes_between((void *)self->heap.start, block);
  visit_span(visit, context, block, self->heap.size - shown, SPAN_META);
}

static struct statistics list_statistics(const struct allocator *self) {
  return statistics_by_walk(self, list_walk);
}

static void list_destroy(struct allocator *self) { fixed_heap_release(self->heap); }

// Blocks are placed at the low end of a free one, so the free block at the end of the heap loses to
// each at most its own size and the units in front that alignment may skip.
static size_t list_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return SIZE_MAX;
  return add_saturating(needed, align > UNIT ? align - UNIT : 0);
}

static const char *const variants[] = {
    [FIRST_FIT] = "first_fit", [NEXT_FIT] = "next_fit", [BEST_FIT] = "best_fit", [FITS] = NULL};

const struct strategy free_list_strategy = {
    .name = "free_list",
    .summary = "address-ordered free list with first, next or best fit and immediate coalescing",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_WALKS_BLOCKS,
    .min_align = 16,
    .max_align = MAX_ALIGN,
    // The allocator, the last header, and less than a unit on either side to meet the lattice.
    .overhead = sizeof(struct allocator) + HEADER + 2 * (UNIT - 1),
    .variants = variants,
    .invariants = invariants,
    .create = list_create,
    .allocate = list_allocate,
    .allocate_zeroed = list_allocate_zeroed,
    .release = list_release,
    .resize = list_resize,
    .usable_size = list_usable_size,
    .reset = list_reset,
    .check = list_check,
    .walk = list_walk,
    .statistics = list_statistics,
    .destroy = list_destroy,
    .footprint = list_footprint,
};
