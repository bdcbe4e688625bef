// What C reproducers of findings are written with: calls against the vtable, each followed by naive
// checks.
//
// Shares nothing with the oracle, on purpose: it is short enough to be checked by reading, and
// what it shows is the allocator's fault beyond doubt. Every check looks at everything, so it is
// slow. A violated check prints what is wrong and exits with code 1. Built with ASan, live blocks
// are poisoned while the allocator runs. Include it in one file only.
#ifndef HARNESS_REPRODUCER_H_
#define HARNESS_REPRODUCER_H_

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __has_feature  // clang's; gcc says it by a macro of its own
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#include "allocators/arithmetic.h"
#include "allocators/source.h"
#include "allocators/strategy.h"

enum {
  REPRO_BLOCKS = 4096,
  REPRO_CANARY = 64,
  REPRO_STRETCHES = 65536,
  REPRO_ALIGN = 65536,
  REPRO_RELEASED = 8
};

static struct {
  const struct strategy *strategy;
  struct allocator *allocator;
  struct source memory;  // at the bottom: one buffer, or pages, always dirty
  struct source_limit limit;
  struct source_account account;
  struct source_faults faults;
  struct source_stretch stretches[REPRO_STRETCHES];
  unsigned char *buffer;
  size_t capacity, claimed, largest, operation;
  unsigned variant;
  bool taken;
  struct {
    unsigned char *start;
    size_t size;
    unsigned char fill;
    int slot;
  } blocks[REPRO_BLOCKS];
  size_t count;
  struct {
    unsigned char *start;  // NULL: none, or another block may cover it by now
    size_t size;
  } released[REPRO_RELEASED];  // a ring
  unsigned next_released;
  uint64_t walk, fresh_walk;
} repro;

__attribute__((noreturn, format(printf, 1, 2))) static inline void repro_fail(const char *format,
                                                                              ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("operation %zu: ", repro.operation);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  exit(1);
}

#define REPRO_CHECK(condition, ...)                                                                \
  do {                                                                                             \
    if (!(condition)) repro_fail(__VA_ARGS__);                                                     \
  } while (0)

// ## Memory

static inline void *repro_acquire(struct source *self, size_t size) {
  (void)self;
  if (repro.buffer && (repro.taken || size > repro.capacity)) return NULL;
  unsigned char *memory =
      repro.buffer
          ? repro.buffer
          : aligned_alloc(REPRO_ALIGN, (size + 2 * REPRO_ALIGN - 1) & ~(size_t)(REPRO_ALIGN - 1));
  if (!memory) return NULL;
  repro.taken = true;
  memset(memory, 0xA5, size);
  memset(memory + size, 0x5C, REPRO_CANARY);
  return memory;
}

static inline void repro_give_back(struct source *self, void *memory, size_t size) {
  (void)self, (void)size;
  repro.taken = false;
  if (!repro.buffer) free(memory);
}

static inline size_t repro_available(const struct source *self) {
  (void)self;
  return repro.buffer && repro.taken ? 0 : repro.capacity;
}

// ## Calls: whatever is live, but for the block that is handed over, is out of bounds meanwhile

static inline void repro_lock(const void *except) {
  for (size_t i = 0; i < repro.count; i++)
    if (repro.blocks[i].start != except)
      ASAN_POISON_MEMORY_REGION(repro.blocks[i].start, repro.blocks[i].size);
}

static inline void repro_unlock(void) {
  for (size_t i = 0; i < repro.count; i++)
    ASAN_UNPOISON_MEMORY_REGION(repro.blocks[i].start, repro.blocks[i].size);
}

#define REPRO_CALL(except, result, call)                                                           \
  do {                                                                                             \
    repro_lock(except);                                                                            \
    (result) = (call);                                                                             \
    repro_unlock();                                                                                \
  } while (0)

// ## Checks

static inline void repro_hash_span(void *context, const struct span *span) {
  uint64_t *hash = context;
  *hash =
      (*hash ^ (uint64_t)(uintptr_t)span->start ^ span->size << 2 ^ span->kind) * 0x100000001b3u;
}

static inline uint64_t repro_hash_walk(void) {
  uint64_t hash = 1;
  repro_lock(NULL);
  repro.strategy->walk(repro.allocator, repro_hash_span, &hash);
  repro_unlock();
  return hash;
}

static inline void repro_check_all(void) {
  struct broken_invariant broken;
  REPRO_CALL(NULL, broken, repro.strategy->check(repro.allocator));
  REPRO_CHECK(broken.number == 0, "invariant I%u does not hold: %s", broken.number,
              repro.strategy->invariants[broken.number - 1]);
  for (size_t i = 0; i < repro.count; i++)
    for (size_t j = 0; j < repro.blocks[i].size; j++)
      REPRO_CHECK(repro.blocks[i].start[j] == repro.blocks[i].fill,
                  "byte %zu of a live block of %zu bytes changed", j, repro.blocks[i].size);
  for (size_t i = 0; i < repro.account.count; i++)
    for (size_t j = 0; j < REPRO_CANARY; j++)
      REPRO_CHECK(repro.stretches[i].start[repro.stretches[i].size + j] == 0x5C,
                  "byte %zu past the end of the heap was written", j);
  repro.walk = repro_hash_walk();
}

static inline void repro_check_refused(size_t size, size_t align, bool rightly, size_t bytes,
                                       size_t injected) {
  REPRO_CHECK(repro.account.bytes == bytes, "refused, but memory of the source was taken or given");
  REPRO_CHECK(repro_hash_walk() == repro.walk, "refused, but the walk changed");
  if (rightly || repro.faults.injected != injected) return;
  if (align < repro.strategy->min_align) align = repro.strategy->min_align;
  size_t page = repro.memory.page_size,
         overhead = (repro.strategy->overhead + page - 1) & ~(page - 1);
  size_t need = add_saturating(add_saturating(overhead, repro.claimed),
                               repro.strategy->footprint(size, align, page));
  REPRO_CHECK(need > repro.capacity, "refused, although %zu bytes of %zu suffice by its own bound",
              need, repro.capacity);
}

static inline void repro_check_place(const unsigned char *start, size_t size, size_t align,
                                     size_t except) {
  if (align < repro.strategy->min_align) align = repro.strategy->min_align;
  REPRO_CHECK(((uintptr_t)start & (align - 1)) == 0, "the block is not aligned to %zu", align);
  REPRO_CHECK(source_account_find(&repro.account, start, size), "the block is outside the heap");
  for (size_t i = 0; i < repro.count; i++)
    REPRO_CHECK(i == except || start + size <= repro.blocks[i].start ||
                    repro.blocks[i].start + repro.blocks[i].size <= start,
                "the block overlaps a live block");
}

static inline bool repro_must_refuse(size_t count, size_t size, size_t align) {
  size_t total;
  return size == 0 || !multiply_sizes(count, size, &total) || total > repro.capacity ||
         !is_power_of_two(align) || align > repro.strategy->max_align;
}

static inline void repro_claim(const unsigned char *block, size_t size, size_t align) {
  if (align < repro.strategy->min_align) align = repro.strategy->min_align;
  size_t footprint = repro.strategy->footprint(size, align, repro.memory.page_size);
  repro.claimed = add_saturating(repro.claimed, footprint);
  for (size_t i = 0; i < REPRO_RELEASED; i++) {
    unsigned char *start = repro.released[i].start;
    if (start && start + repro.released[i].size + footprint > block && start < block + footprint)
      repro.released[i].start = NULL;
  }
}

// ## Blocks

// The index of the block that the slot names, or repro.count.
static inline size_t repro_find(int slot) {
  size_t i = 0;
  while (i < repro.count && repro.blocks[i].slot != slot) i++;
  return i;
}

static inline void repro_add(int slot, unsigned char *start, size_t size) {
  size_t former = repro_find(slot);
  if (former < repro.count) repro.blocks[former].slot = -1;
  REPRO_CHECK(repro.count < REPRO_BLOCKS, "more than %d live blocks", REPRO_BLOCKS);
  static unsigned char fill;
  if (++fill == 0) fill = 1;
  memset(start, fill, size);
  repro.blocks[repro.count].start = start;
  repro.blocks[repro.count].size = size;
  repro.blocks[repro.count].fill = fill;
  repro.blocks[repro.count++].slot = slot;
}

static inline void repro_settle(int slot, unsigned char *block, size_t count, size_t size,
                                size_t align, bool zeroed, size_t bytes, size_t injected) {
  bool refusable = repro_must_refuse(count, size, align);
  if (!block) {
    repro_check_refused(count * size, align, refusable, bytes, injected);
  } else {
    REPRO_CHECK(!refusable, "a request that must be refused returned memory");
    repro_check_place(block, count * size, align, repro.count);
    for (size_t i = 0; zeroed && i < count * size; i++)
      REPRO_CHECK(block[i] == 0, "byte %zu is not zero", i);
    repro_claim(block, count * size, align);
    repro_add(slot, block, count * size);
  }
  repro_check_all();
  repro.operation++;
}

static inline void repro_allocate(int slot, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected;
  unsigned char *block;
  REPRO_CALL(NULL, block, repro.strategy->allocate(repro.allocator, size, align));
  repro_settle(slot, block, 1, size, align, false, bytes, injected);
}

static inline void repro_zeroed(int slot, size_t count, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected;
  unsigned char *block;
  REPRO_CALL(NULL, block, repro.strategy->allocate_zeroed(repro.allocator, count, size, align));
  repro_settle(slot, block, count, size, align, true, bytes, injected);
}

static inline void repro_remember(size_t i) {
  repro.released[repro.next_released].start = repro.blocks[i].start;
  repro.released[repro.next_released].size = repro.blocks[i].size;
  repro.next_released = (repro.next_released + 1) % REPRO_RELEASED;
}

static inline void repro_release_at(size_t i) {
  unsigned char *block = repro.blocks[i].start;
  repro_remember(i);
  repro.blocks[i] = repro.blocks[--repro.count];
  enum release_result result;
  REPRO_CALL(NULL, result, repro.strategy->release(repro.allocator, block));
  REPRO_CHECK(result == RELEASED, "the release of a live block was refused");
  if (repro.count == 0) repro.claimed = 0;
  repro_check_all();
}

static inline void repro_release(int slot) {
  size_t i = repro_find(slot);
  if (i < repro.count) repro_release_at(i);
  repro.operation++;
}

// The first that can be, from number `which` of the ring on.
static inline void repro_release_again(unsigned which) {
  unsigned char *block = NULL;
  for (unsigned i = 0; i < REPRO_RELEASED && !block; i++)
    block = repro.released[(which + i) % REPRO_RELEASED].start;
  enum release_result result = RELEASE_DOUBLE;
  if (block) REPRO_CALL(NULL, result, repro.strategy->release(repro.allocator, block));
  REPRO_CHECK(result == RELEASE_DOUBLE, "a second release was not detected");
  repro_check_all();
  repro.operation++;
}

// `which` % 4 is 1: beyond what the source gave; 3: just past it; else elsewhere in the process.
static inline void repro_release_foreign(unsigned which) {
  static _Alignas(64) unsigned char elsewhere[128];
  const struct source_stretch *last = &repro.stretches[repro.account.count - 1];
  uintptr_t end = ((uintptr_t)last->start + last->size + 63) & ~(uintptr_t)63;
  void *address = elsewhere + 64 + which % 64;
  if (which % 2) address = (void *)(which % 4 == 1 ? end + 4096 : end);
  REPRO_CHECK(repro.strategy->release(repro.allocator, address) == RELEASE_FOREIGN,
              "a foreign release was not detected");
  repro_check_all();
  repro.operation++;
}

static inline void repro_resize(int slot, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected, i = repro_find(slot);
  bool refusable = repro_must_refuse(1, size, align);
  unsigned char *former = i < repro.count ? repro.blocks[i].start : NULL;
  unsigned char *block;
  REPRO_CALL(former, block, repro.strategy->resize(repro.allocator, former, size, align));
  if (!former) {
    repro_settle(slot, block, 1, size, align, false, bytes, injected);
    return;
  }
  if (!block) {
    repro_check_refused(size, align, refusable, bytes, injected);
  } else {
    REPRO_CHECK(!refusable, "a request that must be refused returned memory");
    repro_check_place(block, size, align, i);
    size_t kept = size < repro.blocks[i].size ? size : repro.blocks[i].size;
    for (size_t j = 0; j < kept; j++)
      REPRO_CHECK(block[j] == repro.blocks[i].fill, "byte %zu was not kept", j);
    repro.blocks[i].start = block;
    repro.blocks[i].size = size;
    memset(block, repro.blocks[i].fill, size);
    repro_claim(block, size, align);
  }
  repro_check_all();
  repro.operation++;
}

static inline void repro_use(int slot) {
  size_t i = repro_find(slot);
  if (i < repro.count) {
    size_t usable = repro.strategy->usable_size(repro.allocator, repro.blocks[i].start);
    REPRO_CHECK(usable >= repro.blocks[i].size, "usable size %zu is less than the size", usable);
    repro_check_place(repro.blocks[i].start, usable, 1, i);
    repro.blocks[i].size = usable;
    memset(repro.blocks[i].start, repro.blocks[i].fill, usable);
    repro_check_all();
  }
  repro.operation++;
}

static inline void repro_reset(void) {
  repro.strategy->reset(repro.allocator);
  // A block that reset released must not be released again.
  size_t first = repro.count < REPRO_RELEASED ? 0 : repro.count - REPRO_RELEASED;
  for (size_t i = first; i < repro.count; i++) repro_remember(i);
  repro.count = repro.claimed = 0;
  repro_check_all();
  REPRO_CHECK(repro.walk == repro.fresh_walk, "after reset the walk is not as after create");
  repro.operation++;
}

static inline void repro_fault(uint64_t mask) {
  source_faults_arm(&repro.faults, mask, SIZE_MAX);
  if (repro.allocator) repro.operation++;
}

// ## The heap

static inline bool repro_can_have(size_t size) {
  void *block = repro.strategy->allocate(repro.allocator, size, repro.strategy->min_align);
  if (!block) return size == 0;
  REPRO_CHECK(source_account_find(&repro.account, block, size), "the block is outside the heap");
  if (repro.strategy->traits & STRATEGY_RELEASES)
    repro.strategy->release(repro.allocator, block);
  else
    repro.strategy->reset(repro.allocator);
  return true;
}

static inline void repro_create(void) {
  struct strategy_options options = {.variant = repro.variant};
  repro.allocator = repro.strategy->create(&repro.faults.base, &options);
}

static inline void repro_destroy(void) {
  repro.strategy->destroy(repro.allocator);
  REPRO_CHECK(repro.account.bytes == 0 && repro.account.errors == 0,
              "destroy: %zu bytes did not go back to the source, %zu stretches went back wrongly",
              repro.account.bytes, repro.account.errors);
}

// `page_size` 0: one buffer, `skew` bytes off alignment.
static inline void repro_open(const struct strategy *strategy, size_t capacity, size_t page_size,
                              size_t skew, unsigned variant, uint64_t first_fault) {
  setbuf(stdout, NULL);
  repro.strategy = strategy;
  repro.capacity = capacity;
  repro.variant = variant;
  if (page_size == 0) {
    size_t size = (capacity + skew + REPRO_CANARY + REPRO_ALIGN - 1) & ~(size_t)(REPRO_ALIGN - 1);
    repro.buffer = aligned_alloc(REPRO_ALIGN, size);
    if (!repro.buffer) exit(2);
    repro.buffer += skew;
  }
  repro.memory = (struct source){.name = "reproducer",
                                 .traits = page_size ? SOURCE_RECLAIMS : 0,
                                 .page_size = page_size ? page_size : 1,
                                 .acquire = repro_acquire,
                                 .release = repro_give_back,
                                 .available = repro_available};
  source_limit_init(&repro.limit, &repro.memory, capacity);
  source_account_init(&repro.account, &repro.limit.base, repro.stretches, REPRO_STRETCHES);
  source_faults_init(&repro.faults, &repro.account.base);
  if (strategy->traits & (STRATEGY_COALESCES | STRATEGY_RESETS)) {
    repro_create();
    for (repro.largest = capacity; repro.allocator && !repro_can_have(repro.largest);)
      repro.largest--;
    if (repro.allocator) repro_destroy();
    repro.allocator = NULL;
  }
  if (first_fault) repro_fault(first_fault);
  repro_create();
  if (!repro.allocator) {
    REPRO_CHECK(repro.account.bytes == 0, "create failed, but kept memory of its source");
    puts("create failed");
    exit(0);
  }
  repro_check_all();
  repro.fresh_walk = repro.walk;
}

// Destroy must cope with live blocks as well as without: tried in a child.
static inline void repro_try_destroy(void) {
  pid_t child = fork();
  if (child == 0) {
    repro_destroy();
    _exit(0);
  }
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) == child && status != 0) exit(1);
}

// Releases everything; the heap must be as it was.
static inline void repro_close(size_t fresh_bytes) {
  const struct strategy *strategy = repro.strategy;
  source_faults_arm(&repro.faults, 0, SIZE_MAX);
  repro_try_destroy();
  while (strategy->traits & STRATEGY_RELEASES && repro.count > 0) repro_release_at(repro.count - 1);
  if (strategy->traits & STRATEGY_RETURNS_MEMORY)
    REPRO_CHECK(repro.account.bytes == fresh_bytes, "%zu bytes are held instead of %zu",
                repro.account.bytes, fresh_bytes);
  for (int after_reset = 0; after_reset < 2; after_reset++) {
    unsigned trait = after_reset ? STRATEGY_RESETS : STRATEGY_COALESCES;
    if (!(strategy->traits & trait)) continue;
    if (after_reset) strategy->reset(repro.allocator);
    REPRO_CHECK(repro_can_have(repro.largest) && !repro_can_have(repro.largest + 1),
                "the largest block is not %zu bytes, as in a fresh heap", repro.largest);
  }
  repro_destroy();
  puts("nothing wrong was seen");
}

#endif
