// What an allocator has no business to call: the linker's --wrap sends every such call of the
// program here (see BUILD). Nobody's but the allocator's own are looked at.
//
//   exit, a failed assert, fork ...    the process must not end: told as a crash
//   sbrk, brk, mmap ...                its memory comes from its source: told as outside-heap
//   printf, puts, write ...            goes nowhere. A flood of it neither fills a disk nor takes
//                                      time, and what this program itself says is not lost in it
//
// A program that is linked without --wrap calls none of these.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "harness/watch.h"

// The one that is meant, and what stands for it. Both need declarations of their own.
#define WRAPPED(type, name, ...)                                                                   \
  __attribute__((weak)) type __real_##name(__VA_ARGS__);                                           \
  type __wrap_##name(__VA_ARGS__);                                                                 \
  type __wrap_##name(__VA_ARGS__)

bool watch_lets_call, watch_forbids_fork;

static bool is_watched(void) { return watch_inside() && !watch_lets_call; }

#define CALLER __builtin_return_address(0)

// ## Ends of the process

static void ends(const char *name, int code, void *caller) {
  char what[64];
  snprintf(what, sizeof what, "it called %s(%d)", name, code);
  watch_caught(WATCH_ENDS, what, caller);
}

#define END(name)                                                                                  \
  _Noreturn WRAPPED(void, name, int code) {                                                        \
    if (is_watched()) ends(#name, code, CALLER);                                                   \
    __real_##name(code);                                                                           \
    __builtin_unreachable();                                                                       \
  }
END(exit)
END(_exit)
END(_Exit)
END(quick_exit)

_Noreturn WRAPPED(void, __assert_fail, const char *text, const char *file, unsigned line,
                  const char *function) {
  if (is_watched()) {
    char what[160];
    const char *slash = strrchr(file, '/');
    snprintf(what, sizeof what, "its assertion `%s` failed (%s:%u, in %s)", text,
             slash ? slash + 1 : file, line, function ? function : "?");
    watch_caught(WATCH_ENDS, what, CALLER);
  }
  __real___assert_fail(text, file, line, function);
  __builtin_unreachable();
}

WRAPPED(pid_t, fork, void) {
  if (is_watched()) watch_caught(WATCH_ENDS, "it called fork()", CALLER);
  if (watch_forbids_fork) {
    errno = EAGAIN;
    return -1;
  }
  return __real_fork();
}

// ## Memory

static void takes(const char *name, void *caller) {
  char what[64];
  snprintf(what, sizeof what, "it takes memory by itself: it called %s", name);
  watch_caught(WATCH_TAKES, what, caller);
}

#define TAKE(type, name, parameters, arguments)                                                    \
  WRAPPED(type, name, parameters) {                                                                \
    if (is_watched()) takes(#name, CALLER);                                                        \
    return __real_##name arguments;                                                                \
  }
#define LIST(...) __VA_ARGS__
TAKE(void *, sbrk, intptr_t step, (step))
TAKE(int, brk, void *end, (end))
TAKE(void *, mmap, LIST(void *at, size_t size, int protection, int flags, int file, off_t offset),
     (at, size, protection, flags, file, offset))
TAKE(void *, mmap64,
     LIST(void *at, size_t size, int protection, int flags, int file, off64_t offset),
     (at, size, protection, flags, file, offset))

WRAPPED(void *, mremap, void *at, size_t size, size_t new_size, int flags, ...) {
  if (is_watched()) takes("mremap", CALLER);
  va_list more;
  va_start(more, flags);
  void *wanted = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
  va_end(more);
  void *(*real)(void *, size_t, size_t, int, ...) = __real_mremap;
  return real(at, size, new_size, flags, wanted);
}

// ## Output

__attribute__((weak)) ssize_t __real_write(int file, const void *from, size_t size);

// Whether it is the allocator's. Once in a process it is said that there is some.
static bool is_swallowed(void) {
  static bool said;
  static const char note[] = "assay: the allocator prints; what it prints goes nowhere\n";
  if (!is_watched()) return false;
  if (!said && __real_write(STDERR_FILENO, note, sizeof note - 1) < 0) return true;
  said = true;
  return true;
}

#define PRINT(type, name, parameters, arguments, result)                                           \
  WRAPPED(type, name, parameters) {                                                                \
    if (is_swallowed()) return result;                                                             \
    return __real_##name arguments;                                                                \
  }
PRINT(int, puts, const char *text, (text), 0)
PRINT(int, putchar, int c, (c), c)
PRINT(int, putc, LIST(int c, FILE *to), (c, to), c)
PRINT(int, fputc, LIST(int c, FILE *to), (c, to), c)
PRINT(int, fputs, LIST(const char *text, FILE *to), (text, to), 0)
PRINT(size_t, fwrite, LIST(const void *from, size_t size, size_t count, FILE *to),
      (from, size, count, to), count)
PRINT(int, fflush, FILE *to, (to), 0)
PRINT(int, vprintf, LIST(const char *format, va_list arguments), (format, arguments), 0)
PRINT(int, vfprintf, LIST(FILE *to, const char *format, va_list arguments), (to, format, arguments),
      0)

WRAPPED(void, perror, const char *text) {
  if (!is_swallowed()) __real_perror(text);
}

WRAPPED(ssize_t, write, int file, const void *from, size_t size) {
  bool prints = file == STDOUT_FILENO || file == STDERR_FILENO;
  if (prints && is_swallowed()) return (ssize_t)size;
  return __real_write(file, from, size);
}

#define PRINT_FORMATTED(name, last, to, ...)                                                       \
  WRAPPED(int, name, __VA_ARGS__, ...) {                                                           \
    if (is_swallowed()) return 0;                                                                  \
    va_list arguments;                                                                             \
    va_start(arguments, last);                                                                     \
    int size = vfprintf(to, last, arguments);                                                      \
    va_end(arguments);                                                                             \
    return size;                                                                                   \
  }
PRINT_FORMATTED(printf, format, stdout, const char *format)
PRINT_FORMATTED(fprintf, format, to, FILE *to, const char *format)
PRINT_FORMATTED(__printf_chk, format, stdout, __attribute__((unused)) int flag, const char *format)
PRINT_FORMATTED(__fprintf_chk, format, to, FILE *to, __attribute__((unused)) int flag,
                const char *format)
