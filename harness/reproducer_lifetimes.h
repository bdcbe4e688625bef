// For C reproducers: lifetimes that end by rollback to a mark or by collection, and the release of
// a block that was written past its end.
#ifndef HARNESS_REPRODUCER_LIFETIMES_H_
#define HARNESS_REPRODUCER_LIFETIMES_H_

#include "harness/reproducer.h"

// ## Marks

enum { REPRO_MARKS = 16 };

static struct {
  struct mark mark;
  uint32_t serial;  // of the newest block
  uint64_t walk, blocks;
} repro_marks[REPRO_MARKS];

// Differs where a block was released or resized.
static inline uint64_t repro_hash_blocks(void) {
  uint64_t sum = 0;
  for (size_t i = 0; i < repro.count; i++)
    sum += ((uint64_t)repro.blocks[i].resized << 32 | repro.blocks[i].serial) * 0xBF58476D1CE4E5B9u;
  return sum;
}

static inline void repro_mark(void) {
  if (repro.marks < REPRO_MARKS) {
    size_t i = repro.marks++;
    repro_marks[i].serial = repro.serial;
    repro_marks[i].walk = repro.walk;
    repro_marks[i].blocks = repro_hash_blocks();
    REPRO_CALL(NULL, repro_marks[i].mark = repro.strategy->mark(repro.allocator));
    repro_check_all();
  }
  repro.operation++;
}

// To mark number `which`, modulo how many there are.
static inline void repro_rollback(unsigned which) {
  if (repro.marks > 0) {
    size_t to = which % repro.marks;
    repro.marks = to + 1;
    for (size_t i = repro.count; i-- > 0;)
      if (repro.blocks[i].serial > repro_marks[to].serial) repro_drop(i);
    REPRO_CALL(NULL, repro.strategy->rollback(repro.allocator, repro_marks[to].mark));
    repro_check_returned();
    repro_check_all();
    REPRO_CHECK(repro.walk == repro_marks[to].walk || repro_hash_blocks() != repro_marks[to].blocks,
                "after rollback the walk is not as at the mark");
  }
  repro.operation++;
}

// ## References, and words that mean them

static inline void repro_link(int slot, unsigned reference, int to) {
  size_t i = repro_find(slot), j = repro_find(to);
  if (i < repro.count)
    repro.blocks[i].to[reference % REPRO_REFERENCES] = j < repro.count ? repro.blocks[j].serial : 0;
  repro.operation++;
}

// The index of the live block that holds this address, or repro.count.
static inline size_t repro_around(uintptr_t address) {
  size_t i = 0;
  while (i < repro.count && address - (uintptr_t)repro.blocks[i].start >= repro.blocks[i].size) i++;
  return i;
}

static inline uint64_t repro_scramble(uint64_t x) {
  x = (x ^ x >> 31) * 0x9E3779B97F4A7C15u;
  return x ^ x >> 29;
}

// With noise, references are words that point anywhere into their block.
static inline uintptr_t repro_word(const struct repro_block *block, uint64_t noise) {
  return (uintptr_t)block->start +
         (noise ? repro_scramble(noise + block->serial) % block->size : 0);
}

// A word that nobody meant: into a block, just past one, near one, or anywhere.
static inline uintptr_t repro_noise_word(uint64_t noise) {
  uint64_t random = repro_scramble(noise);
  if (repro.count == 0 || random % 8 == 0) return (uintptr_t)repro_scramble(random);
  const struct repro_block *block = &repro.blocks[(random >> 8) % repro.count];
  uintptr_t start = (uintptr_t)block->start;
  if (random % 8 == 1) return start + block->size;
  if (random % 8 == 2) return start - 1;
  if (random % 8 == 3) return start + block->size - 1;
  return start - 32 + (random >> 40) % (block->size + 64);
}

// ## Collections

enum { REPRO_NOISE = 8 };

static struct {
  uintptr_t *roots;
  size_t roots_count;
  size_t *queue;  // indices of blocks that are reached
  size_t queued;
} repro_graph;

static inline void repro_reach(uintptr_t word) {
  size_t i = repro_around(word);
  if (i == repro.count || repro.blocks[i].reached) return;
  repro.blocks[i].reached = true;
  repro_graph.queue[repro_graph.queued++] = i;
}

static inline void repro_write_words(struct repro_block *block, uint64_t noise) {
  for (int j = 0; j < REPRO_REFERENCES; j++) {
    block->words[j] = 0;
    for (size_t i = 0; block->to[j] && i < repro.count; i++)
      if (repro.blocks[i].serial == block->to[j])
        block->words[j] = repro_word(&repro.blocks[i], noise);
  }
}

// All words, and what they reach.
static inline void repro_prepare(uint64_t noise) {
  repro_graph.roots = realloc(repro_graph.roots, (repro.count + REPRO_NOISE) * sizeof(uintptr_t));
  repro_graph.queue = realloc(repro_graph.queue, (repro.count + 1) * sizeof(size_t));
  if (!repro_graph.roots || !repro_graph.queue) repro_give_up("no memory for the graph");
  repro_graph.roots_count = repro_graph.queued = 0;
  for (size_t i = 0; i < repro.count; i++) {
    struct repro_block *block = &repro.blocks[i];
    block->reached = block->collected = false;
    repro_write_words(block, noise);
    if (block->root) repro_graph.roots[repro_graph.roots_count++] = repro_word(block, noise);
  }
  for (unsigned i = 0; noise && i < REPRO_NOISE; i++)
    repro_graph.roots[repro_graph.roots_count++] = repro_noise_word(noise + i);
  for (size_t i = 0; i < repro_graph.roots_count; i++) repro_reach(repro_graph.roots[i]);
  for (size_t next = 0; next < repro_graph.queued; next++)
    for (int j = 0; j < REPRO_REFERENCES; j++)
      repro_reach(repro.blocks[repro_graph.queue[next]].words[j]);
}

static inline struct words repro_trace(void *context, const void *address) {
  (void)context;
  size_t i = repro_around((uintptr_t)address);
  REPRO_CHECK(i < repro.count && repro.blocks[i].start == address,
              "words were asked for where no live block begins");
  return (struct words){repro.blocks[i].words, REPRO_REFERENCES};
}

static inline void repro_collected(void *context, void *address) {
  (void)context;
  size_t i = repro_around((uintptr_t)address);
  REPRO_CHECK(i < repro.count && repro.blocks[i].start == address && !repro.blocks[i].collected,
              "a block was collected where no live one begins");
  REPRO_CHECK(!repro.blocks[i].reached, "a block was collected that the roots reach");
  ASAN_UNPOISON_MEMORY_REGION(address, repro.blocks[i].size);
  repro_check_contents(&repro.blocks[i]);
  repro.blocks[i].collected = true;
}

static inline void repro_collect_now(uint64_t noise) {
  repro_prepare(noise);
  size_t half = repro_graph.roots_count / 2;
  const struct words roots[] = {{repro_graph.roots, half},
                                {repro_graph.roots + half, 0},
                                {repro_graph.roots + half, repro_graph.roots_count - half}};
  struct collection collection = {.roots = roots,
                                  .roots_count = 3,
                                  .precise = noise == 0,
                                  .trace = repro_trace,
                                  .collected = repro_collected};
  size_t count, told = 0;
  REPRO_CALL(NULL, count = repro.strategy->collect(repro.allocator, &collection));
  for (size_t i = repro.count; i-- > 0;) {
    REPRO_CHECK(noise != 0 || repro.blocks[i].reached || repro.blocks[i].collected,
                "a block of %zu bytes was not collected, though no root reaches it",
                repro.blocks[i].size);
    told += repro.blocks[i].collected;
    if (repro.blocks[i].collected) repro_drop(i);
  }
  REPRO_CHECK(count == told, "%zu blocks were collected, and %zu were told of", count, told);
  repro_check_returned();
  repro_check_all();
}

// `noise` 0: precisely.
static inline void repro_collect(uint64_t noise) {
  repro_collect_now(noise);
  repro.operation++;
}

// At the end, before repro_close: nothing is a root any more.
static inline void repro_collect_all(void) {
  source_faults_arm(&repro.faults, 0, SIZE_MAX);
  repro_try_destroy();
  for (size_t i = 0; i < repro.count; i++) repro.blocks[i].root = false;
  repro_collect_now(0);
  if (repro.strategy->traits & STRATEGY_COALESCES) repro_check_largest();
}

// ## Overruns

static inline void repro_overrun(int slot) {
  size_t i = repro_find(slot);
  if (i < repro.count) {
    unsigned char *start = repro.blocks[i].start, *past = start + repro.blocks[i].size;
    REPRO_CHECK(repro_inside(past, 1) && repro_around((uintptr_t)past) == repro.count,
                "behind the block there is no place to detect a write in");
    repro_drop(i);
    *past = (unsigned char)~*past;
    enum release_result result;
    REPRO_CALL(NULL, result = repro.strategy->release(repro.allocator, start));
    REPRO_CHECK(result == RELEASE_OVERRUN, "a write past the block was not detected");
    repro_check_returned();
    repro_check_all();
  }
  repro.operation++;
}

#endif
