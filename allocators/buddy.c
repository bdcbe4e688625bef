// Binary buddies: blocks are powers of two, split in halves, and halves merge with each other only.
//
// K. C. Knowlton, "A Fast Storage Allocator", CACM 8 (1965); D. E. Knuth, "The Art of Computer
// Programming", vol. 1, 2.5, algorithms R and S. State about blocks is kept outside of them, in two
// bits for each unit of memory; one bit for two buddies, which is the exclusive or of what one
// would know of each, is how Linux kept its pages up to 2.6.
//
// ## The tree and its numbers
//
// A block of order k is 2^k units long, and begins at a multiple of 2^k. Two of them that are
// halves of a block of order k + 1 are buddies. Each pair of buddies has the number of the unit
// where the right one begins: that is the tree in order, and every number has one pair.
//
//   order 3   |                              .                              |  pair 4 is between
//   order 2   |              .               |              .               |  pairs 2, 6
//   order 1   |      .       |       .       |       .      |       .       |  pairs 1, 3, 5, 7
//   order 0   |  0   |   1   |   2   |   3   |   4   |   5  |   6   |   7   |
//
//   pairs: bit n is set if exactly one of the pair n is free as a whole. So whoever releases a
//   block
//          flips the bit of its pair, and if that is 0 then, both are free, and merge.
//   ends:  bit n is set if unit n is the last of a live block.
//
// These two tell all. Inside a block that is not split there is no bit of `pairs`, and none of
// `ends` but the last. Hence a live block at x has the least order k for which x + 2^k - 1 is an
// end; a free one has the least k for which the bit of its pair is set, and that one comes first,
// if there are both.
//
// A heap of any size is what lies of it in a tree that is large enough. Of the rest no unit is ever
// free, which is all that it takes for nothing to merge with it.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

// A free block, while it is.
struct block {
  struct block *next;
  struct block *previous;
};

#define UNIT sizeof(struct block)
#define UNIT_LOG (unsigned)__builtin_ctzll(UNIT)
#define MAX_ALIGN ((size_t)1 << 16)

enum { WORD = 64, WORD_LOG = 6, ORDERS = 8 * sizeof(size_t) - 3, NO_ORDER = -1 };

// The bits of WORD units, side by side since they are needed together.
struct marks {
  uint64_t pairs, ends;
};

//   base        heap.start                       first                             end
//   | not ours | padding | struct allocator | marks | unit | unit | unit | ... | unit | padding |
//
// Units count from `base`, the multiple of MAX_ALIGN below the heap: what is aligned in the tree is
// aligned in memory.
struct allocator {
  struct fixed_heap heap;
  // I1: the allocator, its marks and the units are where they must be in the heap
  uintptr_t base;
  size_t first, end;
  // I2: blocks tile the units from `first` to `end`
  // I3: an end is set for each live block, and for nothing else
  // I4: a pair is set for each free block, and for nothing else
  struct marks *marks;  // from the word of `first` to that of `end`: pair `end` may be asked for
  size_t marks_from;    // number of the first word
  // I5: lists link all free blocks, and only those, each in the list of its order, in both
  // directions
  struct block *lists[ORDERS];
  // I6: a bit is set for each list that is not empty, and for no other
  uint64_t occupied;
};

static const char *const invariants[] = {
    "the allocator, its marks and the units are where they must be in the heap",
    "blocks tile the units from `first` to `end`",
    "an end is set for each live block, and for nothing else",
    "a pair is set for each free block, and for nothing else",
    "lists link all free blocks, and only those, each in the list of its order, in both directions",
    "a bit is set for each list that is not empty, and for no other",
    NULL,
};

// ## Accessors: no other function makes addresses of units, or looks for their bits

static struct block *block_at(const struct allocator *self, size_t unit) {
  return (struct block *)(self->base + unit * UNIT);
}

// Of an address that is a unit's.
static size_t unit_of(const struct allocator *self, const void *address) {
  return (address_of(address) - self->base) / UNIT;
}

// Whether `address` is where a unit begins.
static bool is_unit(const struct allocator *self, const void *address) {
  uintptr_t offset = address_of(address) - self->base;
  return offset % UNIT == 0 && offset / UNIT >= self->first && offset / UNIT < self->end;
}

static size_t length_of(int order) { return (size_t)1 << order; }

// How many times `unit` can be halved: no block that begins there has a higher order.
static int order_at(size_t unit) { return __builtin_ctzll(unit); }

static struct marks *marks_for(const struct allocator *self, size_t unit) {
  return &self->marks[(unit >> WORD_LOG) - self->marks_from];
}

static uint64_t bit_for(size_t unit) { return (uint64_t)1 << unit % WORD; }

static bool is_end(const struct allocator *self, size_t unit) {
  return (marks_for(self, unit)->ends & bit_for(unit)) != 0;
}

static void flip_end(struct allocator *self, size_t unit, int order) {
  size_t last = unit + length_of(order) - 1;
  marks_for(self, last)->ends ^= bit_for(last);
}

// The number of the pair of which the block is one half.
static size_t pair_of(size_t unit, int order) { return unit | length_of(order); }

static bool is_pair_set(const struct allocator *self, size_t pair) {
  return (marks_for(self, pair)->pairs & bit_for(pair)) != 0;
}

// What the bit is from now on.
static bool flip_pair(struct allocator *self, size_t pair) {
  return ((marks_for(self, pair)->pairs ^= bit_for(pair)) & bit_for(pair)) != 0;
}

// Whether a block of this order could begin at `unit`.
static bool is_room(const struct allocator *self, size_t unit, int order) {
  return order <= order_at(unit) && length_of(order) <= self->end - unit;
}

// The order of the free block that begins at `unit`, or NO_ORDER.
static int free_order(const struct allocator *self, size_t unit) {
  for (int order = 0; is_room(self, unit, order); order++)
    if (is_pair_set(self, pair_of(unit, order))) return order;
  return NO_ORDER;
}

// The order of the live block that begins at `unit`, or NO_ORDER. If there is one of fewer than
// WORD units, all that is to be known is in one word.
static int live_order(const struct allocator *self, size_t unit) {
  const struct marks *marks = marks_for(self, unit);
  uint64_t ends = marks->ends >> unit % WORD, pairs = marks->pairs >> unit % WORD;
  if (ends != 0) {
    uint64_t last = ends & (0 - ends);  // the first end: its distance is 2^order - 1,
    uint64_t inside = (last - 1) << 1;  // and to there, no pair is set
    int distance = __builtin_ctzll(last), order = __builtin_ctzll((uint64_t)distance + 1);
    bool is_power = (distance & (distance + 1)) == 0;
    return is_power && is_room(self, unit, order) && (pairs & inside) == 0 ? order : NO_ORDER;
  }
  if (unit % WORD != 0 || pairs >> 1 != 0) return NO_ORDER;
  for (int order = WORD_LOG; is_room(self, unit, order + 1); order++) {
    if (is_pair_set(self, unit + length_of(order))) return NO_ORDER;
    if (is_end(self, unit + 2 * length_of(order) - 1)) return order + 1;
  }
  return NO_ORDER;
}

// ## Lists

static void link_block(struct allocator *self, size_t unit, int order) {
  struct block *block = block_at(self, unit), *next = self->lists[order];
  *block = (struct block){next, NULL};
  if (next != NULL) next->previous = block;
  self->lists[order] = block;
  self->occupied |= (uint64_t)1 << order;
}

static void unlink_block(struct allocator *self, size_t unit, int order) {
  struct block *block = block_at(self, unit);
  *(block->previous == NULL ? &self->lists[order] : &block->previous->next) = block->next;
  if (block->next != NULL) block->next->previous = block->previous;
  if (self->lists[order] == NULL) self->occupied &= ~((uint64_t)1 << order);
}

// ## Splitting and merging

// Halves a block until its order is `to`. The left halves are the caller's, the right ones free:
//
//   [                        block                          ]
//   [ to ][ free  ][      free      ][          free        ]
static void split(struct allocator *self, size_t unit, int order, int to) {
  while (order > to) {
    order--;
    flip_pair(self, unit + length_of(order));
    link_block(self, unit + length_of(order), order);
  }
}

// Makes a block free, together with its buddy if that is free, and so on.
static void merge(struct allocator *self, size_t unit, int order) {
  while (!flip_pair(self, pair_of(unit, order))) {
    unlink_block(self, unit ^ length_of(order), order);
    unit &= ~length_of(order);
    order++;
  }
  link_block(self, unit, order);
}

// The opposite of split: takes the free right buddies of a live block until it has the order `to`.
// False, and nothing changed, if one of them is not free.
static bool join(struct allocator *self, size_t unit, int order, int to) {
  if (!is_room(self, unit, to)) return false;
  // As the block is live, no left one of these pairs is free.
  for (int k = order; k < to; k++)
    if (!is_pair_set(self, unit + length_of(k))) return false;
  for (int k = order; k < to; k++) {
    flip_pair(self, unit + length_of(k));
    unlink_block(self, unit + length_of(k), k);
  }
  return true;
}

// ## Requests

// The least order that has room for `size` bytes and is aligned to `align`. False if no block can
// be that large, or there is no such alignment.
static bool order_for(size_t size, size_t align, int *order) {
  if (size == 0 || size > SIZE_MAX / 4 || !is_power_of_two(align) || align > MAX_ALIGN)
    return false;
  size_t last = ((size > align ? size : align) - 1) / UNIT;  // of its units, counted from 0
  *order = last == 0 ? 0 : 64 - __builtin_clzll(last);
  return true;
}

// A block of the least sufficient order that there is, or NULL.
static void *take(struct allocator *self, int order) {
  uint64_t sufficient = self->occupied >> order;
  if (sufficient == 0) return NULL;
  int found = order + __builtin_ctzll(sufficient);
  struct block *block = self->lists[found];
  size_t unit = unit_of(self, block);
  unlink_block(self, unit, found);
  flip_pair(self, pair_of(unit, found));
  split(self, unit, found, order);
  flip_end(self, unit, order);
  return block;
}

// ## The table

struct layout {
  uintptr_t base, self, marks;
  size_t marks_from, words, first, end;
};

// False if there is no unit.
static bool lay_out(const struct fixed_heap *heap, struct layout *layout) {
  uintptr_t start = address_of(heap->start), self, low;
  uintptr_t base = align_down(start, MAX_ALIGN);
  if (!align_up(start, _Alignof(struct allocator), &self)) return false;
  uintptr_t marks = self + sizeof(struct allocator);
  size_t end = (start + heap->size - base) / UNIT;
  size_t from = (marks - base) / UNIT / WORD, to = end / WORD;
  if (to < from) return false;
  size_t words = to - from + 1;
  if (!align_up(marks + words * sizeof(struct marks), UNIT, &low)) return false;
  size_t first = (low - base) / UNIT;
  *layout = (struct layout){base, self, marks, from, words, first, end};
  return first < end;
}

// All units are free, in blocks that are as large as can be.
static void clear(struct allocator *self, size_t words) {
  memset(self->marks, 0, words * sizeof(struct marks));
  memset(self->lists, 0, sizeof self->lists);
  self->occupied = 0;
  for (size_t unit = self->first; unit < self->end;) {
    int order = 0;
    while (is_room(self, unit, order + 1)) order++;
    flip_pair(self, pair_of(unit, order));
    link_block(self, unit, order);
    unit += length_of(order);
  }
}

static struct allocator *buddy_create(struct source *source,
                                      const struct strategy_options *options) {
  struct fixed_heap heap;
  struct layout layout;
  if (options->variant != 0 || !fixed_heap_acquire(&heap, source, options)) return NULL;
  if (!lay_out(&heap, &layout)) {
    fixed_heap_release(heap);
    return NULL;
  }
  struct allocator *self = (struct allocator *)layout.self;
  self->heap = heap;
  self->base = layout.base;
  self->first = layout.first;
  self->end = layout.end;
  self->marks = (struct marks *)layout.marks;
  self->marks_from = layout.marks_from;
  clear(self, layout.words);
  return self;
}

static void *buddy_allocate(struct allocator *self, size_t size, size_t align) {
  int order;
  return order_for(size, align, &order) ? take(self, order) : NULL;
}

static void *buddy_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                   size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = buddy_allocate(self, bytes, align);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

// What was released lies in a free block, or is one. There is no end before the end of that, so
// whatever comes next is too far away for a block that begins inside; and if it begins with the
// free block, that one's pair is on the way. So double release is seen for certain.
static enum release_result buddy_release(struct allocator *self, void *block) {
  if (block == NULL) return RELEASED;
  if (!is_unit(self, block)) return RELEASE_FOREIGN;
  size_t unit = unit_of(self, block);
  int order = live_order(self, unit);
  if (order == NO_ORDER) return RELEASE_DOUBLE;
  flip_end(self, unit, order);
  merge(self, unit, order);
  return RELEASED;
}

static size_t buddy_usable_size(const struct allocator *self, const void *block) {
  return block == NULL ? 0 : UNIT << live_order(self, unit_of(self, block));
}

static void *buddy_resize(struct allocator *self, void *block, size_t size, size_t align) {
  int order;
  if (block == NULL) return buddy_allocate(self, size, align);
  if (!order_for(size, align, &order)) return NULL;
  size_t unit = unit_of(self, block);
  int former = live_order(self, unit);
  if (order <= former || join(self, unit, former, order)) {
    flip_end(self, unit, former);
    split(self, unit, former, order);
    flip_end(self, unit, order);
    return block;
  }
  void *moved = take(self, order);
  if (moved == NULL) return NULL;
  size_t usable = UNIT << former;
  memcpy(moved, block, usable < size ? usable : size);
  flip_end(self, unit, former);
  merge(self, unit, former);
  return moved;
}

static void buddy_reset(struct allocator *self) {
  clear(self, self->end / WORD - self->marks_from + 1);
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static bool is_laid_out(const struct allocator *self) {
  struct layout layout;
  return lay_out(&self->heap, &layout) && layout.self == address_of(self) &&
         layout.base == self->base && layout.marks == address_of(self->marks) &&
         layout.marks_from == self->marks_from && layout.first == self->first &&
         layout.end == self->end;
}

// The next block, of either kind. False if there is none, as a mark is wrong.
static bool look(const struct allocator *self, size_t unit, int *order, bool *is_live) {
  *order = live_order(self, unit);
  *is_live = *order != NO_ORDER;
  if (!*is_live) *order = free_order(self, unit);
  return *order != NO_ORDER;
}

// Each block has one bit. If there are as many bits as blocks, no other is set.
static struct broken_invariant check_marks(const struct allocator *self, size_t *free) {
  size_t live = 0, ends = 0, pairs = 0;
  bool is_live;
  int order;
  for (size_t unit = self->first; unit < self->end; unit += length_of(order)) {
    if (!look(self, unit, &order, &is_live)) return broken(2, block_at(self, unit));
    *(is_live ? &live : free) += 1;
  }
  for (size_t i = 0; i <= self->end / WORD - self->marks_from; i++) {
    for (uint64_t bits = self->marks[i].ends; bits != 0; bits &= bits - 1) ends++;
    for (uint64_t bits = self->marks[i].pairs; bits != 0; bits &= bits - 1) pairs++;
  }
  return broken(ends != live ? 3 : pairs != *free ? 4 : 0, self->marks);
}

// What a link leads to is known from the marks, before it is followed.
static struct broken_invariant buddy_check(const struct allocator *self) {
  if (!is_laid_out(self)) return broken(1, self);
  size_t free = 0;
  struct broken_invariant found = check_marks(self, &free);
  if (found.number != 0) return found;
  for (int order = 0; order < ORDERS; order++) {
    const struct block *previous = NULL;
    for (const struct block *block = self->lists[order]; block != NULL; block = block->next) {
      if (free-- == 0 || !is_unit(self, block) || free_order(self, unit_of(self, block)) != order ||
          block->previous != previous)
        return broken(5, previous == NULL ? (const void *)self : previous);
      previous = block;
    }
  }
  if (free != 0) return broken(5, self);
  for (int order = 0; order < ORDERS; order++)
    if ((self->occupied >> order & 1) != (self->lists[order] != NULL)) return broken(6, self);
  return broken(self->occupied >> (ORDERS - 1) >> 1 == 0 ? 0 : 6, self);
}

// Shows a damaged heap as far as its marks make blocks.
static void buddy_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (!is_laid_out(self)) {
    visit_span(visit, context, self->heap.start, self->heap.size, SPAN_META);
    return;
  }
  size_t unit = self->first;
  bool is_live;
  int order;
  visit_span(visit, context, self->heap.start,
             address_of(block_at(self, unit)) - address_of(self->heap.start), SPAN_META);
  for (; unit < self->end && look(self, unit, &order, &is_live); unit += length_of(order))
    visit_span(visit, context, block_at(self, unit), UNIT << order,
               is_live ? SPAN_BLOCK : SPAN_FREE);
  size_t shown = address_of(block_at(self, unit)) - address_of(self->heap.start);
  visit_span(visit, context, block_at(self, unit), self->heap.size - shown, SPAN_META);
}

static struct statistics buddy_statistics(const struct allocator *self) {
  return statistics_by_walk(self, buddy_walk);
}

static void buddy_destroy(struct allocator *self) { fixed_heap_release(self->heap); }

// In a heap that ends with its tree, free blocks of a fresh one all differ in order, and as a split
// happens only for want of smaller ones, that stays so while nothing is released: a request for n
// units is refused only if fewer than n are free. Releases gain an adversary nothing that he has
// not paid for by what he released. A heap that lies anywhere has two such parts, and up to 2n - 2
// free units that serve nobody. Twice the block covers these; marks are a 64th of a heap (a 32nd
// where words have 32 bits), for which an eighth is plenty.
static size_t buddy_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  int order;
  if (!order_for(size, align, &order)) return SIZE_MAX;
  size_t block = UNIT << order;
  return add_saturating(add_saturating(block, block), block / 8);
}

// The allocator, two incomplete words of marks, and what it takes to align it and the units.
#define OVERHEAD                                                                                   \
  (sizeof(struct allocator) + 2 * sizeof(struct marks) + _Alignof(struct allocator) + 2 * UNIT)

const struct strategy buddy_strategy = {
    .name = "buddy",
    .summary = "binary buddies: powers of two, split and merged by halves, two bits per unit",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_WALKS_BLOCKS,
    .min_align = UNIT,
    .max_align = MAX_ALIGN,
    .overhead = OVERHEAD + OVERHEAD / 8,  // as the footprint counts marks, so does this
    .invariants = invariants,
    .create = buddy_create,
    .allocate = buddy_allocate,
    .allocate_zeroed = buddy_allocate_zeroed,
    .release = buddy_release,
    .resize = buddy_resize,
    .usable_size = buddy_usable_size,
    .reset = buddy_reset,
    .check = buddy_check,
    .walk = buddy_walk,
    .statistics = buddy_statistics,
    .destroy = buddy_destroy,
    .footprint = buddy_footprint,
};
