#include "harness/occupancy.h"

#include "harness/lazy.h"
#include "harness/limits.h"
#include <stdlib.h>

enum { GRANULE = 8, WORD = 64 };

bool occupancy_init(struct occupancy *self, uintptr_t base, size_t size) {
  size_t bytes = (size / GRANULE / WORD + 1) * sizeof(uint64_t);
  void *bits = lazy_map(bytes);
  if (!bits) return false;
  struct occupancy_partial *partials = calloc(OCCUPANCY_PARTIALS, sizeof *partials);
  if (!partials) {
    lazy_unmap(bits, bytes);
    return false;
  }
  *self = (struct occupancy){.base = base,
                             .size = size,
                             .bits = bits,
                             .bits_size = bytes,
                             .partials = partials,
                             .partials_capacity = OCCUPANCY_PARTIALS};
  return true;
}

void occupancy_free(struct occupancy *self) {
  if (self->bits) lazy_unmap(self->bits, self->bits_size);
  free(self->partials);
  sparse_free(&self->sparse);
  *self = (struct occupancy){0};
}

void occupancy_share_granules(struct occupancy *self, bool shared) {
  self->shared_granules = shared;
}

void occupancy_allow_anywhere(struct occupancy *self, bool anywhere) { self->anywhere = anywhere; }

// ## Runs of bits, [first, last]

static uint64_t mask_from(size_t bit) { return ~(uint64_t)0 << (bit % WORD); }
static uint64_t mask_to(size_t bit) { return ~(uint64_t)0 >> (WORD - 1 - bit % WORD); }

static bool any_set(const uint64_t *bits, size_t first, size_t last) {
  size_t word = first / WORD, end = last / WORD;
  if (word == end) return (bits[word] & mask_from(first) & mask_to(last)) != 0;
  if (bits[word] & mask_from(first)) return true;
  while (++word < end)
    if (bits[word]) return true;
  return (bits[end] & mask_to(last)) != 0;
}

static void set(uint64_t *bits, size_t first, size_t last) {
  size_t word = first / WORD, end = last / WORD;
  if (word == end) {
    bits[word] |= mask_from(first) & mask_to(last);
    return;
  }
  bits[word] |= mask_from(first);
  while (++word < end) bits[word] = ~(uint64_t)0;
  bits[end] |= mask_to(last);
}

static void clear(uint64_t *bits, size_t first, size_t last) {
  size_t word = first / WORD, end = last / WORD;
  if (word == end) {
    bits[word] &= ~(mask_from(first) & mask_to(last));
    return;
  }
  bits[word] &= ~mask_from(first);
  while (++word < end) bits[word] = 0;
  bits[end] &= ~mask_to(last);
}

// ## Granules that are taken in part: linear probing, deletion by shifting back (Knuth 6.4, R)

static size_t home(const struct occupancy *self, size_t key) {
  return (size_t)(key * 0x9E3779B97F4A7C15u >> 20) & (self->partials_capacity - 1);
}

static struct occupancy_partial *find_partial(const struct occupancy *self, size_t granule) {
  size_t i = home(self, granule + 1);
  while (self->partials[i].granule && self->partials[i].granule != granule + 1)
    i = (i + 1) & (self->partials_capacity - 1);
  return &self->partials[i];
}

static void grow(struct occupancy *self) {
  struct occupancy_partial *old = self->partials;
  size_t old_capacity = self->partials_capacity;
  self->partials_capacity *= 2;
  self->partials = calloc(self->partials_capacity, sizeof *self->partials);
  if (!self->partials) abort();  // a shadow that forgets would be worse than none
  for (size_t i = 0; i < old_capacity; i++)
    if (old[i].granule) *find_partial(self, old[i].granule - 1) = old[i];
  free(old);
}

static void remove_partial(struct occupancy *self, struct occupancy_partial *entry) {
  size_t mask = self->partials_capacity - 1;
  size_t hole = (size_t)(entry - self->partials);
  for (size_t i = (hole + 1) & mask; self->partials[i].granule; i = (i + 1) & mask) {
    size_t ideal = home(self, self->partials[i].granule);
    if (((i - ideal) & mask) >= ((i - hole) & mask)) {
      self->partials[hole] = self->partials[i];
      hole = i;
    }
  }
  self->partials[hole].granule = 0;
  self->partials_count--;
}

static void take_partial(struct occupancy *self, size_t granule, uint8_t mask) {
  if (4 * (self->partials_count + 1) > 3 * self->partials_capacity) grow(self);
  struct occupancy_partial *entry = find_partial(self, granule);
  if (!entry->granule) {
    *entry = (struct occupancy_partial){.granule = granule + 1};
    self->partials_count++;
  }
  entry->mask |= mask;
  set(self->bits, granule, granule);
  if (entry->mask == 0xff) remove_partial(self, entry);  // whole again
}

static void give_partial(struct occupancy *self, size_t granule, uint8_t mask) {
  struct occupancy_partial *entry = find_partial(self, granule);
  if (!entry->granule) {  // the granule was taken whole: the rest of it stays
    uint8_t rest = (uint8_t)~mask;
    if (rest) take_partial(self, granule, rest);
    return;
  }
  entry->mask &= (uint8_t)~mask;
  if (entry->mask) return;
  remove_partial(self, entry);
  clear(self->bits, granule, granule);
}

// ## A range as whole granules [first, last] with a partial one before and behind

struct extent {
  size_t first, last;  // first > last: none
  size_t head, tail;   // granules of the partial ends
  uint8_t head_mask, tail_mask;
};

static struct extent divide(const struct occupancy *self, uintptr_t start, size_t size) {
  size_t from = start - self->base, to = from + size;
  size_t first = (from + GRANULE - 1) / GRANULE, end = to / GRANULE;
  struct extent e = {.first = first, .last = end - 1};
  if (first > end) {  // inside one granule
    e.first = 1, e.last = 0;
    e.head = from / GRANULE;
    e.head_mask = (uint8_t)(((1u << size) - 1) << from % GRANULE);
    return e;
  }
  if (first == end) e.first = 1, e.last = 0;
  if (from % GRANULE) e.head = first - 1, e.head_mask = (uint8_t)(0xffu << from % GRANULE);
  if (to % GRANULE) e.tail = end, e.tail_mask = (uint8_t)((1u << to % GRANULE) - 1);
  return e;
}

static bool partial_taken(const struct occupancy *self, size_t granule, uint8_t mask) {
  if (!mask || !any_set(self->bits, granule, granule)) return false;
  const struct occupancy_partial *entry = find_partial(self, granule);
  return !entry->granule || (entry->mask & mask);
}

static bool extent_taken(const struct occupancy *self, const struct extent *e) {
  return (e->first <= e->last && any_set(self->bits, e->first, e->last)) ||
         partial_taken(self, e->head, e->head_mask) || partial_taken(self, e->tail, e->tail_mask);
}

bool occupancy_take(struct occupancy *self, uintptr_t start, size_t size) {
  if (self->anywhere) {
    uintptr_t first = start / GRANULE, last = (start + size - 1) / GRANULE;
    if (sparse_any(&self->sparse, first, last)) return false;
    sparse_set(&self->sparse, first, last, true);
    return true;
  }
  if (!self->shared_granules) {
    size_t first = (start - self->base) / GRANULE, last = (start - self->base + size - 1) / GRANULE;
    if (any_set(self->bits, first, last)) return false;
    set(self->bits, first, last);
    return true;
  }
  struct extent e = divide(self, start, size);
  if (extent_taken(self, &e)) return false;
  if (e.first <= e.last) set(self->bits, e.first, e.last);
  if (e.head_mask) take_partial(self, e.head, e.head_mask);
  if (e.tail_mask) take_partial(self, e.tail, e.tail_mask);
  return true;
}

void occupancy_give(struct occupancy *self, uintptr_t start, size_t size) {
  if (self->anywhere) {
    sparse_set(&self->sparse, start / GRANULE, (start + size - 1) / GRANULE, false);
    return;
  }
  if (!self->shared_granules) {
    clear(self->bits, (start - self->base) / GRANULE, (start - self->base + size - 1) / GRANULE);
    return;
  }
  struct extent e = divide(self, start, size);
  if (e.first <= e.last) clear(self->bits, e.first, e.last);
  if (e.head_mask) give_partial(self, e.head, e.head_mask);
  if (e.tail_mask) give_partial(self, e.tail, e.tail_mask);
}

bool occupancy_any(const struct occupancy *self, uintptr_t start, size_t size, bool inner) {
  if (size == 0) return false;
  if (self->anywhere)
    return sparse_any(&self->sparse, start / GRANULE, (start + size - 1) / GRANULE);
  struct extent e = divide(self, start, size);
  if (inner) return e.first <= e.last && any_set(self->bits, e.first, e.last);
  if (self->shared_granules) return extent_taken(self, &e);
  return any_set(self->bits, (start - self->base) / GRANULE,
                 (start - self->base + size - 1) / GRANULE);
}

size_t occupancy_memory(const struct occupancy *self, size_t extent) {
  return extent / (GRANULE * 8) + self->sparse.capacity * sizeof *self->sparse.words +
         self->partials_capacity * sizeof *self->partials;
}
