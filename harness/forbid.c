#include "harness/forbid.h"

#if !defined(BUILT_WITH_ASAN) && !defined(BUILT_WITH_MSAN)
// Of TSan's runtime: it may watch the allocators in a program whose harness was built without it.
void __tsan_init(void) __attribute__((weak));
#endif

#if defined(BUILT_WITH_ASAN)

#include <sanitizer/asan_interface.h>

void memory_guard_forbid(const void *start, size_t size) {
  __asan_poison_memory_region(start, size);
}

void memory_guard_grant(void *start, size_t size, bool contents) {
  (void)contents;  // ASan does not track what is initialised
  __asan_unpoison_memory_region(start, size);
}

#elif defined(BUILT_WITH_MSAN)

#include <sanitizer/msan_interface.h>

void memory_guard_forbid(const void *start, size_t size) { __msan_poison(start, size); }

void memory_guard_grant(void *start, size_t size, bool contents) {
  if (contents)
    __msan_unpoison(start, size);
  else
    __msan_poison(start, size);
}

#elif defined(__has_include) && __has_include(<valgrind/memcheck.h>)

#include <valgrind/memcheck.h>

bool memory_on_valgrind;
static bool other_tool;

// A client request costs some ten instructions even outside Valgrind: asked once. Only Memcheck
// answers this one.
__attribute__((constructor)) static void ask_for_valgrind(void) {
  memory_on_valgrind = VALGRIND_MAKE_MEM_DEFINED(&other_tool, sizeof other_tool) != 0;
  other_tool = RUNNING_ON_VALGRIND != 0 && !memory_on_valgrind;
}

void memory_guard_forbid(const void *start, size_t size) {
  VALGRIND_MAKE_MEM_NOACCESS(start, size);
}

void memory_guard_grant(void *start, size_t size, bool contents) {
  // Defined in either case: what remains to be reported then is access to forbidden memory alone.
  (void)contents;
  VALGRIND_MAKE_MEM_DEFINED(start, size);
}

void memory_guard_open(const void *start, size_t size) { VALGRIND_MAKE_MEM_DEFINED(start, size); }

unsigned memory_guard_errors(void) { return (unsigned)VALGRIND_COUNT_ERRORS; }

static void memory_guard_silence(bool silent) {
  if (silent)
    VALGRIND_DISABLE_ERROR_REPORTING;
  else
    VALGRIND_ENABLE_ERROR_REPORTING;
}

unsigned memory_races(void) { return other_tool ? (unsigned)VALGRIND_COUNT_ERRORS : 0; }

bool memory_shows_races(void) { return __tsan_init || other_tool; }

#else  // without Valgrind's header there is nothing to ask

bool memory_on_valgrind;

void memory_guard_forbid(const void *start, size_t size) { (void)start, (void)size; }

void memory_guard_grant(void *start, size_t size, bool contents) {
  (void)start, (void)size, (void)contents;
}

void memory_guard_open(const void *start, size_t size) { (void)start, (void)size; }

unsigned memory_guard_errors(void) { return 0; }

static void memory_guard_silence(bool silent) { (void)silent; }

unsigned memory_races(void) { return 0; }

#if __STDC_HOSTED__
bool memory_shows_races(void) { return __tsan_init; }
#else
bool memory_shows_races(void) { return false; }
#endif

#endif

SEES_FORBIDDEN void memory_fill(void *start, int byte, size_t size) {
#if (defined(__x86_64__) || defined(__i386__)) &&                                                  \
    (defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN))
  // One instruction, which no interceptor sees and no pass instruments.
  __asm__ volatile("rep stosb" : "+D"(start), "+c"(size) : "a"(byte) : "memory");
#elif defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN)
  for (volatile unsigned char *at = start; size; size--) *at++ = (unsigned char)byte;
#else
  __builtin_memset(start, byte, size);
#endif
}

SEES_FORBIDDEN void memory_copy(void *to, const void *from, size_t size) {
  void *start = to;
  size_t all = size;
#if (defined(__x86_64__) || defined(__i386__)) &&                                                  \
    (defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN))
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#elif defined(BUILT_WITH_ASAN) || defined(BUILT_WITH_MSAN)
  for (volatile unsigned char *at = to; size; size--, from = (const char *)from + 1)
    *at++ = *(const unsigned char *)from;
#else
  memory_guard_silence(true);
  __builtin_memmove(to, from, size);
  memory_guard_silence(false);
#endif
  memory_grant_contents(start, all);
}
