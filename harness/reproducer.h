// What C reproducers of findings are written with: calls against the vtable, each followed by naive
// checks.
//
// Shares nothing with the oracle, on purpose: it is short enough to be checked by reading, and
// what it shows is the allocator's fault beyond doubt. Every check looks at everything, so it is
// slow. A violated check prints what is wrong and exits with code 1; code 2 says that the
// reproducer itself could not run. Built with ASan, live blocks are poisoned while the allocator
// runs. Include it in one file only.
#ifndef HARNESS_REPRODUCER_H_
#define HARNESS_REPRODUCER_H_

#include <sys/wait.h>
#include <unistd.h>

#include "harness/reproducer_checks.h"

// ## Blocks

// The index of the block that the slot names, or repro.count.
static inline size_t repro_find(int slot) {
  size_t i = 0;
  while (i < repro.count && repro.blocks[i].slot != slot) i++;
  return i;
}

static inline void repro_make_room(void) {
  if (repro.count < repro.room) return;
  repro.room = 2 * repro.room + 64;
  repro.blocks = realloc(repro.blocks, repro.room * sizeof *repro.blocks);
  repro.sorted = realloc(repro.sorted, repro.room * sizeof *repro.sorted);
  if (!repro.blocks || !repro.sorted) repro_give_up("no memory for the table of blocks");
}

static inline void repro_add(int slot, unsigned char *start, size_t size, bool zeroed) {
  size_t former = repro_find(slot);
  if (former < repro.count) repro.blocks[former].slot = -1;
  repro_make_room();
  repro.blocks[repro.count] = (struct repro_block){
      .start = start, .size = size, .serial = ++repro.serial, .slot = slot, .zeroed = zeroed};
  repro_write(&repro.blocks[repro.count++]);
}

static inline void repro_remember(size_t i) {
  repro.released[repro.next_released].start = repro.blocks[i].start;
  repro.released[repro.next_released].size = repro.blocks[i].size;
  repro.next_released = (repro.next_released + 1) % REPRO_RELEASED;
}

// The block is live no more, and must not be released again.
static inline void repro_drop(size_t i) {
  repro_remember(i);
  repro.blocks[i] = repro.blocks[--repro.count];
  if (repro.count == 0) repro.claimed = 0;
}

static inline void repro_check_returned(void) {
  bool promised = repro.strategy->traits & STRATEGY_RETURNS_MEMORY;
  REPRO_CHECK(!promised || repro.count > 0 || repro.account.bytes == repro.fresh_bytes,
              "without blocks %zu bytes are held instead of %zu", repro.account.bytes,
              repro.fresh_bytes);
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
    repro_add(slot, block, count * size, zeroed);
  }
  repro_check_all();
  repro.operation++;
}

static inline void repro_allocate(int slot, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected;
  unsigned char *block;
  REPRO_CALL(NULL, block = repro.strategy->allocate(repro.allocator, size, align));
  repro_settle(slot, block, 1, size, align, false, bytes, injected);
}

static inline void repro_zeroed(int slot, size_t count, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected;
  unsigned char *block;
  REPRO_CALL(NULL, block = repro.strategy->allocate_zeroed(repro.allocator, count, size, align));
  repro_settle(slot, block, count, size, align, true, bytes, injected);
}

static inline void repro_release_at(size_t i) {
  unsigned char *block = repro.blocks[i].start;
  repro_drop(i);
  enum release_result result;
  REPRO_CALL(NULL, result = repro.strategy->release(repro.allocator, block));
  REPRO_CHECK(result == RELEASED, "the release of a live block was refused");
  repro_check_returned();
  repro_check_all();
}

static inline void repro_release(int slot) {
  size_t i = repro_find(slot);
  if (i < repro.count) repro_release_at(i);
  repro.operation++;
}

static inline void repro_misuse(void *address, enum release_result wanted) {
  enum release_result result;
  REPRO_CALL(NULL, result = repro.strategy->release(repro.allocator, address));
  REPRO_CHECK(result == wanted, "a %s release was not detected",
              wanted == RELEASE_DOUBLE ? "second" : "foreign");
  REPRO_CHECK(repro_look() == repro.walk, "the misuse was detected, but the walk changed");
  repro_check_all();
}

// The first that can be, from number `which` of the ring on.
static inline void repro_release_again(unsigned which) {
  unsigned char *block = NULL;
  for (unsigned i = 0; i < REPRO_RELEASED && !block; i++)
    block = repro.released[(which + i) % REPRO_RELEASED].start;
  if (block) repro_misuse(block, RELEASE_DOUBLE);
  repro.operation++;
}

// `which` % 4 is 1: beyond all that the source could give; 3: just past what it gave; else
// elsewhere in the process.
static inline void repro_release_foreign(unsigned which) {
  static _Alignas(64) unsigned char elsewhere[128];
  void *address = elsewhere + 64 + which % 64;
  if (which % 4 == 1) {
    address = repro.memory.start + repro.memory.size;
  } else if (which % 4 == 3 && repro.account.count > 0) {
    const struct source_stretch *last = &repro.stretches[repro.account.count - 1];
    address = (void *)(((uintptr_t)last->start + last->size + 63) & ~(uintptr_t)63);
  }
  repro_misuse(address, RELEASE_FOREIGN);
  repro.operation++;
}

static inline void repro_resize(int slot, size_t size, size_t align) {
  size_t bytes = repro.account.bytes, injected = repro.faults.injected, i = repro_find(slot);
  bool refusable = repro_must_refuse(1, size, align);
  unsigned char *former = i < repro.count ? repro.blocks[i].start : NULL;
  unsigned char *block;
  REPRO_CALL(former, block = repro.strategy->resize(repro.allocator, former, size, align));
  if (!former) {
    repro_settle(slot, block, 1, size, align, false, bytes, injected);
    return;
  }
  if (!block && size == 0 && !refusable) {  // as C has it: released
    repro_drop(i);
  } else if (!block) {
    repro_check_refused(size, align, refusable, bytes, injected);
  } else {
    REPRO_CHECK(!refusable, "a request that must be refused returned memory");
    repro_check_place(block, size, align, i);
    size_t kept = size < repro.blocks[i].size ? size : repro.blocks[i].size;
    for (size_t j = 0; j < kept; j++)
      REPRO_CHECK(block[j] == repro_byte(&repro.blocks[i], j), "byte %zu was not kept", j);
    repro.blocks[i].start = block;
    repro.blocks[i].size = size;
    repro.blocks[i].resized++;
    repro_write(&repro.blocks[i]);
    repro_claim(block, size, align);
  }
  repro_check_all();
  repro.operation++;
}

static inline void repro_use(int slot) {
  size_t i = repro_find(slot);
  if (i < repro.count) {
    struct repro_block *block = &repro.blocks[i];
    size_t usable;
    REPRO_CALL(NULL, usable = repro.strategy->usable_size(repro.allocator, block->start));
    REPRO_CHECK(usable >= block->size, "usable size %zu is less than the size", usable);
    repro_check_place(block->start, usable, 1, i);
    block->size = usable;
    repro_look();
    repro_write(block);
    repro_check_all();
  }
  repro.operation++;
}

static inline void repro_reset(void) {
  // A block that reset released must not be released again.
  size_t first = repro.count < REPRO_RELEASED ? 0 : repro.count - REPRO_RELEASED;
  for (size_t i = first; i < repro.count; i++) repro_remember(i);
  repro.count = repro.claimed = repro.marks = 0;
  repro.strategy->reset(repro.allocator);
  repro_check_returned();
  repro_check_all();
  // It may have kept memory of its source to have it at hand.
  REPRO_CHECK(repro.walk == repro.fresh_walk || repro.account.bytes != repro.fresh_bytes,
              "after reset the walk is not as after create");
  repro.operation++;
}

// Collectors are told of roots when they collect; a persistent heap keeps one.
static inline void repro_root(int slot, bool on) {
  size_t i = repro_find(slot);
  if (i < repro.count) {
    repro.blocks[i].root = on;
    if (repro.strategy->traits & STRATEGY_PERSISTS) {
      const void *root = on ? repro.blocks[i].start : NULL;
      REPRO_CALL(NULL, repro.strategy->set_root(repro.allocator, root));
      REPRO_CHECK(repro.strategy->root(repro.allocator) == root, "the root is not what was set");
      repro_check_all();
    }
  }
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
  REPRO_CHECK(repro_inside(block, size), "the block is outside the heap");
  if (repro.strategy->traits & STRATEGY_RELEASES)
    repro.strategy->release(repro.allocator, block);
  else
    repro.strategy->reset(repro.allocator);
  return true;
}

static inline void repro_check_largest(void) {
  if (!repro.asks_largest) return;
  REPRO_CHECK(repro_can_have(repro.largest) && !repro_can_have(repro.largest + 1),
              "the largest block is not %zu bytes, as in a fresh heap", repro.largest);
}

static inline struct source *repro_sources(void) {
  source_limit_init(&repro.limit, &repro.memory.base, repro.capacity);
  source_account_init(&repro.account, &repro.limit.base, repro.stretches, repro.stretches_room);
  repro.account.grows = repro.strategy->needs & SOURCE_CONTIGUOUS;
  source_faults_init(&repro.faults, &repro.account.base);
  return &repro.faults.base;
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
  repro_check_outside();
}

// The largest block of a fresh heap, found on an allocator made for that.
static inline void repro_learn_largest(void) {
  repro_create();
  if (!repro.allocator) return;
  repro.largest = repro.capacity;
  while (!repro_can_have(repro.largest)) {
    repro.largest--;
    if (repro.strategy->traits & STRATEGY_RESETS) repro.strategy->reset(repro.allocator);
  }
  repro_destroy();
  repro.allocator = NULL;
}

// `page_size` 0: one buffer, `skew` bytes off alignment.
static inline void repro_open(const struct strategy *strategy, size_t capacity, size_t page_size,
                              size_t skew, unsigned variant, uint64_t first_fault) {
  setbuf(stdout, NULL);
  repro.strategy = strategy;
  repro.capacity = capacity;
  repro.variant = variant;
  repro_memory_open(&repro.memory, capacity, page_size, skew);
  if (strategy->needs & SOURCE_CONTIGUOUS) repro_memory_grows(&repro.memory);
  repro.stretches_room = page_size ? capacity / page_size + 1 : 2;
  repro.stretches = calloc(repro.stretches_room, sizeof *repro.stretches);
  if (!repro.stretches) repro_give_up("no memory for the table of stretches");
  repro_sources();
  repro.asks_largest = strategy->traits & (STRATEGY_COALESCES | STRATEGY_RESETS) &&
                       capacity <= REPRO_LARGEST_HEAP && !(strategy->needs & SOURCE_CONTIGUOUS);
  if (repro.asks_largest) repro_learn_largest();
  repro_sources();
  repro.memory.exhausted = false;
  if (first_fault) repro_fault(first_fault);
  repro_create();
  if (!repro.allocator) {
    REPRO_CHECK(repro.account.bytes == 0, "create failed, but kept memory of its source");
    REPRO_CHECK(repro.faults.injected || repro.memory.exhausted || repro_need(1, 1) > capacity,
                "create failed, although %zu bytes of %zu suffice", repro_need(1, 1), capacity);
    puts("create failed, as it may");
    exit(0);
  }
  repro_check_all();
  repro.fresh_walk = repro.walk;
  repro.fresh_bytes = repro.account.bytes;
}

// Destroy must cope with live blocks as well as without: tried in a child.
static inline void repro_try_destroy(void) {
  if (repro.strategy->traits & STRATEGY_FOREIGN) return;
  pid_t child = fork();
  if (child == 0) {
    repro_destroy();
    _exit(0);
  }
  int status = 0;
  if (child > 0 && waitpid(child, &status, 0) == child && status != 0) exit(1);
}

// NULL is no block: to release it does nothing, and none of it is usable.
static inline void repro_ask_about_nothing(void) {
  unsigned traits = repro.strategy->traits;
  if (traits & STRATEGY_RELEASES)
    REPRO_CHECK(repro.strategy->release(repro.allocator, NULL) == RELEASED,
                "the release of NULL is refused");
  if (traits & STRATEGY_SIZES)
    REPRO_CHECK(repro.strategy->usable_size(repro.allocator, NULL) == 0,
                "the usable size of NULL is not 0");
}

// Releases everything; the heap must be as it was.
static inline void repro_close(void) {
  unsigned traits = repro.strategy->traits;
  source_faults_arm(&repro.faults, 0, SIZE_MAX);
  repro_ask_about_nothing();
  repro_try_destroy();
  if (traits & STRATEGY_RELEASES) {
    while (repro.count > 0) repro_release_at(repro.count - 1);
    if (traits & STRATEGY_COALESCES) repro_check_largest();
    repro_check_returned();
  }
  if (traits & STRATEGY_RESETS) {
    repro.count = 0;
    repro.strategy->reset(repro.allocator);
    repro_check_returned();
    repro_check_largest();
  }
  repro_destroy();
  puts("nothing wrong was seen");
}

#endif
