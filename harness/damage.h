// Damaged strategies: how the oracle's own test shows that each property can fail, under its own
// id.
//
// A damage is a strategy of the house (the victim) with some of its functions replaced. What is
// close to damage, but right, is listed beside it and must come out clean: an oracle that cries
// wolf is as bad as one that sleeps. The rows are in damage_answers.h, damage_state.h,
// damage_reports.h, damage_access.h, damage_lifetimes.h and damage_foreign.h, all of them parts of
// oracle_test.c.
#ifndef HARNESS_DAMAGE_H_
#define HARNESS_DAMAGE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "allocators/strategy.h"
#include "harness/forbid.h"
#include "harness/oracle.h"

extern const struct strategy bump_strategy, page_bump_strategy, free_list_strategy, slab_strategy,
    system_strategy;

enum { FAST = 1 << TIER_FAST, FULL = 1 << TIER_FULL, PARANOID = 1 << TIER_PARANOID };
enum { WALKING = FULL | PARANOID };

enum { FIXED = 1 << HEAP_FIXED, PAGES = 1 << HEAP_PAGES };

// What a build can see differs, and so does what it calls the same damage.
enum { PLAIN = 1, ASAN = 2, MSAN = 4, VALGRIND = 8 };

struct damage {
  const char *property;  // the id that must come out, or "clean"
  const char *near;      // of "clean": the id that nearly came out, and was judged
  bool idle;             // there was nothing to judge it by: it counts as not exercised
  const char *what;      // is done, or nearly done
  const struct strategy *victim;
  struct strategy with;  // functions that replace the victim's
  const char *program;   // in text form, with `;` for ends of lines and without the heap's line
  const char *heap;      // fields of the heap's line; NULL: some that fit most
  const char *says;      // part of the diagnosis; NULL: anything
  // Where it must come out so; elsewhere it is not tried. 0: everywhere
  unsigned tiers, sources, builds;
};

// Requests of this size are what most damages wait for.
enum { TRIGGER = 77 };

// The strategy that is damaged in this process.
static const struct strategy *victim;

// The source that the allocator was created over, where `with.create` is one of those that note it.
static struct source *given;

// The live block that was allocated first of those that are still live.
static const struct shadow_block *first_live(void) {
  const struct arena *arena;
  const struct shadow *shadow;
  return oracle_allocator(&arena, &shadow) && shadow->count > 0 ? &shadow->blocks[0] : NULL;
}

// The memory of the heap, by the victim's own walk: the last stretch that it shows.
struct extent {
  unsigned char *start, *end;
};

static void extend_over(void *context, const struct span *span) {
  struct extent *extent = context;
  unsigned char *start = (unsigned char *)(uintptr_t)span->start;
  if (extent->end != start) extent->start = start;
  extent->end = start + span->size;
}

static struct extent heap_of(const struct allocator *self) {
  struct extent extent = {0};
  victim->walk(self, extend_over, &extent);
  return extent;
}

// An address that compilers believe nothing about.
static unsigned char *at(uintptr_t address) {
  unsigned char *volatile pointer = (unsigned char *)address;
  return pointer;
}

// Accesses that no sanitizer sees, as in an allocator that was built without one.
static SEES_FORBIDDEN __attribute__((noinline)) void flip_unseen(uintptr_t address) {
  *(volatile unsigned char *)address ^= 1;
}

// The same where they are seen.
static __attribute__((noinline)) void damage_by_writing(uintptr_t address) {
  *(volatile unsigned char *)address = 0;
}
static __attribute__((noinline)) unsigned char damage_by_reading(uintptr_t address) {
  return *(volatile unsigned char *)address;
}

// Calls that no compiler can turn into something else.
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;

#endif
