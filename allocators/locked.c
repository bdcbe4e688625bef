// Locked: any strategy, made thread-safe by one lock around each of its calls.
//
// A decorator in the sense of E. Gamma, R. Helm, R. Johnson and J. Vlissides, "Design Patterns"
// (1994); a monitor in that of C. A. R. Hoare, "Monitors: An Operating System Structuring Concept"
// (CACM 17(10), 1974). This file is compiled once for each strategy that it decorates, with
// -DLOCKED_INNER=<strategy>, and is then `locked_<strategy>`. The inner strategy stays as it is,
// and is called through its own table.
//
// Which calls are under the lock: those that the contract lets several threads make at once
// (STRATEGY_CONCURRENT). All others need the threads to be still, here too.
//
// ## Where the lock lives
//
// In memory of the source, as everything that an allocator knows, in front of what the inner
// allocator gets. Where the source takes memory back and gives it again, the header has a stretch
// of its own and the inner allocator has the source to itself:
//
//      memory                          other stretches
//      | padding | struct allocator |  | inner allocator ... |   | ... |
//
// Any other source may have but one stretch to give. So all of it is acquired, and the inner
// allocator gets a source that has the rest of it:
//
//      memory                       rest
//      | padding | struct allocator | inner allocator ...          |
//
// Persistence is not passed on: a lock in a file would outlive those who hold it.
#include "allocators/arithmetic.h"
#include "allocators/fixed_heap.h"
#include "allocators/lock.h"
#include "allocators/memory.h"
#include "allocators/source_decorator.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define JOIN_NOW(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_NOW(a, b, c)
#define TEXT_NOW(a) #a
#define TEXT(a) TEXT_NOW(a)

#define INNER JOIN(, LOCKED_INNER, _strategy)
#define OUTER JOIN(locked_, LOCKED_INNER, _strategy)

extern const struct strategy INNER;

// What is behind the header of the one stretch. Grants any part of it, once at a time.
struct rest {
  struct source_decorator source;
  unsigned char *start;
  size_t size;
  size_t granted;
};

// The invariants of the inner strategy come first, under their numbers I1 .. In.
struct allocator {
  // I(n+1): the lock is free while no call is in progress
  struct lock lock;
  // I(n+2): nothing in the header changed since create but the lock and what `rest` has granted,
  // which is no more than there is
  struct allocator *inner;
  struct fixed_heap own;  // the stretch that the header is in
  struct rest rest;       // of size 0 if the inner allocator has the source itself
  uintptr_t seal;
};

static const char *const own_invariants[] = {
    "the lock is free while no call is in progress",
    "nothing in the header changed since create but the lock and what `rest` has granted, which is "
    "no more than there is",
    NULL,
};

enum { MAX_INVARIANTS = 32, OWN_INVARIANTS = sizeof own_invariants / sizeof *own_invariants - 1 };

#define HEADER_SIZE (sizeof(struct allocator) + _Alignof(struct allocator) - 1)

// ## The rest of the stretch as a source

static size_t rest_available(const struct source *base) {
  const struct rest *self = (const struct rest *)base;
  return self->granted == 0 ? self->size : 0;
}

static void *rest_acquire(struct source *base, size_t size) {
  struct rest *self = (struct rest *)base;
  if (size == 0 || size % base->page_size != 0 || size > rest_available(base)) return NULL;
  self->granted = size;
  return self->start;
}

static void rest_release(struct source *base, void *memory, size_t size) {
  (void)memory, (void)size;
  ((struct rest *)base)->granted = 0;
}

static void rest_init(struct rest *self, struct source *source, unsigned char *start, size_t size) {
  *self = (struct rest){.source = {source_like("rest", source), source}, start, size, 0};
  // What was released and acquired again is no longer zero.
  self->source.base.traits &= ~(unsigned)(SOURCE_ZEROED | SOURCE_PERSISTS);
  self->source.base.persist = NULL;
  self->source.base.held = NULL;
  self->source.base.acquire = rest_acquire;
  self->source.base.release = rest_release;
  self->source.base.available = rest_available;
}

// ## The seal

// Any one word that changes changes the sum: each step can be undone.
static uintptr_t seal_of(const struct allocator *self) {
  const uintptr_t words[] = {
      address_of(self),
      address_of(self->inner),
      address_of(self->own.source),
      address_of(self->own.start),
      self->own.size,
      address_of(self->rest.source.inner),
      address_of(self->rest.start),
      self->rest.size,
  };
  uintptr_t seal = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) seal = (seal ^ words[i]) * 0x9E3779B1u;
  return ~seal;
}

static bool is_sealed(const struct allocator *self) {
  return self->seal == seal_of(self) && self->rest.granted <= self->rest.size;
}

// ## Create and destroy

// Where the header ends and whole pages go on. False if `own` has no room for it.
static bool place_header(const struct fixed_heap *own, struct allocator **header, size_t *end) {
  uintptr_t start, rest;
  if (!align_up(address_of(own->start), _Alignof(struct allocator), &start) ||
      !align_up(start + sizeof(struct allocator), own->source->page_size, &rest) ||
      rest - address_of(own->start) > own->size)
    return false;
  *header = (struct allocator *)(own->start + (start - address_of(own->start)));
  *end = rest - address_of(own->start);
  return true;
}

static struct allocator *open_header(struct source *source,
                                     const struct strategy_options *options) {
  bool shared = (source->traits & SOURCE_RECLAIMS) == 0;
  struct strategy_options wanted = {.heap_size = shared ? options->heap_size : HEADER_SIZE};
  struct fixed_heap own;
  struct allocator *self;
  size_t end;
  if (!fixed_heap_acquire(&own, source, &wanted)) return NULL;
  if (!place_header(&own, &self, &end)) {
    fixed_heap_release(own);
    return NULL;
  }
  self->own = own;
  rest_init(&self->rest, source, own.start + end, shared ? own.size - end : 0);
  lock_init(&self->lock);
  return self;
}

static struct allocator *locked_create(struct source *source,
                                       const struct strategy_options *options) {
  struct strategy_options inner = *options;
  struct allocator *self = open_header(source, options);
  if (self == NULL) return NULL;
  bool shared = (source->traits & SOURCE_RECLAIMS) == 0;
  if (options->heap_size != 0)
    inner.heap_size = shared                                ? self->rest.size
                      : options->heap_size > self->own.size ? options->heap_size - self->own.size
                                                            : source->page_size;
  self->inner = INNER.create(shared ? &self->rest.source.base : source, &inner);
  self->seal = seal_of(self);
  if (self->inner != NULL) return self;
  fixed_heap_release(self->own);
  return NULL;
}

static void locked_destroy(struct allocator *self) {
  INNER.destroy(self->inner);
  fixed_heap_release(self->own);
}

// ## Calls under the lock

static void *locked_allocate(struct allocator *self, size_t size, size_t align) {
  lock_acquire(&self->lock);
  void *block = INNER.allocate(self->inner, size, align);
  lock_release(&self->lock);
  return block;
}

static void *locked_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                    size_t align) {
  lock_acquire(&self->lock);
  void *block = INNER.allocate_zeroed(self->inner, count, size, align);
  lock_release(&self->lock);
  return block;
}

static enum release_result locked_release(struct allocator *self, void *block) {
  lock_acquire(&self->lock);
  enum release_result result = INNER.release(self->inner, block);
  lock_release(&self->lock);
  return result;
}

static void *locked_resize(struct allocator *self, void *block, size_t size, size_t align) {
  lock_acquire(&self->lock);
  void *resized = INNER.resize(self->inner, block, size, align);
  lock_release(&self->lock);
  return resized;
}

// The lock is no part of what `const` promises to leave alone.
static size_t locked_usable_size(const struct allocator *self, const void *block) {
  struct lock *lock = (struct lock *)&self->lock;
  lock_acquire(lock);
  size_t usable = INNER.usable_size(self->inner, block);
  lock_release(lock);
  return usable;
}

// ## Calls while all threads are still

static void locked_reset(struct allocator *self) { INNER.reset(self->inner); }

static struct mark locked_mark(struct allocator *self) { return INNER.mark(self->inner); }

static void locked_rollback(struct allocator *self, struct mark mark) {
  INNER.rollback(self->inner, mark);
}

static size_t locked_collect(struct allocator *self, const struct collection *collection) {
  return INNER.collect(self->inner, collection);
}

static unsigned count_invariants(void) {
  unsigned count = 0;
  while (INNER.invariants[count] != NULL) count++;
  return count;
}

// Of a damaged header nothing is followed.
static struct broken_invariant locked_check(const struct allocator *self) {
  unsigned inner = count_invariants();
  if (!is_sealed(self)) return (struct broken_invariant){inner + 2, self};
  if (lock_is_held(&self->lock)) return (struct broken_invariant){inner + 1, &self->lock};
  return INNER.check(self->inner);
}

static void locked_walk(const struct allocator *self, span_visitor *visit, void *context) {
  const struct rest *rest = &self->rest;
  if (!is_sealed(self)) return;
  size_t header = self->own.size - rest->size;
  visit_span(visit, context, self->own.start, header, SPAN_META);
  INNER.walk(self->inner, visit, context);
  visit_span(visit, context, rest->start + rest->granted, rest->size - rest->granted, SPAN_META);
}

static struct statistics locked_statistics(const struct allocator *self) {
  if (!is_sealed(self)) return (struct statistics){0};
  struct statistics statistics = INNER.statistics(self->inner);
  size_t own = self->own.size - self->rest.granted;
  statistics.acquired += own;
  statistics.used += own;
  return statistics;
}

// The header is rounded up to pages by itself, but `overhead` only as a part of the sum: what a
// page more it may take is added to each block, as there is none without one.
static size_t locked_footprint(size_t size, size_t align, size_t page_size) {
  size_t inner = INNER.overhead, own = HEADER_SIZE, both = inner + own;
  if (!align_up(inner, page_size, &inner) || !align_up(own, page_size, &own) ||
      !align_up(both, page_size, &both))
    return SIZE_MAX;
  return add_saturating(INNER.footprint(size, align, page_size), inner + own - both);
}

// ## The table
//
// Traits of the inner strategy are no constants here, so it is filled in before main.

static struct strategy table;
static const char *invariants[MAX_INVARIANTS + OWN_INVARIANTS + 1];

extern const struct strategy OUTER __attribute__((alias("table")));

__attribute__((constructor)) static void fill_table(void) {
  unsigned count = count_invariants();
  if (count > MAX_INVARIANTS) __builtin_trap();
  memcpy(invariants, INNER.invariants, count * sizeof *invariants);
  memcpy(invariants + count, own_invariants, sizeof own_invariants);
  table = INNER;
  table.name = "locked_" TEXT(LOCKED_INNER);
  table.summary = TEXT(LOCKED_INNER) ", made thread-safe by one lock around each of its calls";
  table.traits |= STRATEGY_CONCURRENT;
  table.traits &= ~(unsigned)(STRATEGY_ALLOCATES_CONCURRENTLY | STRATEGY_PERSISTS);
  table.overhead = add_saturating(INNER.overhead, HEADER_SIZE);
  table.invariants = invariants;
  table.create = locked_create;
  table.allocate = locked_allocate;
  if (INNER.allocate_zeroed) table.allocate_zeroed = locked_allocate_zeroed;
  if (INNER.release) table.release = locked_release;
  if (INNER.resize) table.resize = locked_resize;
  if (INNER.usable_size) table.usable_size = locked_usable_size;
  if (INNER.reset) table.reset = locked_reset;
  if (INNER.mark) table.mark = locked_mark;
  if (INNER.rollback) table.rollback = locked_rollback;
  if (INNER.collect) table.collect = locked_collect;
  table.close = NULL;
  table.open = NULL;
  table.root = NULL;
  table.set_root = NULL;
  table.check = locked_check;
  table.walk = locked_walk;
  table.statistics = locked_statistics;
  table.destroy = locked_destroy;
  table.footprint = locked_footprint;
}
