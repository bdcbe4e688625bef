// Adapter: a heap over one buffer, as embedded systems have it, or one that gets its memory from a
// break or a page provider (backends.h).
//
// Its global state is brought back before each program (pristine.h), unless the build says that it
// cannot be (FOREIGN_KEEPS_STATE). With FOREIGN_ELSEWHERE it has an array of its own, and gets no
// memory from here.
#include "allocators/foreign/foreign_heap.h"
#include "allocators/foreign/backends.h"
#include "allocators/foreign/foreign.h"
#include "allocators/foreign/pristine.h"

static bool adapter_begin(struct source *source, size_t limit) {
#ifndef FOREIGN_KEEPS_STATE
  pristine_begin();
#endif
#ifdef FOREIGN_ELSEWHERE
  (void)source, (void)limit;
  return adapted_open(NULL, 0);
#else
  if (!backends_begin(source, limit)) return false;
  size_t size;
  void *buffer = backends_buffer(&size);
  if (adapted_open(buffer, size)) return true;
  backends_end();
  return false;
#endif
}

#ifdef FOREIGN_HAS_RESTART
static bool adapter_restart(void) {
  size_t size;
  void *buffer = backends_buffer(&size);
  return adapted_restart(buffer, size);
}
#endif

#ifdef FOREIGN_ELSEWHERE
static void adapter_end(void) {}
#else
static void adapter_end(void) { backends_end(); }

static void adapter_extent(const void **start, size_t *size) {
  *start = backends.memory;
  *size = backends.held;
}
#endif

const struct foreign_api foreign_api = {
    .begin = adapter_begin,
    .end = adapter_end,
    .allocate = adapted_allocate,
    .release = adapted_release,
#ifdef FOREIGN_HAS_RESTART
    .restart = adapter_restart,
#endif
#ifdef FOREIGN_HAS_RESIZE
    .resize = adapted_resize,
#endif
#ifdef FOREIGN_HAS_ZEROED
    .allocate_zeroed = adapted_allocate_zeroed,
#endif
#ifdef FOREIGN_HAS_ALIGNED
    .allocate_aligned = adapted_allocate_aligned,
#endif
#ifdef FOREIGN_HAS_USABLE
    .usable_size = adapted_usable_size,
#endif
#ifdef FOREIGN_HAS_CHECK
    .check = adapted_check,
#endif
#ifndef FOREIGN_ELSEWHERE
    .extent = adapter_extent,
#endif
};
