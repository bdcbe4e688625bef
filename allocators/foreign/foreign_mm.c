// The malloc-lab surface: a heap that grows by mem_sbrk, as R. Bryant and D. O'Hallaron's course
// has it ("Computer Systems: A Programmer's Perspective", 9.9).
//
// This is the course's memlib, and the adapter over the functions of the user's source. The break
// lies in the memory of the source: what is beyond it was not acquired, and is forbidden as such.
//
// ## What the build says (-D), besides the facts of tiers.c
//
//   FOREIGN_MM_INIT_BOOL        mm_init returns bool, true if all went well; neither this
//   FOREIGN_MM_INIT_VOID        nor that: int, negative if it failed
//   FOREIGN_MM_SBRK_INT         the source believes that mem_sbrk takes an int: more than that does
//                               not arrive
//   FOREIGN_MM_CHECK_BOOL=NAME  bool NAME(int line), true if the heap is consistent
//   FOREIGN_MM_CHECK_INT=NAME   int NAME(void), not 0 if the heap is consistent
//
// mm_realloc is called with FOREIGN_HAS_RESIZE only, mm_calloc with FOREIGN_HAS_ZEROED.
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/foreign/foreign.h"
#include "allocators/foreign/pristine.h"
#include "allocators/memory.h"

// ## The user's

void *mm_malloc(size_t size);
void mm_free(void *block);

#if defined(FOREIGN_MM_INIT_BOOL)
bool mm_init(void);
static bool initialise(void) { return mm_init(); }
#elif defined(FOREIGN_MM_INIT_VOID)
void mm_init(void);
static bool initialise(void) {
  mm_init();
  return true;
}
#else
int mm_init(void);
static bool initialise(void) { return mm_init() >= 0; }
#endif

#ifdef FOREIGN_HAS_RESIZE
void *mm_realloc(void *block, size_t size);
#else
#define mm_realloc NULL
#endif

#ifdef FOREIGN_HAS_ZEROED
void *mm_calloc(size_t count, size_t size);
#else
#define mm_calloc NULL
#endif

#if defined(FOREIGN_MM_CHECK_BOOL)
bool FOREIGN_MM_CHECK_BOOL(int line);
static bool is_consistent(void) { return FOREIGN_MM_CHECK_BOOL(__LINE__); }
#elif defined(FOREIGN_MM_CHECK_INT)
int FOREIGN_MM_CHECK_INT(void);
static bool is_consistent(void) { return FOREIGN_MM_CHECK_INT() != 0; }
#else
#define is_consistent NULL
#endif

// ## The heap

//   start          + used        + held
//   | to the break | for alignment of the source only |
static struct {
  struct source *source;
  unsigned char *start;
  size_t limit;  // of `used`
  size_t used;
  size_t held;
} heap;

static bool acquire(size_t more) {
  size_t size;
  if (!align_up(more, heap.source->page_size, &size)) return false;
  unsigned char *memory = heap.source->acquire(heap.source, size);
  if (memory == NULL) return false;
  if (heap.held == 0) heap.start = memory;
  heap.held += size;
  return true;
}

static void give_back(void) {
  if (heap.held > 0) heap.source->release(heap.source, heap.start, heap.held);
  heap.used = heap.held = 0;
}

// Where the first byte will be: some ask before there is one.
static bool find_start(void) {
  if (!acquire(1)) return false;
  give_back();
  return true;
}

// ## memlib

#ifdef FOREIGN_MM_SBRK_INT
typedef int increment;
#else
typedef intptr_t increment;
#endif

void mem_init(void);
void mem_deinit(void);
void mem_reset_brk(void);
void *mem_sbrk(increment bytes);
void *mem_heap_lo(void);
void *mem_heap_hi(void);
size_t mem_heapsize(void);
size_t mem_pagesize(void);

// The heap is there as long as the allocator is.
void mem_init(void) {}

void mem_deinit(void) {}

void mem_reset_brk(void) { give_back(); }

static void *out_of_memory(void) {
  errno = ENOMEM;
  return (void *)-1;
}

void *mem_sbrk(increment bytes) {
  if (bytes < 0 || (size_t)bytes > heap.limit - heap.used) return out_of_memory();
  size_t used = heap.used + (size_t)bytes;
  if (used > heap.held && !acquire(used - heap.held)) return out_of_memory();
  unsigned char *old = heap.start + heap.used;
  heap.used = used;
  return old;
}

void *mem_heap_lo(void) { return heap.start; }

// The last byte; of a heap without any, the one before the first.
void *mem_heap_hi(void) { return (void *)(address_of(heap.start) + heap.used - 1); }

size_t mem_heapsize(void) { return heap.used; }

size_t mem_pagesize(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// ### Access by call, as the newest course has it for heaps that are emulated

uint64_t mem_read(const void *at, size_t size);
void mem_write(void *at, uint64_t value, size_t size);
void *mem_memcpy(void *to, const void *from, size_t size);
void *mem_memset(void *at, int byte, size_t size);
void hprobe(void *at, int offset, size_t count);

uint64_t mem_read(const void *at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size && i < sizeof value; i++)
    value |= (uint64_t)((const unsigned char *)at)[i] << (8 * i);
  return value;
}

void mem_write(void *at, uint64_t value, size_t size) {
  for (size_t i = 0; i < size && i < sizeof value; i++)
    ((unsigned char *)at)[i] = (unsigned char)(value >> (8 * i));
}

void *mem_memcpy(void *to, const void *from, size_t size) { return memcpy(to, from, size); }

void *mem_memset(void *at, int byte, size_t size) { return memset(at, byte, size); }

// Prints memory to whoever debugs; nobody reads it here.
void hprobe(void *at, int offset, size_t count) { (void)at, (void)offset, (void)count; }

// ## The adapter

static void mm_end(void) { give_back(); }

static bool mm_begin(struct source *source, size_t limit) {
  pristine_begin();
  heap.source = source;
  heap.limit = limit;
  heap.used = heap.held = 0;
  if (find_start() && initialise()) return true;
  mm_end();
  return false;
}

static bool mm_restart(void) {
  give_back();
  return initialise();
}

static void mm_extent(const void **first, size_t *size) {
  *first = heap.start;
  *size = heap.held;
}

const struct foreign_api foreign_api = {
    .begin = mm_begin,
    .restart = mm_restart,
    .end = mm_end,
    .allocate = mm_malloc,
    .release = mm_free,
    .resize = mm_realloc,
    .allocate_zeroed = mm_calloc,
    .check = is_consistent,
    .extent = mm_extent,
};
