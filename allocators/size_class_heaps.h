// The heaps of threads: who may touch which slabs of size_class.c without a lock.
//
// A thread is known by its thread pointer. Its heap is found in a table by hashing, and claimed
// once; nobody tells an allocator that a thread has ended, so that a heap is kept for whoever has
// the same thread pointer next, which is mostly the next thread. Threads that come when the table
// is full, and all threads where the compiler or the system has no thread pointer, share one heap
// under a lock: its slabs belong to nobody, and all releases to them are remote.
#ifndef ALLOCATORS_SIZE_CLASS_HEAPS_H_
#define ALLOCATORS_SIZE_CLASS_HEAPS_H_

#include "allocators/size_class_chunks.h"

// Thread pointers are aligned, or 0 where there is none.
#define NOBODY ((uintptr_t)1)

#if defined(__x86_64__) && defined(__unix__) || defined(__aarch64__)
static inline uintptr_t thread_identity(void) { return (uintptr_t)__builtin_thread_pointer(); }
#else
static inline uintptr_t thread_identity(void) { return 0; }
#endif

struct heap {
  _Alignas(512) _Atomic(uintptr_t) owner;  // NOBODY: not claimed; of the shared one, for ever
  _Atomic(struct slab *) pending;          // the slabs that got remote slots, newest first
  struct slab *bins[CLASSES];              // rings of slabs; the first one serves
};

_Static_assert((sizeof(struct heap) & (sizeof(struct heap) - 1)) == 0, "offsets are masked");

enum { HASH_SHIFT = 40 };  // leaves enough bits for the offset of any heap

enum { FEW_HEAPS = 2, MANY_HEAPS = 32 };
#define MANY_HEAPS_FROM ((size_t)1 << 20)  // where so much is available

struct allocator {
  struct pool pool;
  uint8_t units_for[CLASSES];  // how long a slab of each class is
  size_t largest_slot;         // of all that are in use; a power of two
  size_t largest_run;
  struct lock shared_lock;  // for the shared heap; taken before the pool's
  unsigned heaps;           // a power of two
  size_t last_heap;         // the offset of the last one in the table
  // I10: no two heaps have one owner, and none is where its owner would not find it
  struct heap shared;
  struct heap table[];
};

// The heap where the search for one of that identity begins. Fibonacci hashing (Knuth, TAOCP
// vol. 3, 6.4), of which the leading bits are an index.
static inline struct heap *home_of(struct allocator *self, uintptr_t identity) {
  uint64_t hash = (uint64_t)identity * 0x9E3779B97F4A7C15u;
  return at(self->table, (size_t)(hash >> HASH_SHIFT) & self->last_heap);
}

static inline struct heap *heap_after(struct allocator *self, const struct heap *heap) {
  size_t offset = address_of(heap) - address_of(self->table) + sizeof *heap;
  return at(self->table, offset & self->last_heap);
}

static inline uintptr_t owner_of(const struct heap *heap) {
  return atomic_load_explicit(&heap->owner, memory_order_relaxed);
}

static inline bool is_owner(const struct slab *slab, uintptr_t identity) {
  return atomic_load_explicit(&slab->owner, memory_order_relaxed) == identity;
}

// The heap that serves the owner of a slab or the thread of this identity; the shared one if it has
// none of its own.
static inline struct heap *heap_of(struct allocator *self, uintptr_t identity) {
  struct heap *heap = home_of(self, identity);
  for (unsigned i = 0; i < self->heaps; i++, heap = heap_after(self, heap)) {
    uintptr_t owner = owner_of(heap);
    if (owner == NOBODY) break;
    if (owner == identity) return heap;
  }
  return &self->shared;
}

// Same, but claims a heap for the calling thread if there is one left. Heaps are claimed once, in
// the order of probing: who finds none of his own before one that nobody has, has none.
static inline struct heap *claim_heap(struct allocator *self, uintptr_t identity) {
  if (identity == 0) return &self->shared;
  struct heap *heap = home_of(self, identity);
  for (unsigned i = 0; i < self->heaps; i++, heap = heap_after(self, heap)) {
    uintptr_t owner = NOBODY;
    if (owner_of(heap) == identity ||
        atomic_compare_exchange_strong_explicit(&heap->owner, &owner, identity,
                                                memory_order_relaxed, memory_order_relaxed))
      return heap;
  }
  return &self->shared;
}

static inline void heap_init(struct heap *self) {
  *self = (struct heap){.owner = NOBODY};
  ORDER_ATOMIC(self->owner);
  ORDER_ATOMIC(self->pending);
}

// ## Rings of slabs

static inline bool is_linked(const struct slab *slab) { return slab->next != NULL; }

static inline void link_slab(struct heap *heap, struct slab *slab) {
  struct slab **bin = &heap->bins[slab->class], *first = *bin;
  if (first == NULL) {
    slab->next = slab->previous = *bin = slab;
    return;
  }
  slab->next = first;
  slab->previous = first->previous;
  first->previous->next = slab;
  first->previous = slab;
}

static inline void unlink_slab(struct heap *heap, struct slab *slab) {
  struct slab **bin = &heap->bins[slab->class];
  if (*bin == slab) *bin = slab->next == slab ? NULL : slab->next;
  slab->previous->next = slab->next;
  slab->next->previous = slab->previous;
  slab->next = slab->previous = NULL;
}

#endif
