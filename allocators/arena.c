// Arena: blocks that die together, in chunks that grow; marks make the lifetimes nest.
//
// Objects whose deaths can be foreseen need no release of their own: D. T. Ross, "The AED Free
// Storage Package", CACM 10(8), 1967 (zones); D. R. Hanson, "Fast Allocation and Deallocation of
// Memory Based on Object Lifetimes", Software: Practice and Experience 20(1), 1990; GNU obstacks.
// That such lifetimes can form a stack of regions, and a compiler infer it: M. Tofte and J.-P.
// Talpin, "Region-Based Memory Management", Information and Computation 132(2), 1997. A mark opens
// such a region here, and a rollback to it closes that and all that are nested in it.
//
//   memory                        top           memory + size
//   |                             |             |
//   +---------+--------+----------+-------------+
//   | padding | header |  blocks  |    room     |      header: struct chunk, or the allocator
//   +---------+--------+----------+-------------+
//
// Blocks have no headers: nothing tells where one begins or how long it is, so there is no release,
// no resize and no usable_size, and to allocate is to align, to compare and to add.
//
// Only the current chunk serves requests. A request that does not fit opens a chunk, and the
// roomier of the two is current from then on: a large block ends no half-empty chunk. Each chunk
// remembers which one was current before it, so that a rollback drops chunks, newest first, and
// then sets one pointer. A chunk is twice as long as the current one up to a limit, so there are
// few; and where that cannot be had half of it, and so on, down to what the request needs.
//
// What a chunk may have left when it is no longer current, or never becomes so, is always less than
// the request for which a chunk was opened then. That is why the stated bound is so simple: every
// request twice, and a header.
//
// Variant keeps_chunks holds on to the chunks that it drops, for those to come, and gives them back
// when a request could not be met otherwise: where regions come and go it asks its source for
// nothing. How `apr_pool_clear` differs from `apr_pool_destroy` in the Apache Portable Runtime.
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define CHUNK_LIMIT ((size_t)1 << 20)  // chunks grow to this size; larger ones hold one block

// Chunks lie wherever the source has put them, so a damaged link can not be told by its value. The
// seal can: it is a complemented sum of the words that stay as they are while a chunk is in its
// ring (D. J. Taylor, D. E. Morgan and J. P. Black, "Redundancy in Data Structures", IEEE TSE 6(6),
// 1980), and links are followed only if it agrees. The weights are odd, so that no change of one
// word keeps the seal, and differ, so that two words can not be swapped; and no fill with equal
// bytes passes: for words w, ~18w is w only where 19w is ~0.
struct chunk {
  // I1: a chunk's seal agrees with its links, memory and size
  struct chunk *older;    // the one opened before it, and in the end the head of the ring
  struct chunk *resumes;  // what was current until it was opened, and will be when it is dropped
  unsigned char *memory;  // as the source gave it
  size_t size;            // of that
  uintptr_t seal;
  // I3: a chunk lies at the first aligned place of its memory, and its top behind its header
  unsigned char *top;  // where its room begins; of the current chunk, the allocator knows that
};

enum variant { RETURNS_CHUNKS, KEEPS_CHUNKS, VARIANTS };

struct allocator {
  // I2: the chunks form a ring through the allocator's own, newest first, as long as counted
  struct chunk own;  // the stretch in which the allocator lies, and its first chunk
  size_t chunks;     // in the ring, without this one
  // I6: the kept chunks form a ring, as long as counted; a variant that returns chunks has none
  struct chunk kept;  // the head of that ring, and no chunk
  size_t kept_chunks;
  // I5: a chunk is current, or never became so: then the one that it resumes is; each in its time
  struct chunk *current;
  // I4: top and end are in the current chunk: behind its header, and where its memory ends
  unsigned char *top;
  unsigned char *end;
  struct source *source;
  enum variant variant;
};

static const char *const invariants[] = {
    "a chunk's seal agrees with its links, memory and size",
    "the chunks form a ring through the allocator's own, newest first, as long as counted",
    "a chunk lies at the first aligned place of its memory, and its top behind its header",
    "top and end are in the current chunk: behind its header, and where its memory ends",
    "a chunk is current, or never became so: then the one that it resumes is; each in its time",
    "the kept chunks form a ring, as long as counted; a variant that returns chunks has none",
    NULL,
};

// ## Accessors: no other function adds to an address

static size_t header_of(const struct allocator *self, const struct chunk *chunk) {
  return chunk == &self->own ? sizeof(struct allocator) : sizeof(struct chunk);
}

static unsigned char *first_of(const struct allocator *self, const struct chunk *chunk) {
  return (unsigned char *)chunk + header_of(self, chunk);
}

static unsigned char *end_of(const struct chunk *chunk) { return chunk->memory + chunk->size; }

static unsigned char *top_of(const struct allocator *self, const struct chunk *chunk) {
  return chunk == self->current ? self->top : chunk->top;
}

static size_t bytes_between(const unsigned char *from, const unsigned char *to) {
  return address_of(to) - address_of(from);
}

static size_t gap_before(const unsigned char *top, size_t align) {
  return (0 - address_of(top)) & (align - 1);
}

// Where a block goes above `top`, or NULL: there is no room.
static inline unsigned char *place(unsigned char *top, const unsigned char *end, size_t size,
                                   size_t align) {
  size_t gap = gap_before(top, align), needed;
  return add_sizes(gap, size, &needed) && needed <= bytes_between(top, end) ? top + gap : NULL;
}

static struct chunk *chunk_in(unsigned char *memory) {
  return (struct chunk *)(memory + gap_before(memory, _Alignof(struct chunk)));
}

// Not by is_power_of_two: compilers make a count of bits of that, where they know that it is not 0,
// and it takes longer than all the rest. An alignment of 0, less 1, is more than any.
static bool is_request(size_t size, size_t align) {
  return size != 0 && align - 1 < MAX_ALIGN && (align ^ (align - 1)) == 2 * align - 1;
}

// Pages that hold a header and `size` bytes behind it, wherever they lie. Memory is aligned to its
// pages: where these are smaller than what alignment asks for, what may be skipped counts too.
static bool stretch_for(size_t header, size_t size, size_t align, size_t page_size,
                        size_t *stretch) {
  size_t alignment = _Alignof(struct chunk);
  size_t front = header + (page_size < alignment ? alignment - page_size : 0);
  size_t slack = align > page_size ? align - page_size : 0;
  return align_up(front, align < page_size ? align : page_size, &front) &&
         add_sizes(front + slack, size, stretch) && align_up(*stretch, page_size, stretch);
}

// ## Chunks

static uintptr_t seal_for(const struct chunk *chunk) {
  return ~(address_of(chunk->older) + 3 * address_of(chunk->resumes) +
           5 * address_of(chunk->memory) + 9 * chunk->size);
}

static bool is_sealed(const struct chunk *chunk) { return chunk->seal == seal_for(chunk); }

static void link_chunks(struct chunk *chunk, struct chunk *older) {
  chunk->older = older;
  chunk->seal = seal_for(chunk);
}

static void push(struct chunk *ring, struct chunk *chunk, size_t *count) {
  link_chunks(chunk, ring->older);
  link_chunks(ring, chunk);
  ++*count;
}

// Takes out the one that comes after `chunk` in its ring.
static struct chunk *take_after(struct chunk *chunk, size_t *count) {
  struct chunk *taken = chunk->older;
  link_chunks(chunk, taken->older);
  --*count;
  return taken;
}

static struct chunk *acquire_chunk(struct source *source, size_t size) {
  unsigned char *memory = source->acquire(source, size);
  if (memory == NULL) return NULL;
  struct chunk *chunk = chunk_in(memory);
  *chunk = (struct chunk){.memory = memory, .size = size};
  return chunk;
}

static void release_chunk(struct source *source, const struct chunk *chunk) {
  source->release(source, chunk->memory, chunk->size);
}

static bool give_back_kept(struct allocator *self) {
  if (self->kept_chunks == 0) return false;
  release_chunk(self->source, take_after(&self->kept, &self->kept_chunks));
  return true;
}

// Of the kept chunks the one dropped last that has room: after a rollback the same requests find
// the same chunks.
static struct chunk *reuse_chunk(struct allocator *self, size_t size, size_t align) {
  for (struct chunk *before = &self->kept; before->older != &self->kept; before = before->older) {
    const struct chunk *chunk = before->older;
    if (place(first_of(self, chunk), end_of(chunk), size, align) != NULL)
      return take_after(before, &self->kept_chunks);
  }
  return NULL;
}

// What the next chunk should have, in whole pages.
static size_t growth(const struct allocator *self) {
  size_t size = self->current->size, grown;
  size = size < CHUNK_LIMIT / 2 ? 2 * size : CHUNK_LIMIT;
  return align_up(size, self->source->page_size, &grown) ? grown : 0;
}

// A chunk with room for such a block, in no ring, or NULL.
static struct chunk *obtain_chunk(struct allocator *self, size_t size, size_t align) {
  struct source *source = self->source;
  size_t least;
  if (!stretch_for(sizeof(struct chunk), size, align, source->page_size, &least)) return NULL;
  struct chunk *chunk = reuse_chunk(self, size, align);
  for (size_t wanted = growth(self); chunk == NULL && wanted > least;
       wanted = align_down(wanted / 2, source->page_size))
    chunk = acquire_chunk(source, wanted);
  if (chunk == NULL) chunk = acquire_chunk(source, least);
  while (chunk == NULL && give_back_kept(self)) chunk = acquire_chunk(source, least);
  return chunk;
}

static void make_current(struct allocator *self, struct chunk *chunk, unsigned char *top) {
  self->current = chunk;
  self->top = top;
  self->end = end_of(chunk);
}

static void *allocate_in_new_chunk(struct allocator *self, size_t size, size_t align) {
  struct chunk *chunk = obtain_chunk(self, size, align);
  if (chunk == NULL) return NULL;
  unsigned char *block = place(first_of(self, chunk), end_of(chunk), size, align);
  chunk->resumes = self->current;
  chunk->top = block + size;
  push(&self->own, chunk, &self->chunks);
  if (bytes_between(chunk->top, end_of(chunk)) > bytes_between(self->top, self->end)) {
    self->current->top = self->top;
    make_current(self, chunk, chunk->top);
  }
  return block;
}

static void drop_newest(struct allocator *self) {
  struct chunk *chunk = take_after(&self->own, &self->chunks);
  self->current = chunk->resumes;
  if (self->variant == KEEPS_CHUNKS)
    push(&self->kept, chunk, &self->kept_chunks);
  else
    release_chunk(self->source, chunk);
}

// ## The table

static struct allocator *arena_create(struct source *source,
                                      const struct strategy_options *options) {
  size_t size;
  if ((source->traits & SOURCE_RECLAIMS) == 0 || options->variant >= VARIANTS ||
      !stretch_for(sizeof(struct allocator), 0, 1, source->page_size, &size))
    return NULL;
  struct chunk *own = acquire_chunk(source, size);
  if (own == NULL) return NULL;
  struct allocator *self = (struct allocator *)own;  // its first member
  self->chunks = self->kept_chunks = 0;
  self->kept = (struct chunk){0};
  self->source = source;
  self->variant = (enum variant)options->variant;
  link_chunks(own, own);
  link_chunks(&self->kept, &self->kept);
  make_current(self, own, first_of(self, own));
  return self;
}

static void *arena_allocate(struct allocator *self, size_t size, size_t align) {
  if (!is_request(size, align)) return NULL;
  unsigned char *block = place(self->top, self->end, size, align);
  if (__builtin_expect(block == NULL, 0)) return allocate_in_new_chunk(self, size, align);
  self->top = block + size;
  return block;
}

static void *arena_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                   size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = arena_allocate(self, bytes, align);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static struct mark arena_mark(struct allocator *self) {
  return (struct mark){.place = self->top, .amount = self->chunks};
}

// Chunks are never empty when they are opened, so those that are newer than the mark are those of
// blocks that are; and when they are gone, current is what was so when the mark was taken.
static void arena_rollback(struct allocator *self, struct mark mark) {
  while (self->chunks > mark.amount) drop_newest(self);
  make_current(self, self->current, mark.place);
}

static void arena_reset(struct allocator *self) {
  arena_rollback(self, (struct mark){first_of(self, &self->own), 0});
}

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static struct broken_invariant check_chunk(const struct allocator *self,
                                           const struct chunk *chunk) {
  if (!is_sealed(chunk)) return broken(1, chunk);
  if (chunk_in(chunk->memory) != chunk ||
      !range_within(chunk, header_of(self, chunk), chunk->memory, chunk->size))
    return broken(3, chunk);
  return broken(0, NULL);
}

static struct broken_invariant check_top(const struct allocator *self, const struct chunk *chunk) {
  const unsigned char *first = first_of(self, chunk), *top = top_of(self, chunk);
  bool current = chunk == self->current;
  if (range_within(top, 0, first, bytes_between(first, end_of(chunk))) &&
      (!current || self->end == end_of(chunk)))
    return broken(0, NULL);
  return broken(current ? 4 : 3, chunk);
}

// What is current is followed back in time as the pass goes along, and no link but `older` at all.
static struct broken_invariant check_stack(const struct allocator *self) {
  const struct chunk *current = self->current, *chunk = &self->own;
  for (size_t met = 0;; met++) {
    struct broken_invariant found = check_chunk(self, chunk);
    if (found.number == 0) found = check_top(self, chunk);
    if (found.number != 0) return found;
    if (chunk != &self->own) {
      if (current != chunk && current != chunk->resumes) return broken(5, chunk);
      current = chunk->resumes;
    }
    chunk = chunk->older;
    if ((chunk == &self->own) != (met == self->chunks)) return broken(2, chunk);
    if (chunk == &self->own) break;
  }
  return current == &self->own ? broken(0, NULL) : broken(5, self);
}

static struct broken_invariant check_kept(const struct allocator *self) {
  if (!is_sealed(&self->kept)) return broken(1, &self->kept);
  if (self->kept_chunks != 0 && self->variant != KEEPS_CHUNKS) return broken(6, self);
  const struct chunk *chunk = self->kept.older;
  for (size_t left = self->kept_chunks; left != 0; left--, chunk = chunk->older) {
    if (chunk == &self->kept) return broken(6, self);
    struct broken_invariant found = check_chunk(self, chunk);
    if (found.number != 0) return found;
  }
  return chunk == &self->kept ? broken(0, NULL) : broken(6, chunk);
}

static struct broken_invariant arena_check(const struct allocator *self) {
  struct broken_invariant found = check_stack(self);
  return found.number != 0 ? found : check_kept(self);
}

static void walk_chunk(const struct allocator *self, const struct chunk *chunk, span_visitor *visit,
                       void *context) {
  const unsigned char *first = first_of(self, chunk), *top = top_of(self, chunk);
  if (check_chunk(self, chunk).number != 0 || check_top(self, chunk).number != 0) {
    visit_span(visit, context, chunk->memory, chunk->size, SPAN_META);
    return;
  }
  visit_span(visit, context, chunk->memory, bytes_between(chunk->memory, first), SPAN_META);
  visit_span(visit, context, first, bytes_between(first, top), SPAN_USED);
  visit_span(visit, context, top, bytes_between(top, end_of(chunk)),
             chunk == self->current ? SPAN_FREE : SPAN_META);
}

// Shows damaged rings as far as their seals hold.
static void arena_walk(const struct allocator *self, span_visitor *visit, void *context) {
  const struct chunk *own = &self->own, *kept = &self->kept;
  for (const struct chunk *chunk = own; is_sealed(chunk); chunk = chunk->older) {
    walk_chunk(self, chunk, visit, context);
    if (chunk->older == own) break;
  }
  while (is_sealed(kept) && (kept = kept->older) != &self->kept && is_sealed(kept))
    visit_span(visit, context, kept->memory, kept->size, SPAN_FREE);
}

static void count_span(void *context, const struct span *span) {
  struct statistics *statistics = context;
  statistics->acquired += span->size;
  if (span->kind != SPAN_FREE) statistics->used += span->size;
}

static struct statistics arena_statistics(const struct allocator *self) {
  struct statistics statistics = {.largest_free = bytes_between(self->top, self->end)};
  arena_walk(self, count_span, &statistics);
  const struct chunk *kept = &self->kept;
  while (is_sealed(kept) && (kept = kept->older) != &self->kept) {
    size_t room = bytes_between(first_of(self, kept), end_of(kept));
    if (room > statistics.largest_free) statistics.largest_free = room;
  }
  return statistics;
}

static void arena_destroy(struct allocator *self) {
  struct source *source = self->source;
  arena_reset(self);
  while (give_back_kept(self)) {
  }
  struct chunk own = self->own;
  release_chunk(source, &own);
}

// At worst a block is the first of a chunk that has no byte more than it needs, and leaves behind
// one that had a byte less than it needed.
static size_t arena_footprint(size_t size, size_t align, size_t page_size) {
  size_t stretch;
  return is_request(size, align) &&
                 stretch_for(sizeof(struct chunk), size, align, page_size, &stretch)
             ? add_saturating(stretch, add_saturating(size, align - 1))
             : SIZE_MAX;
}

static const char *const variants[] = {
    [RETURNS_CHUNKS] = "returns_chunks", [KEEPS_CHUNKS] = "keeps_chunks", [VARIANTS] = NULL};

const struct strategy arena_strategy = {
    .name = "arena",
    .summary = "bump inside chunks that grow; marks, and rollback to them, for nested lifetimes",
    .traits = STRATEGY_RESETS | STRATEGY_ZEROES | STRATEGY_MARKS,
    .needs = SOURCE_RECLAIMS,
    .min_align = 1,
    .max_align = MAX_ALIGN,
    .overhead = sizeof(struct allocator) + _Alignof(struct allocator) - 1,  // in whole pages
    .variants = variants,
    .invariants = invariants,
    .create = arena_create,
    .allocate = arena_allocate,
    .allocate_zeroed = arena_allocate_zeroed,
    .reset = arena_reset,
    .mark = arena_mark,
    .rollback = arena_rollback,
    .check = arena_check,
    .walk = arena_walk,
    .statistics = arena_statistics,
    .destroy = arena_destroy,
    .footprint = arena_footprint,
};
