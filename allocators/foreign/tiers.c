// Tiers: what a foreign allocator is judged by, one kind of request at a time.
//
// A strategy for each tier, over the adapter that the program is linked with (foreign.h). They
// differ in what they pass on; anything else they refuse themselves, and state no bound for it:
//
//   core        allocate, release; sizes that leave memory to spare
//   resize      the same, and resize
//   reinit      the same, and reset by the allocator's own re-initialisation
//   exhaustion  any size that the heap could hold, in a heap as small as the program says
//   huge        any size at all: what cannot be met must be refused
//   edge        what C and POSIX leave open: size 0, and NULL
//
// A heap that breaks in one of them still gets a verdict on the others. Where memory never runs out
// the stated bound is generous: an allocator may waste what it likes, as long as it does not lose
// it. Where it does, none is stated: to refuse is allowed.
//
// ## What the build says (-D)
//
//   FOREIGN_ALIGN          bytes, 4, 8 or 16: what every block is aligned to
//   FOREIGN_NATURAL_ALIGN  instead: a block is aligned as any object that fits in it, as C says
//   FOREIGN_MAX_ALIGN      the largest alignment that may be asked for; without FOREIGN_HAS_ALIGNED
//                          the same as FOREIGN_ALIGN
//   FOREIGN_LIMIT          bytes of heap where memory never runs out, and the most that there are
//                          anywhere; 20 MiB unless told otherwise
//   FOREIGN_LEAST          bytes of the smallest heap that it can do with; 0 unless told otherwise
//   FOREIGN_NO_BOUND       nobody knows how much memory it has: it may refuse whatever it likes
//   FOREIGN_HAS_RESIZE, FOREIGN_HAS_ZEROED, FOREIGN_HAS_ALIGNED, FOREIGN_HAS_USABLE,
//   FOREIGN_HAS_RESTART, FOREIGN_HAS_CHECK
//                          the adapter's slot of that name is not NULL
//   FOREIGN_BREAK          its heap grows at one end and begins at the same address each time
//   FOREIGN_ELSEWHERE      its blocks lie outside the source
//   FOREIGN_CONCURRENT     several threads may call it at once
//   FOREIGN_KEEPS_STATE    it cannot be brought back to its first state
//
// Without FOREIGN_HAS_RESIZE there is no tier resize, without FOREIGN_HAS_RESTART no tier reinit:
// the registry must not name them. The other tiers do without.
#include <stdatomic.h>

#include "allocators/arithmetic.h"
#include "allocators/foreign/foreign.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#ifndef FOREIGN_ALIGN
#define FOREIGN_ALIGN 16
#endif
#ifdef FOREIGN_NATURAL_ALIGN
#define MIN_ALIGN 1
#else
#define MIN_ALIGN FOREIGN_ALIGN
#endif
#ifndef FOREIGN_MAX_ALIGN
#define FOREIGN_MAX_ALIGN FOREIGN_ALIGN
#endif
#ifndef FOREIGN_LIMIT
#define FOREIGN_LIMIT ((size_t)20 << 20)
#endif

#ifndef FOREIGN_LEAST
#define FOREIGN_LEAST 0
#endif

#ifdef FOREIGN_HAS_RESIZE
#define RESIZES STRATEGY_RESIZES
#else
#define RESIZES 0u
#endif
#ifdef FOREIGN_HAS_ZEROED
#define ZEROES STRATEGY_ZEROES
#else
#define ZEROES 0u
#endif
#ifdef FOREIGN_HAS_USABLE
#define SIZES STRATEGY_SIZES
#else
#define SIZES 0u
#endif
#ifdef FOREIGN_CONCURRENT
#define THREADS STRATEGY_CONCURRENT
#else
#define THREADS 0u
#endif
#ifdef FOREIGN_KEEPS_STATE
#define KEEPS STRATEGY_KEEPS_STATE
#else
#define KEEPS 0u
#endif
#if defined(FOREIGN_BREAK)
#define PLACE STRATEGY_PLACED
#define NEEDS SOURCE_CONTIGUOUS
#elif defined(FOREIGN_ELSEWHERE)
#define PLACE STRATEGY_FOREIGN
#define NEEDS 0u
#else
#define PLACE 0u
#define NEEDS 0u
#endif

// The largest request that leaves memory to spare.
#define MODEST (FOREIGN_LIMIT / 16)

// The stated bound, where memory never runs out. A block may take this beyond its bytes: header,
// footer, rounding to powers of two. And lists of one size each, which serve no other size, may
// hold what once was needed of each: so much is asked of a heap at a time that there is room for
// them.
enum { BLOCK_WASTE = 64, WASTE_FACTOR = 4 };
#define ASKED_AT_A_TIME (FOREIGN_LIMIT / 16)

// Nor is it enough that memory does not run out soon: a heap that is emptied, and asked for the
// same again, needs what it has. Some keep blocks back for a while, or grow in large steps; but
// that comes to an end. So much growth in so many steps, while nothing else is asked for, does not.
enum { REPEATS_FACTOR = 8, STEPS_OF_A_LOSS = 4 };
#define LOST_FOR_CERTAIN (FOREIGN_LIMIT / 512)

enum appetite { APPETITE_MODEST, APPETITE_HEAP, APPETITE_ANY };

// What is asked for from one moment in which no block is live to the next, and how the heap grew
// while that was the same again and again.
struct rounds {
  size_t asked, former_asked;       // bytes, with the waste of each block
  uint64_t sizes, former_sizes;     // a digest, whatever their order
  size_t first, highest;            // bytes of heap, since the rounds are the same
  unsigned long steps, same, last;  // times that it grew; rounds; the round in which it grew last
};

struct tier {
  enum appetite appetite;
  bool edges;
};

// What an adapter calls has one state, and so there is one allocator. It is not kept in its source:
// that is laid out as the foreign allocator expects it, from the first byte.
struct allocator {
  const struct tier *tier;
  size_t most;          // bytes, of a request that is passed on
  _Atomic size_t live;  // blocks
  bool lost;            // I2: it did not start again
  bool leaks;           // I3
  struct rounds rounds;
};

static struct allocator the_allocator;

static const char *const invariants[] = {
#ifdef FOREIGN_HAS_CHECK
    "the allocator's own checker finds nothing wrong",
#else
    "(it has no checker of its own that could be asked)",
#endif
    "the allocator starts again in a heap that is empty again",
    "what was released is used again: the heap stops growing when the same is asked for over and "
    "over",
    NULL,
};

static size_t most_of(enum appetite appetite, size_t limit) {
  return appetite == APPETITE_MODEST ? MODEST : appetite == APPETITE_HEAP ? limit : SIZE_MAX;
}

static struct allocator *create(const struct tier *tier, struct source *source,
                                const struct strategy_options *options) {
  size_t limit = source->available(source);
  if (options->heap_size != 0 && options->heap_size < limit) limit = options->heap_size;
  if (options->variant != 0 || (source->traits & NEEDS) != NEEDS) return NULL;
  if (!foreign_api.begin(source, limit)) return NULL;
  the_allocator.tier = tier;
  the_allocator.most = most_of(tier->appetite, limit);
  the_allocator.lost = the_allocator.leaks = false;
  the_allocator.rounds = (struct rounds){0};
  atomic_init(&the_allocator.live, 0);
  return &the_allocator;
}

static bool passes(const struct allocator *self, size_t size, size_t align) {
  return (size != 0 || self->tier->edges) && size <= self->most && is_power_of_two(align) &&
         align <= FOREIGN_MAX_ALIGN && !self->lost;
}

static size_t extent(const void **start) {
  size_t size = 0;
  *start = NULL;
  if (foreign_api.extent != NULL) foreign_api.extent(start, &size);
  return size;
}

// ## Whether memory is lost (I3). Of those that are called by several threads nobody knows the heap

#ifdef FOREIGN_ELSEWHERE
static void note_request(struct allocator *self, size_t size) { (void)self, (void)size; }
static void note_empty(struct allocator *self) { (void)self; }
#else
static void note_request(struct allocator *self, size_t size) {
  uint64_t digest = ((uint64_t)size + 1) * 0x9e3779b97f4a7c15u;
  self->rounds.asked += size + BLOCK_WASTE;
  self->rounds.sizes += digest ^ digest >> 29;
}

static void note_growth(struct rounds *rounds, size_t size) {
  rounds->same++;
  if (size <= rounds->highest) return;
  rounds->highest = size;
  rounds->last = rounds->same;
  rounds->steps++;
}

static bool is_loss(const struct rounds *rounds) {
  size_t growth = rounds->highest - rounds->first;
  return rounds->steps >= STEPS_OF_A_LOSS && rounds->last == rounds->same &&
         growth > LOST_FOR_CERTAIN && growth / REPEATS_FACTOR > rounds->asked;
}

static void note_empty(struct allocator *self) {
  struct rounds *rounds = &self->rounds;
  const void *start;
  size_t size = extent(&start);
  if (rounds->asked == rounds->former_asked && rounds->sizes == rounds->former_sizes) {
    note_growth(rounds, size);
    if (is_loss(rounds)) self->leaks = true;
  } else {
    *rounds = (struct rounds){.former_asked = rounds->asked,
                              .former_sizes = rounds->sizes,
                              .first = size,
                              .highest = size};
  }
  rounds->asked = 0;
  rounds->sizes = 0;
}
#endif

// Blocks that came, less those that went.
static void count_in(struct allocator *self) {
  atomic_fetch_add_explicit(&self->live, 1, memory_order_relaxed);
}

static void count_out(struct allocator *self) {
  atomic_fetch_sub_explicit(&self->live, 1, memory_order_relaxed);
}

static bool is_empty(const struct allocator *self) {
  return atomic_load_explicit(&self->live, memory_order_relaxed) == 0;
}

static void *settle(struct allocator *self, void *block, size_t size) {
  if (block == NULL) return NULL;
  count_in(self);
  note_request(self, size);
  return block;
}

// Whether an alignment comes without being asked for.
static bool is_plain(size_t size, size_t align) {
#ifdef FOREIGN_NATURAL_ALIGN
  return align == 1 || (align <= size && align <= _Alignof(max_align_t));
#else
  (void)size;
  return align <= FOREIGN_ALIGN;
#endif
}

static void *obtain(size_t size, size_t align) {
  if (is_plain(size, align)) return foreign_api.allocate(size);
#ifdef FOREIGN_HAS_ALIGNED
  return foreign_api.allocate_aligned(align, size);
#else
  return NULL;
#endif
}

static void *tier_allocate(struct allocator *self, size_t size, size_t align) {
  return passes(self, size, align) ? settle(self, obtain(size, align), size) : NULL;
}

static enum release_result tier_release(struct allocator *self, void *block) {
  if (block == NULL && !self->tier->edges) return RELEASED;
  if (block != NULL) count_out(self);
  foreign_api.release(block);
  if (block != NULL && is_empty(self)) note_empty(self);
  return RELEASED;
}

#ifdef FOREIGN_HAS_ZEROED
static void *tier_allocate_zeroed(struct allocator *self, size_t number, size_t size,
                                  size_t align) {
  size_t bytes;
  if (!multiply_sizes(number, size, &bytes)) bytes = SIZE_MAX;
  if (!passes(self, bytes, align)) return NULL;
  if (is_plain(bytes, align)) return settle(self, foreign_api.allocate_zeroed(number, size), bytes);
  // C has no such call: of a product that wraps nobody is asked.
  void *block = bytes == SIZE_MAX ? NULL : settle(self, obtain(bytes, align), bytes);
  return block == NULL ? NULL : memset(block, 0, bytes);
}
#else
#define tier_allocate_zeroed NULL
#endif

#ifdef FOREIGN_HAS_RESIZE
// C has no such call either. Without the old size nobody knows how much there is to copy.
static void *resize_aligned(void *block, size_t size, size_t align) {
  if (foreign_api.usable_size == NULL) return NULL;
  size_t usable = foreign_api.usable_size(block);
  void *moved = obtain(size, align);
  if (moved == NULL) return NULL;
  memcpy(moved, block, usable < size ? usable : size);
  foreign_api.release(block);
  return moved;
}

static void *tier_resize(struct allocator *self, void *block, size_t size, size_t align) {
  if (block == NULL && !self->tier->edges) return tier_allocate(self, size, align);
  if (!passes(self, size, align)) return NULL;
  if (!is_plain(size, align) && block == NULL) return settle(self, obtain(size, align), size);
  if (!is_plain(size, align) && size != 0) return resize_aligned(block, size, align);
  void *moved = foreign_api.resize(block, size);
  if (block == NULL) return settle(self, moved, size);
  if (size == 0 && moved == NULL) count_out(self);
  note_request(self, size);
  return moved;
}
#else
#define tier_resize NULL
#endif

#ifdef FOREIGN_HAS_USABLE
static size_t tier_usable_size(const struct allocator *self, const void *block) {
  (void)self;
  // Neither C nor POSIX has a function to ask for that of NULL.
  return block == NULL ? 0 : foreign_api.usable_size(block);
}
#else
#define tier_usable_size NULL
#endif

#ifdef FOREIGN_HAS_RESTART
static void tier_reset(struct allocator *self) {
  atomic_store_explicit(&self->live, 0, memory_order_relaxed);
  self->rounds = (struct rounds){0};
  self->lost = !foreign_api.restart();
}
#endif

static struct broken_invariant tier_check(const struct allocator *self) {
#ifdef FOREIGN_HAS_CHECK
  if (!self->lost && !foreign_api.check()) return (struct broken_invariant){1, NULL};
#endif
  if (self->lost) return (struct broken_invariant){2, NULL};
  if (self->leaks) return (struct broken_invariant){3, NULL};
  return (struct broken_invariant){0, NULL};
}

// Where its blocks lie is all that is known of its memory.
static void tier_walk(const struct allocator *self, span_visitor *visit, void *context) {
  const void *start;
  size_t size = extent(&start);
  visit_span(visit, context, start, size, is_empty(self) ? SPAN_META : SPAN_USED);
}

static struct statistics tier_statistics(const struct allocator *self) {
  const void *start;
  size_t size = extent(&start);
  (void)self;
  return (struct statistics){.acquired = size, .used = size};
}

static void tier_destroy(struct allocator *self) {
  (void)self;
  foreign_api.end();
}

static size_t modest_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
#ifdef FOREIGN_NO_BOUND
  return SIZE_MAX;
#endif
  if (size > MODEST) return SIZE_MAX;
  bool resizable = foreign_api.allocate_aligned != NULL && foreign_api.usable_size != NULL;
  if (!is_plain(size, align) && !resizable) return SIZE_MAX;
  return WASTE_FACTOR * (size + BLOCK_WASTE + align);
}

static size_t no_footprint(size_t size, size_t align, size_t page_size) {
  (void)size, (void)align, (void)page_size;
  return SIZE_MAX;
}

// Further members come last; they win over the ones that all tiers have.
#define TIER(tier_name, tier_summary, more_traits, tier_appetite, tier_edges, ...)                 \
  static struct allocator *tier_name##_create(struct source *source,                               \
                                              const struct strategy_options *options) {            \
    static const struct tier tier = {tier_appetite, tier_edges};                                   \
    return create(&tier, source, options);                                                         \
  }                                                                                                \
  const struct strategy tier_name##_strategy = {                                                   \
      .name = #tier_name,                                                                          \
      .summary = tier_summary,                                                                     \
      .traits = STRATEGY_RELEASES | ZEROES | SIZES | THREADS | KEEPS | PLACE |                     \
                STRATEGY_REFUSALS_LEAVE_TRACES | (more_traits),                                    \
      .needs = NEEDS,                                                                              \
      .most_heap = FOREIGN_LIMIT,                                                                  \
      .min_align = MIN_ALIGN,                                                                      \
      .max_align = FOREIGN_MAX_ALIGN,                                                              \
      .create = tier_name##_create,                                                                \
      .allocate = tier_allocate,                                                                   \
      .allocate_zeroed = tier_allocate_zeroed,                                                     \
      .release = tier_release,                                                                     \
      .usable_size = tier_usable_size,                                                             \
      .check = tier_check,                                                                         \
      .walk = tier_walk,                                                                           \
      .statistics = tier_statistics,                                                               \
      .destroy = tier_destroy,                                                                     \
      __VA_ARGS__}

#define MEMORY_TO_SPARE                                                                            \
  .least_heap = FOREIGN_LIMIT, .overhead = FOREIGN_LIMIT - ASKED_AT_A_TIME,                        \
  .footprint = modest_footprint

TIER(core, "foreign: allocate and release", 0u, APPETITE_MODEST, false, .invariants = invariants,
     MEMORY_TO_SPARE);

#ifdef FOREIGN_HAS_RESIZE
TIER(resize, "foreign: and resize", RESIZES, APPETITE_MODEST, false, .invariants = invariants,
     .resize = tier_resize, MEMORY_TO_SPARE);
#endif

#ifdef FOREIGN_HAS_RESTART
TIER(reinit, "foreign: and started again in an empty heap", RESIZES | STRATEGY_RESETS,
     APPETITE_MODEST, false, .invariants = invariants, .resize = tier_resize, .reset = tier_reset,
     MEMORY_TO_SPARE);
#endif

TIER(exhaustion, "foreign: in a heap that runs out", RESIZES, APPETITE_HEAP, false,
     .invariants = invariants, .resize = tier_resize, .least_heap = FOREIGN_LEAST,
     .footprint = no_footprint);

TIER(huge, "foreign: requests of any size, up to SIZE_MAX", RESIZES, APPETITE_ANY, false,
     .invariants = invariants, .resize = tier_resize, .least_heap = FOREIGN_LIMIT,
     .footprint = no_footprint);

TIER(edge, "foreign: size 0 and NULL, as C and POSIX leave them", RESIZES | STRATEGY_C_EDGES,
     APPETITE_MODEST, true, .invariants = invariants, .resize = tier_resize, MEMORY_TO_SPARE);
