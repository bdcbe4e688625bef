#include "harness/trace_stats.h"

#include <stdlib.h>
#include <string.h>

struct life {
  uint64_t size;       // 0: the slot is empty
  uint64_t operation;  // at which it began
  uint64_t clock;      // bytes allocated until then
  uint16_t thread;
  uint8_t size_class;
  uint32_t epoch;  // how many resets there were until then
};

struct reading {
  struct trace_stats *stats;
  struct life *lives;
  uint32_t mask;
  uint32_t epoch;
  uint64_t index, bytes, blocks;

  // Sizes: those below SMALL at their place, the others hashed.
  uint64_t *small;
  struct size_count *large;
  size_t room, used;  // of the large ones
};

enum { SMALL = 1 << 12 };

// ## Sizes

static struct size_count *find_size(struct size_count *all, size_t room, uint64_t size) {
  size_t i = (size_t)(size * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);
  while (all[i].count && all[i].size != size) i = (i + 1) & (room - 1);
  return &all[i];
}

static bool grow(struct reading *self) {
  size_t room = self->room ? 2 * self->room : 1024;
  struct size_count *larger = calloc(room, sizeof *larger);
  if (!larger) return false;
  for (size_t i = 0; i < self->room; i++)
    if (self->large[i].count) *find_size(larger, room, self->large[i].size) = self->large[i];
  free(self->large);
  self->large = larger;
  self->room = room;
  return true;
}

static bool count_size(struct reading *self, uint64_t size) {
  if (size < SMALL) {
    self->small[size]++;
    return true;
  }
  if (2 * self->used >= self->room && !grow(self)) return false;
  struct size_count *entry = find_size(self->large, self->room, size);
  self->used += entry->count == 0;
  entry->size = size;
  entry->count++;
  return true;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = ((const struct size_count *)a)->size, y = ((const struct size_count *)b)->size;
  return (x > y) - (x < y);
}

static bool list_sizes(struct reading *self) {
  struct trace_stats *stats = self->stats;
  size_t count = 0;
  for (size_t i = 0; i < SMALL; i++) count += self->small[i] > 0;
  stats->sizes = malloc((count + self->used + 1) * sizeof *stats->sizes);
  if (!stats->sizes) return false;
  for (size_t i = 0; i < SMALL; i++)
    if (self->small[i]) stats->sizes[stats->sizes_count++] = (struct size_count){i, self->small[i]};
  for (size_t i = 0; i < self->room; i++)
    if (self->large[i].count) stats->sizes[stats->sizes_count++] = self->large[i];
  qsort(stats->sizes + count, self->used, sizeof *stats->sizes, by_size);
  return true;
}

// ## Lives

static bool is_live(const struct reading *self, const struct life *life) {
  return life->size > 0 && life->epoch == self->epoch;
}

static void note_peak(struct reading *self) {
  struct trace_stats *stats = self->stats;
  if (self->blocks > stats->peak_blocks) stats->peak_blocks = self->blocks;
  if (self->bytes <= stats->peak_bytes) return;
  stats->peak_bytes = self->bytes;
  stats->peak_operation = self->index;
}

static void leak(struct reading *self, const struct life *life) {
  self->stats->classes[life->size_class].leaked++;
}

static bool allocate(struct reading *self, const struct operation *operation, struct life *life) {
  struct trace_stats *stats = self->stats;
  uint64_t size;
  if (__builtin_mul_overflow(operation->size, (uint64_t)operation->count, &size) ||
      size > PROGRAM_MAX_CAPACITY) {
    stats->beyond++;
    return true;
  }
  if (size == 0) size = 1;
  if (is_live(self, life)) {
    stats->unnamed_blocks++;
    leak(self, life);
  }
  stats->allocations++;
  stats->alignments[align_encode(operation->align)]++;
  if (operation->kind == OP_ALLOCATE_ZEROED) stats->counts[operation->count]++;
  *life = (struct life){.size = size,
                        .operation = self->index,
                        .clock = stats->requested_bytes,
                        .thread = (uint16_t)operation->thread,
                        .size_class = (uint8_t)size_class_of(size),
                        .epoch = self->epoch};
  stats->requested_bytes += size;
  self->bytes += size;
  self->blocks++;
  note_peak(self);
  return count_size(self, size);
}

static void release(struct reading *self, const struct operation *operation, struct life *life) {
  struct trace_stats *stats = self->stats;
  uint64_t lived = self->index - life->operation;
  stats->cross_releases += life->thread != operation->thread;
  buckets_add(&stats->lived_operations, lived);
  buckets_add(&stats->lived_bytes, stats->requested_bytes - life->clock);
  buckets_add(&stats->classes[life->size_class].lived, lived);
  self->bytes -= life->size;
  self->blocks--;
  life->size = 0;
}

static void resize(struct reading *self, const struct operation *operation, struct life *life) {
  struct trace_stats *stats = self->stats;
  uint64_t size = operation->size ? operation->size : 1;
  if (size > PROGRAM_MAX_CAPACITY) {
    stats->beyond++;
    return;
  }
  stats->cross_resizes += life->thread != operation->thread;
  stats->growing += size > life->size;
  stats->shrinking += size < life->size;
  if (size > life->size) stats->requested_bytes += size - life->size;
  buckets_add(&stats->resized_to, size);
  self->bytes += size - life->size;
  life->size = size;
  note_peak(self);
}

// ## Operations

static void reset(struct reading *self) {
  self->epoch++;
  self->bytes = self->blocks = 0;
  self->stats->unnamed_blocks = 0;
}

static bool read_operation(struct reading *self, const struct record *record) {
  struct operation operation = record_operation(record);
  struct trace_stats *stats = self->stats;
  struct life *life = &self->lives[operation.slot & self->mask];
  stats->kinds[operation.kind]++;
  stats->threads_count += stats->threads[operation.thread]++ == 0;
  switch (operation.kind) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
    return allocate(self, &operation, life);
  case OP_RESIZE:
    if (!is_live(self, life)) return allocate(self, &operation, life);
    resize(self, &operation, life);
    return true;
  case OP_RELEASE:
    if (is_live(self, life))
      release(self, &operation, life);
    else
      stats->ignored++;
    return true;
  case OP_RESET:
    reset(self);
    return true;
  case OP_ROLLBACK:
  case OP_COLLECT:
  case OP_REOPEN:
  case OP_CRASH:
  case OP_OVERRUN:
    stats->not_followed++;
    return true;
  default:
    return true;
  }
}

static void note_sample(struct reading *self) {
  struct trace_stats *stats = self->stats;
  size_t index = (size_t)(self->index / stats->sample_length);
  struct sample *sample = &stats->live[index];
  if (index >= stats->samples) stats->samples = index + 1;
  if (self->bytes > sample->bytes) sample->bytes = self->bytes;
  if (self->blocks > sample->blocks) sample->blocks = self->blocks;
}

static bool read_all(struct reading *self, const struct program *program) {
  struct trace_stats *stats = self->stats;
  stats->operations = program_length(program);
  stats->sample_length = (stats->operations + STATS_SAMPLES - 1) / STATS_SAMPLES;
  for (self->index = 0; self->index < stats->operations; self->index++) {
    if (!read_operation(self, program_at(program, (size_t)self->index))) return false;
    note_sample(self);
  }
  for (uint64_t slot = 0; slot <= self->mask; slot++)
    if (is_live(self, &self->lives[slot])) leak(self, &self->lives[slot]);
  stats->end_bytes = self->bytes;
  stats->end_blocks = self->blocks;
  return list_sizes(self);
}

bool trace_stats(struct trace_stats *stats, const struct program *program) {
  uint32_t slots = program_heap(program).slots;
  struct reading self = {.stats = stats,
                         .mask = slots - 1,
                         .lives = calloc(slots, sizeof *self.lives),
                         .small = calloc(SMALL, sizeof *self.small)};
  memset(stats, 0, sizeof *stats);
  stats->classes = calloc(STATS_CLASSES, sizeof *stats->classes);
  stats->threads = calloc(STATS_THREADS, sizeof *stats->threads);
  bool done =
      self.lives && self.small && stats->classes && stats->threads && read_all(&self, program);
  free(self.lives);
  free(self.small);
  free(self.large);
  return done;
}

void trace_stats_clear(struct trace_stats *stats) {
  free(stats->sizes);
  free(stats->classes);
  free(stats->threads);
  stats->sizes = NULL;
  stats->classes = NULL;
  stats->threads = NULL;
  stats->sizes_count = 0;
}

// ## Quantiles

static uint64_t rank_of(uint64_t total, double part) {
  double rank = part * (double)total;
  if (rank >= (double)total) return total;
  return rank < 1 ? 1 : (uint64_t)rank + ((double)(uint64_t)rank < rank);
}

uint64_t trace_size_quantile(const struct trace_stats *stats, double part) {
  uint64_t rank = rank_of(stats->allocations, part), seen = 0;
  for (size_t i = 0; i < stats->sizes_count; i++)
    if ((seen += stats->sizes[i].count) >= rank) return stats->sizes[i].size;
  return 0;
}

uint64_t buckets_quantile(const struct buckets *buckets, double part) {
  uint64_t rank = rank_of(buckets->total, part), seen = 0;
  if (buckets->total == 0) return 0;
  for (unsigned i = 0; i < BUCKETS; i++)
    if ((seen += buckets->counts[i]) >= rank)
      return bucket_high(i) < buckets->most ? bucket_high(i) : buckets->most;
  return 0;
}
