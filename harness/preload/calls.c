// What a program calls: malloc and its kin, on the strategy that the environment names
// (settings.h), for LD_PRELOAD.
//
// The edges are those of C and POSIX as the GNU C library has them: malloc(0) gives a block of its
// own, realloc(p, 0) releases p and gives NULL, what cannot be had gives NULL and ENOMEM, and
// free keeps errno.
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "harness/preload/aside.h"
#include "harness/preload/check.h"
#include "harness/preload/gate.h"
#include "harness/preload/heap.h"
#include "harness/preload/start.h"
#include "harness/preload/tell.h"
#include "harness/record_events.h"

#define EXPORTED __attribute__((visibility("default")))
#define RARELY(condition) __builtin_expect(!!(condition), 0)

// False: served aside.
static inline bool begin(void) { return preload_start() && gate_enter(); }

static void release(void *block);

// Also releases what handlers could not meanwhile.
static inline void end(void) {
  for (void *block; RARELY((block = aside_take_deferred()) != NULL);) release(block);
  gate_leave();
}

static void *refuse(void) {
  errno = ENOMEM;
  return NULL;
}

// ## Blocks given out

static void *obtain(size_t size, size_t align) {
  if (check_is_on()) check_enter("allocate", size, NULL, 0);
  void *block = heap_allocate(size, align);
  if (check_is_on()) check_leave(), check_allocated(block, size, align, false);
  if (preload_settings.records) record_allocation(block, size, align);
  return block;
}

static void *obtain_zeroed(size_t count, size_t size) {
  if (check_is_on()) check_enter("allocate zeroed", count * size, NULL, 0);
  void *block = heap_allocate_zeroed(count, size);
  if (check_is_on()) check_leave(), check_allocated(block, count * size, HEAP_ALIGN, true);
  if (preload_settings.records) record_zeroed(block, count, size, HEAP_ALIGN);
  return block;
}

static void *allocate(size_t size, size_t align) {
  if (size == 0) size = 1;
  if (RARELY(size > PTRDIFF_MAX)) return refuse();
  if (RARELY(check_is_on())) check_structures(false);
  void *block;
  if (begin()) {
    block = obtain(size, align);
    end();
  } else {
    block = aside_allocate(size, align);
  }
  return block ? block : refuse();
}

EXPORTED void *malloc(size_t size) { return allocate(size, HEAP_ALIGN); }

EXPORTED void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes) || bytes > PTRDIFF_MAX) return refuse();
  if (bytes == 0) count = size = bytes = 1;
  if (RARELY(check_is_on())) check_structures(false);
  void *block;
  if (begin()) {
    block = obtain_zeroed(count, size);
    end();
  } else {
    block = aside_allocate(bytes, HEAP_ALIGN);
  }
  return block ? block : refuse();
}

// ## Blocks taken back

// Inside the gate.
static void release(void *block) {
  struct check_former former;
  if (check_is_on()) {
    if (!check_released(block, &former)) return;
    if (preload_settings.records) record_release(block);
    check_enter("release", 0, block, former.size);
    bool released = heap_release(block);
    check_leave();
    check_release_result(block, released);
    return;
  }
  if (preload_settings.records) record_release(block);
  heap_release(block);
}

EXPORTED void free(void *block) {
  if (!block || RARELY(aside_owns(block))) return;
  int former = errno;
  if (RARELY(check_is_on())) check_structures(false);
  if (begin()) {
    release(block);
    end();
  } else {
    aside_defer_release(block);
  }
  errno = former;
}

EXPORTED void cfree(void *block);
EXPORTED void cfree(void *block) { free(block); }

// ## Blocks resized

static void *resize(void *block, size_t size) {
  struct check_former former;
  if (check_is_on()) {
    if (!check_released(block, &former)) return NULL;
    check_resizing(block, size, &former);
  }
  uint64_t before = (uintptr_t)block;
  if (preload_settings.records) record_resize_begin(block, size);
  if (check_is_on()) check_enter("resize", size, block, former.size);
  void *moved = heap_resize(block, size);
  if (check_is_on()) check_leave(), check_resized(moved, block, size, &former);
  if (preload_settings.records) record_resize_end(moved, before);
  return moved;
}

// A copy, where the block cannot be resized: it is aside, or the strategy is at work.
static void *replace(void *block, size_t size) {
  bool aside = aside_owns(block);
  size_t former = aside ? aside_size(block) : malloc_usable_size(block);
  void *moved = allocate(size, HEAP_ALIGN);
  if (!moved) return NULL;
  memcpy(moved, block, former < size ? former : size);
  free(block);
  return moved;
}

EXPORTED void *realloc(void *block, size_t size) {
  if (!block) return allocate(size, HEAP_ALIGN);
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (RARELY(size > PTRDIFF_MAX)) return refuse();
  if (RARELY(aside_owns(block))) return replace(block, size);
  if (RARELY(check_is_on())) check_structures(false);
  if (!begin()) return replace(block, size);
  void *moved = resize(block, size);
  end();
  return moved ? moved : refuse();
}

EXPORTED void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  return multiply_sizes(count, size, &bytes) ? realloc(block, bytes) : refuse();
}

// ## Aligned blocks

EXPORTED void *memalign(size_t align, size_t size) {
  if (align > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return NULL;
  }
  size_t power = HEAP_ALIGN;
  while (power < align) power *= 2;
  return allocate(size, power);
}

EXPORTED void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

EXPORTED int posix_memalign(void **to, size_t align, size_t size) {
  if (align % sizeof(void *) != 0 || !is_power_of_two(align)) return EINVAL;
  int former = errno;
  void *block = memalign(align, size);
  errno = former;
  if (!block) return ENOMEM;
  *to = block;
  return 0;
}

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

EXPORTED void *valloc(size_t size) { return allocate(size, page_size()); }

EXPORTED void *pvalloc(size_t size) {
  size_t rounded;
  if (!align_up(size ? size : 1, page_size(), &rounded)) return refuse();
  return allocate(rounded, page_size());
}

// ## What is known of the heap

EXPORTED size_t malloc_usable_size(void *block) {
  if (!block) return 0;
  if (RARELY(aside_owns(block))) return aside_size(block);
  // A handler that interrupts the strategy may ask too: it only looks at this block.
  bool entered = begin();
  size_t usable = heap_usable_size(block);
  if (entered && check_is_on()) check_usable_size(block, &usable);
  if (entered) end();
  return usable;
}

static struct statistics statistics(void) {
  struct statistics found = {0};
  if (!preload_start() || !gate_close(-1)) return found;
  gate_enter();
  found = heap_statistics();
  gate_leave();
  gate_open();
  return found;
}

EXPORTED struct mallinfo2 mallinfo2(void) {
  struct statistics found = statistics();
  return (struct mallinfo2){.arena = found.acquired,
                            .uordblks = found.used,
                            .fordblks = found.acquired - found.used,
                            .keepcost = found.largest_free};
}

static int clip(size_t number) { return number < INT_MAX ? (int)number : INT_MAX; }

EXPORTED struct mallinfo mallinfo(void) {
  struct mallinfo2 info = mallinfo2();
  return (struct mallinfo){.arena = clip(info.arena),
                           .uordblks = clip(info.uordblks),
                           .fordblks = clip(info.fordblks),
                           .keepcost = clip(info.keepcost)};
}

EXPORTED void malloc_stats(void) {
  struct statistics found = statistics();
  preload_tell("%s: %zu bytes held, %zu of them in use, by %zu blocks",
               heap_strategy ? heap_strategy->name : "no allocator", found.acquired, found.used,
               found.blocks);
}

EXPORTED int malloc_info(int options, FILE *to) {
  if (options != 0) return EINVAL;
  struct statistics found = statistics();
  fprintf(to, "<malloc version=\"1\">\n<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
          found.acquired);
  return 0;
}

// Nothing can be set, and nothing that is kept for later be given back: both are allowed.
EXPORTED int mallopt(int option, int value) {
  (void)option, (void)value;
  return 1;
}

EXPORTED int malloc_trim(size_t pad) {
  (void)pad;
  return 0;
}

__attribute__((destructor)) static void at_exit(void) { check_structures(true); }
