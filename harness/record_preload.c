// The recorder: a shared object for LD_PRELOAD that logs what a program asks of the C library's
// allocator. It stands in front of malloc and its kin, forwards to glibc's own names for them, and
// tells of each block given out or given up (record_events.h).
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/record_events.h"

#define EXPORTED __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *block);

enum { MALLOC_ALIGN = 16 };

static void *obtain_aligned(size_t align, size_t size) {
  void *block = __libc_memalign(align, size);
  record_allocation(block, size, align);
  return block;
}

EXPORTED void *malloc(size_t size) {
  void *block = __libc_malloc(size);
  record_allocation(block, size, MALLOC_ALIGN);
  return block;
}

EXPORTED void *calloc(size_t count, size_t size) {
  void *block = __libc_calloc(count, size);
  record_zeroed(block, count, size, MALLOC_ALIGN);
  return block;
}

EXPORTED void free(void *block) {
  record_release(block);
  __libc_free(block);
}

EXPORTED void *realloc(void *block, size_t size) {
  if (!block) {
    block = __libc_realloc(NULL, size);
    record_allocation(block, size, MALLOC_ALIGN);
    return block;
  }
  uint64_t former = (uintptr_t)block;
  record_resize_begin(block, size);
  void *moved = __libc_realloc(block, size);
  record_resize_end(moved, former);
  return moved;
}

EXPORTED void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  if (!__builtin_mul_overflow(count, size, &bytes)) return realloc(block, bytes);
  errno = ENOMEM;
  return NULL;
}

EXPORTED void *memalign(size_t align, size_t size) { return obtain_aligned(align, size); }

EXPORTED void *aligned_alloc(size_t align, size_t size) { return obtain_aligned(align, size); }

EXPORTED int posix_memalign(void **to, size_t align, size_t size) {
  if (align == 0 || align % sizeof(void *) != 0 || (align & (align - 1)) != 0) return EINVAL;
  int former_errno = errno;
  void *block = obtain_aligned(align, size);
  errno = former_errno;
  if (!block) return ENOMEM;
  *to = block;
  return 0;
}

EXPORTED void *valloc(size_t size) { return obtain_aligned((size_t)sysconf(_SC_PAGESIZE), size); }

EXPORTED void *pvalloc(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), sum;
  if (__builtin_add_overflow(size, page - 1, &sum)) {
    errno = ENOMEM;
    return NULL;
  }
  return obtain_aligned(page, sum & ~(page - 1));
}
