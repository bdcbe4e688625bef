// A malloc library: classes of powers of two over pages from mmap, one lock.
//
//   cc -shared -fPIC -O1 -o libsmall.so lib_small.c -lpthread
//   ci/check --malloc libsmall.so
//
// Right as it is. With one of these it is not:
//   -DBUG_OVERLAP   malloc finds a place for the block, and forgets the header
//   -DBUG_ZERO      calloc trusts blocks that were used before to be zero
//   -DBUG_USABLE    malloc_usable_size counts the header too
//   -DBUG_ALIGNED   aligned_alloc takes large classes to be aligned to their size
//   -DBUG_OVERFLOW  malloc adds the header before it looks at the size
//   -DBUG_FORKS     malloc makes another process
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER = 16, LEAST = 5, MOST = 17, CLASSES = 64, CHUNK = 1 << 18 };

// Before each block: its class, and how far it lies behind the start of its place.
struct header {
  uint32_t class;
  uint32_t offset;
  uint64_t whole;  // bytes of a place of its own, if it has one (class 0)
};

struct place {
  struct place *next;
};

static struct place *free_places[CLASSES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *pages(size_t size) {
  char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return start == MAP_FAILED ? NULL : start;
}

static int refill(unsigned class) {
  size_t size = (size_t)1 << class;
  char *start = pages(CHUNK);
  if (!start) return 0;
  for (size_t i = 0; i < CHUNK / size; i++) {
    struct place *place = (struct place *)(start + i * size);
    place->next = free_places[class];
    free_places[class] = place;
  }
  return 1;
}

static void *put_header(char *place, size_t offset, unsigned class, size_t whole) {
  char *block = place + offset;
  struct header *header = (struct header *)(block - HEADER);
  header->class = class;
  header->offset = (uint32_t)offset;
  header->whole = whole;
  return block;
}

// `offset` bytes of the place come before the block, the header among them.
static char *take_place(size_t size, unsigned *class) {
  for (*class = LEAST; *class <= MOST && (size_t)1 << *class < size; ++*class);
  if (*class > MOST) {
    *class = 0;
    return pages(size);
  }
  pthread_mutex_lock(&lock);
  char *place = NULL;
  if (free_places[*class] || refill(*class)) {
    place = (char *)free_places[*class];
    free_places[*class] = free_places[*class]->next;
  }
  pthread_mutex_unlock(&lock);
  return place;
}

void *malloc(size_t size) {
#ifndef BUG_OVERFLOW
  if (size > PTRDIFF_MAX - HEADER) {
    errno = ENOMEM;
    return NULL;
  }
#endif
#ifdef BUG_FORKS
  static unsigned calls;
  if (++calls == 3) fork();
#endif
  unsigned class;
#ifdef BUG_OVERLAP
  char *place = take_place(size, &class);
#else
  char *place = take_place(size + HEADER, &class);
#endif
  if (place) return put_header(place, HEADER, class, size + HEADER);
  errno = ENOMEM;
  return NULL;
}

static struct header *header_of(const void *block) {
  return (struct header *)((uintptr_t)block - HEADER);
}

void free(void *block) {
  if (!block) return;
  struct header header = *header_of(block);
  char *start = (char *)block - header.offset;
  if (header.class == 0) {
    munmap(start, header.whole);
    return;
  }
  pthread_mutex_lock(&lock);
  struct place *place = (struct place *)start;
  place->next = free_places[header.class];
  free_places[header.class] = place;
  pthread_mutex_unlock(&lock);
}

size_t malloc_usable_size(void *block) {
  if (!block) return 0;
  const struct header *header = header_of(block);
  size_t whole = header->class ? (size_t)1 << header->class : header->whole;
#ifdef BUG_USABLE
  return whole;
#else
  return whole - header->offset;
#endif
}

void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  void *block = malloc(bytes);
#ifndef BUG_ZERO
  if (block) memset(block, 0, bytes);
#endif
  return block;
}

void *realloc(void *block, size_t size) {
  if (!block) return malloc(size);
  if (size == 0) {
    free(block);
    return NULL;
  }
  size_t held = malloc_usable_size(block);
  if (size <= held && size >= held / 4) return block;
  void *moved = malloc(size);
  if (!moved) return NULL;
  memcpy(moved, block, held < size ? held : size);
  free(block);
  return moved;
}

void *aligned_alloc(size_t alignment, size_t size) {
  if (alignment == 0 || alignment & (alignment - 1)) {
    errno = EINVAL;
    return NULL;
  }
  if (size > PTRDIFF_MAX - HEADER - alignment) {
    errno = ENOMEM;
    return NULL;
  }
  if (alignment <= HEADER) return malloc(size);
  unsigned class;
  char *place = take_place(size + HEADER + alignment, &class);
  if (!place) return NULL;
#ifdef BUG_ALIGNED
  size_t offset = class >= 12 ? alignment : HEADER + -((uintptr_t)place + HEADER) % alignment;
#else
  size_t offset = HEADER + -((uintptr_t)place + HEADER) % alignment;
#endif
  return put_header(place, offset, class, size + HEADER + alignment);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || alignment & (alignment - 1))
    return EINVAL;
  void *found = aligned_alloc(alignment, size);
  if (!found) return ENOMEM;
  *block = found;
  return 0;
}
