#include "harness/forbid.h"

#if defined(BUILT_WITH_ASAN)
#include <sanitizer/asan_interface.h>
#elif defined(BUILT_WITH_MSAN)
#include <sanitizer/msan_interface.h>
#elif defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define WITH_VALGRIND 1
#endif
#endif

#ifdef WITH_VALGRIND
// The client request costs some ten instructions even outside Valgrind; a test of a flag costs one.
static int valgrind_state;  // 0: not asked yet, 1: no, 2: yes
static bool on_valgrind(void) {
  if (!valgrind_state) valgrind_state = RUNNING_ON_VALGRIND ? 2 : 1;
  return valgrind_state == 2;
}
#endif

void memory_forbid(const void *start, size_t size) {
#if defined(BUILT_WITH_ASAN)
  __asan_poison_memory_region(start, size);
#elif defined(BUILT_WITH_MSAN)
  __msan_poison(start, size);
#elif defined(WITH_VALGRIND)
  if (on_valgrind()) VALGRIND_MAKE_MEM_NOACCESS(start, size);
#else
  (void)start, (void)size;
#endif
}

void memory_grant(void *start, size_t size) {
#if defined(BUILT_WITH_ASAN)
  __asan_unpoison_memory_region(start, size);
#elif defined(BUILT_WITH_MSAN)
  __msan_poison(start, size);
#elif defined(WITH_VALGRIND)
  // Defined: what remains to be reported then is access to forbidden memory alone.
  if (on_valgrind()) VALGRIND_MAKE_MEM_DEFINED(start, size);
#else
  (void)start, (void)size;
#endif
}

void memory_grant_contents(void *start, size_t size) {
#if defined(BUILT_WITH_MSAN)
  __msan_unpoison(start, size);
#else
  memory_grant(start, size);
#endif
}

void memory_open(const void *start, size_t size) {
#ifdef WITH_VALGRIND
  if (on_valgrind()) VALGRIND_MAKE_MEM_DEFINED(start, size);
#else
  (void)start, (void)size;
#endif
}

void memory_close(const void *start, size_t size) {
#ifdef WITH_VALGRIND
  if (on_valgrind()) VALGRIND_MAKE_MEM_NOACCESS(start, size);
#else
  (void)start, (void)size;
#endif
}

unsigned memory_errors(void) {
#ifdef WITH_VALGRIND
  if (on_valgrind()) return (unsigned)VALGRIND_COUNT_ERRORS;
#endif
  return 0;
}

SEES_FORBIDDEN void memory_fill(void *start, int byte, size_t size) {
  unsigned char *at = start;
#if !defined(BUILT_WITH_ASAN) && !defined(BUILT_WITH_MSAN)
  __builtin_memset(at, byte, size);
#else
  typedef uint64_t __attribute__((may_alias, aligned(1))) word;
  word pattern = (unsigned char)byte * 0x0101010101010101u;
  for (; size >= sizeof pattern; size -= sizeof pattern, at += sizeof pattern)
    *(volatile word *)at = pattern;
  for (; size; size--) *(volatile unsigned char *)at++ = (unsigned char)byte;
#endif
}
