// For strategies that serve several threads the gate is a lock for many readers and a rare writer,
// one count for each of a few groups of threads (R. Bryant's and others' "big reader lock" of
// Linux). As long as the process has one thread there is nothing to count or to lock.
#include "harness/preload/gate.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/single_threaded.h>
#include <time.h>
#include <unistd.h>

#include "allocators/lock.h"
#include "harness/preload/thread.h"

enum { GROUPS = 64 };  // a power of two

struct group {
  _Alignas(64) atomic_uint inside;
};

static struct lock lock;  // of the thread inside, or of who closes the gate
static bool serves_several;
static struct group groups[GROUPS];
static atomic_uint threads;
static atomic_bool closed;

PER_THREAD struct {
  bool inside;
  bool counted;  // in its group, or by the lock
  bool keeper;   // who closed the gate
  struct group *group;
} me;

void gate_init(bool several) { serves_several = several; }

bool gate_is_alone(void) { return __libc_single_threaded; }

bool gate_is_inside(void) { return me.inside; }

static void count_in(void) {
  if (!me.group)
    me.group = &groups[atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) & (GROUPS - 1)];
  for (;;) {
    atomic_fetch_add(&me.group->inside, 1);
    if (!atomic_load(&closed)) return;
    atomic_fetch_sub(&me.group->inside, 1);
    while (atomic_load_explicit(&closed, memory_order_relaxed)) lock_yield();
  }
}

bool gate_enter(void) {
  if (me.inside) return false;
  me.inside = true;
  // A handler that interrupts from here on is not let in.
  atomic_signal_fence(memory_order_seq_cst);
  me.counted = !me.keeper && !gate_is_alone();
  if (!me.counted) return true;
  if (serves_several)
    count_in();
  else
    lock_acquire(&lock);
  return true;
}

void gate_leave(void) {
  if (me.counted) {
    if (serves_several)
      atomic_fetch_sub(&me.group->inside, 1);
    else
      lock_release(&lock);
  }
  atomic_signal_fence(memory_order_seq_cst);
  me.inside = false;
}

// ## Closing

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static bool wait_for_lock(long long until) {
  while (!lock_try(&lock)) {
    if (until >= 0 && now() > until) return false;
    lock_yield();
  }
  return true;
}

static bool wait_for_groups(long long until) {
  for (size_t i = 0; i < GROUPS; i++)
    while (atomic_load(&groups[i].inside) != 0) {
      if (until >= 0 && now() > until) return false;
      lock_yield();
    }
  return true;
}

static bool close_now(long long until) {
  if (!wait_for_lock(until)) return false;
  if (!serves_several) return true;
  atomic_store(&closed, true);
  if (wait_for_groups(until)) return true;
  atomic_store(&closed, false);
  lock_release(&lock);
  return false;
}

// As long as the gate is neither open nor closed, a handler that interrupts must not wait at it.
bool gate_close(int milliseconds) {
  if (me.inside || me.keeper) return false;
  me.inside = true;
  atomic_signal_fence(memory_order_seq_cst);
  me.keeper = close_now(milliseconds < 0 ? -1 : now() + milliseconds);
  atomic_signal_fence(memory_order_seq_cst);
  me.inside = false;
  return me.keeper;
}

void gate_open(void) {
  if (!me.keeper) return;
  me.inside = true;
  atomic_signal_fence(memory_order_seq_cst);
  atomic_store(&closed, false);
  lock_release(&lock);
  me.keeper = false;
  atomic_signal_fence(memory_order_seq_cst);
  me.inside = false;
}
