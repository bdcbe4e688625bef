#include "harness/preload/check.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/lock.h"
#include "allocators/source_decorator.h"
#include "harness/preload/blocks.h"
#include "harness/preload/gate.h"
#include "harness/preload/heap.h"
#include "harness/preload/snapshot.h"
#include "harness/preload/start.h"
#include "harness/preload/tell.h"
#include "harness/preload/thread.h"
#include "harness/preload/verdict.h"
#include "harness/record_events.h"

static bool on;
static struct lock lock;  // of all that follows
static struct blocks blocks;
static struct source_account account;

enum { RECENT = 4 };
static uintptr_t recent[RECENT];  // blocks given out last
static unsigned next_recent;
static size_t turn;  // of the block that is watched besides

// The sum of the stated bounds of all blocks since none was live, and whether the system has ever
// refused memory.
static size_t promised;
static bool refused;

// What this thread has the strategy do.
PER_THREAD struct snapshot snapshot;

bool check_is_on(void) { return on; }

// ## The source

static struct source_decorator noting;
static void *(*acquire_noted)(struct source *, size_t);
static void (*release_noted)(struct source *, void *, size_t);

static void *acquire(struct source *self, size_t size) {
  (void)self;
  lock_acquire(&lock);
  void *memory = acquire_noted(&account.base, size);
  if (!memory) refused = true;
  lock_release(&lock);
  return memory;
}

static void release(struct source *self, void *memory, size_t size) {
  (void)self;
  lock_acquire(&lock);
  size_t errors = account.errors;
  release_noted(&account.base, memory, size);
  bool wrong = account.errors != errors;
  lock_release(&lock);
  if (wrong)
    verdict_violated(PROPERTY_source_leak,
                     "%zu bytes at %p go back to the source, which never "
                     "gave them so",
                     size, memory);
}

static size_t available(const struct source *self) {
  (void)self;
  return account.base.available(&account.base);
}

enum { MOST_STRETCHES = 1 << 20 };

struct source *check_start(const char *strategy_name, struct source *inner) {
  struct source_stretch *table = mmap(NULL, MOST_STRETCHES * sizeof *table, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (table == MAP_FAILED || !blocks_init(&blocks)) return NULL;
  source_account_init(&account, inner, table, MOST_STRETCHES);
  acquire_noted = account.base.acquire;
  release_noted = account.base.release;
  noting = (struct source_decorator){source_like("noting", &account.base), &account.base};
  noting.base.acquire = acquire;
  noting.base.release = release;
  noting.base.available = available;
  verdict_start(strategy_name);
  on = true;
  return &noting.base;
}

// ## The strategy's turn

// Not of large blocks: a program may make whole pages inaccessible that it was given.
static bool watch_block(const struct blocks_entry *entry) {
  enum { LARGE = 4096 };
  if (!entry || entry->size == 0) return false;
  if (entry->size >= LARGE) return true;
  size_t edge = entry->size < SNAPSHOT_PIECE ? entry->size : SNAPSHOT_PIECE;
  snapshot_add(&snapshot, entry->start, edge);
  if (entry->size > edge) snapshot_add(&snapshot, entry->start + entry->size - edge, edge);
  return true;
}

// The blocks before and behind, if they are not far.
static void watch_neighbours(uintptr_t start, size_t size) {
  enum { NEAR = 12 * HEAP_ALIGN };
  uintptr_t end = (start + size + HEAP_ALIGN - 1) & ~(uintptr_t)(HEAP_ALIGN - 1);
  for (uintptr_t at = start - HEAP_ALIGN; start - at <= NEAR; at -= HEAP_ALIGN)
    if (watch_block(blocks_find(&blocks, at))) break;
  for (uintptr_t at = end; at - end <= NEAR; at += HEAP_ALIGN)
    if (watch_block(blocks_find(&blocks, at))) break;
}

void check_enter(const char *call, size_t size, const void *block, size_t block_size) {
  verdict_begin(call, size, block);
  snapshot_clear(&snapshot);
  if (!gate_is_alone()) return;
  if (block) watch_neighbours(address_of(block), block_size);
  for (unsigned i = 0; i < RECENT; i++) watch_block(blocks_find(&blocks, recent[i]));
  for (unsigned tries = 0; tries < 4; tries++, turn++)
    watch_block(&blocks.entries[turn & (blocks.capacity - 1)]);
}

void check_leave(void) {
  const struct snapshot_piece *changed = snapshot_changed(&snapshot);
  verdict_end();
  if (!changed || !gate_is_alone()) return;
  const struct blocks_entry *owner = blocks_overlapping(&blocks, changed->start, 1);
  verdict_violated(PROPERTY_content,
                   "bytes at %#tx, of the live block of %zu bytes at %#tx, changed while the "
                   "strategy was at work on another",
                   changed->start, owner ? owner->size : 0, owner ? owner->start : 0);
}

// ## Blocks that the strategy gives

// A violation is recorded as a request whose block lies apart from all others, so that the log is a
// program and a replay makes the request too.
#define APART ((uintptr_t)1 << 62)

static void check_place(const void *block, size_t size, size_t align) {
  uintptr_t start = address_of(block);
  if (start & (align - 1))
    verdict_violated(PROPERTY_alignment, "the block of %zu bytes at %p is not aligned to %zu", size,
                     block, align);
  if ((heap_strategy->traits & STRATEGY_FOREIGN) == 0) {
    lock_acquire(&lock);
    bool inside = source_account_find(&account, block, size) != NULL;
    lock_release(&lock);
    if (!inside)
      verdict_violated(PROPERTY_bounds,
                       "the block of %zu bytes at %p does not lie in what the source gave", size,
                       block);
  }
  lock_acquire(&lock);
  bool added = blocks_add(&blocks, start, size);
  if (blocks.live == 1) promised = 0;
  promised = add_saturating(promised, heap_footprint(size, align));
  if (added) recent[next_recent++ % RECENT] = start;
  const struct blocks_entry *other = added ? NULL : blocks_overlapping(&blocks, start, size);
  struct blocks_entry copy = other ? *other : (struct blocks_entry){0};
  lock_release(&lock);
  if (!added)
    verdict_violated(PROPERTY_overlap,
                     "the block of %zu bytes at %p overlaps the live one of %zu bytes at %#tx",
                     size, block, copy.size, copy.start);
}

static size_t check_usable(const void *block, size_t size) {
  size_t usable = heap_usable_size(block);
  uintptr_t end = address_of(block) + size;
  if (usable < size)
    verdict_violated(PROPERTY_usable_size, "%zu bytes of the block of %zu bytes at %p are usable",
                     usable, size, block);
  // From the first granule that is not shared with its own last byte.
  uintptr_t beyond = (end + 7) & ~(uintptr_t)7;
  size_t rest = usable - size > beyond - end ? usable - size - (beyond - end) : 0;
  lock_acquire(&lock);
  bool within = (heap_strategy->traits & STRATEGY_FOREIGN) != 0 ||
                source_account_find(&account, block, usable) != NULL;
  bool taken = within && rest != 0 && occupancy_any(&blocks.occupancy, beyond, rest, false);
  lock_release(&lock);
  if (!within || taken)
    verdict_violated(PROPERTY_usable_size,
                     "of the usable %zu bytes of the block of %zu bytes at %p "
                     "some %s",
                     usable, size, block,
                     within ? "are another live block's" : "lie outside what the source gave");
  return usable;
}

// Of a strategy with a fixed heap; of another one the first gigabytes.
static void check_refusal(size_t size, size_t align) {
  lock_acquire(&lock);
  size_t bound = add_saturating(heap_overhead(), promised);
  bool fits = !refused && add_saturating(bound, heap_footprint(size, align)) <= heap_size;
  lock_release(&lock);
  if (fits)
    verdict_violated(PROPERTY_spurious_oom,
                     "%zu bytes aligned to %zu are refused, although no more than %zu bytes of the "
                     "heap of %zu can have been taken by the stated bound",
                     size, align, bound, heap_size);
}

// A block that fails a check was asked for all the same.
static void expect_block(size_t size, size_t align, const void *former) {
  verdict_record(former ? VERDICT_RESIZES : VERDICT_ALLOCATES, (const void *)APART, size, align,
                 former);
}

void check_allocated(const void *block, size_t size, size_t align, bool zeroed) {
  expect_block(size, align, NULL);
  if (!block) {
    check_refusal(size, align);
    verdict_record(VERDICT_NOTHING, NULL, 0, 0, NULL);
    return;
  }
  check_place(block, size, align);
  check_usable(block, size);
  const void *dirt = zeroed ? snapshot_find_nonzero(block, size) : NULL;
  if (dirt)
    verdict_violated(PROPERTY_zeroed, "byte %zu of the zeroed block of %zu bytes at %p is not 0",
                     (size_t)(address_of(dirt) - address_of(block)), size, block);
  verdict_record(VERDICT_NOTHING, NULL, 0, 0, NULL);
}

// ## Blocks that the program gives up

// Tells what the program did wrong.
static void misused(const char *call, const void *block, bool known) {
  preload_tell("the program's misuse: %s of %p, %s", call, block,
               known ? "which was released before" : "where no block begins");
  preload_tell_stack();
  if (!preload_settings.goes_on) abort();
}

bool check_is_live(const void *block) {
  lock_acquire(&lock);
  const struct blocks_entry *entry = blocks_find(&blocks, address_of(block));
  bool known = entry != NULL, live = entry != NULL && entry->size != 0;
  lock_release(&lock);
  if (!live) misused("use", block, known);
  return live;
}

bool check_released(const void *block, struct check_former *former) {
  lock_acquire(&lock);
  struct blocks_entry *entry = blocks_find(&blocks, address_of(block));
  bool known = entry != NULL, live = entry != NULL && entry->size != 0;
  if (live) {
    former->size = entry->size;
    blocks_remove(&blocks, entry);
  }
  lock_release(&lock);
  if (!live) misused("release", block, known);
  return live;
}

void check_release_result(const void *block, bool released) {
  if (!released)
    verdict_violated(PROPERTY_release_refused, "the release of the live block at %p was refused",
                     block);
}

void check_resizing(const void *block, size_t size, struct check_former *former) {
  former->kept = former->size < size ? former->size : size;
  former->hash = snapshot_hash(block, former->kept);
}

void check_resized(const void *moved, const void *block, size_t size,
                   const struct check_former *former) {
  const void *now = moved ? moved : block;
  size_t extent = moved ? size : former->size;
  expect_block(extent, HEAP_ALIGN, block);
  // A block that stays was aligned as it was asked for.
  check_place(now, extent, moved ? HEAP_ALIGN : 1);
  if (!moved) check_refusal(size, HEAP_ALIGN);
  check_usable(now, extent);
  if (snapshot_hash(now, former->kept) != former->hash)
    verdict_violated(
        PROPERTY_resize_prefix,
        "a resize of the block at %p from %zu to %zu bytes, which %s, did not keep its "
        "first %zu",
        block, former->size, size, moved ? "moved it" : "was refused", former->kept);
  verdict_record(VERDICT_NOTHING, NULL, 0, 0, NULL);
}

void check_usable_size(const void *block, size_t *usable) {
  lock_acquire(&lock);
  const struct blocks_entry *entry = blocks_find(&blocks, address_of(block));
  size_t size = entry ? entry->size : 0;
  lock_release(&lock);
  if (size == 0) return;
  check_usable(block, size);
  *usable = size;
}

// ## The strategy's own structures

static uint64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void check_structures(bool at_exit) {
  enum { EACH = 1024, MILLISECONDS = 100 };
  static atomic_uint calls;
  static _Atomic(uint64_t) due;
  if (!on || gate_is_inside()) return;
  unsigned call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
  if (!at_exit && call % EACH != EACH - 1) return;
  uint64_t start = nanoseconds();
  // As much time for the walks as for all else.
  if (!at_exit && start < atomic_load(&due)) return;
  if (!gate_close(MILLISECONDS)) return;
  gate_enter();  // no handler is to change what is being walked
  verdict_begin("check", 0, NULL);
  struct broken_invariant broken = heap_check();
  verdict_end();
  if (broken.number != 0) verdict_broken(&broken);
  gate_leave();
  gate_open();
  uint64_t end = nanoseconds();
  atomic_store(&due, end + (end - start));
}
