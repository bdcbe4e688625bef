// What a C reproducer knows of the run, and what it looks at after each call.
#ifndef HARNESS_REPRODUCER_CHECKS_H_
#define HARNESS_REPRODUCER_CHECKS_H_

#include <stdarg.h>

#include "allocators/arithmetic.h"
#include "allocators/strategy.h"
#include "harness/reproducer_memory.h"

enum { REPRO_RELEASED = 8, REPRO_REFERENCES = 4, REPRO_LARGEST_HEAP = 1 << 24 };

struct repro_block {
  unsigned char *start;
  size_t size;
  uint32_t serial;   // 1 for the first block, and so on
  int slot;          // -1: its slot was allocated into again
  unsigned resized;  // how often
  bool zeroed;       // it was asked for so
  // What collectors are told of it:
  bool root, reached, collected;
  uint32_t to[REPRO_REFERENCES];  // serials of blocks that it refers to; 0: none
  uintptr_t words[REPRO_REFERENCES];
};

static struct {
  const struct strategy *strategy;
  struct allocator *allocator;
  struct repro_memory memory;
  struct source_limit limit;
  struct source_account account;
  struct source_faults faults;
  struct source_stretch *stretches;
  size_t stretches_room;
  size_t capacity, claimed, largest, fresh_bytes, operation;
  unsigned variant;
  struct repro_block *blocks;  // live ones
  struct repro_block *sorted;  // the same, ascending by address, during a walk
  size_t count, room;
  uint32_t serial;
  size_t marks;  // how many there are
  struct {
    unsigned char *start;  // NULL: none, or another block may cover it by now
    size_t size;
  } released[REPRO_RELEASED];  // a ring
  unsigned next_released;
  uint64_t walk, fresh_walk;
  bool asks_largest;  // the largest block of a fresh heap is known, and can be had again
  bool locked;
  const void *lent;  // the block that is not locked
} repro;

__attribute__((noreturn, format(printf, 1, 2))) static inline void repro_fail(const char *format,
                                                                              ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("operation %zu: ", repro.operation);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  exit(1);
}

#define REPRO_CHECK(condition, ...)                                                                \
  do {                                                                                             \
    if (!(condition)) repro_fail(__VA_ARGS__);                                                     \
  } while (0)

// ## Calls: whatever is live, but for the block that is handed over, is out of bounds meanwhile

static inline void repro_lock(const void *lent) {
  for (size_t i = 0; i < repro.count; i++)
    if (repro.blocks[i].start != lent)
      ASAN_POISON_MEMORY_REGION(repro.blocks[i].start, repro.blocks[i].size);
  repro.locked = true;
  repro.lent = lent;
}

static inline void repro_unlock(void) {
  for (size_t i = 0; i < repro.count; i++)
    ASAN_UNPOISON_MEMORY_REGION(repro.blocks[i].start, repro.blocks[i].size);
  repro.locked = false;
}

#define REPRO_CALL(lent, call)                                                                     \
  do {                                                                                             \
    repro_lock(lent);                                                                              \
    call;                                                                                          \
    repro_unlock();                                                                                \
  } while (0)

// ## The walk

struct repro_walk {
  const struct repro_memory *memory;
  uint64_t hash;
  size_t bytes, blocks;
  const unsigned char *start, *end;  // of the span before
};

static inline void repro_hash_span(void *context, const struct span *span) {
  struct repro_walk *walk = context;
  uint64_t offset = (uint64_t)((uintptr_t)span->start - (uintptr_t)walk->memory->start);
  const uint64_t values[] = {offset, span->size, span->kind};
  for (int i = 0; i < 3; i++) {
    walk->hash = (walk->hash ^ values[i]) * 0x9E3779B97F4A7C15u;
    walk->hash ^= walk->hash >> 29;
  }
}

// The first of the live blocks, which are ascending by address, that ends behind `address`.
static inline size_t repro_first_behind(const unsigned char *address) {
  size_t low = 0, high = repro.count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (repro.sorted[middle].start + repro.sorted[middle].size <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static inline void repro_check_span(void *context, const struct span *span) {
  struct repro_walk *walk = context;
  const unsigned char *start = span->start, *end = start + span->size;
  REPRO_CHECK(span->size > 0 && source_account_find(&repro.account, start, span->size),
              "the walk shows %zu bytes outside the heap", span->size);
  REPRO_CHECK(start >= walk->end || source_account_find(&repro.account, walk->start, 1) !=
                                        source_account_find(&repro.account, start, 1),
              "the walk shows a span that does not come after the one before");
  size_t i = repro_first_behind(start);
  bool covers = i < repro.count && repro.sorted[i].start < end;
  if (span->kind == SPAN_FREE || span->kind == SPAN_META)
    REPRO_CHECK(!covers, "the walk shows a live block as %s",
                span->kind == SPAN_FREE ? "free" : "the allocator's own");
  else if (!(repro.strategy->traits & STRATEGY_C_EDGES))
    REPRO_CHECK(covers, "the walk shows %zu bytes as live where no live block is", span->size);
  REPRO_CHECK(span->kind != SPAN_BLOCK || repro.sorted[i].start <= start,
              "the walk shows a block that does not begin with a live one");
  walk->blocks += span->kind == SPAN_BLOCK;
  walk->bytes += span->size;
  walk->start = start;
  walk->end = end;
  // A stretch that is free from end to end is as good as the source's: nobody can tell.
  const struct source_stretch *stretch = source_account_find(&repro.account, start, 1);
  if (span->kind != SPAN_FREE || stretch->start != start || stretch->size != span->size)
    repro_hash_span(context, span);
}

static inline int repro_by_start(const void *a, const void *b) {
  const struct repro_block *first = a, *second = b;
  return first->start < second->start ? -1 : first->start > second->start;
}

// The allocator's invariants, and its walk against what is live. Returns a hash of the walk.
static inline uint64_t repro_look(void) {
  REPRO_CHECK(repro.account.errors == 0, "memory went back to the source that it did not give");
  struct broken_invariant broken;
  REPRO_CALL(NULL, broken = repro.strategy->check(repro.allocator));
  REPRO_CHECK(broken.number == 0, "invariant I%u does not hold: %s", broken.number,
              repro.strategy->invariants[broken.number - 1]);
  if (repro.count > 0) {
    memcpy(repro.sorted, repro.blocks, repro.count * sizeof *repro.blocks);
    qsort(repro.sorted, repro.count, sizeof *repro.sorted, repro_by_start);
  }
  struct repro_walk walk = {.memory = &repro.memory, .hash = 1};
  REPRO_CALL(NULL, repro.strategy->walk(repro.allocator, repro_check_span, &walk));
  if (repro.strategy->traits & STRATEGY_FOREIGN) return walk.hash;
  REPRO_CHECK(walk.bytes == repro.account.bytes, "the walk shows %zu bytes of %zu", walk.bytes,
              repro.account.bytes);
  REPRO_CHECK(!(repro.strategy->traits & STRATEGY_WALKS_BLOCKS) || walk.blocks == repro.count,
              "the walk shows %zu live blocks of %zu", walk.blocks, repro.count);
  return walk.hash;
}

// ## Checks

static inline unsigned char repro_byte(const struct repro_block *block, size_t i) {
  return (unsigned char)(block->serial * 37 + i);
}

static inline void repro_write(const struct repro_block *block) {
  for (size_t i = 0; i < block->size; i++) block->start[i] = repro_byte(block, i);
}

static inline void repro_check_contents(const struct repro_block *block) {
  for (size_t i = 0; i < block->size; i++)
    REPRO_CHECK(block->start[i] == repro_byte(block, i),
                "byte %zu of a live block of %zu bytes changed", i, block->size);
}

static inline void repro_check_outside(void) {
  const unsigned char *damage =
      repro_outside_damage(&repro.memory, repro.stretches, repro.account.count);
  REPRO_CHECK(!damage, "the byte at offset %td, outside the heap, was written",
              damage - repro.memory.start);
}

static inline void repro_check_all(void) {
  repro.walk = repro_look();
  for (size_t i = 0; i < repro.count; i++) repro_check_contents(&repro.blocks[i]);
  repro_check_outside();
}

static inline size_t repro_align(size_t align) {
  return align < repro.strategy->min_align ? repro.strategy->min_align : align;
}

// What the strategy's own bound says is needed for one more block.
static inline size_t repro_need(size_t size, size_t align) {
  size_t page = repro.memory.base.page_size;
  size_t overhead = (repro.strategy->overhead + page - 1) & ~(page - 1);
  return add_saturating(add_saturating(overhead, repro.claimed),
                        repro.strategy->footprint(size, repro_align(align), page));
}

// A refused request may have given memory back to the source: then the walk lacks it.
static inline void repro_check_refused(size_t size, size_t align, bool rightly, size_t bytes,
                                       size_t injected) {
  if (size == 0 && !rightly) return;  // C leaves it open
  if (!rightly && repro.faults.injected == injected && !repro.memory.exhausted)
    REPRO_CHECK(repro_need(size, align) > repro.capacity,
                "refused, although %zu bytes of %zu suffice by its own bound",
                repro_need(size, align), repro.capacity);
  if (repro.strategy->traits & STRATEGY_REFUSALS_LEAVE_TRACES) return;
  REPRO_CHECK(repro.account.bytes <= bytes, "refused, but more memory of the source is held");
  uint64_t walk = repro_look();
  REPRO_CHECK(walk == repro.walk || repro.account.bytes < bytes, "refused, but the walk changed");
}

static inline bool repro_inside(const void *start, size_t size) {
  return repro.strategy->traits & STRATEGY_FOREIGN ||
         source_account_find(&repro.account, start, size);
}

static inline void repro_check_place(const unsigned char *start, size_t size, size_t align,
                                     size_t except) {
  REPRO_CHECK(((uintptr_t)start & (repro_align(align) - 1)) == 0, "the block is not aligned to %zu",
              repro_align(align));
  REPRO_CHECK(repro_inside(start, size), "the block is outside the heap");
  // One of no bytes has its address.
  for (size_t i = 0; i < repro.count; i++)
    REPRO_CHECK(i == except || start + size + !size <= repro.blocks[i].start ||
                    repro.blocks[i].start + repro.blocks[i].size + !repro.blocks[i].size <= start,
                "the block overlaps a live block");
}

static inline bool repro_must_refuse(size_t count, size_t size, size_t align) {
  size_t total;
  bool nothing = size == 0 && !(repro.strategy->traits & STRATEGY_C_EDGES);
  return nothing || !multiply_sizes(count, size, &total) || total > repro.capacity ||
         !is_power_of_two(align) || align > repro.strategy->max_align;
}

static inline void repro_claim(const unsigned char *block, size_t size, size_t align) {
  size_t footprint =
      repro.strategy->footprint(size, repro_align(align), repro.memory.base.page_size);
  repro.claimed = add_saturating(repro.claimed, footprint);
  for (size_t i = 0; i < REPRO_RELEASED; i++) {
    uintptr_t from = (uintptr_t)repro.released[i].start, to = (uintptr_t)block;
    bool near = from < to ? to - from < add_saturating(repro.released[i].size, footprint)
                          : from - to < footprint;
    if (near) repro.released[i].start = NULL;
  }
}

#endif
