// The contract of an allocation strategy.
//
// A strategy is one allocation algorithm (bump, free list, buddy ...) as a table of functions. An
// allocator is one live instance of a strategy over a memory source. The split of algorithm
// ("mechanism and policy") from the memory it manages follows Wilson, Johnstone, Neely and Boles,
// "Dynamic Storage Allocation: A Survey and Critical Review" (IWMM 1995).
//
// Everything that an allocator knows lies in memory that it took from its source: it calls no
// other allocator, keeps no static state, and can be abandoned by dropping the source. Several
// allocators of one strategy may live side by side.
//
// ## Every edge case, once for all strategies
//
//   size 0                   refused: there is nothing to own. NULL, state unchanged
//   alignment                a power of two, in bytes. Below `min_align` it counts as `min_align`;
//                            0, no power of two, or above `max_align`: refused
//   size near SIZE_MAX       refused, never wrapped: no sum of size, header and padding overflows
//   count * size overflows   refused by allocate_zeroed
//   the source fails         refused. A refused request returns NULL and changes nothing that a
//                            later request, walk or check could tell: all that follows has the
//                            addresses that it had without it. Only memory which serves no block
//                            may have gone back to the source, or come and gone; then later blocks
//                            may lie elsewhere, and no less can be had
//   release(NULL)            does nothing and says RELEASED
//   resize(NULL, n, a)       is allocate(n, a)
//   resize(p, 0, a)          refused; p stays live, as it does whenever resize returns NULL
//   usable_size(NULL)        is 0
//   a released or foreign    undefined, unless the strategy has the trait that promises to detect
//   pointer                  it: then release says so and changes nothing
//   reset                    every block is gone at once, and all that could be had after create
//                            can be had again. To release one of these blocks is a double release;
//                            marks are void
//   rollback                 the same for the blocks allocated since the mark
//   collect                  the same for the blocks collected
//   destroy                  every byte goes back to the source, live blocks included
//
// Blocks of a strategy are never moved but by resize. Fresh blocks hold arbitrary bytes.
#ifndef ALLOCATORS_STRATEGY_H_
#define ALLOCATORS_STRATEGY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/source.h"

// What a strategy promises. A slot of the table that needs a trait is NULL without it.
enum strategy_trait {
  STRATEGY_RELEASES = 1u << 0,  // offers release: memory of a block can serve another request
  STRATEGY_RESIZES = 1u << 1,   // offers resize
  STRATEGY_RESETS = 1u << 2,    // offers reset
  STRATEGY_ZEROES = 1u << 3,    // offers allocate_zeroed
  STRATEGY_SIZES = 1u << 4,     // offers usable_size
  // Once every block is released, the largest block of a fresh heap can be had again
  // (immediate coalescing; Knuth, TAOCP vol. 1, 2.5).
  STRATEGY_COALESCES = 1u << 5,
  // Once every block is released, by whatever means, the source has back all that came after
  // create.
  STRATEGY_RETURNS_MEMORY = 1u << 6,
  // Releasing a block again says RELEASE_DOUBLE, as long as no block was allocated or resized since
  // within that one's footprint of it.
  STRATEGY_DETECTS_DOUBLE_RELEASE = 1u << 7,
  // Releasing an address outside all memory of this allocator says RELEASE_FOREIGN.
  STRATEGY_DETECTS_FOREIGN_RELEASE = 1u << 8,
  // allocate and allocate_zeroed may be called by several threads at once; every other call needs
  // them to be still.
  STRATEGY_ALLOCATES_CONCURRENTLY = 1u << 9,
  // walk shows each live block as one SPAN_BLOCK of its own.
  STRATEGY_WALKS_BLOCKS = 1u << 10,
  // allocate, allocate_zeroed, release, resize and usable_size may be called by several threads at
  // once, for blocks of each other too; every other call needs them to be still.
  STRATEGY_CONCURRENT = 1u << 11,
  STRATEGY_MARKS = 1u << 12,     // offers mark and rollback
  STRATEGY_COLLECTS = 1u << 13,  // offers collect
  STRATEGY_PERSISTS = 1u << 14,  // offers close, open, root and set_root
  // Releasing a block says RELEASE_OVERRUN if the byte just past those asked for was changed.
  STRATEGY_DETECTS_OVERRUN = 1u << 15,
  // An adapter: blocks lie anywhere, not in memory of the source, which only limits how much is
  // live at once. Walks show nothing; destroy needs every block to be released; over several
  // allocators addresses differ from run to run.
  STRATEGY_FOREIGN = 1u << 16,
  // An adapter: what it calls keeps state beyond destroy that create cannot undo, so that each
  // program needs a process of its own.
  STRATEGY_KEEPS_STATE = 1u << 17,
  // An adapter: size 0 is as C and POSIX leave it. allocate(0) gives NULL or a block of no bytes,
  // whose address is that of no other live block; resize(p, 0) releases p, and gives the same.
  STRATEGY_C_EDGES = 1u << 18,
  // An adapter: its heap must begin at the same address each time.
  STRATEGY_PLACED = 1u << 19,
  // An adapter: of a refused request C promises only that live blocks stay as they are. What comes
  // after it may be answered otherwise than without it.
  STRATEGY_REFUSALS_LEAVE_TRACES = 1u << 20,
  // No allocator: a collection over strategies, to be judged by `driver`. Of the table only name,
  // summary, traits, invariants and driver mean anything.
  STRATEGY_COLLECTION = 1u << 21,
};

enum release_result {
  RELEASED = 0,
  RELEASE_DOUBLE,   // the block was released before; nothing changed
  RELEASE_FOREIGN,  // the address belongs to no memory of this allocator; nothing changed
  RELEASE_OVERRUN,  // bytes past the block's end were written; it is released all the same
};

// How one allocator differs from another of its strategy. All zero is a fine choice.
struct strategy_options {
  size_t heap_size;  // bytes to take from a source at once by strategies with a fixed heap;
                     // 0: all that the source can give, or 1 MiB if that is not limited
  unsigned variant;  // index into strategy->variants; 0: the first
  uint64_t seed;     // of random choices: the same seed, the same choices
  // Told of each misuse that the strategy detects, before release says so, in one line that names
  // the misuse, the address and the block. NULL: nobody. Must not call the allocator.
  void (*misuse)(void *context, const char *message);
  void *misuse_context;
};

// A heap of fixed size over a source without a limit, unless told otherwise.
#define STRATEGY_DEFAULT_HEAP_SIZE ((size_t)1 << 20)

enum span_kind {
  SPAN_META,   // the allocator's own: headers, lists, padding that serves nobody
  SPAN_BLOCK,  // one live block, all of its usable bytes
  SPAN_USED,   // one or more live blocks that the strategy cannot tell apart
  SPAN_FREE,   // can serve a request
};

// A stretch of the allocator's memory.
struct span {
  const void *start;
  size_t size;  // bytes, > 0
  enum span_kind kind;
};

typedef void span_visitor(void *context, const struct span *span);

// The first invariant that does not hold.
struct broken_invariant {
  unsigned number;    // n of `<strategy>.I<n>`; 0: all hold
  const void *where;  // the structure that breaks it, or NULL
};

// In agreement with what walk shows.
struct statistics {
  size_t acquired;      // bytes held from the source: of all spans
  size_t used;          // of these, bytes that serve no further request as things stand: of all
                        // spans but SPAN_FREE
  size_t blocks;        // live blocks, where the strategy counts them, as those do that have
                        // STRATEGY_WALKS_BLOCKS; else 0
  size_t largest_free;  // bytes of the longest stretch that could serve a request
};

// A point in the life of an allocator. What it holds is the strategy's; it needs no disposal.
struct mark {
  void *place;
  size_t amount;
};

// Words, each aligned as such.
struct words {
  const uintptr_t *first;
  size_t count;
};

// What a collector is told: where references are, and whom to tell. Names are those of R. Jones, A.
// Hosking and E. Moss, "The Garbage Collection Handbook" (2012).
struct collection {
  const struct words *roots;  // references from outside the heap
  size_t roots_count;
  // Precise: each word is 0 or the address of a live block, and each block that no chain of
  // references from the roots reaches is collected. Conservative: a word may be anything; one that
  // lies in a live block retains it, and so some garbage may stay.
  bool precise;
  // Where in a block, or on behalf of it, its references are. NULL: all of its words.
  struct words (*trace)(void *context, const void *block);
  // Told of each block that is collected, while its contents are still as they were. NULL: nobody.
  void (*collected)(void *context, void *block);
  void *context;
};

struct allocator;          // each strategy's own; lies in memory of its source
struct collection_driver;  // of who judges

struct strategy {
  const char *name;     // of the registry; [a-z_]+
  const char *summary;  // one line, for lists
  unsigned traits;      // enum strategy_trait
  unsigned needs;       // enum source_trait that its source must have
  size_t least_heap;    // bytes; whoever chooses a heap for it chooses none that is smaller, whose
                        // source refuses nothing without need. 0: any
  size_t most_heap;     // bytes; nor one that is larger. 0: any
  size_t min_align;     // bytes; every block is aligned to at least this
  size_t max_align;     // bytes; the largest alignment that may be asked for
  size_t overhead;  // upper bound, once rounded up to the source's page_size, of the bytes that an
                    // allocator without blocks keeps of its source for itself; part of the
                    // stated bound below

  // Names of variants of the algorithm ("first_fit", "best_fit"), ended by NULL; or NULL: one only.
  const char *const *variants;
  // What check checks: invariants[n - 1] is the text of I<n>. Ended by NULL.
  const char *const *invariants;

  // A new allocator, or NULL: the source failed or is too small, lacks a trait in `needs`, or the
  // variant is unknown. The source must outlive it and belongs to it alone until destroy.
  struct allocator *(*create)(struct source *source, const struct strategy_options *options);

  // `size` bytes aligned to `align`, owned by the caller until release, resize, reset or destroy.
  void *(*allocate)(struct allocator *self, size_t size, size_t align);

  // `count * size` bytes, all zero.                                             STRATEGY_ZEROES
  void *(*allocate_zeroed)(struct allocator *self, size_t count, size_t size, size_t align);

  // Gives a block back.                                                       STRATEGY_RELEASES
  enum release_result (*release)(struct allocator *self, void *block);

  // The block with a new size and alignment, in place or moved, with the first min(old, new)
  // bytes kept. On success the old address is no longer the caller's.          STRATEGY_RESIZES
  void *(*resize)(struct allocator *self, void *block, size_t size, size_t align);

  // How many bytes of a live block may be written, at least what was asked for. From then on they
  // are the block's: resize keeps them too.                                    STRATEGY_SIZES
  size_t (*usable_size)(const struct allocator *self, const void *block);

  // Releases every block at once.                                               STRATEGY_RESETS
  void (*reset)(struct allocator *self);

  // Now, to roll back to.                                                        STRATEGY_MARKS
  struct mark (*mark)(struct allocator *self);

  // Releases every block allocated since the mark was taken. Older ones stay as they are now: those
  // released since stay released, those resized stay where and as large as resize has left them.
  // Marks taken since are void; this one can be rolled back to again. Unless an older block was
  // released or resized since, the next request finds what it would have found then.
  //                                                                              STRATEGY_MARKS
  void (*rollback)(struct allocator *self, struct mark mark);

  // Releases blocks that are not reachable. Returns how many.                 STRATEGY_COLLECTS
  size_t (*collect)(struct allocator *self, const struct collection *collection);

  // ## Persistence, for sources with SOURCE_PERSISTS
  //
  // Whenever the process dies, be it inside a call, what the source then holds opens as the state
  // before that call or after it, as long as the source keeps the promise of its `persist`. Blocks
  // keep their contents and their offsets from the start of the memory; addresses change.

  // Ends this allocator, and leaves its memory in the source. Marks are void.  STRATEGY_PERSISTS
  void (*close)(struct allocator *self);

  // An allocator over the memory that the source still holds from an earlier one. NULL, and nothing
  // changed: there is none of this strategy, or it is damaged.                STRATEGY_PERSISTS
  struct allocator *(*open)(struct source *source, const struct strategy_options *options);

  // The address that was set last, NULL after create: how a user finds the first of his blocks.
  // The allocator keeps it, and does not look at it.                          STRATEGY_PERSISTS
  void *(*root)(const struct allocator *self);
  void (*set_root)(struct allocator *self, const void *block);

  // Walks its own structures. Reads only memory of the source, even when that is damaged: a broken
  // link must not be followed.
  struct broken_invariant (*check)(const struct allocator *self);

  // Visits all memory of the allocator as spans. Within one acquired stretch they ascend and do not
  // overlap. A stretch that is only kept for requests to come is one SPAN_FREE: nobody can tell
  // whether it has gone back to the source. The visitor must not call the allocator. If the
  // allocator is damaged, what is shown means nothing, but the walk ends, and reads only memory of
  // the source; so do statistics.
  void (*walk)(const struct allocator *self, span_visitor *visit, void *context);

  struct statistics (*statistics)(const struct allocator *self);

  // Returns all memory to the source.
  void (*destroy)(struct allocator *self);

  // The stated bound. Over a source with `page_size`, a block takes at most footprint(size, align,
  // page_size) bytes from what others can have; SIZE_MAX: can never be met. Hence a request must
  // succeed as long as overhead (in whole pages), plus the footprints of all blocks allocated or
  // resized since the allocator had none, plus its own, is at most what the source had available
  // before create; or at most heap_size, where that was given and is less. Where neither is limited
  // the bound promises nothing, as a strategy with a fixed heap takes one of default size. Needs no
  // allocator: it is a promise, not a measurement.
  size_t (*footprint)(size_t size, size_t align, size_t page_size);

  // How a collection is judged; else NULL.                                  STRATEGY_COLLECTION
  const struct collection_driver *driver;
};

#endif
