// Each request is an allocation and the release of the same block, so that it can be repeated on
// the same heap. Batches of repetitions, because clocks tick in steps of several nanoseconds; the
// least of the batches, because that leaves out what an interrupt or a neighbour adds. The greatest
// of these over all requests is the worst pair.
#include "bench/worst.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/source.h"
#include "bench/run.h"
#include "bench/ticks.h"
#include "harness/cpu_time.h"

enum { BATCHES = 7, PAIRS = 16, WARM = 1 << 16 };

struct heap {
  const struct strategy *strategy;
  struct run_source source;
  struct allocator *allocator;
};

static void *heap_allocate(struct heap *heap, size_t size) {
  return heap->strategy ? heap->strategy->allocate(heap->allocator, size, 16) : malloc(size);
}

static void heap_release(struct heap *heap, void *block) {
  if (heap->strategy)
    heap->strategy->release(heap->allocator, block);
  else
    free(block);
}

// ## The heap

static uint64_t random_state;

static uint64_t next_random(void) {  // G. Marsaglia, "Xorshift RNGs" (2003)
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// Sizes of 32 to 256 bytes: holes of many lengths, each between two live blocks.
static bool fill(struct heap *heap, size_t free_blocks) {
  void **holes = run_memory(free_blocks * sizeof *holes);
  for (size_t i = 0; i < free_blocks; i++) {
    holes[i] = heap_allocate(heap, 32 + next_random() % 225);
    if (!holes[i] || !heap_allocate(heap, 32 + next_random() % 225)) return false;
  }
  // Released in an order that no list is sorted by.
  for (size_t i = free_blocks; i > 0; i--) {
    size_t chosen = next_random() % i;
    heap_release(heap, holes[chosen]);
    holes[chosen] = holes[i - 1];
  }
  return true;
}

static bool open_heap(struct heap *heap, unsigned variant, size_t free_blocks) {
  if (!heap->strategy) return true;
  size_t size = (size_t)1 << 21;
  while (size < free_blocks * 1024) size *= 2;
  run_source_init(&heap->source, 0);
  heap->allocator = heap->strategy->create(
      &heap->source.base,
      &(struct strategy_options){.heap_size = size, .variant = variant, .seed = 1});
  return heap->allocator != NULL;
}

// ## Requests

static int compare(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

// The value that `share` of all requests do not exceed.
static double quantile(uint64_t *values, double share, double scale) {
  qsort(values, WORST_REQUESTS, sizeof *values, compare);
  return (double)values[(size_t)(share * (WORST_REQUESTS - 1))] * scale;
}

static void scaled(double *to, const uint64_t *from, double scale) {
  for (size_t i = 0; i < WORST_REQUESTS; i++) to[i] = (double)from[i] * scale;
}

static uint64_t less(uint64_t spent, uint64_t nothing) {
  return spent > nothing ? spent - nothing : 0;
}

static bool one_pair(struct heap *heap, size_t size, uint64_t nothing, uint64_t *allocate,
                     uint64_t *release) {
  uint64_t before = ticks();
  void *block = heap_allocate(heap, size);
  uint64_t between = ticks();
  heap_release(heap, block);
  *release = less(ticks() - between, nothing);
  *allocate = less(between - before, nothing);
  return block != NULL;
}

static uint64_t least_pair(struct heap *heap, size_t size, uint64_t nothing) {
  uint64_t least = UINT64_MAX;
  for (int batch = 0; batch < BATCHES; batch++) {
    uint64_t before = ticks();
    for (int pair = 0; pair < PAIRS; pair++) {
      void *block = heap_allocate(heap, size);
      __asm__ volatile("" : : "r"(block) : "memory");
      heap_release(heap, block);
    }
    uint64_t spent = less(ticks() - before, nothing);
    if (spent < least) least = spent;
  }
  return least;
}

// 16 bytes to 32 KiB, small ones as often as large ones.
static size_t request_size(void) {
  size_t class = (size_t)16 << next_random() % 11;
  return class + next_random() % class;
}

bool worst_measure(struct worst *result, const struct strategy *strategy, unsigned variant,
                   size_t free_blocks, char *reason, size_t reason_size) {
  static uint64_t pairs[WORST_REQUESTS], allocations[WORST_REQUESTS], releases[WORST_REQUESTS];
  struct heap heap = {.strategy = strategy};
  random_state = 0x9E3779B97F4A7C15;
  if (strategy && !(strategy->traits & STRATEGY_RELEASES)) {
    snprintf(reason, reason_size, "it does not release blocks");
    return false;
  }
  if (!open_heap(&heap, variant, free_blocks) || !fill(&heap, free_blocks)) {
    snprintf(reason, reason_size, "it has no room for %zu free blocks", free_blocks);
    return false;
  }
  // Fresh pages are the system's cost, and no part of it depends on what is free.
  void *warm = heap_allocate(&heap, WARM);
  if (warm) memset(warm, 1, WARM);
  heap_release(&heap, warm);
  double scale = ticks_nanoseconds();
  uint64_t nothing = ticks_of_nothing();
  for (size_t i = 0; i < WORST_REQUESTS; i++) {
    size_t size = request_size();
    if (!one_pair(&heap, size, nothing, &allocations[i], &releases[i])) {
      snprintf(reason, reason_size, "it has no room for %zu bytes", size);
      return false;
    }
    pairs[i] = least_pair(&heap, size, nothing);
  }
  result->pair_median = quantile(pairs, 0.5, scale / (double)PAIRS);
  result->pair_worst = quantile(pairs, 1, scale / (double)PAIRS);
  scaled(result->allocate, allocations, scale);
  scaled(result->release, releases, scale);
  return true;
}
