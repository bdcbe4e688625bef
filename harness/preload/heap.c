#include "harness/preload/heap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/lock.h"
#include "harness/preload/tell.h"
#include "harness/preload/thread.h"

const struct strategy *heap_strategy;
size_t heap_size;

// A copy: the constructors that fill tables run once more when threads may be at work.
static struct strategy strategy;
static struct allocator *allocator;
static size_t page_size;  // of its source
static bool headed;       // the strategy has no usable_size
static bool goes_on;      // after a misuse
static bool checked;      // by the shadow model

// ## Misuse that the strategy detects

PER_THREAD bool told;

static void hear_misuse(void *context, const char *message) {
  (void)context;
  told = true;
  preload_tell("%s: %s", strategy.name, message);
}

// Ends the program, as the C library does, if something was told and it is not to go on.
static void heed_misuse(void) {
  if (!told) return;
  told = false;
  if (goes_on) return;
  preload_tell_stack();
  abort();
}

static bool judge_release(enum release_result result, const void *block) {
  static const char *const misuses[] = {
      [RELEASE_DOUBLE] = "double release",
      [RELEASE_FOREIGN] = "foreign release",
      [RELEASE_OVERRUN] = "overrun, found by the release,",
  };
  bool released = result == RELEASED || result == RELEASE_OVERRUN;
  if (result != RELEASED && !told) {
    told = true;
    preload_tell("%s: %s of %p", strategy.name, misuses[result], block);
  }
  // Whoever checks the strategy knows better whether the release was one.
  if (!released && checked) told = false;
  heed_misuse();
  return released;
}

// ## Start

enum { LEAST_HEAP = 1 << 20 };

bool heap_start(const struct strategy *original, unsigned variant, struct source *source,
                const struct preload_settings *settings) {
  struct strategy_options options = {.variant = variant, .misuse = hear_misuse};
  strategy = *original;
  heap_strategy = &strategy;
  headed = (strategy.traits & STRATEGY_SIZES) == 0;
  goes_on = settings->goes_on;
  checked = settings->shadow[0] != '\0';
  size_t size = settings->heap > LEAST_HEAP ? settings->heap : LEAST_HEAP;
  for (; size >= LEAST_HEAP && !allocator; size /= 2) {
    options.heap_size = size;
    allocator = strategy.create(source, &options);
    heap_size = size;
  }
  page_size = source->page_size;
  return allocator != NULL;
}

bool heap_serves_several(void) {
  // A release that is not offered is no call.
  return (strategy.traits & STRATEGY_CONCURRENT) != 0 ||
         ((strategy.traits & STRATEGY_ALLOCATES_CONCURRENTLY) != 0 && headed &&
          (strategy.traits & (STRATEGY_RELEASES | STRATEGY_RESIZES)) == 0);
}

// ## Blocks cut from larger ones
//
//   what the strategy gave       block
//   |          padding  | header |  size bytes  |
//
// Where the strategy knows sizes, only alignments beyond its largest need this, and a table has
// what the header would.

struct header {
  size_t size;
  size_t offset;  // of the block in what the strategy gave
};
_Static_assert(sizeof(struct header) == HEAP_ALIGN, "it fits before any block");

enum { MAX_CUT = 4096 };

static struct {
  struct lock lock;
  _Atomic size_t count;  // read without the lock to tell whether there is any
  struct {
    const unsigned char *block;
    struct header header;
  } blocks[MAX_CUT];
} cut;

static struct header *header_of(const void *block) { return (struct header *)block - 1; }

static bool may_be_cut(const void *block) {
  return cut.count != 0 && (address_of(block) & (2 * strategy.max_align - 1)) == 0;
}

// The index, or MAX_CUT. The lock is held.
static size_t find_cut(const void *block) {
  for (size_t i = 0; i < cut.count; i++)
    if (cut.blocks[i].block == block) return i;
  return MAX_CUT;
}

// What is known of the block; false: it is what the strategy gave.
static bool look_up(const void *block, struct header *header, bool remove) {
  if (headed) {
    *header = *header_of(block);
    return true;
  }
  if (!may_be_cut(block)) return false;
  lock_acquire(&cut.lock);
  size_t i = find_cut(block);
  if (i < MAX_CUT) {
    *header = cut.blocks[i].header;
    if (remove) cut.blocks[i] = cut.blocks[--cut.count];
  }
  lock_release(&cut.lock);
  return i < MAX_CUT;
}

static bool note(void *block, struct header header) {
  if (headed) {
    *header_of(block) = header;
    return true;
  }
  lock_acquire(&cut.lock);
  bool room = cut.count < MAX_CUT;
  if (room) {
    cut.blocks[cut.count].block = block;
    cut.blocks[cut.count++].header = header;
  }
  lock_release(&cut.lock);
  return room;
}

static void *obtain(size_t size, size_t align) {
  void *start = strategy.allocate(allocator, size, align);
  heed_misuse();
  return start;
}

static enum release_result give_back(void *start) {
  if ((strategy.traits & STRATEGY_RELEASES) == 0) return RELEASED;
  return strategy.release(allocator, start);
}

static bool needs_cut(size_t align) { return headed || align > strategy.max_align; }

// What the strategy is asked for to cut such a block from. One that it can align lies right behind
// a header that is padded to the alignment.
static bool whole_of(size_t size, size_t align, size_t *wanted, size_t *own) {
  size_t lead = align < HEAP_ALIGN ? HEAP_ALIGN : align;
  bool aligns = align <= strategy.max_align;
  *own = aligns ? lead : HEAP_ALIGN;
  return add_sizes(size, aligns ? lead : lead + HEAP_ALIGN, wanted);
}

static void *allocate_cut(size_t size, size_t align) {
  size_t lead = align < HEAP_ALIGN ? HEAP_ALIGN : align, wanted, own;
  if (!whole_of(size, align, &wanted, &own)) return NULL;
  unsigned char *start = obtain(wanted, own);
  if (!start) return NULL;
  uintptr_t aligned;
  if (!align_up(address_of(start) + sizeof(struct header), lead, &aligned)) return NULL;
  size_t offset = aligned - address_of(start);
  if (note(start + offset, (struct header){size, offset})) return start + offset;
  give_back(start);
  return NULL;
}

// ## Calls

void *heap_allocate(size_t size, size_t align) {
  if (needs_cut(align)) return allocate_cut(size, align);
  return obtain(size, align);
}

void *heap_allocate_zeroed(size_t count, size_t size) {
  if (!headed && (strategy.traits & STRATEGY_ZEROES) != 0) {
    void *zeroed = strategy.allocate_zeroed(allocator, count, size, HEAP_ALIGN);
    heed_misuse();
    return zeroed;
  }
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = heap_allocate(bytes, HEAP_ALIGN);
  return block ? memset(block, 0, bytes) : NULL;
}

bool heap_release(void *block) {
  struct header header = {0};
  // Of a header nothing is believed that a release would need.
  if ((strategy.traits & STRATEGY_RELEASES) == 0) return true;
  look_up(block, &header, true);
  return judge_release(give_back((unsigned char *)block - header.offset), block);
}

size_t heap_usable_size(const void *block) {
  struct header header;
  if (look_up(block, &header, false)) return header.size;
  return strategy.usable_size(allocator, block);
}

void *heap_resize(void *block, size_t size) {
  struct header header = {0};
  bool is_cut = look_up(block, &header, false);
  if (!is_cut && (strategy.traits & STRATEGY_RESIZES) != 0) {
    void *resized = strategy.resize(allocator, block, size, HEAP_ALIGN);
    heed_misuse();
    return resized;
  }
  size_t former = is_cut ? header.size : heap_usable_size(block);
  if (headed && size <= former && size >= former / 2) {
    header_of(block)->size = size;
    return block;
  }
  void *moved = heap_allocate(size, HEAP_ALIGN);
  if (!moved) return NULL;
  memcpy(moved, block, former < size ? former : size);
  heap_release(block);
  return moved;
}

size_t heap_footprint(size_t size, size_t align) {
  size_t wanted = size, own = align;
  if (needs_cut(align) && !whole_of(size, align, &wanted, &own)) return SIZE_MAX;
  return strategy.footprint(wanted, own, page_size);
}

size_t heap_overhead(void) {
  size_t rounded;
  return align_up(strategy.overhead, page_size, &rounded) ? rounded : SIZE_MAX;
}

struct statistics heap_statistics(void) { return strategy.statistics(allocator); }

struct broken_invariant heap_check(void) { return strategy.check(allocator); }
