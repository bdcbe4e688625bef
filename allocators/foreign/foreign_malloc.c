// Adapter: a shared library with the C library's allocation functions (ISO C 7.22.3, POSIX).
//
// Blocks lie where the library puts them, and what it keeps cannot be brought back to its first
// state: each program needs a process of its own. The library decides nothing about how much
// memory a program takes: what is live may be at most the heap's limit, so that no program takes
// the machine's, and a request above that is refused here. Requests that no machine can meet are
// the library's to refuse.
//
// Facts, told by whoever builds it: FOREIGN_LIBRARY and FOREIGN_PREFIX (library.h), and those of
// tiers.c. FOREIGN_HAS_ALIGNED stands for any of aligned_alloc, posix_memalign and memalign.
#define _DEFAULT_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/foreign/block_sizes.h"
#include "allocators/foreign/foreign.h"
#include "allocators/foreign/library.h"

// What no address space holds.
#if SIZE_MAX > UINT32_MAX
#define BEYOND_ANY_MACHINE ((size_t)1 << 47)
#else
#define BEYOND_ANY_MACHINE ((size_t)PTRDIFF_MAX + 1)
#endif

static struct {
  void *(*allocate)(size_t size);
  void (*release)(void *block);
  void *(*resize)(void *block, size_t size);
  void *(*zeroed)(size_t count, size_t size);
  void *(*aligned)(size_t alignment, size_t size);
  int (*aligned_posix)(void **block, size_t alignment, size_t size);
  void *(*aligned_old)(size_t alignment, size_t size);
  size_t (*usable)(void *block);
} library;

static size_t limit;           // of `live`
static _Atomic intptr_t live;  // bytes: as the library tells, or as requested where it does not
static struct block_sizes requested;  // of live blocks, where it does not

static void *need(const char *name) {
  void *function = library_function(name);
  if (function) return function;
  fprintf(stderr, "%s: does not export %s%s\n", FOREIGN_LIBRARY, FOREIGN_PREFIX, name);
  _exit(2);
}

static void find_functions(void) {
  library.allocate = (void *(*)(size_t))need("malloc");
  library.release = (void (*)(void *))need("free");
#ifdef FOREIGN_HAS_RESIZE
  library.resize = (void *(*)(void *, size_t))need("realloc");
#endif
#ifdef FOREIGN_HAS_ZEROED
  library.zeroed = (void *(*)(size_t, size_t))need("calloc");
#endif
#ifdef FOREIGN_HAS_USABLE
  library.usable = (size_t (*)(void *))need("malloc_usable_size");
#endif
  library.aligned = (void *(*)(size_t, size_t))library_function("aligned_alloc");
  library.aligned_posix = (int (*)(void **, size_t, size_t))library_function("posix_memalign");
  library.aligned_old = (void *(*)(size_t, size_t))library_function("memalign");
}

// ## How much is live

static bool reserve(size_t size) {
  intptr_t wanted = size > limit ? 0 : (intptr_t)size;
  intptr_t before = atomic_fetch_add_explicit(&live, wanted, memory_order_relaxed);
  // What a library tells wrongly must not make it full: below 0 is empty.
  if (size <= limit && (before < 0 || (size_t)before <= limit - size)) return true;
  atomic_fetch_sub_explicit(&live, wanted, memory_order_relaxed);
  return false;
}

static bool is_beyond_any(size_t size) { return size >= BEYOND_ANY_MACHINE; }

// Whether the library may be asked for this much; if so, settle() must follow.
static bool may_ask(size_t size) { return is_beyond_any(size) || reserve(size); }

// A block of `size` bytes has come, or has not.
static void *settle(void *block, size_t size) {
  if (is_beyond_any(size)) return block;  // it cannot be: that is for others to tell
  size_t held = 0;
  if (block && library.usable) held = library.usable(block);
  if (block && !library.usable) block_sizes_put(&requested, block, held = size);
  atomic_fetch_add_explicit(&live, (intptr_t)(held - size), memory_order_relaxed);
  return block;
}

// How much a block counts that is about to be released, or to be moved.
static size_t take(void *block) {
  return library.usable ? library.usable(block) : block_sizes_take(&requested, block);
}

static void forget(size_t held) {
  atomic_fetch_sub_explicit(&live, (intptr_t)held, memory_order_relaxed);
}

// ## The functions

static bool library_begin(struct source *source, size_t heap_limit) {
  (void)source;
  if (!library.allocate) find_functions();
  limit = heap_limit;
  atomic_store(&live, 0);
  library_settle();
  return true;
}

static void library_end(void) {
  block_sizes_clear(&requested);
  library_unsettle();
}

static void *library_allocate(size_t size) {
  return may_ask(size) ? settle(library.allocate(size), size) : NULL;
}

static void library_release(void *block) {
  if (block) forget(take(block));
  library.release(block);
}

#ifdef FOREIGN_HAS_RESIZE
static void *library_resize(void *block, size_t size) {
  if (!may_ask(size)) return NULL;
  size_t held = block ? take(block) : 0;
  void *moved = settle(library.resize(block, size), size);
  // Size 0 releases it, whatever is returned (C17, 7.22.3.5).
  if (moved || size == 0) {
    forget(held);
  } else if (block && !library.usable) {
    block_sizes_put(&requested, block, held);
  }
  return moved;
}
#endif

#ifdef FOREIGN_HAS_ZEROED
static void *library_allocate_zeroed(size_t count, size_t size) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return library.zeroed(count, size);
  return may_ask(bytes) ? settle(library.zeroed(count, size), bytes) : NULL;
}
#endif

#ifdef FOREIGN_HAS_ALIGNED
// Three functions promise the same; all of them are to be tried, each request always by the same
// one. aligned_alloc may refuse what is no multiple of the alignment (C11; C17 no longer says so),
// and posix_memalign must refuse an alignment less than a pointer's.
static void *ask_aligned(size_t alignment, size_t size) {
  enum { KINDS = 3 };
  if (alignment < sizeof(void *)) alignment = sizeof(void *);
  for (size_t turn = size / 16 + (size_t)__builtin_ctzll(alignment), i = 0; i < KINDS; i++) {
    void *block = NULL;
    size_t kind = (turn + i) % KINDS;
    if (kind == 0 && library.aligned) {
      block = library.aligned(alignment, size);
      if (block || size % alignment == 0) return block;
    } else if (kind == 1 && library.aligned_posix) {
      return library.aligned_posix(&block, alignment, size) == 0 ? block : NULL;
    } else if (kind == 2 && library.aligned_old) {
      return library.aligned_old(alignment, size);
    }
  }
  return NULL;
}

static void *library_allocate_aligned(size_t alignment, size_t size) {
  return may_ask(size) ? settle(ask_aligned(alignment, size), size) : NULL;
}
#endif

#ifdef FOREIGN_HAS_USABLE
static size_t library_usable_size(const void *block) { return library.usable((void *)block); }
#endif

const struct foreign_api foreign_api = {
    .begin = library_begin,
    .end = library_end,
    .allocate = library_allocate,
    .release = library_release,
#ifdef FOREIGN_HAS_RESIZE
    .resize = library_resize,
#endif
#ifdef FOREIGN_HAS_ZEROED
    .allocate_zeroed = library_allocate_zeroed,
#endif
#ifdef FOREIGN_HAS_ALIGNED
    .allocate_aligned = library_allocate_aligned,
#endif
#ifdef FOREIGN_HAS_USABLE
    .usable_size = library_usable_size,
#endif
};
