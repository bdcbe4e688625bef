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
// that makes the heap fast (sizes of left neighbours, lists of free blocks, a map of where blocks
// begin, addresses of any kind) is volatile: it lies in the same memory, is never trusted, and made
// anew by open.
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
#include "allocators/class_lists.h"
#include "allocators/fixed_heap.h"
#include "allocators/index_set.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)

struct block {
  size_t header;     // bytes of this block, header included, STATE_FREE if it is free; and its seal
  size_t left_size;  // volatile: bytes of the block to the left; 0: there is none
  // Only in free blocks, and volatile; in a live one this is payload already.
  struct free_link link;
};

#define UNIT sizeof(struct block)
#define HEADER offsetof(struct block, link)
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
//   | padding | struct allocator | map | block | ... | block | header | padding |
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
  // I3: the allocator, its map, the first block and `end` are where they must be in the heap
  struct block *first, *end;
  // I7: the map has the units where payloads begin, of all blocks, and only those
  struct index_set starts;
  // I4: blocks tile the memory up to `end`: each bears the seal of its place, size and state
  // I5: each block knows the size of its left neighbour
  // I6: no two neighbours are both free
  // I8: lists link all free blocks of a class, and only those, in both directions
  // I9: a class is said to be filled if its list is not empty
  struct class_lists lists;
};

static const char *const invariants[] = {
    "the heap is marked as such, with its format and size, and these bear their seal",
    "between calls the log is empty",
    "the allocator, its map, the first block and `end` are where they must be in the heap",
    "blocks tile the memory up to `end`: each bears the seal of its place, size and state",
    "each block knows the size of its left neighbour",
    "no two neighbours are both free",
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

static void *payload_of(struct block *block) { return &block->link; }

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

// Where a seal has few bits, as in words of 32, chance would let many a changed bit pass: folded to
// that length, no single one does.
static size_t fold(size_t size_state) {
  size_t folded = 0;
  for (; size_state != 0; size_state /= UNIT / 2) folded ^= size_state % (UNIT / 2) * 2;
  return folded;
}

static size_t sealed(size_t place, size_t size_state) {
  size_t hash = mix(MAGIC, place);
  hash = SEAL_MASK < UNIT ? hash ^ fold(size_state) : mix(hash, size_state);
  return size_state | (hash & SEAL_MASK);
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

static size_t index_of(const struct allocator *self, const struct block *block) {
  return bytes_between(self->first, block) / UNIT;
}

// Whether `address` lies between the first payload and `end`, where a payload may begin.
static bool is_place(const struct allocator *self, uintptr_t address) {
  return address >= address_of(self->first) + HEADER && address < address_of(self->end) &&
         address % UNIT == 0;
}

// The last block, live or free, whose payload begins at `address`, which is a place, or before it.
static struct block *block_before(const struct allocator *self, uintptr_t address) {
  size_t index = (address - address_of(self->first) - HEADER) / UNIT;
  return block_at(self->first, index_set_last(&self->starts, index) * UNIT);
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

// ## Splitting and coalescing

static bool fits(const struct allocator *self, const struct block *block, size_t needed,
                 size_t align) {
  size_t gap = gap_before(block, align), size = size_of(self, block);
  return gap < size && needed <= size - gap;
}

// The first that fits, of the lowest class that has one.
static struct block *find_fit(const struct allocator *self, size_t needed, size_t align) {
  uint32_t classes = class_lists_from(&self->lists, needed / UNIT);
  for (; classes != 0; classes &= classes - 1)
    for (struct free_link *link = self->lists.lists[first_class(classes)]; link; link = link->next)
      if (fits(self, block_of(link), needed, align)) return block_of(link);
  return NULL;
}

static void tell_right(const struct allocator *self, const struct block *block) {
  right_of(self, block)->left_size = size_of(self, block);
}

// What is volatile of a free block, once its header says so.
static void list(struct allocator *self, struct block *block) {
  index_set_add(&self->starts, index_of(self, block));
  class_lists_add(&self->lists, &block->link, size_of(self, block) / UNIT);
  tell_right(self, block);
}

static void unlist(struct allocator *self, struct block *block) {
  index_set_remove(&self->starts, index_of(self, block));
  class_lists_remove(&self->lists, &block->link, size_of(self, block) / UNIT);
}

// The same of a live one.
static void note_live(struct allocator *self, struct block *block) {
  index_set_add(&self->starts, index_of(self, block));
  tell_right(self, block);
}

// Makes a free block of what is left of one.
static void leave_rest(struct allocator *self, struct block *rest, size_t size) {
  if (size == 0) return;
  prepare(self, rest, size, STATE_FREE);
  list(self, rest);
}

// Logs that `needed` bytes of a free block become live, `gap` bytes behind its start. Until then
// the block that is returned can be written to, and nobody sees it.
//
//   [             free              ]
//   [ gap: free ][ chosen ][  rest: free  ]      gap and rest may be nothing
static struct block *carve(struct allocator *self, struct block *block, size_t gap, size_t needed) {
  size_t rest_size = size_of(self, block) - gap - needed;
  struct block *chosen = block_at(block, gap);
  unlist(self, block);
  if (gap != 0) {
    prepare(self, chosen, needed, 0);
    log_header(self, block, gap, STATE_FREE);
    list(self, block);
  } else {
    log_header(self, chosen, needed, 0);
  }
  note_live(self, chosen);
  leave_rest(self, block_at(chosen, needed), rest_size);
  return chosen;
}

// Makes a live block free, merged with its free neighbours, and commits that with all that is
// logged. Only then its memory can be written to.
static void commit_release(struct allocator *self, struct block *block) {
  struct block *left = left_of(block), *right = right_of(self, block), *merged = block;
  size_t size = size_of(self, block);
  if (is_free(self, right)) {  //                       [ block ][ right ] -> [     block      ]
    unlist(self, right);
    size += size_of(self, right);
  }
  if (left != NULL && is_free(self, left)) {  //        [ left ][ block  ] -> [      left      ]
    unlist(self, left);
    index_set_remove(&self->starts, index_of(self, block));
    size += size_of(self, left);
    merged = left;
  }
  log_header(self, merged, size, STATE_FREE);
  commit(self);
  list(self, merged);
}

// Gives back what a live block has beyond `needed` bytes. The header for that lies where contents
// are until it is committed.
static void shrink(struct allocator *self, struct block *block, size_t needed) {
  struct block *rest = block_at(block, needed), *right = right_of(self, block);
  size_t rest_size = size_of(self, block) - needed;
  if (is_free(self, right)) {
    unlist(self, right);
    rest_size += size_of(self, right);
  }
  log_header(self, block, needed, 0);
  log_header(self, rest, rest_size, STATE_FREE);
  commit(self);
  tell_right(self, block);
  list(self, rest);
}

// Extends a live block into its right neighbour, if that is free and suffices.
static bool extend(struct allocator *self, struct block *block, size_t needed) {
  struct block *right = right_of(self, block);
  size_t size = size_of(self, block);
  if (!is_free(self, right) || needed - size > size_of(self, right)) return false;
  size_t rest_size = size + size_of(self, right) - needed;
  unlist(self, right);
  leave_rest(self, block_at(block, needed), rest_size);
  log_header(self, block, needed, 0);
  commit(self);
  tell_right(self, block);
  return true;
}

// ## Create and open

static size_t seal_for(const struct allocator *self) {
  return mix(mix(mix(MAGIC, self->format), self->size), ~self->size);
}

// Where everything belongs in the heap of `self`, which need not lie there yet: it will at *place.
// False if there is no room for a block, or more than headers can tell.
static bool lay_out(struct allocator *self, struct allocator **place) {
  uintptr_t start = address_of(self->heap.start), at, lowest;
  if (self->heap.size > SIZE_LIMIT || !align_up(start, _Alignof(struct allocator), &at))
    return false;
  *place = (struct allocator *)at;
  at += sizeof(struct allocator);
  at = index_set_lay_out(&self->starts, at, self->heap.size / UNIT);
  if (!align_up(at + HEADER, UNIT, &lowest)) return false;
  uintptr_t highest = align_down(start + self->heap.size, UNIT);
  self->first = (struct block *)(lowest - HEADER);
  self->end = (struct block *)(highest - HEADER);
  return lowest < highest;
}

// Makes what is volatile in the heap anew out of headers that are known to tile it.
static void make_volatile(struct allocator *self) {
  index_set_clear(&self->starts);
  class_lists_clear(&self->lists);
  self->first->left_size = 0;
  for (struct block *block = self->first; block != self->end; block = right_of(self, block))
    if (is_free(self, block))
      list(self, block);
    else
      note_live(self, block);
}

static struct allocator *mapped_create(struct source *source,
                                       const struct strategy_options *options) {
  struct allocator plan = {.format = FORMAT}, *self;
  if ((source->traits & SOURCE_PERSISTS) == 0 || options->variant != 0 ||
      !fixed_heap_acquire(&plan.heap, source, options))
    return NULL;
  if (!lay_out(&plan, &self)) {
    fixed_heap_release(plan.heap);
    return NULL;
  }
  plan.size = plan.heap.size;
  plan.seal = seal_for(&plan);
  write_word(&plan, &self->magic, 0);  // whatever lay here is no heap any more
  *self = plan;
  prepare(self, self->first, bytes_between(self->first, self->end), STATE_FREE);
  prepare(self, self->end, 0, 0);
  make_volatile(self);
  persist(self, self, sizeof *self);
  write_word(self, &self->magic, MAGIC);
  return self;
}

static bool is_marked(const struct allocator *self) {
  return self->magic == MAGIC && self->format == FORMAT && self->size == self->heap.size &&
         self->seal == seal_for(self);
}

// How many entries the log of an earlier life has, and in *sound whether they can be believed.
static size_t committed(const struct allocator *self, bool *sound) {
  const struct log *log = &self->log;
  size_t count = log->commit % (LOG_ENTRIES * 2);
  *sound = true;
  if (count == 0 || count > LOG_ENTRIES || log->commit != checksum(log, count)) return 0;
  for (size_t i = 0; i < count; i++) {
    size_t place = log->entries[i].place, header = log->entries[i].header;
    *sound = *sound && (place_of(self, self->end) - place) % UNIT == 0 &&
             place - place_of(self, self->first) < bytes_between(self->first, self->end) &&
             header == sealed(place, header & ~SEAL_MASK);
  }
  return count;
}

// Whether blocks tile the heap, read with what is logged.
static bool is_tiled(const struct allocator *self) {
  bool after_free = false;
  const struct block *block = self->first;
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
  struct allocator copy, *self, plan = {.heap.source = source};
  plan.heap.start = source->held(source, &plan.heap.size);
  if (plan.heap.start == NULL || !lay_out(&plan, &self)) return NULL;
  copy = *self;
  copy.heap = plan.heap;
  copy.first = plan.first;
  copy.end = plan.end;
  copy.starts = plan.starts;
  bool sound;
  if (!is_marked(&copy)) return NULL;
  copy.logged = committed(&copy, &sound);
  if (!sound || !is_tiled(&copy)) return NULL;

  *self = copy;
  redo(self);
  if (self->log.commit != 0) write_word(self, &self->log.commit, 0);
  make_volatile(self);
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
  struct block *block = find_fit(self, needed, align);
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
  if (!is_place(self, address_of(payload))) return RELEASE_FOREIGN;
  struct block *block = block_before(self, address_of(payload));
  if (is_free(self, block)) return RELEASE_DOUBLE;
  if (block != block_of(payload)) return RELEASE_FOREIGN;
  commit_release(self, block);
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
  log_header(self, self->first, bytes_between(self->first, self->end), STATE_FREE);
  commit(self);
  make_volatile(self);
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static struct broken_invariant check_blocks(const struct allocator *self) {
  const struct block *left = NULL, *end = self->end;
  size_t blocks = 0;
  for (const struct block *block = self->first; block != end;
       left = block, block = right_of(self, block)) {
    if (!tiles(self, block)) return broken(4, block);
    if (block->left_size != (left == NULL ? 0 : size_of(self, left))) return broken(5, block);
    if (left != NULL && is_free(self, left) && is_free(self, block)) return broken(6, block);
    if (!index_set_has(&self->starts, index_of(self, block))) return broken(7, block);
    blocks++;
  }
  if (end->header != sealed(place_of(self, end), 0)) return broken(4, end);
  if (end->left_size != size_of(self, left)) return broken(5, end);
  const size_t *damage = index_set_damage(&self->starts, blocks);
  return damage == NULL ? broken(0, NULL) : broken(7, damage);
}

// Whether `link`, of whatever value, is that of a free block of this class.
static bool is_listable(const struct allocator *self, const struct free_link *link,
                        unsigned class) {
  if (!is_place(self, address_of(link))) return false;
  const struct block *block = block_before(self, address_of(link));
  return block == block_of(link) && is_free(self, block) &&
         class_of(size_of(self, block) / UNIT) == class;
}

static struct broken_invariant check_lists(const struct allocator *self) {
  size_t apart = 0;  // free blocks not met in a list yet
  for (const struct block *block = self->first; block != self->end; block = right_of(self, block)) {
    if (!is_free(self, block)) continue;
    unsigned class = class_of(size_of(self, block) / UNIT);
    const struct free_link *link = &block->link, *next = link->next, *previous = link->previous;
    if (next != NULL && (!is_listable(self, next, class) || next->previous != link))
      return broken(8, block);
    if (previous == NULL ? self->lists.lists[class] != link
                         : !is_listable(self, previous, class) || previous->next != link)
      return broken(8, block);
    apart++;
  }
  // Now each link leads to a neighbour that knows of it: a list that starts right ends as well.
  for (unsigned class = 0; class < SIZE_CLASSES; class ++) {
    const struct free_link *link = self->lists.lists[class];
    if (link != NULL && (!is_listable(self, link, class) || link->previous != NULL))
      return broken(8, self);
    if ((link != NULL) != (self->lists.filled >> class & 1)) return broken(9, self);
    for (; link != NULL; link = link->next) apart--;
  }
  return apart == 0 ? broken(0, NULL) : broken(8, self);
}

static bool is_laid_out(const struct allocator *self) {
  struct allocator plan = {.heap = self->heap}, *place;
  return lay_out(&plan, &place) && place == self && plan.first == self->first &&
         plan.end == self->end && memcmp(&plan.starts, &self->starts, sizeof plan.starts) == 0;
}

static struct broken_invariant mapped_check(const struct allocator *self) {
  if (!is_marked(self)) return broken(1, self);
  if (self->logged != 0 || self->log.commit != 0) return broken(2, self);
  if (!is_laid_out(self)) return broken(3, self);
  struct broken_invariant found = check_blocks(self);
  return found.number == 0 ? check_lists(self) : found;
}

// Shows a damaged heap as far as its blocks tile it.
static void mapped_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (self->logged != 0 || !is_laid_out(self)) {
    visit_span(visit, context, self->heap.start, self->heap.size, SPAN_META);
    return;
  }
  struct block *block = self->first;
  visit_span(visit, context, self->heap.start, place_of(self, block), SPAN_META);
  for (; block != self->end && tiles(self, block); block = right_of(self, block)) {
    visit_span(visit, context, block, HEADER, SPAN_META);
    visit_span(visit, context, payload_of(block), size_of(self, block) - HEADER,
               is_free(self, block) ? SPAN_FREE : SPAN_BLOCK);
  }
  visit_span(visit, context, block, self->heap.size - place_of(self, block), SPAN_META);
}

static struct statistics mapped_statistics(const struct allocator *self) {
  return statistics_by_walk(self, mapped_walk);
}

// Of each byte of the heap, one in MAP_SHARE is for the map, besides words that are not full. So a
// block takes that much more than itself, and the units in front that alignment may skip: it lies
// at the low end of a free one, so the one at the end of the heap loses no more to it.
#define MAP_SHARE (UNIT / sizeof(size_t) * (INDEX_SET_BITS - 1))

static size_t mapped_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  size_t needed;
  if (!is_request(size, align) || !size_with_header(size, &needed)) return SIZE_MAX;
  size_t extent = add_saturating(needed, align > UNIT ? align - UNIT : 0);
  return add_saturating(extent, extent / (MAP_SHARE - 1) + 1);
}

const struct strategy mapped_heap_strategy = {
    .name = "mapped_heap",
    .summary = "persistent heap: opens after a crash as it was before the last call, or after it",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_WALKS_BLOCKS | STRATEGY_PERSISTS,
    .needs = SOURCE_PERSISTS,
    .min_align = 16,
    .max_align = MAX_ALIGN,
    // The allocator, the map's words that are not full, the last header, less than a unit on either
    // side to meet the lattice, and the map's share of all that.
    .overhead =
        sizeof(struct allocator) + (INDEX_SET_LEVELS + 1) * sizeof(size_t) + HEADER + 3 * UNIT,
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
