// Size class: slots of a few sizes in slabs, a heap for each thread, and large blocks of their own.
//
// A general-purpose allocator for several threads at once. What it is built of:
//   - E. D. Berger, K. S. McKinley, R. D. Blumofe and P. R. Wilson, "Hoard: A Scalable Memory
//     Allocator for Multithreaded Applications" (ASPLOS 2000): slabs ("superblocks") that belong to
//     the heap of one thread, so that no two threads are served from one cache line, and blocks
//     that go back to the slab they came from, so that memory does not wander between threads.
//   - S. Ghemawat and P. Menage, "TCMalloc: Thread-Caching Malloc": a page heap of runs behind one
//     lock, that threads see only when a slab begins or ends.
//   - J. Evans, "A Scalable Concurrent malloc(3) Implementation for FreeBSD" (BSDCan 2006): aligned
//     chunks with their map in front, and classes in steps of fractions of a doubling.
//   - D. Leijen, B. Zorn and L. de Moura, "Mimalloc: Free List Sharding in Action" (APLAS 2019): a
//     free list for each slab; a second one, atomic, for the releases of other threads; slabs that
//     are full are out of the way until a slot comes back.
//   - P. Lietar et al., "snmalloc: A Message Passing Allocator" (ISMM 2019): a slab with remote
//     slots is sent to its owner once, and the owner takes all that was sent at a time.
//
// Neither list can suffer from ABA (R. K. Treiber, "Systems Programming: Coping with Parallelism",
// 1986): others only push, and the owner takes all of it by one exchange.
//
// A fresh slab is handed out from its start, a few slots at a time: memory that nobody asked for is
// not touched. A slab that has become empty goes back to its chunk, but the last of its class is
// kept as long as memory is not mostly empty; of empty chunks one is kept. Both are given up where
// a request would fail otherwise.
#include "allocators/memory.h"
#include "allocators/size_class_heaps.h"
#include "allocators/size_class_inspect.h"
#include "allocators/span.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define EXTENSION ((size_t)4096)  // bytes of fresh slots that are handed out at a time

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

static bool is_aligned(const void *block, size_t align) {
  return (address_of(block) & (align - 1)) == 0;
}

// A power of two, no more than every slot has: one look at a set.
static bool is_usual(size_t align) {
  const unsigned powers = 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8 | 1u << 16;
  return align <= GRAIN && (powers >> align & 1) != 0;
}

// ## Slabs of a heap

static void retire(struct allocator *self, struct heap *heap, struct slab *slab) {
  unlink_slab(heap, slab);
  return_run(&self->pool, slab);
}

// Gives up all slabs without blocks. The pool's lock is held.
static void retire_empty_slabs(struct allocator *self, struct heap *heap) {
  for (unsigned class = 0; class < CLASSES; class ++)
    for (struct slab *slab = heap->bins[class], *next; slab != NULL; slab = next) {
      bool last = slab->next == heap->bins[class];
      next = last ? NULL : slab->next;
      if (slab->used == 0) retire(self, heap, slab);
    }
}

// Whether all slabs of a chunk would be retired with those of the heap.
static bool is_idle(const struct pool *pool, const struct heap *heap, const struct chunk *chunk) {
  for (size_t unit = pool->header_units; unit < pool->units;) {
    const struct slab *slab = slab_at(chunk, unit);
    bool vacant = (chunk->free_units >> unit & 1) != 0;
    if (!vacant && (slab->class >= CLASSES || slab->heap != heap || slab->used != 0)) return false;
    unit += vacant ? 1 : slab->units;
  }
  return true;
}

// Whether a chunk has such a run once the slabs of the heap without blocks are retired.
static bool would_have_run(const struct pool *pool, const struct heap *heap,
                           const struct chunk *chunk, size_t units, size_t step) {
  uint64_t set = chunk->free_units;
  for (size_t unit = pool->header_units; unit < pool->units;) {
    const struct slab *slab = slab_at(chunk, unit);
    bool vacant = (chunk->free_units >> unit & 1) != 0;
    if (!vacant && slab->class < CLASSES && slab->heap == heap && slab->used == 0)
      set |= units_mask(unit, slab->units);
    unit += vacant ? 1 : slab->units;
  }
  return find_units(set, units, multiples_of(step)) != MAX_UNITS;
}

static bool can_make_room(const struct pool *pool, const struct heap *heap, size_t units,
                          size_t step) {
  for (unsigned class = 0; class < CLASSES; class ++)
    for (const struct slab *slab = heap->bins[class], *next; slab != NULL; slab = next) {
      next = slab->next == heap->bins[class] ? NULL : slab->next;
      if (slab->used == 0 && would_have_run(pool, heap, chunk_of(pool, slab), units, step))
        return true;
    }
  return false;
}

// A run for a slab like this, at multiples of `step` units; room is made at the heap's cost, but
// not in vain: a request that is refused all the same must not have changed the slabs. It is
// written before the lock is released, as others look at whose slabs a chunk has.
static struct slab *obtain_run(struct allocator *self, struct heap *heap, const struct slab *like,
                               size_t step) {
  lock_acquire(&self->pool.lock);
  struct slab *slab = take_run(&self->pool, like->units, step);
  if (slab == NULL && can_make_room(&self->pool, heap, like->units, step)) {
    retire_empty_slabs(self, heap);
    slab = take_run(&self->pool, like->units, step);
  }
  if (slab == NULL && add_chunk(&self->pool)) slab = take_run(&self->pool, like->units, step);
  if (slab != NULL) *slab = *like;
  lock_release(&self->pool.lock);
  return slab;
}

static struct slab *open_slab(struct allocator *self, struct heap *heap, unsigned class) {
  size_t units = self->units_for[class], slot = slot_of(class);
  size_t slots = units * unit_of(&self->pool) / slot;
  const struct slab like = {.heap = heap,
                            .slot_size = slot,
                            .slots = (uint16_t)(slots < MAX_SLOTS ? slots : MAX_SLOTS),
                            .class = (uint8_t)class,
                            .units = (uint8_t)units};
  struct slab *slab = obtain_run(self, heap, &like, 1);
  if (slab == NULL) return NULL;
  ORDER_ATOMIC(slab->remote);
  link_slab(heap, slab);
  return slab;
}

// Slots that were never handed out, a page of them at a time.
static void extend(struct allocator *self, struct slab *slab) {
  size_t left = (size_t)slab->slots - slab->fresh, count = EXTENSION / slab->slot_size;
  if (count > left) count = left;
  if (count == 0) count = 1;
  unsigned char *slot = at(start_of(&self->pool, slab), slab->fresh * slab->slot_size);
  slab->fresh = (uint16_t)(slab->fresh + count);
  slab->free = (struct slot *)slot;
  for (; count > 1; count--, slot += slab->slot_size)
    ((struct slot *)slot)->next = at(slot, slab->slot_size);
  ((struct slot *)slot)->next = NULL;
}

// After a slot came back: what is empty goes, unless it is the last of its class.
static void settle(struct allocator *self, struct heap *heap, struct slab *slab) {
  if (!is_linked(slab)) link_slab(heap, slab);
  if (slab->used != 0 || slab->next == slab) return;
  lock_acquire(&self->pool.lock);
  retire(self, heap, slab);
  if (is_sparse(&self->pool)) retire_empty_slabs(self, heap);
  lock_release(&self->pool.lock);
}

// ## Slots released by others

static void push_pending(struct heap *heap, struct slab *slab) {
  struct slab *first = atomic_load_explicit(&heap->pending, memory_order_relaxed);
  do {
    slab->pending = first;
    ORDER_BEFORE(&heap->pending);
  } while (!atomic_compare_exchange_weak_explicit(&heap->pending, &first, slab,
                                                  memory_order_release, memory_order_relaxed));
}

// Who pushes the first one sends the slab to its owner. Until that is done the owner does not take
// the slots, so that the slab stays.
static void push_remote(struct slab *slab, struct slot *slot) {
  struct slot *first = atomic_load_explicit(&slab->remote, memory_order_relaxed);
  do {
    slot->next = first;
    ORDER_BEFORE(&slab->remote);
  } while (!atomic_compare_exchange_weak_explicit(&slab->remote, &first, slot, memory_order_acq_rel,
                                                  memory_order_relaxed));
  ORDER_AFTER(&slab->remote);
  if (first == NULL) push_pending(slab->heap, slab);
}

static void take_remote(struct slab *slab) {
  ORDER_BEFORE(&slab->remote);  // of the slab: it may be sent again from here on
  struct slot *first = atomic_exchange_explicit(&slab->remote, NULL, memory_order_acq_rel);
  ORDER_AFTER(&slab->remote);
  struct slot *last = first;
  slab->used--;
  for (; last->next != NULL; last = last->next) slab->used--;
  last->next = slab->free;
  slab->free = first;
}

// Whether there were any.
static bool collect(struct allocator *self, struct heap *heap) {
  if (atomic_load_explicit(&heap->pending, memory_order_relaxed) == NULL) return false;
  struct slab *slab = atomic_exchange_explicit(&heap->pending, NULL, memory_order_acquire);
  ORDER_AFTER(&heap->pending);
  while (slab != NULL) {
    struct slab *next = slab->pending;  // once the slots are taken it may be sent again
    take_remote(slab);
    settle(self, heap, slab);
    slab = next;
  }
  return true;
}

// ## Allocation

static bool has_slots(const struct slab *slab) {
  return slab->free != NULL || slab->fresh < slab->slots;
}

// Full slabs that are linked before this one: out of the way until a slot comes back.
static void unlink_full(struct heap *heap, const struct slab *slab) {
  for (struct slab *first; (first = heap->bins[slab->class]) != slab;) unlink_slab(heap, first);
}

// The next slab that serves. Full ones stay linked if there is none: a request that is refused must
// not decide in which order they serve again.
static struct slab *slab_with_slots(struct allocator *self, struct heap *heap, unsigned class) {
  do {
    struct slab *first = heap->bins[class], *slab = first;
    if (slab == NULL) continue;
    do {
      if (!has_slots(slab)) continue;
      unlink_full(heap, slab);
      if (slab->free == NULL) extend(self, slab);
      return slab;
    } while ((slab = slab->next) != first);
  } while (collect(self, heap));
  struct slab *slab = open_slab(self, heap, class);
  if (slab == NULL) return NULL;
  unlink_full(heap, slab);
  extend(self, slab);
  return slab;
}

static void *pop(struct slab *slab) {
  struct slot *slot = slab->free;
  slab->free = slot->next;
  slab->used++;
  return slot;
}

static void *allocate_slot(struct allocator *self, struct heap *heap, unsigned class) {
  struct slab *slab = slab_with_slots(self, heap, class);
  return slab == NULL ? NULL : pop(slab);
}

static void *allocate_run(struct allocator *self, struct heap *heap, size_t size, size_t align) {
  size_t units = ((size - 1) >> self->pool.unit_shift) + 1;
  size_t step = ((align - 1) >> self->pool.unit_shift) + 1;
  const struct slab like = {.heap = &self->shared,
                            .slot_size = units << self->pool.unit_shift,
                            .class = CLASS_RUN,
                            .units = (uint8_t)units};
  struct slab *slab = obtain_run(self, heap, &like, step);
  return slab == NULL ? NULL : start_of(&self->pool, slab);
}

// Whether the source, which refused a block of its own chunk, would grant it if slabs and chunks
// without blocks were given up. One that says that it has enough refused for another reason.
static bool would_fit(const struct allocator *self, const struct heap *heap, size_t size,
                      size_t align) {
  const struct pool *pool = &self->pool;
  size_t fits = pool->source->available(pool->source), wanted;
  if (!add_sizes(size, direct_offset(pool, align), &wanted)) return false;
  wanted = place_size(pool->source, wanted, direct_modulus(pool, align));
  if (fits == SIZE_MAX || wanted <= fits) return fits == SIZE_MAX;
  for (const struct chunk *chunk = pool->own.next; chunk != &pool->own; chunk = chunk->next)
    if (!is_direct(chunk) && is_idle(pool, heap, chunk)) fits = add_saturating(fits, chunk->size);
  return wanted <= fits;
}

static void *allocate_direct(struct allocator *self, struct heap *heap, size_t size, size_t align) {
  struct pool *pool = &self->pool;
  lock_acquire(&pool->lock);
  void *block = acquire_direct(pool, size, align);
  // What is given up for nothing could be told: only if it suffices.
  if (block == NULL && would_fit(self, heap, size, align)) {
    retire_empty_slabs(self, heap);
    return_empty_chunks(pool);
    block = acquire_direct(pool, size, align);
  }
  if (block != NULL) slab_of(pool, block)->heap = &self->shared;
  lock_release(&pool->lock);
  return block;
}

static void *allocate_in(struct allocator *self, struct heap *heap, size_t size, size_t align) {
  size_t extent = size < align ? align : size;
  if (extent <= self->largest_slot && align <= unit_of(&self->pool))
    return allocate_slot(self, heap,
                         align <= GRAIN ? class_of(size) : class_of_aligned(size, align));
  collect(self, heap);
  if (extent <= self->largest_run) return allocate_run(self, heap, extent, align);
  return allocate_direct(self, heap, size, align);
}

// One try, with the heap of the calling thread or with the shared one.
static void *try_allocate(struct allocator *self, struct heap *heap, size_t size, size_t align) {
  if (heap == &self->shared)
    lock_acquire(&self->shared_lock);
  else
    wait_to_enter(heap);
  void *block = allocate_in(self, heap, size, align);
  if (heap == &self->shared)
    lock_release(&self->shared_lock);
  else
    leave_heap(heap);
  return block;
}

static void give_up_empty_slabs(struct allocator *self, struct heap *heap) {
  collect(self, heap);
  lock_acquire(&self->pool.lock);
  retire_empty_slabs(self, heap);
  lock_release(&self->pool.lock);
}

// Takes from the heaps of all others what they hold for nothing. False: there is no other.
static bool reclaim(struct allocator *self, const struct heap *mine) {
  bool others = false;
  lock_acquire(&self->halting_lock);
  for (unsigned i = 0; i < self->heaps; i++) {
    struct heap *heap = &self->table[i];
    if (heap == mine || owner_of(heap) == NOBODY || !halt_heap(heap)) continue;
    give_up_empty_slabs(self, heap);
    resume_heap(heap);
    others = true;
  }
  if (mine != &self->shared && others) {
    lock_acquire(&self->shared_lock);
    give_up_empty_slabs(self, &self->shared);
    lock_release(&self->shared_lock);
  }
  lock_release(&self->halting_lock);
  return others;
}

// Whatever the few lines of the next function do not serve.
static __attribute__((noinline)) void *allocate_slowly(struct allocator *self, size_t size,
                                                       size_t align) {
  if (!is_request(size, align)) return NULL;
  struct heap *heap = claim_heap(self, thread_identity());
  void *block = try_allocate(self, heap, size, align);
  if (block == NULL && reclaim(self, heap)) block = try_allocate(self, heap, size, align);
  return block;
}

static void *size_allocate(struct allocator *self, size_t size, size_t align) {
  uintptr_t identity = thread_identity();
  struct heap *heap = home_of(self, identity);
  if (size - 1 >= self->largest_slot || !is_usual(align) || owner_of(heap) != identity)
    return allocate_slowly(self, size, align);
  struct slab *slab;
  void *block = NULL;
  if (enter_heap(heap) && (slab = heap->bins[class_of(size)]) != NULL && slab->free != NULL)
    block = pop(slab);
  leave_heap(heap);
  return block == NULL ? allocate_slowly(self, size, align) : block;
}

static void *size_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = size_allocate(self, bytes, align);
  if (block == NULL) return NULL;
  // A block of its own chunk is fresh from the source.
  if (bytes > self->largest_run && (self->pool.source->traits & SOURCE_ZEROED) != 0) return block;
  return memset(block, 0, bytes);
}

// ## Release

// By whom the heap belongs to. Whether the slab must be settled.
static inline bool push_own(struct slab *slab, struct slot *slot) {
  struct slot *first = slab->free;
  slot->next = first;
  slab->free = slot;
  slab->used--;
  return slab->used == 0 || (first == NULL && !is_linked(slab));
}

// To the shared heap as by its owner: slots that wait would be taken by the next request, and one
// that is refused must not change which slot is next.
static __attribute__((noinline)) enum release_result
release_elsewhere(struct allocator *self, struct slab *slab, void *block) {
  if (slab->class < CLASSES && slab->heap == &self->shared) {
    lock_acquire(&self->shared_lock);
    if (push_own(slab, block)) settle(self, slab->heap, slab);
    lock_release(&self->shared_lock);
    return RELEASED;
  }
  if (slab->class < CLASSES) {
    push_remote(slab, block);
    return RELEASED;
  }
  lock_acquire(&self->pool.lock);
  if (slab->class == CLASS_RUN)
    return_run(&self->pool, slab);
  else
    give_back(&self->pool, chunk_of(&self->pool, block));
  lock_release(&self->pool.lock);
  return RELEASED;
}

static __attribute__((noinline)) enum release_result settle_and_leave(struct allocator *self,
                                                                      struct slab *slab) {
  struct heap *heap = slab->heap;
  settle(self, heap, slab);
  leave_heap(heap);
  return RELEASED;
}

static enum release_result size_release(struct allocator *self, void *block) {
  if (block == NULL) return RELEASED;
  struct slab *slab = slab_of(&self->pool, block);
  struct heap *heap = slab->heap;
  if (owner_of(heap) != thread_identity()) return release_elsewhere(self, slab, block);
  if (!enter_heap(heap)) {
    leave_heap(heap);
    return release_elsewhere(self, slab, block);
  }
  if (push_own(slab, block)) return settle_and_leave(self, slab);
  leave_heap(heap);
  return RELEASED;
}

static size_t size_usable_size(const struct allocator *self, const void *block) {
  return block == NULL ? 0 : slab_of(&self->pool, block)->slot_size;
}

// In place if no more than half of it would be lost, or nothing else can be had.
static void *size_resize(struct allocator *self, void *block, size_t size, size_t align) {
  if (block == NULL) return size_allocate(self, size, align);
  if (!is_request(size, align)) return NULL;
  size_t usable = size_usable_size(self, block);
  bool fits = size <= usable && is_aligned(block, align);
  if (fits && size + 2 * GRAIN > usable / 2) return block;
  void *moved = size_allocate(self, size, align);
  if (moved == NULL) return fits ? block : NULL;
  memcpy(moved, block, usable < size ? usable : size);
  size_release(self, block);
  return moved;
}

// ## The table

static void heaps_init(struct allocator *self) {
  heap_init(&self->shared);
  for (unsigned i = 0; i < self->heaps; i++) heap_init(&self->table[i]);
}

static size_t allocator_size(unsigned heaps) {
  return sizeof(struct allocator) + heaps * sizeof(struct heap);
}

static struct allocator *size_create(struct source *source,
                                     const struct strategy_options *options) {
  const size_t align = _Alignof(struct allocator);
  struct place place;
  if ((source->traits & SOURCE_RECLAIMS) == 0 || options->variant != 0) return NULL;
  unsigned heaps = source->available(source) < MANY_HEAPS_FROM ? FEW_HEAPS : MANY_HEAPS;
  size_t chunk_size = chunk_size_for(source);
  if (!acquire_place(source, allocator_size(heaps), align, 0, &place)) return NULL;
  struct allocator *self = (struct allocator *)place.base;
  *self = (struct allocator){.heaps = heaps};
  self->pool.own.memory = place.memory;
  self->pool.own.size = place.size;
  link_chunks(&self->pool.own, &self->pool.own);
  pool_init(&self->pool, source, chunk_size);
  self->last_heap = (heaps - 1) * sizeof(struct heap);
  size_t unit = unit_of(&self->pool);
  self->largest_slot = 2 * unit < SLOT_END ? 2 * unit : SLOT_END;
  self->largest_run = chunk_size / 2;
  for (unsigned class = 0; class < CLASSES && slot_of(class) <= self->largest_slot; class ++)
    self->units_for[class] = (uint8_t)units_for_slots(slot_of(class), unit, self->pool.units);
  lock_init(&self->shared_lock);
  lock_init(&self->halting_lock);
  heaps_init(self);
  return self;
}

static void size_reset(struct allocator *self) {
  return_all_chunks(&self->pool);
  heaps_init(self);
}

static void size_destroy(struct allocator *self) {
  return_all_chunks(&self->pool);
  struct source *source = self->pool.source;
  source->release(source, self->pool.own.memory, self->pool.own.size);
}

// A block takes a slab at worst, in a chunk that nothing else fits into, aligned at a loss; and
// there is the header. What an allocator needs for its first chunk is a sixteenth of all there is,
// or less. All of that is covered by this factor.
#define WORST_CASE ((size_t)8)

static size_t size_footprint(size_t size, size_t align, size_t page_size) {
  if (!is_request(size, align)) return SIZE_MAX;
  size_t chunk = largest_chunk_size(page_size), unit = chunk / units_in(chunk), extent, worst;
  if (size < align) size = align;
  if (size <= SLOT_END && size <= 2 * unit)
    extent = unit * units_for_slots(slot_of(class_of(size)), unit, units_in(chunk));
  else if (!align_up(size, unit, &extent))
    return SIZE_MAX;
  extent = add_saturating(extent, add_saturating(page_size, header_size(1)));
  return multiply_sizes(extent, WORST_CASE, &worst) ? worst : SIZE_MAX;
}

const struct strategy size_class_strategy = {
    .name = "size_class",
    .summary = "slots of a few sizes in slabs, a heap for each thread, large blocks of their own",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_WALKS_BLOCKS | STRATEGY_CONCURRENT,
    .needs = SOURCE_RECLAIMS,
    .min_align = GRAIN,
    .max_align = MAX_ALIGN,
    .overhead =
        sizeof(struct allocator) + MANY_HEAPS * sizeof(struct heap) + _Alignof(struct allocator),
    .invariants = invariants,
    .create = size_create,
    .allocate = size_allocate,
    .allocate_zeroed = size_allocate_zeroed,
    .release = size_release,
    .resize = size_resize,
    .usable_size = size_usable_size,
    .reset = size_reset,
    .check = size_check,
    .walk = size_walk,
    .statistics = size_statistics,
    .destroy = size_destroy,
    .footprint = size_footprint,
};
