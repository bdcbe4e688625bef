// What size_class.c says of itself: check, walk and statistics. All threads are still.
//
// Which slots of a slab are live is nowhere written down: those that were handed out and are in
// neither of its lists. A map on the stack marks the others, and shows a list that bites its tail.
#ifndef ALLOCATORS_SIZE_CLASS_INSPECT_H_
#define ALLOCATORS_SIZE_CLASS_INSPECT_H_

#include "allocators/size_class_heaps.h"
#include "allocators/span.h"

static const char *const invariants[] = {
    "a chunk's seal agrees with its next, memory and size",
    "the chunks form a ring through the allocator's own, linked both ways, as long as counted",
    "the allocator has the shape that its chunk size gives it, and chunks lie aligned in their "
    "memory",
    "units are free, or in one slab to which the map leads from all of them",
    "a slab has as many slots as fit, no more are in use than it ever handed out",
    "free and remote slots are distinct, were handed out, and make up those not used by blocks",
    "a slab is in its heap's ring of its class, linked both ways, unless it has no slot left",
    "a slab with remote slots is in its heap's list of such, and no other is",
    "the chunks with free units are in a list, linked both ways, and counted; at most one has no "
    "other",
    "no two heaps have one owner, and none is where its owner would not find it",
    NULL,
};

// ## Slots

struct slot_map {
  uint64_t bits[MAX_SLOTS / 64];  // those that are free
  size_t count;
};

static inline bool is_free_slot(const struct slot_map *map, size_t i) {
  return (map->bits[i / 64] >> i % 64 & 1) != 0;
}

// False, with those before it marked, if a link leads to no slot that was handed out, or to one
// that is marked.
static inline bool mark_slots(struct slot_map *map, const struct slab *slab,
                              const unsigned char *start, const struct slot *first) {
  for (const struct slot *slot = first; slot != NULL; slot = slot->next) {
    size_t offset = address_of(slot) - address_of(start), i = offset / slab->slot_size;
    if (i >= slab->fresh || offset % slab->slot_size != 0 || is_free_slot(map, i)) return false;
    map->bits[i / 64] |= (uint64_t)1 << i % 64;
    map->count++;
  }
  return true;
}

static inline const struct slot *remote_of(const struct slab *slab) {
  return atomic_load_explicit(&((struct slab *)slab)->remote, memory_order_relaxed);
}

static inline bool is_sound_slab(const struct allocator *self, const struct slab *slab) {
  size_t extent = slab->units * unit_of(&self->pool);
  if (slab->class == CLASS_RUN) return slab->slot_size == extent && slab->heap == &self->shared;
  if (slab->class >= CLASSES || slab->units != self->units_for[slab->class]) return false;
  size_t slot = slot_of(slab->class), slots = extent / slot;
  return slab->slot_size == slot && slab->slots == (slots < MAX_SLOTS ? slots : MAX_SLOTS) &&
         slab->fresh <= slab->slots && slab->used <= slab->fresh;
}

// Marks the free slots of a sound slab.
static inline bool map_slots(struct slot_map *map, const struct slab *slab,
                             const unsigned char *start) {
  *map = (struct slot_map){0};
  return mark_slots(map, slab, start, slab->free) &&
         map->count == (size_t)slab->fresh - slab->used &&
         mark_slots(map, slab, start, remote_of(slab));
}

// ## Units

static inline bool is_free_unit(const struct chunk *chunk, size_t unit) {
  return (chunk->free_units >> unit & 1) != 0;
}

// Whether `unit`, which is not free, is the first one of a slab, and those that follow are the
// others.
static inline bool is_slab(const struct pool *pool, const struct chunk *chunk, size_t unit) {
  size_t units = slab_at(chunk, unit)->units;
  if (units == 0 || units > pool->units - unit) return false;
  for (size_t i = unit; i < unit + units; i++)
    if (is_free_unit(chunk, i) || chunk->map[i] != unit) return false;
  return true;
}

static inline bool is_sound_direct(const struct allocator *self, const struct chunk *chunk) {
  const struct slab *slab = slab_at(chunk, 0);
  for (size_t i = 0; i <= self->pool.units; i++)
    if (chunk->map[i] != 0) return false;
  return chunk->free_units == 0 && slab->heap == &self->shared && slab->slot_size != 0 &&
         range_within(slab->free, slab->slot_size, chunk, SIZE_MAX - address_of(chunk)) &&
         chunk_of(&self->pool, slab->free) == chunk &&
         slab->slot_size == direct_size(chunk, slab->free);
}

// ## Check

static inline struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// What slabs and chunks amount to, for comparison with the lists they should be in.
struct census {
  size_t linked, sent, shared, open, empty, free_units;
};

static inline struct broken_invariant check_slab(const struct allocator *self,
                                                 const struct slab *slab, struct census *census) {
  struct slot_map map;
  if (!is_sound_slab(self, slab)) return broken(5, slab);
  if (slab->class == CLASS_RUN) return broken(0, NULL);
  if (!map_slots(&map, slab, start_of(&self->pool, slab))) return broken(6, slab);
  if (!is_linked(slab) && (slab->free != NULL || slab->fresh < slab->slots)) return broken(7, slab);
  census->linked += is_linked(slab);
  census->sent += remote_of(slab) != NULL;
  return broken(0, NULL);
}

static inline struct broken_invariant
check_units(const struct allocator *self, const struct chunk *chunk, struct census *census) {
  const struct pool *pool = &self->pool;
  if ((chunk->free_units & ~all_units(pool)) != 0 || !is_slab(pool, chunk, 0) ||
      slab_at(chunk, 0)->class != CLASS_HEADER || slab_at(chunk, 0)->units != pool->header_units)
    return broken(4, chunk);
  census->shared++;
  census->open += chunk->free_units != 0;
  census->empty += chunk->free_units == all_units(pool);
  for (size_t unit = pool->header_units; unit < pool->units;) {
    if (is_free_unit(chunk, unit)) {
      census->free_units++;
      unit++;
      continue;
    }
    if (!is_slab(pool, chunk, unit)) return broken(4, slab_at(chunk, unit));
    struct broken_invariant found = check_slab(self, slab_at(chunk, unit), census);
    if (found.number != 0) return found;
    unit += slab_at(chunk, unit)->units;
  }
  return broken(0, NULL);
}

static inline struct broken_invariant
check_chunk(const struct allocator *self, const struct chunk *chunk, struct census *census) {
  if (!is_sealed(chunk)) return broken(1, chunk);
  if (!range_within(chunk, header_size(1), chunk->memory, chunk->size)) return broken(3, chunk);
  if (is_direct(chunk)) return is_sound_direct(self, chunk) ? broken(0, NULL) : broken(4, chunk);
  if (address_of(chunk) % self->pool.chunk_size != 0 ||
      !range_within(chunk, self->pool.chunk_size, chunk->memory, chunk->size))
    return broken(3, chunk);
  return check_units(self, chunk, census);
}

static inline struct broken_invariant check_ring(const struct allocator *self,
                                                 struct census *census) {
  const struct chunk *own = &self->pool.own, *left = own;
  size_t met = 0;
  if (!is_sealed(own)) return broken(1, own);
  for (const struct chunk *chunk = own->next; chunk != own; chunk = chunk->next) {
    if (met++ == self->pool.chunks || chunk->previous != left) return broken(2, left);
    struct broken_invariant found = check_chunk(self, chunk, census);
    if (found.number != 0) return found;
    left = chunk;
  }
  return own->previous == left && met == self->pool.chunks ? broken(0, NULL) : broken(2, own);
}

static inline bool is_sound_shape(const struct allocator *self) {
  const struct pool *pool = &self->pool;
  struct pool like;
  if (!is_power_of_two(pool->chunk_size) || pool->chunk_size < MIN_CHUNK_SIZE) return false;
  pool_init(&like, NULL, pool->chunk_size);
  if (pool->units != like.units || pool->unit_shift != like.unit_shift ||
      pool->header_units != like.header_units)
    return false;
  return (self->heaps == FEW_HEAPS || self->heaps == MANY_HEAPS) &&
         self->last_heap == (self->heaps - 1) * sizeof(struct heap) &&
         range_within(self->table, self->heaps * sizeof(struct heap), pool->own.memory,
                      pool->own.size);
}

// The ring is sound: is this one of its chunks?
static inline bool is_chunk(const struct allocator *self, const struct chunk *wanted) {
  const struct chunk *chunk = self->pool.own.next;
  while (chunk != wanted && chunk != &self->pool.own) chunk = chunk->next;
  return chunk == wanted && chunk != &self->pool.own && !is_direct(chunk);
}

// The chunks are sound: is this one of their slabs, of this owner?
static inline bool is_slab_of(const struct allocator *self, const struct heap *heap,
                              const struct slab *slab) {
  const struct chunk *chunk = chunk_of(&self->pool, slab);
  if (slab == NULL || !is_chunk(self, chunk)) return false;
  size_t offset = address_of(slab) - address_of(slab_at(chunk, 0)), i = offset / sizeof *slab;
  return offset % sizeof *slab == 0 && i < self->pool.units && !is_free_unit(chunk, i) &&
         chunk->map[i] == i && slab->class < CLASSES && slab->heap == heap;
}

static inline struct broken_invariant check_heap(const struct allocator *self,
                                                 const struct heap *heap, struct census *census) {
  for (unsigned class = 0; class < CLASSES; class ++) {
    const struct slab *first = heap->bins[class], *slab = first;
    if (first == NULL) continue;
    do {
      if (!is_slab_of(self, heap, slab) || slab->class != class || census->linked-- == 0 ||
          !is_slab_of(self, heap, slab->next) || slab->next->previous != slab)
        return broken(7, &heap->bins[class]);
      slab = slab->next;
    } while (slab != first);
  }
  const struct slab *slab =
      atomic_load_explicit(&((struct heap *)heap)->pending, memory_order_relaxed);
  for (; slab != NULL; slab = slab->pending)
    if (!is_slab_of(self, heap, slab) || remote_of(slab) == NULL || census->sent-- == 0)
      return broken(8, heap);
  return broken(0, NULL);
}

static inline struct broken_invariant check_heaps(const struct allocator *self,
                                                  struct census *census) {
  struct broken_invariant found = check_heap(self, &self->shared, census);
  if (found.number == 0 && owner_of(&self->shared) != NOBODY) found = broken(10, &self->shared);
  for (unsigned i = 0; i < self->heaps && found.number == 0; i++) {
    const struct heap *heap = &self->table[i];
    uintptr_t owner = owner_of(heap);
    found = owner == NOBODY || heap_of((struct allocator *)self, owner) == heap ? broken(0, NULL)
                                                                                : broken(10, heap);
    if (found.number == 0 && owner != NOBODY) found = check_heap(self, heap, census);
  }
  if (found.number == 0 && census->linked != 0) found = broken(7, self);
  if (found.number == 0 && census->sent != 0) found = broken(8, self);
  return found;
}

static inline struct broken_invariant check_open(const struct allocator *self,
                                                 struct census *census) {
  const struct chunk *left = NULL;
  for (const struct chunk *chunk = self->pool.first_open; chunk != NULL; chunk = chunk->next_open) {
    if (!is_chunk(self, chunk) || chunk->free_units == 0 || chunk->previous_open != left ||
        census->open-- == 0)
      return broken(9, left == NULL ? &self->pool.own : left);
    left = chunk;
  }
  return census->open == 0 && self->pool.last_open == left && census->empty <= 1 &&
                 census->empty == self->pool.empty_chunks &&
                 census->shared == self->pool.shared_chunks &&
                 census->free_units == self->pool.free_units
             ? broken(0, NULL)
             : broken(9, self);
}

static inline struct broken_invariant size_check(const struct allocator *self) {
  struct census census = {0};
  if (!is_sealed(&self->pool.own)) return broken(1, self);
  if (!is_sound_shape(self)) return broken(3, self);
  struct broken_invariant found = check_ring(self, &census);
  if (found.number == 0) found = check_open(self, &census);
  if (found.number == 0) found = check_heaps(self, &census);
  return found;
}

// ## Walk

struct tour {
  const struct allocator *allocator;
  span_visitor *visit;
  void *context;
  size_t largest;  // request that free memory which was met could serve
};

static inline void show(struct tour *tour, const void *start, size_t size, enum span_kind kind) {
  visit_span(tour->visit, tour->context, start, size, kind);
}

// The largest request that so many adjacent units can serve.
static inline size_t served_by(const struct allocator *self, size_t units) {
  size_t size = units << self->pool.unit_shift;
  if (size > self->largest_slot) return size < self->largest_run ? size : self->largest_run;
  for (unsigned class = CLASSES; class > 0; class --)
    if (self->units_for[class - 1] != 0 && self->units_for[class - 1] <= units)
      return slot_of(class - 1);
  return 0;
}

static inline void show_idle(struct tour *tour, const unsigned char *end, size_t units) {
  size_t serves = units == 0 ? 0 : served_by(tour->allocator, units);
  size_t size = units << tour->allocator->pool.unit_shift;
  if (serves > tour->largest) tour->largest = serves;
  show(tour, end - size, size, SPAN_FREE);
}

static inline void show_slots(struct tour *tour, const struct slab *slab,
                              const unsigned char *start, const struct slot_map *map) {
  size_t idle = 0;
  for (size_t i = 0; i < slab->slots; i++) {
    bool live = i < slab->fresh && !is_free_slot(map, i);
    if (!live && slab->slot_size > tour->largest) tour->largest = slab->slot_size;
    if (live) show(tour, start - idle, idle, SPAN_FREE);
    if (live) show(tour, start, slab->slot_size, SPAN_BLOCK);
    idle = live ? 0 : idle + slab->slot_size;
    start += slab->slot_size;
  }
  show(tour, start - idle, idle, SPAN_FREE);
  size_t lost =
      ((size_t)slab->units << tour->allocator->pool.unit_shift) - slab->slots * slab->slot_size;
  show(tour, start, lost, SPAN_META);
}

// A slab without blocks is shown like free units: it becomes such when they are wanted.
static inline void walk_units(struct tour *tour, const struct chunk *chunk) {
  const struct pool *pool = &tour->allocator->pool;
  const unsigned char *start = at(chunk, (size_t)pool->header_units << pool->unit_shift);
  size_t idle = 0;
  for (size_t unit = pool->header_units, units; unit < pool->units; unit += units) {
    const struct slab *slab = slab_at(chunk, unit);
    struct slot_map map;
    units = 1;
    bool live = !is_free_unit(chunk, unit);
    if (live) {
      if (!is_slab(pool, chunk, unit) || !is_sound_slab(tour->allocator, slab)) return;
      units = slab->units;
      if (slab->class != CLASS_RUN) {
        map_slots(&map, slab, start);
        live = map.count < slab->fresh;
      }
    }
    if (live) {
      show_idle(tour, start, idle);
      if (slab->class == CLASS_RUN)
        show(tour, start, slab->slot_size, SPAN_BLOCK);
      else
        show_slots(tour, slab, start, &map);
    }
    idle = live ? 0 : idle + units;
    start += units << pool->unit_shift;
  }
  show_idle(tour, start, idle);
}

// A damaged slab counts as one that has none: it is not shown further.
static inline bool has_blocks(const struct allocator *self, const struct chunk *chunk) {
  const struct pool *pool = &self->pool;
  for (size_t unit = pool->header_units; unit < pool->units; unit++) {
    const struct slab *slab = slab_at(chunk, unit);
    struct slot_map map;
    if (is_free_unit(chunk, unit) || !is_slab(pool, chunk, unit) || !is_sound_slab(self, slab))
      continue;
    if (slab->class == CLASS_RUN) return true;
    map_slots(&map, slab, start_of(pool, slab));
    if (map.count < slab->fresh) return true;
  }
  return false;
}

// A chunk without blocks is one stretch that is free: whether it goes back to the source is nothing
// that a request could tell.
static inline void walk_chunk(struct tour *tour, const struct chunk *chunk) {
  const struct pool *pool = &tour->allocator->pool;
  if (!is_direct(chunk) && !has_blocks(tour->allocator, chunk)) {
    size_t serves = served_by(tour->allocator, (size_t)pool->units - pool->header_units);
    if (serves > tour->largest) tour->largest = serves;
    show(tour, chunk->memory, chunk->size, SPAN_FREE);
    return;
  }
  if (is_direct(chunk)) {
    const struct slab *slab = slab_at(chunk, 0);
    show(tour, chunk->memory, chunk->size - slab->slot_size, SPAN_META);
    show(tour, slab->free, slab->slot_size, SPAN_BLOCK);
    return;
  }
  size_t slack = address_of(chunk) - address_of(chunk->memory);
  show(tour, chunk->memory, slack + ((size_t)pool->header_units << pool->unit_shift), SPAN_META);
  walk_units(tour, chunk);
  show(tour, at(chunk, pool->chunk_size), chunk->size - slack - pool->chunk_size, SPAN_META);
}

// Shows a damaged ring as far as its seals hold. Returns the largest request that could be served.
static inline size_t size_tour(const struct allocator *self, span_visitor *visit, void *context) {
  struct tour tour = {self, visit, context, 0};
  const struct chunk *chunk = &self->pool.own;
  if (!is_sealed(chunk) || !is_sound_shape(self)) return 0;
  show(&tour, chunk->memory, chunk->size, SPAN_META);
  for (size_t left = self->pool.chunks; is_sealed(chunk) && left != 0; left--) {
    chunk = chunk->next;
    if (chunk == &self->pool.own) break;
    walk_chunk(&tour, chunk);
  }
  return tour.largest;
}

static inline void size_walk(const struct allocator *self, span_visitor *visit, void *context) {
  size_tour(self, visit, context);
}

static inline struct statistics size_statistics(const struct allocator *self) {
  struct statistics statistics = {0};
  // A free span of several slots serves no request of its size.
  size_t largest = size_tour(self, tally_span, &statistics);
  statistics.largest_free = largest;
  return statistics;
}

#endif
