// The heaps of threads: who may touch which slabs of size_class.c without a lock.
//
// A thread is known by its thread pointer. Its heap is found in a table by hashing, and claimed
// once; nobody tells an allocator that a thread has ended, so that a heap is kept for whoever has
// the same thread pointer next, which is mostly the next thread. Threads that come when the table
// is full, and all threads where the compiler or the system has no thread pointer, share one heap
// under a lock: its slabs belong to nobody.
#ifndef ALLOCATORS_SIZE_CLASS_HEAPS_H_
#define ALLOCATORS_SIZE_CLASS_HEAPS_H_

#include "allocators/size_class_chunks.h"

// Thread pointers are aligned, or 0 where there is none.
#define NOBODY ((uintptr_t)1)

#if (defined(__x86_64__) || defined(__i386__)) && defined(__unix__) || defined(__aarch64__)
static inline uintptr_t thread_identity(void) { return (uintptr_t)__builtin_thread_pointer(); }
#else
static inline uintptr_t thread_identity(void) { return 0; }
#endif

struct heap {
  _Alignas(512) _Atomic(uintptr_t) owner;  // NOBODY: not claimed; of the shared one, for ever
  atomic_bool busy;                        // its owner is at it
  atomic_bool halted;                      // its owner must not be
  struct slab *bins[CLASSES];              // rings of slabs; the first one serves
  _Atomic(struct slab *) pending;          // the slabs that got remote slots, newest first
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
  struct lock shared_lock;   // for the shared heap; taken before the pool's
  struct lock halting_lock;  // taken before both, and by nobody who is busy
  unsigned heaps;            // a power of two
  size_t last_heap;          // the offset of the last one in the table
  // I10: no two heaps have one owner, and none is where its owner would not find it
  struct heap shared;
  struct heap table[];
};

// The heap where the search for one of that identity begins. Fibonacci hashing (Knuth, TAOCP
// vol. 3, 6.4), of which some high bits are the offset.
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

// The heap of the thread of this identity; the shared one if it has none of its own.
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
  ORDER_ATOMIC(self->busy);
  ORDER_ATOMIC(self->halted);
  ORDER_ATOMIC(self->pending);
}

// ## Halting an owner
//
// Where memory is short, slabs that the heaps of others hold for nothing must be had, of threads
// that sleep or have ended too. So that an owner needs no atomic exchange for what happens so
// rarely, the barrier between its two lines is executed by whoever halts it, on its behalf: biased
// locking in the manner of D. Dice, H. Huang and M. Yang, "Asymmetric Dekker Synchronization"
// (2001), by the system call membarrier. Where there is no such call, heaps are left alone.

// False: not now, and then the heap must not be touched.
static inline bool enter_heap(struct heap *self) {
  atomic_store_explicit(&self->busy, true, memory_order_relaxed);
  atomic_signal_fence(memory_order_seq_cst);
  bool halted = atomic_load_explicit(&self->halted, memory_order_acquire);
  if (!halted) ORDER_AFTER(&self->halted);
  return !halted;
}

static inline void leave_heap(struct heap *self) {
  ORDER_BEFORE(&self->busy);
  atomic_store_explicit(&self->busy, false, memory_order_release);
}

static inline void wait_to_enter(struct heap *self) {
  while (!enter_heap(self)) {
    leave_heap(self);
    lock_yield();
  }
}

// A full memory barrier in every thread of this process that runs. False: there is none.
static inline bool barrier_everywhere(void) {
  enum { EXPEDITED = 1 << 3, REGISTER = 1 << 4 };
  for (long command = REGISTER;; command = EXPEDITED) {
    long result;
#if defined(__linux__) && defined(__x86_64__)
    register long cpu __asm__("r10") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(324L), "D"(command), "S"(0L), "d"(0L), "r"(cpu)
                     : "rcx", "r11", "memory");
#elif defined(__linux__) && defined(__i386__)
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(375L), "b"(command), "c"(0L), "d"(0L)
                     : "memory");
#elif defined(__linux__) && defined(__aarch64__)
    register long number __asm__("x8") = 283, flags __asm__("x1") = 0, cpu __asm__("x2") = 0;
    register long first __asm__("x0") = command;
    __asm__ volatile("svc #0" : "+r"(first) : "r"(number), "r"(flags), "r"(cpu) : "memory");
    result = first;
#else
    result = -1;
#endif
    if (result != 0 || command == EXPEDITED) return result == 0;
  }
}

static inline void resume_heap(struct heap *self) {
  ORDER_BEFORE(&self->halted);
  atomic_store_explicit(&self->halted, false, memory_order_release);
}

// Until resume_heap its owner keeps away. False: it could not be halted.
static inline bool halt_heap(struct heap *self) {
  atomic_store_explicit(&self->halted, true, memory_order_seq_cst);
  if (!barrier_everywhere()) {
    resume_heap(self);
    return false;
  }
  while (atomic_load_explicit(&self->busy, memory_order_acquire)) lock_yield();
  ORDER_AFTER(&self->busy);
  return true;
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
