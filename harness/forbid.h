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
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define BUILT_WITH_MSAN 1
#endif
#endif

// For functions of the harness that look at forbidden memory. They must not call memcpy and the like,
// whose interceptors would object.
#define SEES_FORBIDDEN __attribute__((no_sanitize("address", "memory", "thread"), noinline))

// The allocator must not read or write these bytes until they are granted.
void memory_forbid(const void *start, size_t size);
// The allocator may use these bytes; what they hold is undefined to it.
void memory_grant(void *start, size_t size);
// The allocator may use these bytes, and read what they hold.
void memory_grant_contents(void *start, size_t size);

// Valgrind has no functions that see forbidden memory: the harness must open it first and forbid
// it again after. Nothing in other builds.
void memory_open(const void *start, size_t size);
void memory_close(const void *start, size_t size);

// Errors that Valgrind has reported so far; 0 in other builds.
unsigned memory_errors(void);

// Fills with one byte, past interceptors.
void memory_fill(void *start, int byte, size_t size);

#endif
