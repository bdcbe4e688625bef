// How an allocator's shared library comes into a process that goes on using another one.
//
// Its own calls of malloc must find its own malloc, as if it had been preloaded, and those of the
// rest must not: so it is bound to itself first (RTLD_DEEPBIND) and shown to nobody
// (RTLD_LOCAL). Sanitizers refuse that flag, as a library so bound does without their interceptors;
// that is what is wanted here, and so the C library's own dlopen is asked.
//
// Allocators like to have their thread-local variables where the first access is fast, in the block
// that is laid out when the process starts (U. Drepper, "ELF Handling For Thread-Local Storage",
// 2005: initial-exec). What is left there for libraries that come later is some hundred bytes, and
// how much it is can be told only to a process that starts: so this one starts again.
#define _GNU_SOURCE
#include "allocators/foreign/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *library, *libc;

typedef void *dlopen_function(const char *path, int flags);

static dlopen_function *unwatched_dlopen(void) {
  libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  void *found = libc ? dlsym(libc, "dlopen") : NULL;
  return found ? (dlopen_function *)found : dlopen;
}

static bool is_of(const void *function, void *object) {
  Dl_info info;
  struct link_map *home, *map;
  return dladdr1(function, &info, (void **)&home, RTLD_DL_LINKMAP) != 0 &&
         dlinfo(object, RTLD_DI_LINKMAP, &map) == 0 && home == map;
}

// Returns only if it cannot.
static void start_with_room(char **argv) {
  static const char room[] = "glibc.rtld.optional_static_tls=65536";
  const char *before = getenv("GLIBC_TUNABLES");
  if (before && strstr(before, room)) return;
  char tunables[PATH_MAX], program[PATH_MAX];
  int length =
      snprintf(tunables, sizeof tunables, "%s%s%s", before ? before : "", before ? ":" : "", room);
  if (length < 0 || (size_t)length >= sizeof tunables) return;
  ssize_t end = readlink("/proc/self/exe", program, sizeof program - 1);
  if (end <= 0) return;
  program[end] = 0;
  if (setenv("GLIBC_TUNABLES", tunables, 1) == 0) execv(program, argv);
}

// ## Addresses

static void *pad;  // from where the system would have gone on, down to where it shall
static size_t pad_size;

enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, LEAST_PAGE = 4096, PLUGS = 32 };

static unsigned char *map(size_t size) {
  void *start = mmap(NULL, size, PROT_NONE, FLAGS, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

// What fits in a hole that others have left would go there.
static void plug_holes(const unsigned char *below) {
  for (size_t size = LIBRARY_GRAIN / 2; size >= LEAST_PAGE; size /= 4) {
    for (unsigned i = 0; i < PLUGS; i++) {
      unsigned char *plug = map(size);
      if (plug != NULL && plug > below) continue;
      if (plug != NULL) munmap(plug, size);
      break;
    }
  }
}

// The system maps from high to low.
void library_settle(void) {
  unsigned char *probe = map(LIBRARY_GRAIN);
  if (probe == NULL) return;
  plug_holes(probe);
  unsigned char *end = probe + LIBRARY_GRAIN;
  munmap(probe, LIBRARY_GRAIN);
  pad_size = ((uintptr_t)end - LEAST_PAGE) % LIBRARY_GRAIN;
  if (pad_size == 0) return;
  pad = mmap(end - pad_size, pad_size, PROT_NONE, FLAGS | MAP_FIXED_NOREPLACE, -1, 0);
  if (pad == MAP_FAILED) pad_size = 0;
}

void library_unsettle(void) {
  if (pad_size != 0) munmap(pad, pad_size);
  pad_size = 0;
}

// For those that take their memory there.
static void settle_break(void) {
  uintptr_t gap = (LEAST_PAGE - (uintptr_t)sbrk(0)) % LIBRARY_GRAIN;
  if (gap > 0) sbrk((intptr_t)gap);
}

// Before anything else has happened that a second start would do again.
__attribute__((constructor)) static void load(int argc, char **argv) {
  (void)argc;
  settle_break();
  library_settle();  // and so it stays, for what the library maps now
  pad_size = 0;
  library = unwatched_dlopen()(FOREIGN_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (library) return;
  char reason[512];
  snprintf(reason, sizeof reason, "%s", dlerror());
  if (strstr(reason, "static TLS")) start_with_room(argv);
  fprintf(stderr, "%s: cannot be loaded: %s\n", FOREIGN_LIBRARY, reason);
  _exit(2);
}

void *library_function(const char *name) {
  char symbol[128];
  int length = snprintf(symbol, sizeof symbol, "%s%s", FOREIGN_PREFIX, name);
  if (length < 0 || (size_t)length >= sizeof symbol) return NULL;
  void *found = dlsym(library, symbol);
  // A library that lacks one is answered by those that it needs itself.
  return found && libc && is_of(found, libc) && !is_of(found, library) ? NULL : found;
}
