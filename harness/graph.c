#include "harness/graph.h"

#include <stdlib.h>
#include <string.h>

void graph_begin(struct graph *self) {
  if (self->count > 0) memset(self->nodes, 0, self->count * sizeof *self->nodes);
  self->count = 0;
}

void graph_free(struct graph *self) {
  free(self->nodes);
  free(self->by_start);
  free(self->queue);
  free(self->roots);
  *self = (struct graph){0};
}

static void *grow(void *memory, size_t count, size_t size) {
  void *grown = realloc(memory, count * size);
  if (!grown) abort();  // a shadow that forgets would be worse than none
  return grown;
}

static struct graph_node *node_of(struct graph *self, uint32_t serial) {
  if (serial >= self->capacity) {
    size_t capacity = 2 * (size_t)serial + 64;
    self->nodes = grow(self->nodes, capacity, sizeof *self->nodes);
    memset(self->nodes + self->capacity, 0, (capacity - self->capacity) * sizeof *self->nodes);
    self->capacity = capacity;
  }
  if (serial >= self->count) self->count = serial + 1;
  return &self->nodes[serial];
}

void graph_set_root(struct graph *self, uint32_t serial, bool root) {
  node_of(self, serial)->root = root;
}

void graph_link(struct graph *self, uint32_t from, unsigned which, uint32_t to) {
  node_of(self, from)->to[which % GRAPH_REFERENCES] = to;
}

// ## Blocks by address

static const struct shadow *sorted;  // qsort knows no context

static int by_start(const void *a, const void *b) {
  uintptr_t first = sorted->blocks[*(const uint32_t *)a].start;
  uintptr_t second = sorted->blocks[*(const uint32_t *)b].start;
  return first < second ? -1 : first > second;
}

static void sort_blocks(struct graph *self, const struct shadow *shadow) {
  self->live = shadow->count;
  if (self->by_start_capacity < self->live + 1) {
    self->by_start_capacity = 2 * self->live + 64;
    self->by_start = grow(self->by_start, self->by_start_capacity, sizeof *self->by_start);
    self->queue = grow(self->queue, self->by_start_capacity, sizeof *self->queue);
    self->roots = grow(self->roots, self->by_start_capacity + GRAPH_NOISE, sizeof *self->roots);
  }
  for (uint32_t i = 0; i < self->live; i++) self->by_start[i] = i;
  sorted = shadow;
  qsort(self->by_start, self->live, sizeof *self->by_start, by_start);
}

// The live block that holds this address, or NULL.
static const struct shadow_block *block_around(const struct graph *self,
                                               const struct shadow *shadow, uintptr_t address) {
  size_t low = 0, high = self->live;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (shadow->blocks[self->by_start[middle]].start <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0) return NULL;
  const struct shadow_block *block = &shadow->blocks[self->by_start[low - 1]];
  return address - block->start < block->size ? block : NULL;
}

struct graph_node *graph_find(struct graph *self, const struct shadow *shadow, const void *block) {
  const struct shadow_block *found = block_around(self, shadow, (uintptr_t)block);
  return found && found->start == (uintptr_t)block ? &self->nodes[found->serial] : NULL;
}

// ## Words

// The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
static uint64_t scramble(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// A word that refers to the block: anywhere into it, if there is noise.
static uintptr_t word_to(const struct shadow_block *block, uint64_t noise) {
  return block->start + (uintptr_t)(noise ? scramble(noise + block->serial) % block->size : 0);
}

// Words that nobody meant: into blocks, just past them, near them, and anywhere.
static uintptr_t noise_word(const struct shadow *shadow, uint64_t noise) {
  uint64_t random = scramble(noise);
  if (shadow->count == 0 || random % 8 == 0) return (uintptr_t)scramble(random);
  const struct shadow_block *block = &shadow->blocks[(random >> 8) % shadow->count];
  switch (random % 8) {
  case 1:
    return block->start + block->size;
  case 2:
    return block->start - 1;
  case 3:
    return block->start + block->size - 1;
  default:
    return block->start - 32 + (uintptr_t)((random >> 40) % (block->size + 64));
  }
}

static void reach(struct graph *self, const struct shadow *shadow, uintptr_t word, size_t *queued) {
  const struct shadow_block *block = block_around(self, shadow, word);
  if (!block || self->nodes[block->serial].reached) return;
  self->nodes[block->serial].reached = true;
  self->queue[(*queued)++] = block->serial;
}

void graph_prepare(struct graph *self, const struct shadow *shadow, uint64_t noise) {
  node_of(self, shadow->serial);
  sort_blocks(self, shadow);
  for (size_t i = 0; i < self->count; i++) self->nodes[i].block = 0;
  for (uint32_t i = 0; i < shadow->count; i++) {
    struct graph_node *node = &self->nodes[shadow->blocks[i].serial];
    node->block = i + 1;
    node->reached = node->collected = false;
  }
  self->roots_count = 0;
  for (uint32_t i = 0; i < shadow->count; i++) {
    const struct shadow_block *block = &shadow->blocks[i];
    struct graph_node *node = &self->nodes[block->serial];
    if (node->root) self->roots[self->roots_count++] = word_to(block, noise);
    for (unsigned j = 0; j < GRAPH_REFERENCES; j++) {
      uint32_t to = node->to[j] ? self->nodes[node->to[j]].block : 0;
      node->words[j] = to ? word_to(&shadow->blocks[to - 1], noise) : 0;
    }
  }
  for (unsigned i = 0; noise && i < GRAPH_NOISE; i++)
    self->roots[self->roots_count++] = noise_word(shadow, noise + i);

  size_t queued = 0;
  for (size_t i = 0; i < self->roots_count; i++) reach(self, shadow, self->roots[i], &queued);
  for (size_t next = 0; next < queued; next++)
    for (unsigned j = 0; j < GRAPH_REFERENCES; j++)
      reach(self, shadow, self->nodes[self->queue[next]].words[j], &queued);
}
