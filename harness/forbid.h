// Memory that the allocator must not touch: live payloads, and all that is not its heap.
//
// Uses whatever the build has to name the culprit's instruction: ASan's manual poisoning, MSan's
// uninitialised memory, Valgrind's client requests. In a plain build these do nothing, and edges
// and contents of blocks tell the damage later.
#ifndef HARNESS_FORBID_H_
#define HARNESS_FORBID_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(BUILT_WITH_ASAN)
#define BUILT_WITH_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define BUILT_WITH_MSAN 1
#endif
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_TSAN 1
#endif
#endif

// For functions of the harness that look at forbidden memory. They must not call memcpy and the
// like, whose interceptors would object. Compilers do not inline them into functions that are
// instrumented.
#ifdef __clang__
#define SEES_FORBIDDEN __attribute__((no_sanitize("address", "memory")))
#else  // which has no MSan
#define SEES_FORBIDDEN __attribute__((no_sanitize("address")))
#endif

// Whether anything is done at all. A constant where it can be one: a plain build must not pay.
#if defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN)
#define MEMORY_GUARDED 1
#define MEMORY_ON_VALGRIND 0
#else
extern bool memory_on_valgrind;  // set before main
#define MEMORY_GUARDED memory_on_valgrind
#define MEMORY_ON_VALGRIND memory_on_valgrind
#endif

// What a build tells of an instruction: that it accesses what is forbidden; that its behaviour is
// undefined. MSan sees bytes that are forbidden as undefined ones.
#ifdef BUILT_WITH_MSAN
#define MEMORY_SHOWS_TOUCHES 0
#else
#define MEMORY_SHOWS_TOUCHES MEMORY_GUARDED
#endif
#if defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN)
#define MEMORY_SHOWS_UNDEFINED 1
#else
#define MEMORY_SHOWS_UNDEFINED 0
#endif

void memory_guard_forbid(const void *start, size_t size);
void memory_guard_grant(void *start, size_t size, bool contents);
void memory_guard_open(const void *start, size_t size);
unsigned memory_guard_errors(void);

// The allocator must not read or write these bytes until they are granted.
static inline void memory_forbid(const void *start, size_t size) {
  if (MEMORY_GUARDED) memory_guard_forbid(start, size);
}

// The allocator may use these bytes; what they hold is undefined to it.
static inline void memory_grant(void *start, size_t size) {
  if (MEMORY_GUARDED) memory_guard_grant(start, size, false);
}

// The allocator may use these bytes, and read what they hold.
static inline void memory_grant_contents(void *start, size_t size) {
  if (MEMORY_GUARDED) memory_guard_grant(start, size, true);
}

// Valgrind has no functions that see forbidden memory: the harness must open it first and close it
// again after. Nothing in other builds.
static inline void memory_open(const void *start, size_t size) {
  if (MEMORY_ON_VALGRIND) memory_guard_open(start, size);
}
static inline void memory_close(const void *start, size_t size) {
  if (MEMORY_ON_VALGRIND) memory_guard_forbid(start, size);
}

// Errors that Valgrind has reported so far; 0 in other builds.
static inline unsigned memory_errors(void) {
  return MEMORY_ON_VALGRIND ? memory_guard_errors() : 0;
}

// Races that drd or helgrind has reported so far; 0 in other builds. Whether races are told at all,
// by them or by TSan.
#if defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN)
static inline unsigned memory_races(void) { return 0; }
static inline bool memory_shows_races(void) { return false; }
#else
unsigned memory_races(void);
bool memory_shows_races(void);
#endif

// Fills with one byte, past interceptors.
void memory_fill(void *start, int byte, size_t size);
// Copies, past interceptors, from forbidden memory too, and grants what is written. The ranges must
// not overlap.
void memory_copy(void *to, const void *from, size_t size);

#endif
