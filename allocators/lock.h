// A lock for strategies that serve several threads: one word, by C11 atomics alone.
//
// Test and test-and-set (L. Rudolph and Z. Segall, "Dynamic Decentralized Cache Schemes for MIMD
// Parallel Processors", ISCA 1984): those who wait only read, so that the word stays in every
// cache until it changes. Sections under it are a search of a list at most, hence they spin; but a
// holder that was preempted can go on only if somebody gives the processor up, hence not for long.
//
// The lock is not fair and not recursive. It lies in memory of the allocator, all zero is unlocked,
// and it needs no end.
#ifndef ALLOCATORS_LOCK_H_
#define ALLOCATORS_LOCK_H_

#include <stdatomic.h>
#include <stdbool.h>

// ## What a race detector that sees no atomics must be told
//
// One that works on machine code (Valgrind's) cannot tell an atomic access from a plain one, nor
// what it orders. A build for it names a header that defines these (order_valgrind.h); in all
// others they are nothing.
//   ORDER_BEFORE(address)        what this thread did so far ...
//   ORDER_AFTER(address)         ... comes before what that one does from here: the release and the
//                                acquire at one address
//   ORDER_ATOMIC(object)         all accesses to this object, an lvalue, are atomic from here on
#ifdef ALLOCATORS_ORDER_HOOKS
#include ALLOCATORS_ORDER_HOOKS
#else
#define ORDER_BEFORE(address) ((void)(address))
#define ORDER_AFTER(address) ((void)(address))
#define ORDER_ATOMIC(object) ((void)&(object))
#endif

struct lock {
  atomic_uint held;  // 0 or 1
};

enum { LOCK_SPINS = 64 };

static inline void lock_init(struct lock *self) {
  atomic_init(&self->held, 0);
  ORDER_ATOMIC(self->held);
}

// Tells the processor that this is a loop that waits.
static inline void lock_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Gives the processor to somebody else: sched_yield, where the system is one that is known here.
static inline void lock_yield(void) {
#if defined(__linux__) && defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(24L) : "rcx", "r11", "memory");
#elif defined(__linux__) && defined(__i386__)
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(158L) : "memory");
#elif defined(__linux__) && defined(__aarch64__)
  register long number __asm__("x8") = 124;
  register long result __asm__("x0");
  __asm__ volatile("svc #0" : "=r"(result) : "r"(number) : "memory");
#else
  lock_pause();
#endif
}

static inline bool lock_is_held(const struct lock *self) {
  return atomic_load_explicit(&self->held, memory_order_relaxed) != 0;
}

// True if the lock is the caller's now.
static inline bool lock_try(struct lock *self) {
  if (lock_is_held(self) || atomic_exchange_explicit(&self->held, 1, memory_order_acquire) != 0)
    return false;
  ORDER_AFTER(self);
  return true;
}

static inline void lock_acquire(struct lock *self) {
  for (unsigned tries = 0; !lock_try(self); tries++) {
    if (tries < LOCK_SPINS)
      lock_pause();
    else
      lock_yield();
  }
}

static inline void lock_release(struct lock *self) {
  ORDER_BEFORE(self);
  atomic_store_explicit(&self->held, 0, memory_order_release);
}

#endif
