// Watches the allocator while it runs: what it does wrong there is caught at the instruction.
//
// Between watch_enter and watch_leave these are the allocator's fault: a signal, a report by ASan
// or UBSan, memcpy on ranges that overlap, an operation that does not end, a call that ends the
// process or takes memory from the system (watch_calls.c). And while several
// threads use it, so is every data race. One watch for the process; each thread has a place of its
// own, the main thread place 0.
#ifndef HARNESS_WATCH_H_
#define HARNESS_WATCH_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum watch_event {
  WATCH_CRASH,        // a signal; `address` is the one accessed, or NULL
  WATCH_BAD_ACCESS,   // a sanitizer objects to an access at `address`
  WATCH_UNDEFINED,    // a sanitizer objects to something else
  WATCH_OVERLAPPING,  // memcpy; `address` is the destination
  WATCH_HANG,
  WATCH_RACE,   // TSan; `address` is the object of the race
  WATCH_ENDS,   // it would end the process
  WATCH_TAKES,  // it takes memory from the system
};

enum watch_access { WATCH_ACCESS_UNKNOWN, WATCH_READ, WATCH_WRITE };

struct watch_report {
  enum watch_event event;
  const void *address;
  size_t size;       // of the access, in bytes, as far as can be told; at least 1
  const char *what;  // in words; NULL: none
  const char *site;  // function of the allocator, where the build can tell; else NULL
  unsigned place;    // of the thread that did it
  enum watch_access access;
};

// Called when something is caught, in the thread that did it or, if it hangs, another. Must not
// return, but for events of sanitizers: these go on to print their report and end the process.
typedef void watch_handler(const struct watch_report *report);

// Installs signal handlers and a timer. Later calls replace the handler; a forked child must call
// it again, since timers are not inherited.
void watch_install(watch_handler *handler);

enum { WATCH_PLACES = 8 };

// Written by its thread alone, and read by whichever the timer strikes.
struct watch_place {
  atomic_bool inside;
  atomic_ulong progress;
  atomic_ulong copies;
};
#if __STDC_HOSTED__
#define WATCH_PER_THREAD _Thread_local
#else  // there is one
#define WATCH_PER_THREAD
#endif
extern WATCH_PER_THREAD struct watch_place *watch_here;

// Gives the calling thread, which is not the main one, its place (1 .. WATCH_PLACES - 1), until it
// ends.
void watch_begin_thread(unsigned place);
// The calling thread's.
unsigned watch_place(void);

static inline void watch_enter(void) {
  atomic_store_explicit(&watch_here->inside, true, memory_order_relaxed);
}
static inline void watch_leave(void) {
  atomic_store_explicit(&watch_here->inside, false, memory_order_relaxed);
}
static inline bool watch_inside(void) {
  return atomic_load_explicit(&watch_here->inside, memory_order_relaxed);
}

// Tells the timer that there is progress: call it before each operation.
static inline void watch_tick(void) {
  unsigned long now = atomic_load_explicit(&watch_here->progress, memory_order_relaxed);
  atomic_store_explicit(&watch_here->progress, now + 1, memory_order_relaxed);
}

// Whether some thread is inside the same operation as when this was asked last.
bool watch_stuck(void);

// Returns in the thread that asks first. Any other sleeps from then on: one report is enough.
void watch_silence_others(void);

// Calls of memcpy by the allocator that could have been on ranges that overlap, since the start, of
// all threads.
unsigned long watch_copies(void);

// Whether the allocator is one that may call what it likes, and so is no longer asked about it.
extern bool watch_lets_call;

// Where nobody watches, and an allocator that forks would multiply: it is refused.
extern bool watch_forbids_fork;

// For watch_calls.c: one of those calls, from the code at `caller`.
void watch_caught(enum watch_event event, const char *what, void *caller);

// Whether several threads use the allocator now.
extern atomic_bool watch_races;

// CPU seconds without progress that count as a hang, at least; the environment variable
// ASSAY_HANG_MS gives another number, of milliseconds.
enum { WATCH_HANG_SECONDS = 3 };

// Of the process, before watch_install: hangs are told after so many CPU milliseconds instead, for
// those who verify them.
void watch_be_impatient(unsigned milliseconds);

#endif
