// TLSF: two-level segregated fit. Every request takes constant time, however many blocks there are.
//
// M. Masmano, I. Ripoll, A. Crespo and J. Real, "TLSF: a new dynamic memory allocator for real-time
// systems", ECRTS 2004. Boundary tags of which live blocks need but one bit: D. E. Knuth, "The Art
// of Computer Programming", vol. 1, 2.5, exercise 19.
//
// ## Classes
//
// Free blocks are in lists by class. The first level of classes are the powers of two; the second
// cuts each into CLASSES equal parts. Below the first power the parts are single grains:
//
//   level               0              1                 2                  3
//   sizes     0 .. 512 by 16  512 .. 1K by 16     1K .. 2K by 32     2K .. 4K by 64  ...
//
// A bit for each list says whether it has a block, and a bit for each level whether one of its
// lists has. So the first list from some class on that has a block is found by two searches for a
// bit, each of them one instruction. A request is rounded up to where a class begins: then every
// block of that class or above it fits, the first as well as any ("good fit").
//
// ## Blocks
//
// A block is a header of one word, and then its payload. Payloads begin at multiples of GRAIN (two
// words), and blocks are whole grains:
//
//   multiples of GRAIN:    v       v       v       v       v       v       v       v
//                      +---+-----------------------+---+-----------------------+---+---
//                      |hdr|     payload, live     |hdr|next,link   free  start|hdr| ...
//                      +---+-----------------------+---+-----------------------+---+---
//
// The header says how large the block is, whether it is free, and whether its left neighbour is.
// Where the left one begins is of interest only if that is free, and then its last word tells. So a
// live block costs one word, and a release touches a neighbour only to merge with it.
//
// ## The last block of the heap
//
// When the lists have nothing that fits for certain, the last block may still fit, as rounding is
// only for the lists. With this last resort the stated bound needs no rounding (see
// tlsf_footprint), and all of an empty heap can be had as one block.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  size_t size_state;  // bytes of this block, header included, and its state
  // Only in free blocks; in a live one this is payload already.
  struct block *next;   // of the same class
  struct block **link;  // the pointer that points to this one: a list, or the next of another block
};

#define HEADER offsetof(struct block, next)
#define GRAIN (2 * HEADER)
#define LEAST_SIZE (2 * GRAIN)  // room for what a free block holds
#define STATE_FREE ((size_t)1)
#define STATE_LEFT_FREE ((size_t)2)
#define STATE (GRAIN - 1)

#define CLASSES_LOG2 5
#define CLASSES (1u << CLASSES_LOG2)
#define GRAIN_LOG2 (sizeof(size_t) == 8 ? 4u : 3u)
#define FIRST_LOG2 (GRAIN_LOG2 + CLASSES_LOG2)  // sizes below this power are all in level 0
#define KEPT_FRACTION 8                         // see is_worth_splitting
#define LARGEST_LOG2 (sizeof(size_t) == 8 ? 40u : 30u)
#define LARGEST_HEAP ((size_t)1 << LARGEST_LOG2)
#define MOST_LEVELS (LARGEST_LOG2 - FIRST_LOG2 + 2)

_Static_assert(GRAIN == 1u << GRAIN_LOG2, "a header is half a grain");

struct level {
  size_t map;                    // bit i: list i has a block
  struct block *lists[CLASSES];  // each ends with `nil`
};

//   heap.start                                                      end
//   | padding | struct allocator, levels | block | block | ... | block | header | padding |
//
// `end` is a header without a block, of size 0 and never free: a right neighbour for the last one.
struct allocator {
  struct fixed_heap heap;
  // I1: the allocator and `end` are where they must be, and know how large the heap is
  struct block *end;
  // I2: blocks tile the memory from the levels to `end`: sizes are whole grains and not too small
  // I3: each block knows whether its left neighbour is free, and if so, where that starts
  // I4: no two neighbours are both free
  // I5: each free block is pointed to by one list or free block, and its link is that pointer
  // I6: the lists have all free blocks, each by its class
  // I7: a bit is set of each list that is not empty, and of each level that has such
  size_t map;  // bit i: the map of level i is not 0
  size_t level_count;
  size_t largest;    // bytes of the payload of a block over all the heap
  struct block nil;  // behind the last block of each list; its link may be written, for nothing
  struct level levels[];
};

static const char *const invariants[] = {
    "the allocator and `end` are where they must be, and know how large the heap is",
    "blocks tile the memory from the levels to `end`: sizes are whole grains and not too small",
    "each block knows whether its left neighbour is free, and if so, where that starts",
    "no two neighbours are both free",
    "each free block is pointed to by one list or free block, and its link is that pointer",
    "the lists have all free blocks, each by its class",
    "a bit is set of each list that is not empty, and of each level that has such",
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
  return (struct block *)&self->levels[self->level_count];
}

static size_t size_of(const struct block *block) { return block->size_state & ~STATE; }

static bool is_free(const struct block *block) { return (block->size_state & STATE_FREE) != 0; }

static bool is_left_free(const struct block *block) {
  return (block->size_state & STATE_LEFT_FREE) != 0;
}

static struct block *right_of(const struct block *block) { return block_at(block, size_of(block)); }

// The last word of the left neighbour.
static struct block **left_of(const struct block *block) { return (struct block **)block - 1; }

// Between two headers: what a heap may use for blocks.
static size_t bytes_between(const struct block *left, const struct block *right) {
  return address_of(right) - address_of(left);
}

// How far behind `block` another may begin whose payload is aligned: not at all, or as far as a
// free block in front takes.
static size_t gap_before(const struct block *block, size_t align) {
  size_t gap = (0 - (address_of(block) + HEADER)) & (align - 1);
  return gap == 0 || gap >= LEAST_SIZE ? gap : gap + align;
}

// The most that is.
static size_t widest_gap(size_t align) { return align <= GRAIN ? 0 : align + GRAIN; }

// The size of a block for `size` bytes of payload, at most LARGEST_HEAP.
static size_t size_with_header(size_t size) {
  size_t sum = (size + HEADER + GRAIN - 1) & ~(GRAIN - 1);
  return sum < LEAST_SIZE ? LEAST_SIZE : sum;
}

// `most`: the largest size that is worth a try, at most LARGEST_HEAP. No sum that follows wraps.
static bool is_request(size_t size, size_t align, size_t most) {
  return size - 1 < most && is_power_of_two(align) && align <= MAX_ALIGN;
}

// ## Classes: numbers across all levels

// log2 of how wide the classes are where `size` is.
static unsigned width_log2(size_t size) {
  unsigned bits = (unsigned)sizeof(unsigned long) * 8 - 1;
  return bits - (unsigned)__builtin_clzl(size | (size_t)1 << FIRST_LOG2) - CLASSES_LOG2;
}

// Below twice the first power the number is that of the grain. From there on each power adds a
// level, and the size counted in widths has its highest bit always in the same place.
static unsigned class_of(size_t size) {
  unsigned width = width_log2(size);
  return (width - GRAIN_LOG2) * CLASSES + (unsigned)(size >> width);
}

// The first class of which every block has this size at least.
static unsigned class_above(size_t size) {
  return class_of(size + ((size_t)1 << width_log2(size)) - GRAIN);
}

static struct level *level_of(struct allocator *self, unsigned class) {
  return &self->levels[class / CLASSES];
}

// ## Lists

static void link_block(struct allocator *self, struct block *block, size_t size) {
  unsigned class = class_of(size);
  struct level *level = level_of(self, class);
  struct block **list = &level->lists[class % CLASSES], *first = *list;
  block->next = first;
  block->link = list;
  first->link = &block->next;
  *list = block;
  level->map |= (size_t)1 << class % CLASSES;
  self->map |= (size_t)1 << class / CLASSES;
}

// Without branches: whether a list becomes empty is hard to foresee.
static void unlink_block(struct allocator *self, struct block *block, unsigned class) {
  struct level *level = level_of(self, class);
  struct block *next = block->next, **link = block->link;
  *link = next;
  next->link = link;
  size_t emptied = level->lists[class % CLASSES] == &self->nil;
  level->map &= ~(emptied << class % CLASSES);
  emptied = level->map == 0;
  self->map &= ~(emptied << class / CLASSES);
}

// The first block of the first list that is not empty, from `class` on. NULL: all are.
static struct block *find(struct allocator *self, unsigned *class) {
  size_t level = *class / CLASSES, map = self->levels[level].map >> *class % CLASSES;
  if (map != 0) {
    *class += (unsigned)__builtin_ctzl(map);
  } else {
    size_t above = self->map & ~(size_t)1 << level;
    if (above == 0) return NULL;
    level = (size_t)__builtin_ctzl(above);
    *class = (unsigned)(level * CLASSES) + (unsigned)__builtin_ctzl(self->levels[level].map);
  }
  return self->levels[level].lists[*class % CLASSES];
}

// ## Splitting and coalescing

// Makes a free block, whose neighbours are live. The right one must be told.
static void make_free(struct allocator *self, struct block *block, size_t size) {
  block->size_state = size | STATE_FREE;
  *left_of(block_at(block, size)) = block;
  link_block(self, block, size);
}

// A remainder that is small beside the block serves hardly anybody, but whoever comes across it
// pays for its list: it stays with the block. Only the last block of the heap must not lose it.
static bool is_worth_splitting(const struct allocator *self, const struct block *rest,
                               size_t rest_size, size_t needed) {
  if (rest_size >= LEAST_SIZE + needed / KEPT_FRACTION) return true;
  return block_at(rest, rest_size) == self->end && rest_size >= LEAST_SIZE;
}

// Makes a live block in memory that is in no list, but that the right neighbour takes for free.
// `state`: whether the left neighbour is.
//
//   [                    size                   ]
//   [ gap: free ][    chosen    ][  rest: free  ]      gap and rest may be nothing
static struct block *carve(struct allocator *self, struct block *start, size_t size, size_t state,
                           size_t gap, size_t needed) {
  struct block *chosen = block_at(start, gap);
  if (gap != 0) {
    make_free(self, start, gap);
    state = STATE_LEFT_FREE;
    size -= gap;
  }
  struct block *rest = block_at(chosen, needed);
  if (is_worth_splitting(self, rest, size - needed, needed)) {
    chosen->size_state = needed | state;
    make_free(self, rest, size - needed);
  } else {
    chosen->size_state = size | state;
    right_of(chosen)->size_state &= ~STATE_LEFT_FREE;
  }
  return chosen;
}

// Makes a live block free, and merges it with its free neighbours. The right one's header may be
// far away: it is asked for before anything is decided.
static void coalesce(struct allocator *self, struct block *block) {
  size_t size = size_of(block);
  struct block *right = right_of(block);
  size_t right_size_state = right->size_state;
  if (is_left_free(block)) {
    struct block *left = *left_of(block);
    size_t left_size = bytes_between(left, block);
    unlink_block(self, left, class_of(left_size));
    size += left_size;
    block = left;
  }
  if ((right_size_state & STATE_FREE) != 0) {
    size_t right_size = right_size_state & ~STATE;
    unlink_block(self, right, class_of(right_size));
    size += right_size;
  } else {
    right->size_state = right_size_state | STATE_LEFT_FREE;
  }
  make_free(self, block, size);
}

// ## Fit

static bool fits(const struct block *block, size_t needed, size_t align) {
  size_t gap = gap_before(block, align), size = size_of(block);
  return gap < size && needed <= size - gap;
}

// The last block of the heap, if it is free and fits.
static struct block *find_last(const struct allocator *self, size_t needed, size_t align,
                               unsigned *class) {
  if (!is_left_free(self->end)) return NULL;
  struct block *last = *left_of(self->end);
  *class = class_of(size_of(last));
  return fits(last, needed, align) ? last : NULL;
}

// The first block that comes up is large or aligned by luck; or else one is searched for in which
// the widest gap does not matter.
static struct block *find_aligned(struct allocator *self, size_t needed, size_t align,
                                  unsigned *class) {
  *class = class_above(needed);
  struct block *block = find(self, class);
  if (block == NULL || fits(block, needed, align)) return block;
  size_t widened = needed + widest_gap(align);
  if (widened > self->largest) return NULL;
  *class = class_above(widened);
  return find(self, class);
}

static struct block *take(struct allocator *self, struct block *block, unsigned class, size_t gap,
                          size_t needed) {
  size_t size = size_of(block);
  unlink_block(self, block, class);
  return carve(self, block, size, 0, gap, needed);
}

// ## The table

// One free block over all the heap.
static void clear(struct allocator *self) {
  for (size_t i = 0; i < self->level_count; i++) {
    self->levels[i].map = 0;
    for (size_t j = 0; j < CLASSES; j++) self->levels[i].lists[j] = &self->nil;
  }
  self->map = 0;
  self->end->size_state = STATE_LEFT_FREE;
  make_free(self, first_block(self), bytes_between(first_block(self), self->end));
}

// Where things belong in a heap: the allocator in the lowest place after which a block can follow,
// the last header in the highest.
struct layout {
  struct allocator *self;
  size_t level_count;
  size_t largest;
  struct block *end;
};

// False if there is no block between.
static bool lay_out(const struct fixed_heap *heap, struct layout *layout) {
  if (heap->size > LARGEST_HEAP || heap->size < sizeof(struct allocator)) return false;
  uintptr_t start = address_of(heap->start), lowest;
  // A search may begin one class above the largest block.
  layout->level_count = class_above(heap->size - sizeof(struct allocator)) / CLASSES + 1;
  size_t own = sizeof(struct allocator) + layout->level_count * sizeof(struct level);
  if (!align_up(start + own + HEADER, GRAIN, &lowest)) return false;
  uintptr_t highest = align_down(start + heap->size, GRAIN);
  layout->end = (struct block *)(highest - HEADER);
  layout->self = (struct allocator *)(lowest - HEADER - own);
  layout->largest = highest - lowest - HEADER;
  return lowest < highest && highest - lowest >= LEAST_SIZE;
}

static struct allocator *tlsf_create(struct source *source,
                                     const struct strategy_options *options) {
  struct fixed_heap heap;
  struct layout layout;
  if (options->variant != 0 || !fixed_heap_acquire(&heap, source, options)) return NULL;
  if (!lay_out(&heap, &layout)) {
    fixed_heap_release(heap);
    return NULL;
  }
  *layout.self = (struct allocator){.heap = heap,
                                    .end = layout.end,
                                    .level_count = layout.level_count,
                                    .largest = layout.largest};
  clear(layout.self);
  return layout.self;
}

static void *allocate_aligned(struct allocator *self, size_t needed, size_t align) {
  unsigned class;
  struct block *block = find_aligned(self, needed, align, &class);
  if (block == NULL) block = find_last(self, needed, align, &class);
  if (block == NULL) return NULL;
  return payload_of(take(self, block, class, gap_before(block, align), needed));
}

static void *tlsf_allocate(struct allocator *self, size_t size, size_t align) {
  if (!is_request(size, align, self->largest)) return NULL;
  size_t needed = size_with_header(size);
  if (align > GRAIN) return allocate_aligned(self, needed, align);
  unsigned class = class_above(needed);
  struct block *block = find(self, &class);
  if (block == NULL) block = find_last(self, needed, GRAIN, &class);
  if (block == NULL) return NULL;
  return payload_of(take(self, block, class, 0, needed));
}

static void *tlsf_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = tlsf_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static enum release_result tlsf_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  const struct block *first = first_block(self);
  if (!range_within(payload, 1, first, bytes_between(first, self->end))) return RELEASE_FOREIGN;
  coalesce(self, block_of(payload));
  return RELEASED;
}

static size_t tlsf_usable_size(const struct allocator *self, const void *payload) {
  (void)self;
  return payload == NULL ? 0 : size_of(block_of((void *)payload)) - HEADER;
}

// What a live block and its free neighbours have together.
struct reach {
  struct block *start;
  size_t left_size, right_size;  // 0: that neighbour is live, or not needed
  size_t size;
};

// The left neighbour is worth the copy only if the payload can not stay where it is.
static struct reach reach_of(struct block *block, size_t needed, size_t align) {
  struct reach reach = {.start = block, .size = size_of(block)};
  if (is_free(right_of(block))) reach.right_size = size_of(right_of(block));
  reach.size += reach.right_size;
  if (is_left_free(block) && (gap_before(block, align) != 0 || needed > reach.size)) {
    reach.start = *left_of(block);
    reach.left_size = bytes_between(reach.start, block);
    reach.size += reach.left_size;
  }
  return reach;
}

// The payload moves before anything is written to its old place.
static void *resize_within(struct allocator *self, const struct reach *reach, void *payload,
                           size_t kept, size_t needed, size_t align) {
  size_t gap = gap_before(reach->start, align);
  size_t state = reach->start->size_state & STATE_LEFT_FREE;
  struct block *right = right_of(block_of(payload));
  if (reach->left_size != 0) unlink_block(self, reach->start, class_of(reach->left_size));
  if (reach->right_size != 0)
    unlink_block(self, right, class_of(reach->right_size));
  else
    right->size_state |= STATE_LEFT_FREE;
  void *moved = payload_of(block_at(reach->start, gap));
  if (moved != payload) memmove(moved, payload, kept);
  return payload_of(carve(self, reach->start, reach->size, state, gap, needed));
}

static void *tlsf_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  if (payload == NULL) return tlsf_allocate(self, size, align);
  if (!is_request(size, align, self->largest)) return NULL;
  size_t needed = size_with_header(size), usable = tlsf_usable_size(self, payload);
  size_t kept = usable < size ? usable : size;
  struct reach reach = reach_of(block_of(payload), needed, align);
  size_t gap = gap_before(reach.start, align);
  if (gap < reach.size && needed <= reach.size - gap)
    return resize_within(self, &reach, payload, kept, needed, align);
  void *moved = tlsf_allocate(self, size, align);
  if (moved == NULL) return NULL;
  memcpy(moved, payload, kept);
  coalesce(self, block_of(payload));
  return moved;
}

static void tlsf_reset(struct allocator *self) { clear(self); }

// ## Check

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// Whether `block` has a size that stays within the heap.
static bool tiles(const struct allocator *self, const struct block *block) {
  size_t size = size_of(block);
  return size >= LEAST_SIZE && size <= bytes_between(block, self->end);
}

// Links may point anywhere when they are damaged. So before one is followed, the pairs of a pointer
// and what it points to are compared with the pairs of a block's link and the block, all of which
// are read from blocks that are known to be free. They must be the same pairs; compared are the
// sums of their hashes (the weights are odd, and square so that pairs can not be mixed up).
static size_t hash_pair(const void *pointer, const void *target) {
  size_t mixed = (address_of(pointer) >> 3) * 0x9E3779B1u + address_of(target);
  mixed *= mixed | 1;
  return mixed ^ mixed >> (sizeof mixed * 4);
}

struct tally {
  size_t free_blocks;
  size_t pointers, links;  // sums of hashes
};

static void tally_pointer(const struct allocator *self, struct tally *tally,
                          struct block *const *pointer) {
  if (*pointer != &self->nil) tally->pointers += hash_pair(pointer, *pointer);
}

static struct broken_invariant check_blocks(const struct allocator *self, struct tally *tally) {
  const struct block *left = NULL, *block = first_block(self);
  for (;; left = block, block = right_of(block)) {
    bool left_is_free = left != NULL && is_free(left);
    if (block == self->end ? (block->size_state & ~STATE_LEFT_FREE) != 0 : !tiles(self, block))
      return broken(2, block);
    if (is_left_free(block) != left_is_free || (left_is_free && *left_of(block) != left) ||
        (block->size_state & STATE & ~(STATE_FREE | STATE_LEFT_FREE)) != 0)
      return broken(3, block);
    if (block == self->end) return broken(0, NULL);
    if (!is_free(block)) continue;
    if (left_is_free) return broken(4, block);
    tally->free_blocks++;
    tally->links += hash_pair(block->link, block);
    tally_pointer(self, tally, &block->next);
  }
}

static struct broken_invariant check_level(const struct allocator *self, size_t level, size_t *met,
                                           size_t most) {
  size_t map = 0;
  for (size_t i = 0; i < CLASSES; i++) {
    const struct block *block = self->levels[level].lists[i];
    if (block != &self->nil) map |= (size_t)1 << i;
    for (; block != &self->nil; block = block->next)
      if ((*met)++ == most || class_of(size_of(block)) != level * CLASSES + i)
        return broken(6, block);
  }
  return map == self->levels[level].map && (map != 0) == (self->map >> level & 1)
             ? broken(0, NULL)
             : broken(7, &self->levels[level]);
}

static bool is_laid_out(const struct allocator *self) {
  struct layout layout;
  return lay_out(&self->heap, &layout) && layout.self == self && layout.end == self->end &&
         layout.level_count == self->level_count && layout.largest == self->largest;
}

static struct broken_invariant tlsf_check(const struct allocator *self) {
  if (!is_laid_out(self)) return broken(1, self);
  struct tally tally = {0};
  struct broken_invariant found = check_blocks(self, &tally);
  if (found.number != 0) return found;
  for (size_t i = 0; i < self->level_count; i++)
    for (size_t j = 0; j < CLASSES; j++) tally_pointer(self, &tally, &self->levels[i].lists[j]);
  if (tally.pointers != tally.links) return broken(5, NULL);
  size_t met = 0;
  for (size_t i = 0; i < self->level_count && found.number == 0; i++)
    found = check_level(self, i, &met, tally.free_blocks);
  if (found.number != 0) return found;
  if (met != tally.free_blocks) return broken(6, NULL);
  return self->map >> self->level_count == 0 ? broken(0, NULL) : broken(7, self);
}

// Shows a damaged heap as far as its blocks tile it.
static void tlsf_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (!is_laid_out(self)) {
    visit_span(visit, context, self->heap.start, self->heap.size, SPAN_META);
    return;
  }
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

static struct statistics tlsf_statistics(const struct allocator *self) {
  return statistics_by_walk(self, tlsf_walk);
}

static void tlsf_destroy(struct allocator *self) { fixed_heap_release(self->heap); }

// Wherever a block is found, the last block of the heap loses to it at most its own size and the
// gap that aligns it: blocks lie at its low end, and what they do not need stays with it. So it has
// what the bound speaks of, and as the last resort it is not asked for more than is needed.
static size_t tlsf_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  return is_request(size, align, LARGEST_HEAP) ? size_with_header(size) + widest_gap(align)
                                               : SIZE_MAX;
}

const struct strategy tlsf_strategy = {
    .name = "tlsf",
    .summary = "two-level segregated fit: constant time, good fit, immediate coalescing",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_FOREIGN_RELEASE |
              STRATEGY_WALKS_BLOCKS,
    .min_align = GRAIN,
    .max_align = MAX_ALIGN,
    // Smaller heaps have fewer levels. The last header, and less than a grain on either side.
    .overhead =
        sizeof(struct allocator) + MOST_LEVELS * sizeof(struct level) + HEADER + 2 * (GRAIN - 1),
    .invariants = invariants,
    .create = tlsf_create,
    .allocate = tlsf_allocate,
    .allocate_zeroed = tlsf_allocate_zeroed,
    .release = tlsf_release,
    .resize = tlsf_resize,
    .usable_size = tlsf_usable_size,
    .reset = tlsf_reset,
    .check = tlsf_check,
    .walk = tlsf_walk,
    .statistics = tlsf_statistics,
    .destroy = tlsf_destroy,
    .footprint = tlsf_footprint,
};
