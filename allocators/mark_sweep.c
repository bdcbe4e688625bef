// Mark and sweep: a heap that finds out itself which of its blocks nobody can reach any more.
//
// J. McCarthy, "Recursive Functions of Symbolic Expressions", CACM 3(4), 1960 (the idea); H. Schorr
// and W. M. Waite, "An Efficient Machine-Independent Procedure for Garbage Collection in Various
// List Structures", CACM 10(8), 1967 (marking without a stack); H.-J. Boehm and M. Weiser, "Garbage
// Collection in an Uncooperative Environment", Software Practice and Experience 18(9), 1988
// (conservative roots, interior pointers, a map of where blocks begin); R. Jones, A. Hosking and E.
// Moss, "The Garbage Collection Handbook", 2012 (the words).
//
// A block is a header of two words, and then its payload. Payloads begin at multiples of UNIT (four
// words), headers half a unit below them, and every block is a whole number of units:
//
//      multiples of UNIT:    v               v               v               v
//                    +-------+---------------+-------+-------+-------+-------+-------+
//                    |header |    payload    . slack |header |next,  |               |header ...
//                    |       |    of a live block    |       |prev.  |  free         |
//                    +-------+---------------+-------+-------+-------+-------+-------+
//
// ## Marking needs no memory
//
// Blocks that are reached, but whose references are still to be followed (gray ones), form a list.
// Its links take the place of the left neighbours' sizes: those the sweep, which meets all blocks
// in order, can write anew. So neither the depth of a structure nor the number of its references
// costs anything, and payloads are not touched (Schorr and Waite reverse the references in them).
//
// ## Any word can be looked up
//
// A map says where payloads begin. The block that holds an address, if one does, is the last that
// begins at or before it: no word costs more than another, however large the blocks, and no word
// leads astray.
//
// What a caller did not ask for is none of his references: a block knows its length to the word,
// and the rest of its last word is zero from the start.
#include "allocators/arithmetic.h"
#include "allocators/class_lists.h"
#include "allocators/fixed_heap.h"
#include "allocators/index_set.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  union {
    size_t left_size;    // bytes of the block to the left; 0: there is none
    struct block *gray;  // during a collection: the next block whose references are not followed
  };
  size_t size_state;  // bytes of this block, header included; and the states
  // Only in free blocks; in a live one this is payload already.
  struct free_link link;
};

#define WORD sizeof(size_t)
#define UNIT sizeof(struct block)
#define HEADER offsetof(struct block, link)

#define STATE_FREE ((size_t)1)
#define STATE_MARKED ((size_t)2)
#define SLACK_SHIFT 2  // above it two bits: words at the end that the caller did not ask for
#define SLACK_MASK ((size_t)3)

_Static_assert((UNIT & (UNIT - 1)) == 0 && HEADER * 2 == UNIT, "a header is half a unit");
_Static_assert(SLACK_MASK << SLACK_SHIFT < UNIT, "sizes leave room for the states");

// Callers may have written words as whatever type.
typedef uintptr_t __attribute__((may_alias)) any_word;

//   heap.start                                              end
//   | padding | struct allocator | map | block | ... | block | header | padding |
//
// `end` is a header without a block, of size 0 and never free: a right neighbour for the last one.
struct allocator {
  struct fixed_heap heap;
  // I1: the allocator, its map, the first block and `end` are where they must be in the heap
  struct block *first, *end;
  // I6: the map has the units where payloads begin, of all blocks, and only those
  struct index_set starts;
  // I2: blocks tile the memory up to `end`: each has a size, and slack only within its last unit
  // I3: each block knows the size of its left neighbour
  // I4: no two neighbours are both free
  // I5: no block is marked between collections, and free ones have no slack
  // I7: lists link all free blocks of a class, and only those, in both directions
  // I8: a class is said to be filled if its list is not empty
  struct class_lists lists;
};

static const char *const invariants[] = {
    "the allocator, its map, the first block and `end` are where they must be in the heap",
    "blocks tile the memory up to `end`: each has a size, and slack only within its last unit",
    "each block knows the size of its left neighbour",
    "no two neighbours are both free",
    "no block is marked between collections, and free ones have no slack",
    "the map has the units where payloads begin, of all blocks, and only those",
    "lists link all free blocks of a class, and only those, in both directions",
    "a class is said to be filled if its list is not empty",
    NULL,
};

// ## Accessors: no other function adds to an address

static struct block *block_at(const void *start, size_t offset) {
  return (struct block *)((unsigned char *)start + offset);
}

static struct block *block_of(const void *payload) {
  return (struct block *)((unsigned char *)payload - HEADER);
}

static unsigned char *payload_of(struct block *block) { return (unsigned char *)&block->link; }

static size_t size_of(const struct block *block) { return block->size_state & ~(size_t)(UNIT - 1); }

static bool is_free(const struct block *block) { return (block->size_state & STATE_FREE) != 0; }

static bool is_marked(const struct block *block) { return (block->size_state & STATE_MARKED) != 0; }

static size_t slack_of(const struct block *block) {
  return (block->size_state >> SLACK_SHIFT & SLACK_MASK) * WORD;
}

static size_t usable_of(const struct block *block) {
  return size_of(block) - HEADER - slack_of(block);
}

static struct block *block_with(const struct free_link *link) { return block_of(link); }

static size_t units_of(const struct block *block) { return size_of(block) / UNIT; }

static struct block *right_of(const struct block *block) { return block_at(block, size_of(block)); }

static struct block *left_of(const struct block *block) {
  return block->left_size == 0 ? NULL : (struct block *)((unsigned char *)block - block->left_size);
}

static size_t bytes_between(const void *left, const void *right) {
  return address_of(right) - address_of(left);
}

// How far the payload is from the next multiple of `align`: whole units.
static size_t gap_before(const struct block *block, size_t align) {
  return (0 - (address_of(block) + HEADER)) & (align - 1);
}

static size_t index_of(const struct allocator *self, const struct block *block) {
  return bytes_between(self->first, block) / UNIT;
}

static struct block *block_at_index(const struct allocator *self, size_t index) {
  return block_at(self->first, index * UNIT);
}

// The size of a block for `size` bytes of payload. False if that does not fit into a size_t.
static bool size_with_header(size_t size, size_t *block_size) {
  return add_sizes(size, HEADER, block_size) && align_up(*block_size, UNIT, block_size);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

// ## Which block is it?

// Whether `address` lies between the first payload and `end`.
static bool is_inside(const struct allocator *self, uintptr_t address) {
  return address >= address_of(self->first) + HEADER && address < address_of(self->end);
}

// The block, live or free, in whose payload `address` lies or past whose payload it comes next.
static struct block *block_before(const struct allocator *self, uintptr_t address) {
  size_t offset = address - address_of(self->first) - HEADER;
  return block_at_index(self, index_set_last(&self->starts, offset / UNIT));
}

// The block whose payload begins at `address`, or NULL.
static struct block *block_exactly(const struct allocator *self, uintptr_t address) {
  if (!is_inside(self, address) || address % UNIT != 0) return NULL;
  size_t index = (address - address_of(self->first) - HEADER) / UNIT;
  return index_set_has(&self->starts, index) ? block_at_index(self, index) : NULL;
}

// ## Splitting and coalescing

static bool fits(const struct block *block, size_t needed, size_t align) {
  size_t gap = gap_before(block, align), size = size_of(block);
  return gap < size && needed <= size - gap;
}

// The first that fits, of the lowest class that has one.
static struct block *find_fit(const struct allocator *self, size_t needed, size_t align) {
  uint32_t classes = class_lists_from(&self->lists, needed / UNIT);
  for (; classes != 0; classes &= classes - 1)
    for (struct free_link *link = self->lists.lists[first_class(classes)]; link; link = link->next)
      if (fits(block_with(link), needed, align)) return block_with(link);
  return NULL;
}

// Writes a header, and tells the right neighbour.
static void mark(struct block *block, size_t size, size_t state) {
  block->size_state = size | state;
  right_of(block)->left_size = size;
}

static void add_free(struct allocator *self, struct block *block, size_t size) {
  mark(block, size, STATE_FREE);
  class_lists_add(&self->lists, &block->link, size / UNIT);
}

static void remove_free(struct allocator *self, struct block *block) {
  class_lists_remove(&self->lists, &block->link, units_of(block));
}

// Makes a block live for `size` bytes, which end in its last unit.
static void *settle(struct block *block, size_t block_size, size_t size) {
  size_t words = (size + WORD - 1) / WORD;
  size_t slack = (block_size - HEADER) / WORD - words;
  mark(block, block_size, slack << SLACK_SHIFT);
  memset(payload_of(block) + size, 0, words * WORD - size);
  return payload_of(block);
}

// Takes `needed` bytes out of a free block, `gap` bytes behind its start.
//
//   [             free              ]
//   [ gap: free ][ chosen ][  rest: free  ]      gap and rest may be nothing
static struct block *carve(struct allocator *self, struct block *block, size_t gap, size_t needed) {
  size_t rest_size = size_of(block) - gap - needed;
  struct block *chosen = block_at(block, gap);
  struct block *rest = block_at(chosen, needed);
  remove_free(self, block);
  if (rest_size != 0) {
    add_free(self, rest, rest_size);
    index_set_add(&self->starts, index_of(self, rest));
  }
  if (gap != 0) {
    add_free(self, block, gap);
    index_set_add(&self->starts, index_of(self, chosen));
  }
  return chosen;
}

// Makes a live block free, and merges it with its free neighbours.
static void coalesce(struct allocator *self, struct block *block) {
  struct block *left = left_of(block), *right = right_of(block);
  size_t size = size_of(block);
  if (is_free(right)) {  //                 [ block ][ right ] -> [     block      ]
    remove_free(self, right);
    index_set_remove(&self->starts, index_of(self, right));
    size += size_of(right);
  }
  if (left != NULL && is_free(left)) {  //  [ left ][ block  ] -> [      left      ]
    remove_free(self, left);
    index_set_remove(&self->starts, index_of(self, block));
    size += size_of(left);
    block = left;
  }
  add_free(self, block, size);
}

// Gives back what a live block has beyond `needed` bytes.
static void trim(struct allocator *self, struct block *block, size_t needed) {
  size_t rest_size = size_of(block) - needed;
  if (rest_size == 0) return;
  mark(block, needed, 0);
  struct block *rest = right_of(block);
  mark(rest, rest_size, 0);
  index_set_add(&self->starts, index_of(self, rest));
  coalesce(self, rest);
}

// Extends a live block over the whole of its right neighbour, if that is free and suffices.
static bool extend(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(block);
  if (!is_free(right) || needed - size_of(block) > size_of(right)) return false;
  remove_free(self, right);
  index_set_remove(&self->starts, index_of(self, right));
  mark(block, size_of(block) + size_of(right), 0);
  return true;
}

// ## Collection

struct marking {
  struct allocator *self;
  const struct collection *collection;
  struct block *gray;  // the list's first
};

// The live block that a word refers to, or NULL. A word that is none of what the caller promised
// refers to nothing.
static struct block *referent(const struct marking *marking, uintptr_t word) {
  const struct allocator *self = marking->self;
  if (marking->collection->precise) {
    struct block *block = block_exactly(self, word);
    return block == NULL || is_free(block) ? NULL : block;
  }
  if (!is_inside(self, word)) return NULL;
  struct block *block = block_before(self, word);
  bool holds = !is_free(block) && word - address_of(payload_of(block)) < usable_of(block);
  return holds ? block : NULL;
}

static void shade(struct marking *marking, const struct words *references) {
  const any_word *words = references->first;
  for (size_t i = 0; i < references->count; i++) {
    struct block *block = referent(marking, words[i]);
    if (block == NULL || is_marked(block)) continue;
    block->size_state |= STATE_MARKED;
    block->gray = marking->gray;
    marking->gray = block;
  }
}

static struct words references_of(const struct collection *collection, struct block *block) {
  if (collection->trace != NULL) return collection->trace(collection->context, payload_of(block));
  return (struct words){(const uintptr_t *)(void *)payload_of(block), usable_of(block) / WORD};
}

static void mark_reachable(struct allocator *self, const struct collection *collection) {
  struct marking marking = {self, collection, NULL};
  for (size_t i = 0; i < collection->roots_count; i++) shade(&marking, &collection->roots[i]);
  while (marking.gray != NULL) {
    struct block *block = marking.gray;
    marking.gray = block->gray;
    struct words references = references_of(collection, block);
    shade(&marking, &references);
  }
}

// Before the first of them is taken: a dead block may look at other dead ones.
static void tell_collected(const struct allocator *self, const struct collection *collection) {
  for (struct block *block = self->first; block != self->end; block = right_of(block))
    if (!is_free(block) && !is_marked(block))
      collection->collected(collection->context, payload_of(block));
}

// Joins what is dead or free into the longest stretches, puts these into new lists, and writes the
// left sizes anew. Returns how many blocks died.
static size_t sweep(struct allocator *self) {
  size_t died = 0, left_size = 0;
  class_lists_clear(&self->lists);
  for (struct block *block = self->first, *next; block != self->end; block = next) {
    next = right_of(block);
    block->left_size = left_size;
    if (is_marked(block)) {
      block->size_state &= ~STATE_MARKED;
    } else {
      died += !is_free(block);
      for (; next != self->end && !is_marked(next); next = right_of(next)) {
        died += !is_free(next);
        index_set_remove(&self->starts, index_of(self, next));
      }
      add_free(self, block, bytes_between(block, next));
    }
    left_size = size_of(block);
  }
  self->end->left_size = left_size;
  return died;
}

static size_t gc_collect(struct allocator *self, const struct collection *collection) {
  mark_reachable(self, collection);
  if (collection->collected != NULL) tell_collected(self, collection);
  return sweep(self);
}

// ## The table

// Where everything belongs in the heap of `self`, which need not lie there yet: it will at *place.
// False if there is no room for a block.
static bool lay_out(struct allocator *self, struct allocator **place) {
  uintptr_t start = address_of(self->heap.start), at, lowest;
  if (!align_up(start, _Alignof(struct allocator), &at)) return false;
  *place = (struct allocator *)at;
  at += sizeof(struct allocator);
  at = index_set_lay_out(&self->starts, at, self->heap.size / UNIT);
  if (!align_up(at + HEADER, UNIT, &lowest)) return false;
  uintptr_t highest = align_down(start + self->heap.size, UNIT);
  self->first = (struct block *)(lowest - HEADER);
  self->end = (struct block *)(highest - HEADER);
  return lowest < highest;
}

// One free block over all the heap.
static void clear(struct allocator *self) {
  index_set_clear(&self->starts);
  class_lists_clear(&self->lists);
  self->first->left_size = 0;
  self->end->size_state = 0;
  index_set_add(&self->starts, index_of(self, self->first));
  add_free(self, self->first, bytes_between(self->first, self->end));
}

static struct allocator *gc_create(struct source *source, const struct strategy_options *options) {
  struct allocator plan = {0}, *self;
  if (options->variant != 0 || !fixed_heap_acquire(&plan.heap, source, options)) return NULL;
  if (!lay_out(&plan, &self)) {
    fixed_heap_release(plan.heap);
    return NULL;
  }
  *self = plan;
  clear(self);
  return self;
}

static void *gc_allocate(struct allocator *self, size_t size, size_t align) {
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = find_fit(self, needed, align);
  if (block == NULL) return NULL;
  return settle(carve(self, block, gap_before(block, align), needed), needed, size);
}

static void *gc_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = gc_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static enum release_result gc_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  uintptr_t address = address_of(payload);
  if (!is_inside(self, address) || address % UNIT != 0) return RELEASE_FOREIGN;
  struct block *block = block_before(self, address);
  if (is_free(block)) return RELEASE_DOUBLE;
  if (block != block_of(payload)) return RELEASE_FOREIGN;
  coalesce(self, block);
  return RELEASED;
}

static size_t gc_usable_size(const struct allocator *self, const void *payload) {
  (void)self;
  return payload == NULL ? 0 : usable_of(block_of(payload));
}

static void *gc_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  size_t needed;
  if (payload == NULL) return gc_allocate(self, size, align);
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = block_of(payload);
  if (gap_before(block, align) == 0 && (needed <= size_of(block) || extend(self, block, needed))) {
    trim(self, block, needed);
    return settle(block, needed, size);
  }
  void *moved = gc_allocate(self, size, align);
  if (moved == NULL) return NULL;
  size_t usable = usable_of(block);
  memcpy(moved, payload, usable < size ? usable : size);
  coalesce(self, block);
  return moved;
}

static void gc_reset(struct allocator *self) { clear(self); }

// ## Check: first what lies side by side, and only then, with the map, what is linked

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// Whether `block` has a size that stays within the heap.
static bool tiles(const struct allocator *self, const struct block *block) {
  size_t size = size_of(block);
  return size != 0 && size <= bytes_between(block, self->end) && slack_of(block) < size - HEADER;
}

static struct broken_invariant check_blocks(const struct allocator *self, size_t *blocks) {
  const struct block *left = NULL;
  for (const struct block *block = self->first; block != self->end;
       left = block, block = right_of(block)) {
    if (!tiles(self, block)) return broken(2, block);
    if (block->left_size != (left == NULL ? 0 : size_of(left))) return broken(3, block);
    if (left != NULL && is_free(left) && is_free(block)) return broken(4, block);
    if (is_marked(block) || (is_free(block) && slack_of(block) != 0)) return broken(5, block);
    if (!index_set_has(&self->starts, index_of(self, block))) return broken(6, block);
    ++*blocks;
  }
  if (self->end->size_state != 0) return broken(2, self->end);
  return self->end->left_size == size_of(left) ? broken(0, NULL) : broken(3, self->end);
}

// Whether `link`, of whatever value, is that of a free block of this class.
static bool is_listable(const struct allocator *self, const struct free_link *link,
                        unsigned class) {
  const struct block *block = block_exactly(self, address_of(link));
  return block != NULL && is_free(block) && class_of(units_of(block)) == class;
}

static struct broken_invariant check_lists(const struct allocator *self) {
  size_t apart = 0;  // free blocks not met in a list yet
  for (const struct block *block = self->first; block != self->end; block = right_of(block)) {
    if (!is_free(block)) continue;
    unsigned class = class_of(units_of(block));
    const struct free_link *link = &block->link, *next = link->next, *previous = link->previous;
    if (next != NULL && (!is_listable(self, next, class) || next->previous != link))
      return broken(7, block);
    if (previous == NULL ? self->lists.lists[class] != link
                         : !is_listable(self, previous, class) || previous->next != link)
      return broken(7, block);
    apart++;
  }
  // Now each link leads to a neighbour that knows of it: a list that starts right ends as well.
  for (unsigned class = 0; class < SIZE_CLASSES; class ++) {
    const struct free_link *link = self->lists.lists[class];
    if (link != NULL && (!is_listable(self, link, class) || link->previous != NULL))
      return broken(7, self);
    if ((link != NULL) != (self->lists.filled >> class & 1)) return broken(8, self);
    for (; link != NULL; link = link->next) apart--;
  }
  return apart == 0 ? broken(0, NULL) : broken(7, self);
}

static bool is_laid_out(const struct allocator *self) {
  struct allocator plan = {.heap = self->heap}, *place;
  return lay_out(&plan, &place) && place == self && plan.first == self->first &&
         plan.end == self->end && memcmp(&plan.starts, &self->starts, sizeof plan.starts) == 0;
}

static struct broken_invariant gc_check(const struct allocator *self) {
  size_t blocks = 0;
  if (!is_laid_out(self)) return broken(1, self);
  struct broken_invariant found = check_blocks(self, &blocks);
  const size_t *damage = found.number == 0 ? index_set_damage(&self->starts, blocks) : NULL;
  if (damage != NULL) found = broken(6, damage);
  return found.number == 0 ? check_lists(self) : found;
}

// Shows a damaged heap as far as its blocks tile it.
static void gc_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (!is_laid_out(self)) {
    visit_span(visit, context, self->heap.start, self->heap.size, SPAN_META);
    return;
  }
  struct block *block = self->first;
  visit_span(visit, context, self->heap.start, bytes_between(self->heap.start, block), SPAN_META);
  for (; block != self->end && tiles(self, block); block = right_of(block)) {
    unsigned char *payload = payload_of(block);
    visit_span(visit, context, block, HEADER, SPAN_META);
    visit_span(visit, context, payload, usable_of(block), is_free(block) ? SPAN_FREE : SPAN_BLOCK);
    visit_span(visit, context, payload + usable_of(block), slack_of(block), SPAN_META);
  }
  size_t shown = bytes_between(self->heap.start, block);
  visit_span(visit, context, block, self->heap.size - shown, SPAN_META);
}

static struct statistics gc_statistics(const struct allocator *self) {
  return statistics_by_walk(self, gc_walk);
}

static void gc_destroy(struct allocator *self) { fixed_heap_release(self->heap); }

// Of each byte of the heap, one in MAP_SHARE is for the map, besides words that are not full. So a
// block takes that much more than itself, and the units in front that alignment may skip: it lies
// at the low end of a free one, so the one at the end of the heap loses no more to it.
#define MAP_SHARE (UNIT / WORD * (INDEX_SET_BITS - 1))

static size_t gc_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return SIZE_MAX;
  size_t extent = add_saturating(needed, align > UNIT ? align - UNIT : 0);
  return add_saturating(extent, extent / (MAP_SHARE - 1) + 1);
}

const struct strategy mark_sweep_strategy = {
    .name = "mark_sweep",
    .summary = "mark-sweep garbage collector, precise or conservative, over segregated free lists",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_WALKS_BLOCKS | STRATEGY_COLLECTS,
    .min_align = 16,
    .max_align = MAX_ALIGN,
    // The allocator, the map's words that are not full, the last header, less than a unit on either
    // side to meet the lattice, and the map's share of all that.
    .overhead = sizeof(struct allocator) + (INDEX_SET_LEVELS + 1) * WORD + HEADER + 3 * UNIT,
    .invariants = invariants,
    .create = gc_create,
    .allocate = gc_allocate,
    .allocate_zeroed = gc_allocate_zeroed,
    .release = gc_release,
    .resize = gc_resize,
    .usable_size = gc_usable_size,
    .reset = gc_reset,
    .collect = gc_collect,
    .check = gc_check,
    .walk = gc_walk,
    .statistics = gc_statistics,
    .destroy = gc_destroy,
    .footprint = gc_footprint,
};
