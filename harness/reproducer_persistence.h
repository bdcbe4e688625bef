// For C reproducers: heaps that outlive their process, which are closed and opened at another
// address, or cut off by a crash in the middle of a call.
//
// A crash leaves the memory as it was at the last barrier, and of the aligned words that were
// written since, those whose bit in the mask is set.
#ifndef HARNESS_REPRODUCER_PERSISTENCE_H_
#define HARNESS_REPRODUCER_PERSISTENCE_H_

#include "harness/reproducer.h"

enum { REPRO_WORD = 8, REPRO_MASK_BITS = 64 };

// A region of its own that holds what an earlier life of the heap left.
static inline void repro_adopt(struct repro_memory *there, const void *contents, size_t size) {
  repro_memory_open(there, repro.capacity, 0, repro.memory.skew);
  memcpy(repro_acquire(&there->base, size), contents, size);
  there->adopted = size;
}

static inline struct allocator *repro_open_again(struct source *source) {
  return repro.strategy->open(source, &(struct strategy_options){.variant = repro.variant});
}

// Where the root lies, from the start of the heap's addresses; PTRDIFF_MIN: there is none.
static inline ptrdiff_t repro_root_at(const struct allocator *allocator,
                                      const struct repro_memory *memory) {
  const unsigned char *root = repro.strategy->root(allocator);
  return root ? root - memory->start : PTRDIFF_MIN;
}

static inline void repro_reopen(void) {
  uint64_t walk = repro_look();
  ptrdiff_t root = repro_root_at(repro.allocator, &repro.memory);
  REPRO_CALL(NULL, repro.strategy->close(repro.allocator));
  repro.marks = 0;
  REPRO_CHECK(repro.account.count == 1, "closed, but memory went back to the source");
  repro_check_outside();
  struct repro_memory here = repro.memory, there;
  repro_adopt(&there, here.start + here.skew, repro.stretches[0].size);
  repro.memory = there;
  for (size_t i = 0; i < repro.count; i++)
    repro.blocks[i].start = there.start + (repro.blocks[i].start - here.start);
  for (int i = 0; i < REPRO_RELEASED; i++)
    if (repro.released[i].start)
      repro.released[i].start = there.start + (repro.released[i].start - here.start);
  repro_memory_close(&here);
  REPRO_CALL(NULL, repro.allocator = repro_open_again(repro_sources()));
  REPRO_CHECK(repro.allocator, "the closed heap does not open");
  repro_check_all();
  REPRO_CHECK(repro.walk == walk && repro_root_at(repro.allocator, &repro.memory) == root,
              "the walk or the root is not as before the heap was closed");
  repro.operation++;
}

// ## What lasts

static struct {
  unsigned barrier;  // at which the next operation dies, counted from 1
  uint64_t mask;
  unsigned seen;  // barriers
  bool taken;     // the image is complete
  bool inside;    // it was taken at a barrier
  const unsigned char *memory;
  size_t size;
  unsigned char *lasting;  // `memory`, if no word written since the last barrier lasted
  unsigned char *image;    // what is found after the crash
} repro_dead;

static inline void repro_die(bool inside) {
  unsigned pending = 0;
  memcpy(repro_dead.image, repro_dead.lasting, repro_dead.size);
  for (size_t from = 0, to; from < repro_dead.size; from = to) {
    to = from + REPRO_WORD - ((uintptr_t)repro_dead.memory + from) % REPRO_WORD;
    if (to > repro_dead.size) to = repro_dead.size;
    if (memcmp(repro_dead.lasting + from, repro_dead.memory + from, to - from) == 0) continue;
    if (repro_dead.mask >> pending++ % REPRO_MASK_BITS & 1)
      memcpy(repro_dead.image + from, repro_dead.memory + from, to - from);
  }
  repro_dead.taken = true;
  repro_dead.inside = inside;
}

static inline void repro_barrier(const void *start, size_t size) {
  if (repro_dead.taken) return;
  bool locked = repro.locked;
  if (locked) repro_unlock();
  if (++repro_dead.seen == repro_dead.barrier) {
    repro_die(true);
  } else if (range_within(start, size, repro_dead.memory, repro_dead.size)) {
    size_t offset = (uintptr_t)start - (uintptr_t)repro_dead.memory;
    memcpy(repro_dead.lasting + offset, start, size);
  }
  if (locked) repro_lock(repro.lent);
}

static inline void repro_watch(struct repro_memory *memory, size_t size) {
  repro_dead.lasting = realloc(repro_dead.lasting, size);
  repro_dead.image = realloc(repro_dead.image, size);
  if (!repro_dead.lasting || !repro_dead.image) repro_give_up("no memory for the crash");
  repro_dead.memory = memory->start + memory->skew;
  repro_dead.size = size;
  repro_dead.seen = 0;
  repro_dead.taken = repro_dead.inside = false;
  memcpy(repro_dead.lasting, repro_dead.memory, size);
  memory->barrier = repro_barrier;
}

// The operation is over. If it did not die at a barrier, it dies now.
static inline void repro_watched(struct repro_memory *memory) {
  if (!repro_dead.taken) repro_die(false);
  memory->barrier = NULL;
}

// ## What must be found

struct repro_moment {
  uint64_t walk;
  ptrdiff_t root;
  struct repro_block *blocks;
  size_t count;
};

static inline struct repro_moment repro_now(void) {
  struct repro_moment now = {.walk = repro_look(),
                             .root = repro_root_at(repro.allocator, &repro.memory),
                             .blocks = malloc((repro.count + 1) * sizeof *repro.blocks),
                             .count = repro.count};
  if (!now.blocks) repro_give_up("no memory for the blocks");
  if (now.count > 0) memcpy(now.blocks, repro.blocks, now.count * sizeof *repro.blocks);
  return now;
}

// How many bytes of the block had been written before: none if it is new.
static inline size_t repro_written(const struct repro_moment *before, uint32_t serial) {
  for (size_t i = 0; i < before->count; i++)
    if (before->blocks[i].serial == serial) return before->blocks[i].size;
  return 0;
}

static inline void repro_check_found(const struct repro_moment *before,
                                     const struct repro_moment *found,
                                     const struct repro_memory *there, bool inside,
                                     const struct repro_block *except) {
  for (size_t i = 0; i < found->count; i++) {
    const struct repro_block *block = &found->blocks[i];
    if (block == except) continue;
    const unsigned char *bytes = there->start + (block->start - repro.memory.start);
    size_t written = repro_written(before, block->serial);
    for (size_t j = 0; j < block->size && j < written; j++)
      REPRO_CHECK(bytes[j] == repro_byte(block, j), "after the crash byte %zu of a block is lost",
                  j);
    for (size_t j = 0; j < block->size && written == 0 && block->zeroed && inside; j++)
      REPRO_CHECK(bytes[j] == 0, "after the crash byte %zu of a block is not zero", j);
  }
}

// A request of the heap that was found: nothing live may lie there but what was released.
static inline void repro_ask_later(struct allocator *allocator, const struct repro_moment *found,
                                   const struct repro_memory *there, size_t size, size_t align,
                                   const struct repro_block *released, struct repro_block *given) {
  unsigned char *block = repro.strategy->allocate(allocator, size, align);
  if (!block) return;
  const unsigned char *heap = there->start + there->skew;
  REPRO_CHECK(((uintptr_t)block & (align - 1)) == 0, "after the crash a block is not aligned");
  REPRO_CHECK(block >= heap && block + size <= heap + repro_dead.size,
              "after the crash a block is outside the heap");
  for (size_t i = 0; i < found->count; i++) {
    const struct repro_block *other = &found->blocks[i];
    const unsigned char *start = there->start + (other->start - repro.memory.start);
    REPRO_CHECK(other == released || block + size <= start || start + other->size <= block,
                "after the crash a block was given out over a live one");
  }
  for (size_t i = 0; i < 2 && given[i].size > 0; i++)
    REPRO_CHECK(block + size <= given[i].start || given[i].start + given[i].size <= block,
                "after the crash a block was given out twice");
  memset(block, 0xB5, size);
  *(given[0].size ? &given[1] : &given[0]) = (struct repro_block){.start = block, .size = size};
}

static inline size_t repro_live_bytes(const struct repro_moment *moment) {
  size_t bytes = 0;
  for (size_t i = 0; i < moment->count; i++) bytes += moment->blocks[i].size;
  return bytes;
}

// A few requests of the heap that was found: what they are served from, no walk shows.
static inline void repro_live_on(const struct repro_moment *before,
                                 const struct repro_moment *after, const struct repro_moment *found,
                                 struct allocator *allocator, const struct repro_memory *there,
                                 bool inside) {
  const struct strategy *strategy = repro.strategy;
  struct repro_block given[2] = {0};
  size_t had = repro_live_bytes(before), has = repro_live_bytes(after);
  size_t changed = had < has ? has - had : had - has;
  repro_ask_later(allocator, found, there, changed > 0 ? changed : 1, strategy->min_align, NULL,
                  given);
  const struct repro_block *released = NULL;
  if (strategy->traits & STRATEGY_RELEASES && found->count > 0) {
    released = &found->blocks[0];
    for (size_t i = 0; i < found->count; i++)
      if (found->blocks[i].start - repro.memory.start == found->root) released = &found->blocks[i];
    unsigned char *start = there->start + (released->start - repro.memory.start);
    REPRO_CHECK(strategy->release(allocator, start) == RELEASED,
                "after the crash the release of a live block was refused");
    repro_ask_later(allocator, found, there, released->size,
                    strategy->max_align < 64 ? strategy->max_align : 64, released, given);
  }
  for (size_t i = 0; i < 2; i++)
    for (size_t j = 0; j < given[i].size; j++)
      REPRO_CHECK(given[i].start[j] == 0xB5, "bytes of a block given after the crash changed");
  repro_check_found(before, found, there, inside, released);
}

// What the crash left must open as it was before the operation, or after it. And so must, with the
// same result, what another crash leaves while that is being opened.
static inline void repro_recover(const struct repro_moment *before,
                                 const struct repro_moment *after) {
  const struct repro_moment *moments[2] = {before, after};
  bool inside = repro_dead.inside;
  for (int again = 0; again < 2; again++) {
    struct repro_memory there;
    repro_adopt(&there, repro_dead.image, repro_dead.size);
    if (!again) repro_watch(&there, repro_dead.size);
    struct allocator *allocator = repro_open_again(&there.base);
    if (!again) repro_watched(&there);
    REPRO_CHECK(allocator, "what the crash left does not open");
    struct broken_invariant broken = repro.strategy->check(allocator);
    REPRO_CHECK(broken.number == 0, "after the crash invariant I%u does not hold: %s",
                broken.number, repro.strategy->invariants[broken.number - 1]);
    struct repro_walk walk = {.memory = &there, .hash = 1};
    repro.strategy->walk(allocator, repro_hash_span, &walk);
    const struct repro_moment *found = NULL;
    for (int i = 0; i < 2; i++)
      if (walk.hash == moments[i]->walk && repro_root_at(allocator, &there) == moments[i]->root)
        found = moments[i];
    REPRO_CHECK(found, "what the crash left is neither the state before nor that after");
    repro_check_found(before, found, &there, inside, NULL);
    if (!again) repro_live_on(before, after, found, allocator, &there, inside);
    repro.strategy->close(allocator);
    repro_memory_close(&there);
    moments[0] = moments[1] = found;
  }
}

// The operation in REPRO_DIES that follows dies at this barrier.
static inline void repro_crash(unsigned barrier, uint64_t mask) {
  repro_dead.barrier = barrier;
  repro_dead.mask = mask;
  repro.operation++;
}

#define REPRO_DIES(call)                                                                           \
  do {                                                                                             \
    struct repro_moment before = repro_now();                                                      \
    repro_watch(&repro.memory, repro.stretches[0].size);                                           \
    call;                                                                                          \
    repro.operation--;                                                                             \
    repro_watched(&repro.memory);                                                                  \
    struct repro_moment after = repro_now();                                                       \
    repro_recover(&before, &after);                                                                \
    repro.operation++;                                                                             \
    free(before.blocks);                                                                           \
    free(after.blocks);                                                                            \
  } while (0)

#endif
