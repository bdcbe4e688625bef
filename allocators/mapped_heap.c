// Mapped heap: a heap in memory that outlives its process, and that no crash can damage.
//
// Whenever the process dies, be it between any two writes, the heap opens again as it was before
// the call that was in progress, or as it is after it. C. Mohan et al., "ARIES", ACM TODS 17(1),
// 1992 (write-ahead logging, redo that may be repeated); H. Volos, A. J. Tack and M. M. Swift,
// "Mnemosyne: Lightweight Persistent Memory", ASPLOS 2011 (shadow updates, redo logs); J. Coburn et
// al., "NV-Heaps", ASPLOS 2011 (relative pointers); T. S. Pillai et al., "All File Systems Are Not
// Created Equal", OSDI 2014 (what applications take for granted, and do not get).
//
// ## What is kept, and what is made anew
//
// The truth is one word in front of each block: its size, whether it is free, and a seal over both
// and the block's place. Blocks tile the heap, so that is all there is to know. Everything else
// that makes the heap fast (sizes of left neighbours, the list of free blocks, addresses of any
// kind) is volatile: it lies in the same memory, is never trusted, and made anew by open.
//
//      multiples of UNIT:    v               v               v
//                    +---+---+---------------+---+---+-------+-------+-------+
//                    |hdr|vol|    payload    |hdr|vol|next,  |               |hdr ...
//                    |   |   | of live block |   |   |prev.  |  free         |
//                    +---+---+---------------+---+---+-------+-------+-------+
//
// ## How it changes
//
// A source keeps its promise for aligned words: each comes to last as a whole, but between two
// barriers in any order. So a change of one word needs no more than a barrier behind it:
//   - What lies inside of a free block says nothing to anybody. Headers for its parts, and contents
//     of a new block, are written there first, and last before the one word is written that shows
//     them: that of the free block itself. So is every block made, and extended in place.
//   - A block is released, and merged with its neighbours, by the word in front of the merged one.
//   - Reset writes the word in front of the first block.
// Two words have to change at once where a live block gives up its end, and where one moves: its
// new place becomes live, and the old one free. Their new values are written to a log with a
// checksum; from the moment when that lasts the change has happened, and who opens the heap before
// the words themselves last writes them again.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  size_t header;     // bytes of this block, header included, STATE_FREE if it is free; and its seal
  size_t left_size;  // volatile: bytes of the block to the left; 0: there is none
  // Only in free blocks, and volatile; in a live one this is payload already.
  struct block *next;      // the next free block by address
  struct block *previous;  // the one before
};

#define UNIT sizeof(struct block)
#define HEADER offsetof(struct block, next)
#define STATE_FREE ((size_t)1)

_Static_assert((UNIT & (UNIT - 1)) == 0 && HEADER * 2 == UNIT, "a header is half a unit");

// The bits of a header that neither sizes nor states need: below a unit, and beyond any heap.
#define SIZE_LIMIT (SIZE_MAX > UINT32_MAX ? SIZE_MAX >> 16 : SIZE_MAX)
#define SEAL_MASK (~SIZE_LIMIT | ((UNIT - 1) & ~STATE_FREE))

#define MAGIC ((size_t)0x4845415050414D31u)  // a heap of this kind, once it is complete
#define FORMAT (((size_t)1 << 16) + UNIT)    // version, and what else layouts depend on

// No change is of more words than these.
enum { LOG_ENTRIES = 2 };

struct log {
  // How many entries are to be written to their places, in the lowest bits of a checksum over them;
  // 0: none, and whatever else does not fit the entries says the same.
  size_t commit;
  struct {
    size_t place;  // of a header, as an offset from the start of the heap
    size_t header;
  } entries[LOG_ENTRIES];
};

//   heap.start                                              end
//   | padding | struct allocator | block | block | ... | block | header | padding |
//
// `end` is a header without a block, of size 0 and never free: a right neighbour for the last one.
struct allocator {
  // I1: the heap is marked as such, with its format and size, and these bear their seal
  size_t magic;  // written last of all by create, and first by destroy
  size_t format;
  size_t size;  // of the heap
  size_t seal;
  size_t root;  // an offset; 0: none
  // I2: between calls the log is empty
  struct log log;
  // Volatile from here on
  struct fixed_heap heap;
  size_t logged;  // entries that count already for this allocator's own reading
  // I3: the allocator and `end` are where they must be in the heap
  struct block *end;
  // I4: blocks tile the memory up to `end`: each bears the seal of its place, size and state
  // I5: each block knows the size of its left neighbour
  // I6: no two neighbours are both free
  // I7: the list links all free blocks, and only those, by ascending address, in both directions
  struct block *first;
};

static const char *const invariants[] = {
    "the heap is marked as such, with its format and size, and these bear their seal",
    "between calls the log is empty",
    "the allocator and `end` are where they must be in the heap",
    "blocks tile the memory up to `end`: each bears the seal of its place, size and state",
    "each block knows the size of its left neighbour",
    "no two neighbours are both free",
    "the list links all free blocks, and only those, by ascending address, in both directions",
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

static struct block *left_of(const struct block *block) {
  return block->left_size == 0 ? NULL : (struct block *)((unsigned char *)block - block->left_size);
}

static size_t bytes_between(const void *left, const void *right) {
  return address_of(right) - address_of(left);
}

static size_t place_of(const struct allocator *self, const void *address) {
  return bytes_between(self->heap.start, address);
}

static struct block *block_in(const struct allocator *self, size_t place) {
  return block_at(self->heap.start, place);
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

// ## Headers

static size_t mix(size_t hash, size_t value) {
  hash = (hash ^ value) * (size_t)0x9E3779B97F4A7C15u;
  return hash ^ hash >> (sizeof hash * 4 - 3);
}

static size_t sealed(size_t place, size_t size_state) {
  return size_state | (mix(mix(MAGIC, place), size_state) & SEAL_MASK);
}

// What the header says, or will once what is logged has happened.
static size_t header_of(const struct allocator *self, const struct block *block) {
  for (size_t i = 0; i < self->logged; i++)
    if (self->log.entries[i].place == place_of(self, block)) return self->log.entries[i].header;
  return block->header;
}

static size_t size_of(const struct allocator *self, const struct block *block) {
  return header_of(self, block) & ~SEAL_MASK & ~STATE_FREE;
}

static bool is_free(const struct allocator *self, const struct block *block) {
  return (header_of(self, block) & STATE_FREE) != 0;
}

static struct block *right_of(const struct allocator *self, const struct block *block) {
  return block_at(block, size_of(self, block));
}

static struct block *first_block(const struct allocator *self) {
  return (struct block *)(self + 1);
}

// Whether `block` has a size that stays within the heap, and bears its seal.
static bool tiles(const struct allocator *self, const struct block *block) {
  size_t header = header_of(self, block), size = size_of(self, block);
  return header == sealed(place_of(self, block), header & ~SEAL_MASK) && size != 0 &&
         size <= bytes_between(block, self->end);
}

// ## What lasts

static void persist(const struct allocator *self, const void *start, size_t size) {
  self->heap.source->persist(self->heap.source, start, size);
}

// Writes a word, which is all there is to a change or the last of it, at once and for good.
static void write_word(const struct allocator *self, size_t *word, size_t value) {
  *(volatile size_t *)word = value;
  persist(self, word, sizeof *word);
}

// Writes the header of a part of a free block, which nobody sees yet.
static void prepare(const struct allocator *self, struct block *block, size_t size, size_t state) {
  write_word(self, &block->header, sealed(place_of(self, block), size | state));
}

// Notes what a header is to be after the next commit.
static void log_header(struct allocator *self, struct block *block, size_t size, size_t state) {
  size_t place = place_of(self, block), i = 0;
  while (i < self->logged && self->log.entries[i].place != place) i++;
  self->log.entries[i].place = place;
  self->log.entries[i].header = sealed(place, size | state);
  if (i == self->logged) self->logged++;
}

static size_t checksum(const struct log *log, size_t count) {
  size_t hash = mix(MAGIC, count);
  for (size_t i = 0; i < count; i++)
    hash = mix(mix(hash, log->entries[i].place), log->entries[i].header);
  return align_down(hash, LOG_ENTRIES * 2) | count;
}

// Writes what the log says to its places, as often as need be.
static void redo(struct allocator *self) {
  for (size_t i = 0; i < self->logged; i++)
    write_word(self, &block_in(self, self->log.entries[i].place)->header,
               self->log.entries[i].header);
  self->logged = 0;
}

// Makes all that is logged happen at once.
static void commit(struct allocator *self) {
  bool alone = self->logged == 1;
  if (!alone) {
    self->log.commit = checksum(&self->log, self->logged);
    persist(self, &self->log, sizeof self->log);
  }
  redo(self);
  if (!alone) write_word(self, &self->log.commit, 0);
}

// ## The list of free blocks

// `previous` NULL: `block` becomes the first.
static void link_after(struct allocator *self, struct block *previous, struct block *block) {
  block->previous = previous;
  block->next = previous == NULL ? self->first : previous->next;
  *(previous == NULL ? &self->first : &previous->next) = block;
  if (block->next != NULL) block->next->previous = block;
}

// Returns the one before it.
static struct block *unlink_block(struct allocator *self, struct block *block) {
  *(block->previous == NULL ? &self->first : &block->previous->next) = block->next;
  if (block->next != NULL) block->next->previous = block->previous;
  return block->previous;
}

// The last free block before `block`, or NULL. Two searches in step: along the list from its start,
// and leftwards through the blocks. If F blocks are free and L live, the first ends after F steps
// and the second after L / F on average: the faster of the two needs at most about sqrt(L).
static struct block *nearest_free(const struct allocator *self, const struct block *block) {
  struct block *listed = NULL, *next = self->first;
  for (struct block *left = left_of(block); left != NULL; left = left_of(left)) {
    if (is_free(self, left)) return left;
    if (next == NULL || next > block) return listed;
    listed = next;
    next = next->next;
  }
  return NULL;
}

static bool fits(const struct allocator *self, const struct block *block, size_t needed,
                 size_t align) {
  size_t gap = gap_before(block, align), size = size_of(self, block);
  return gap < size && needed <= size - gap;
}

static struct block *find_first(const struct allocator *self, size_t needed, size_t align) {
  struct block *block = self->first;
  while (block != NULL && !fits(self, block, needed, align)) block = block->next;
  return block;
}

static void tell_right(const struct allocator *self, const struct block *block) {
  right_of(self, block)->left_size = size_of(self, block);
}

// ## Splitting and coalescing

// A free block for what is left of one, which came behind `previous` in the list. Returns it.
static struct block *leave_rest(struct allocator *self, struct block *previous, struct block *rest,
                                size_t size) {
  prepare(self, rest, size, STATE_FREE);
  link_after(self, previous, rest);
  tell_right(self, rest);
  return rest;
}

// Logs that `needed` bytes of a free block become live, `gap` bytes behind its start. Until then
// the block that is returned can be written to, and nobody sees it.
//
//   [             free              ]
//   [ gap: free ][ chosen ][  rest: free  ]      gap and rest may be nothing
static struct block *carve(struct allocator *self, struct block *block, size_t gap, size_t needed) {
  size_t rest_size = size_of(self, block) - gap - needed;
  struct block *chosen = block_at(block, gap);
  struct block *previous = unlink_block(self, block);
  if (gap != 0) {
    prepare(self, chosen, needed, 0);
    log_header(self, block, gap, STATE_FREE);
    link_after(self, previous, block);
    tell_right(self, block);
    previous = block;
  } else {
    log_header(self, chosen, needed, 0);
  }
  if (rest_size != 0) leave_rest(self, previous, block_at(chosen, needed), rest_size);
  tell_right(self, chosen);
  return chosen;
}

// Makes a live block free, merged with its free neighbours, and commits that with all that is
// logged. Only then its memory can be written to.
static void commit_release(struct allocator *self, struct block *block) {
  struct block *left = left_of(block), *right = right_of(self, block);
  bool joins_left = left != NULL && is_free(self, left), joins_right = is_free(self, right);
  struct block *merged = joins_left ? left : block;
  size_t size = size_of(self, block) + (joins_left ? size_of(self, left) : 0) +
                (joins_right ? size_of(self, right) : 0);
  log_header(self, merged, size, STATE_FREE);
  commit(self);

  struct block *previous = joins_right ? unlink_block(self, right) : NULL;
  if (!joins_left) link_after(self, joins_right ? previous : nearest_free(self, block), block);
  tell_right(self, merged);
}

// Gives back what a live block has beyond `needed` bytes. The header for that lies where contents
// are until it is committed.
static void shrink(struct allocator *self, struct block *block, size_t needed) {
  struct block *rest = block_at(block, needed), *right = right_of(self, block);
  bool joins_right = is_free(self, right);
  size_t rest_size = size_of(self, block) - needed + (joins_right ? size_of(self, right) : 0);
  log_header(self, block, needed, 0);
  log_header(self, rest, rest_size, STATE_FREE);
  commit(self);

  tell_right(self, block);
  struct block *previous = joins_right ? unlink_block(self, right) : nearest_free(self, rest);
  link_after(self, previous, rest);
  tell_right(self, rest);
}

// Extends a live block into its right neighbour, if that is free and suffices.
static bool extend(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(self, block);
  size_t size = size_of(self, block);
  if (!is_free(self, right) || needed - size > size_of(self, right)) return false;
  size_t rest_size = size + size_of(self, right) - needed;
  struct block *previous = unlink_block(self, right);
  if (rest_size != 0) leave_rest(self, previous, block_at(block, needed), rest_size);
  log_header(self, block, needed, 0);
  commit(self);
  tell_right(self, block);
  return true;
}

// ## Create and open

static size_t seal_for(const struct allocator *self) {
  return mix(mix(mix(MAGIC, self->format), self->size), ~self->size);
}

// Where the first and the last header of a heap belong: the lowest place that leaves room for the
// allocator, and the highest. False if there is no block between, or more than headers can tell.
static bool lay_out(const struct fixed_heap *heap, struct block **first, struct block **end) {
  uintptr_t start = address_of(heap->start), lowest;
  if (heap->size > SIZE_LIMIT ||
      !align_up(start + sizeof(struct allocator) + HEADER, UNIT, &lowest))
    return false;
  uintptr_t highest = align_down(start + heap->size, UNIT);
  *first = (struct block *)(lowest - HEADER);
  *end = (struct block *)(highest - HEADER);
  return lowest < highest;
}

// Makes what is volatile anew out of headers that are known to tile the heap.
static void make_volatile(struct allocator *self, const struct fixed_heap *heap,
                          struct block *end) {
  struct block *last_free = NULL;
  size_t left_size = 0;
  self->heap = *heap;
  self->end = end;
  self->first = NULL;
  for (struct block *block = first_block(self); block != end; block = right_of(self, block)) {
    block->left_size = left_size;
    left_size = size_of(self, block);
    if (!is_free(self, block)) continue;
    link_after(self, last_free, block);
    last_free = block;
  }
  end->left_size = left_size;
}

static struct allocator *mapped_create(struct source *source,
                                       const struct strategy_options *options) {
  struct fixed_heap heap;
  if ((source->traits & SOURCE_PERSISTS) == 0 || options->variant != 0 ||
      !fixed_heap_acquire(&heap, source, options))
    return NULL;
  struct block *first, *end;
  if (!lay_out(&heap, &first, &end)) {
    fixed_heap_release(heap);
    return NULL;
  }
  struct allocator *self = (struct allocator *)first - 1;
  self->heap = heap;
  write_word(self, &self->magic, 0);  // whatever lay here is no heap any more, and this one not yet
  *self = (struct allocator){.format = FORMAT, .size = heap.size, .heap = heap, .end = end};
  self->seal = seal_for(self);
  prepare(self, first, bytes_between(first, end), STATE_FREE);
  prepare(self, end, 0, 0);
  make_volatile(self, &heap, end);
  persist(self, self, sizeof *self);
  write_word(self, &self->magic, MAGIC);
  return self;
}

static bool is_marked(const struct allocator *self) {
  return self->magic == MAGIC && self->format == FORMAT && self->size == self->heap.size &&
         self->seal == seal_for(self);
}

// How many entries the log of an earlier life has, and in *sound whether they can be believed.
static size_t committed(const struct allocator *self, const struct block *first, bool *sound) {
  const struct log *log = &self->log;
  size_t count = log->commit % (LOG_ENTRIES * 2);
  *sound = true;
  if (count == 0 || count > LOG_ENTRIES || log->commit != checksum(log, count)) return 0;
  for (size_t i = 0; i < count; i++) {
    size_t place = log->entries[i].place, header = log->entries[i].header;
    *sound = *sound && (place_of(self, self->end) - place) % UNIT == 0 &&
             place - place_of(self, first) < bytes_between(first, self->end) &&
             header == sealed(place, header & ~SEAL_MASK);
  }
  return count;
}

// Whether blocks tile the heap from `first` to its end, read with what is logged.
static bool is_tiled(const struct allocator *self, const struct block *first) {
  bool after_free = false;
  const struct block *block = first;
  for (; block != self->end; block = right_of(self, block)) {
    if (!tiles(self, block) || (after_free && is_free(self, block))) return false;
    after_free = is_free(self, block);
  }
  return block->header == sealed(place_of(self, block), 0);
}

// All is looked at through a copy of the allocator, and nothing is written before all is in order.
static struct allocator *mapped_open(struct source *source,
                                     const struct strategy_options *options) {
  if ((source->traits & SOURCE_PERSISTS) == 0 || options->variant != 0) return NULL;
  struct fixed_heap heap = {.source = source};
  struct block *first, *end;
  heap.start = source->held(source, &heap.size);
  if (heap.start == NULL || !lay_out(&heap, &first, &end)) return NULL;
  struct allocator *self = (struct allocator *)first - 1, copy = *self;
  bool sound;
  copy.heap = heap;
  copy.end = end;
  if (!is_marked(&copy)) return NULL;
  copy.logged = committed(&copy, first, &sound);
  if (!sound || !is_tiled(&copy, first)) return NULL;

  self->heap = heap;
  self->logged = copy.logged;
  redo(self);
  if (self->log.commit != 0) write_word(self, &self->log.commit, 0);
  make_volatile(self, &heap, end);
  return self;
}

static void mapped_close(struct allocator *self) { persist(self, self->heap.start, self->size); }

static void *mapped_root(const struct allocator *self) {
  return self->root == 0 ? NULL : block_in(self, self->root);
}

static void mapped_set_root(struct allocator *self, const void *block) {
  write_word(self, &self->root, block == NULL ? 0 : place_of(self, block));
}

static void mapped_destroy(struct allocator *self) {
  struct fixed_heap heap = self->heap;
  write_word(self, &self->magic, 0);
  fixed_heap_release(heap);
}

// ## The table

static struct block *find_and_carve(struct allocator *self, size_t size, size_t align) {
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = find_first(self, needed, align);
  return block == NULL ? NULL : carve(self, block, gap_before(block, align), needed);
}

static void *mapped_allocate(struct allocator *self, size_t size, size_t align) {
  struct block *block = find_and_carve(self, size, align);
  if (block == NULL) return NULL;
  commit(self);
  return payload_of(block);
}

// A block that is live is zero: the zeros last before it does.
static void *mapped_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                    size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  struct block *block = find_and_carve(self, bytes, align);
  if (block == NULL) return NULL;
  persist(self, memset(payload_of(block), 0, bytes), bytes);
  commit(self);
  return payload_of(block);
}

static enum release_result mapped_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  const struct block *first = first_block(self);
  if (address_of(payload) % UNIT != 0 ||
      !range_within(payload, 1, first, bytes_between(first, self->end)))
    return RELEASE_FOREIGN;
  commit_release(self, block_of(payload));
  return RELEASED;
}

static size_t mapped_usable_size(const struct allocator *self, const void *payload) {
  return payload == NULL ? 0 : size_of(self, block_of(payload)) - HEADER;
}

// A block that moves is copied before its new place is live, and that becomes live when the old
// one becomes free.
static void *mapped_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  size_t needed;
  if (payload == NULL) return mapped_allocate(self, size, align);
  if (!is_request(size, align) || !size_with_header(size, &needed)) return NULL;
  struct block *block = block_of(payload);
  size_t old_size = size_of(self, block),
         kept = old_size - HEADER < size ? old_size - HEADER : size;
  if (gap_before(block, align) == 0) {
    if (needed < old_size) shrink(self, block, needed);
    if (needed <= old_size || extend(self, block, needed)) return payload;
  }
  struct block *moved = find_and_carve(self, size, align);
  if (moved == NULL) return NULL;
  persist(self, memcpy(payload_of(moved), payload, kept), kept);
  commit_release(self, block);
  return payload_of(moved);
}

static void mapped_reset(struct allocator *self) {
  struct block *all = first_block(self);
  log_header(self, all, bytes_between(all, self->end), STATE_FREE);
  commit(self);
  self->first = NULL;
  link_after(self, NULL, all);
  tell_right(self, all);
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// As both blocks and list ascend, one pass over the blocks must meet the listed ones in turn: no
// link is ever followed, only compared with where the pass is anyway.
static struct broken_invariant check_blocks(const struct allocator *self) {
  const struct block *listed = NULL, *expected = self->first, *left = NULL, *end = self->end;
  for (const struct block *block = first_block(self); block != end;
       left = block, block = right_of(self, block)) {
    if (!tiles(self, block)) return broken(4, block);
    if (block->left_size != (left == NULL ? 0 : size_of(self, left))) return broken(5, block);
    if (!is_free(self, block)) continue;
    if (left != NULL && is_free(self, left)) return broken(6, block);
    if (block != expected || block->previous != listed) return broken(7, block);
    listed = block;
    expected = block->next;
  }
  if (end->header != sealed(place_of(self, end), 0)) return broken(4, end);
  if (end->left_size != size_of(self, left)) return broken(5, end);
  return expected == NULL ? broken(0, NULL) : broken(7, listed);
}

static struct broken_invariant mapped_check(const struct allocator *self) {
  struct block *first, *end;
  if (!is_marked(self)) return broken(1, self);
  if (self->logged != 0 || self->log.commit != 0) return broken(2, self);
  if (!lay_out(&self->heap, &first, &end) || first != first_block(self) || end != self->end)
    return broken(3, self);
  return check_blocks(self);
}

// Shows a damaged heap as far as its blocks tile it.
static void mapped_walk(const struct allocator *self, span_visitor *visit, void *context) {
  struct block *block = first_block(self);
  visit_span(visit, context, self->heap.start, place_of(self, block), SPAN_META);
  for (; block != self->end && tiles(self, block); block = right_of(self, block)) {
    visit_span(visit, context, block, HEADER, SPAN_META);
    visit_span(visit, context, payload_of(block), size_of(self, block) - HEADER,
               is_free(self, block) ? SPAN_FREE : SPAN_BLOCK);
  }
  visit_span(visit, context, block, self->heap.size - place_of(self, block), SPAN_META);
}

static void count_span(void *context, const struct span *span) {
  struct statistics *statistics = context;
  if (span->kind == SPAN_BLOCK) statistics->blocks++;
  if (span->kind != SPAN_FREE) {
    statistics->used += span->size;
  } else if (span->size > statistics->largest_free) {
    statistics->largest_free = span->size;
  }
}

static struct statistics mapped_statistics(const struct allocator *self) {
  struct statistics statistics = {.acquired = self->heap.size};
  mapped_walk(self, count_span, &statistics);
  return statistics;
}

// Blocks are placed at the low end of a free one, so the free block at the end of the heap loses to
// each at most its own size and the units in front that alignment may skip.
static size_t mapped_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return SIZE_MAX;
  return add_saturating(needed, align > UNIT ? align - UNIT : 0);
}

const struct strategy mapped_heap_strategy = {
    .name = "mapped_heap",
    .summary = "persistent first-fit heap: opens after a crash as before or after the last call",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_FOREIGN_RELEASE |
              STRATEGY_WALKS_BLOCKS | STRATEGY_PERSISTS,
    .needs = SOURCE_PERSISTS,
    .min_align = 16,
    .max_align = MAX_ALIGN,
    // The allocator, the last header, and less than a unit on either side to meet the lattice.
    .overhead = sizeof(struct allocator) + HEADER + 2 * (UNIT - 1),
    .invariants = invariants,
    .create = mapped_create,
    .allocate = mapped_allocate,
    .allocate_zeroed = mapped_allocate_zeroed,
    .release = mapped_release,
    .resize = mapped_resize,
    .usable_size = mapped_usable_size,
    .reset = mapped_reset,
    .close = mapped_close,
    .open = mapped_open,
    .root = mapped_root,
    .set_root = mapped_set_root,
    .check = mapped_check,
    .walk = mapped_walk,
    .statistics = mapped_statistics,
    .destroy = mapped_destroy,
    .footprint = mapped_footprint,
};
