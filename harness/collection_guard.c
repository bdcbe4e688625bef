#include "harness/collection_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/forbid.h"

enum { RED_ZONE = 16, RED_BYTE = 0x5C, RELEASED_BYTE = 0xFB, MOVES_ONE_IN = 3 };
enum { FIRST_BLOCKS = 64, FIRST_TABLE = 256 };
// Of the heap, that may be in quarantine.
enum { QUARANTINE_SHARE = 8 };

static struct guard *guard_of(struct allocator *self) { return (struct guard *)(void *)self; }

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 29;
}

// ## Whose doing is it

// The collection has called: what happens from here on is not its doing.
static void take_over(struct guard *self) {
  struct run *run = self->run;
  watch_leave();
  if (memory_errors() != run->errors)
    run_violated(run, PROPERTY_outside_heap, "see Valgrind's report of the access");
}

static void hand_back(struct guard *self) {
  self->run->errors = memory_errors();
  watch_enter();
}

static void enter_beneath(struct guard *self) {
  struct run *run = self->run;
  run->acting = self->beneath->name;
  run_enter(run);
}

static void leave_beneath(struct guard *self) {
  run_leave(self->run);
  self->run->acting = NULL;
}

// ## Blocks by address

static unsigned char *user_of(const struct guard_block *block) { return block->base + block->pad; }
static size_t total_of(const struct guard_block *block) {
  return block->pad + block->size + RED_ZONE;
}

static size_t home_of(const struct guard *self, const void *user) {
  return (size_t)(((uint64_t)(uintptr_t)user * 0x9E3779B97F4A7C15u) >> 32) & (self->table_size - 1);
}

static size_t place_of(const struct guard *self, const void *user) {
  size_t at = home_of(self, user);
  while (self->table[at] && user_of(&self->blocks[self->table[at] - 1]) != user)
    at = (at + 1) & (self->table_size - 1);
  return at;
}

static struct guard_block *find(const struct guard *self, const void *user) {
  uint32_t found = self->table[place_of(self, user)];
  return found ? &self->blocks[found - 1] : NULL;
}

static void *resized(void *memory, size_t count, size_t size) {
  void *grown = realloc(memory, count * size);
  if (!grown) abort();
  return grown;
}

static void table_insert(struct guard *self, uint32_t id) {
  if (2 * self->filled >= self->table_size) {
    self->table_size *= 2;
    self->table = resized(self->table, self->table_size, sizeof *self->table);
    memset(self->table, 0, self->table_size * sizeof *self->table);
    for (uint32_t i = 0; i < self->count; i++)
      if (self->blocks[i].state != GUARD_NONE && i != id)
        self->table[place_of(self, user_of(&self->blocks[i]))] = i + 1;
  }
  self->table[place_of(self, user_of(&self->blocks[id]))] = id + 1;
  self->filled++;
}

// Entries behind move up, so that none is cut off from its home (Knuth, TAOCP vol. 3, 6.4, R).
static void table_remove(struct guard *self, const void *user) {
  size_t mask = self->table_size - 1, hole = place_of(self, user);
  self->filled--;
  for (size_t at = hole;;) {
    self->table[hole] = 0;
    for (;;) {
      at = (at + 1) & mask;
      if (!self->table[at]) return;
      size_t home = home_of(self, user_of(&self->blocks[self->table[at] - 1]));
      if (((at - home) & mask) >= ((at - hole) & mask)) break;
    }
    self->table[hole] = self->table[at];
    hole = at;
  }
}

static uint32_t block_new(struct guard *self) {
  uint32_t id = self->unused;
  if (id) {
    self->unused = self->blocks[id - 1].next;
    return id - 1;
  }
  if (self->count == self->capacity) {
    self->capacity = self->capacity ? 2 * self->capacity : FIRST_BLOCKS;
    self->blocks = resized(self->blocks, self->capacity, sizeof *self->blocks);
  }
  return (uint32_t)self->count++;
}

static void block_drop(struct guard *self, uint32_t id) {
  self->blocks[id] = (struct guard_block){.next = self->unused};
  self->unused = id + 1;
}

// ## Patterns

// Offset of the first byte that is not `byte`; `size`: there is none.
SEES_FORBIDDEN static size_t first_other(const unsigned char *start, size_t size, int byte) {
  memory_open(start, size);
  size_t i = 0;
  while (i < size && start[i] == byte) i++;
  memory_close(start, size);
  return i;
}

static void paint(unsigned char *start, size_t size, int byte) {
  memory_grant_contents(start, size);
  memory_fill(start, byte, size);
  memory_forbid(start, size);
}

static void zones_paint(const struct guard_block *block) {
  paint(block->base, block->pad, RED_BYTE);
  paint(user_of(block) + block->size, RED_ZONE, RED_BYTE);
}

static void zones_open(const struct guard_block *block) {
  memory_grant_contents(block->base, block->pad);
  memory_grant_contents(user_of(block) + block->size, RED_ZONE);
}

static void zones_close(const struct guard_block *block) {
  memory_forbid(block->base, block->pad);
  memory_forbid(user_of(block) + block->size, RED_ZONE);
}

static void zones_verify(struct guard *self, const struct guard_block *block) {
  struct run *run = self->run;
  run_exercise(run, PROPERTY_outside_heap);
  size_t before = first_other(block->base, block->pad, RED_BYTE);
  const unsigned char *end = user_of(block) + block->size;
  size_t behind = first_other(end, RED_ZONE, RED_BYTE);
  if (before < block->pad) {
    run_blame(run, block->base + before, 1);
    run_violated(run, PROPERTY_outside_heap,
                 "%zu bytes before the block of %zu bytes that operation %zu allocated, the "
                 "collection or the strategy beneath wrote",
                 block->pad - before, block->size, block->index);
  }
  if (behind < RED_ZONE) {
    run_blame(run, end + behind, 1);
    run_violated(run, PROPERTY_outside_heap,
                 "%zu bytes past the end of the block of %zu bytes that operation %zu allocated, "
                 "the collection or the strategy beneath wrote",
                 behind, block->size, block->index);
  }
}

void guard_verify(struct guard *self) {
  for (size_t i = 0; i < self->count; i++)
    if (self->blocks[i].state == GUARD_LIVE) zones_verify(self, &self->blocks[i]);
}

// ## What was released

static void evict(struct guard *self) {
  struct run *run = self->run;
  uint32_t id = self->quarantine[self->oldest];
  self->oldest = (self->oldest + 1) % GUARD_QUARANTINE;
  self->quarantined--;
  struct guard_block *block = &self->blocks[id];
  size_t total = total_of(block);
  self->quarantined_bytes -= total;
  run_exercise(run, PROPERTY_outside_heap);
  size_t written = first_other(block->base, total, RELEASED_BYTE);
  if (written < total) {
    run_blame(run, block->base + written, 1);
    run_violated(run, PROPERTY_outside_heap,
                 "byte %td of a block of %zu bytes that was released was written since",
                 (ptrdiff_t)written - (ptrdiff_t)block->pad, block->size);
  }
  memory_grant_contents(block->base, total);
  table_remove(self, user_of(block));
  shadow_remove(&run->oracle->shadow, shadow_at(&run->oracle->shadow, id));
  unsigned char *base = block->base;
  block_drop(self, id);
  enter_beneath(self);
  enum release_result result = self->beneath->release(run->allocator, base);
  leave_beneath(self);
  run_exercise(run, PROPERTY_release_refused);
  if (result == RELEASED) return;
  run->acting = self->beneath->name;
  run_violated(run, PROPERTY_release_refused, "a live block at %#tx was not released",
               arena_offset(&run->oracle->arena, base));
}

void guard_flush(struct guard *self) {
  while (self->quarantined > 0) evict(self);
}

static void quarantine(struct guard *self, struct guard_block *block) {
  size_t total = total_of(block), most = (size_t)self->run->heap.capacity / QUARANTINE_SHARE;
  paint(block->base, total, RELEASED_BYTE);
  block->state = GUARD_RELEASED;
  self->live--;
  if (self->quarantined == GUARD_QUARANTINE) evict(self);
  unsigned last = (self->oldest + self->quarantined++) % GUARD_QUARANTINE;
  self->quarantine[last] = (uint32_t)(block - self->blocks);
  self->quarantined_bytes += total;
  while (self->quarantined > 0 && self->quarantined_bytes > most) evict(self);
}

// ## Requests

// Whether the request is one that can be carried out. One that cannot be met is refused; one that
// makes no sense is a violation.
static bool judge_request(struct guard *self, size_t size, size_t align) {
  struct run *run = self->run;
  self->trace = mix(mix(self->trace, size), align);
  uint64_t number = self->requests++;
  size_t in_mask = self->faults.acquisitions++;
  run_exercise(run, PROPERTY_misuse);
  if (align == 0 || align & (align - 1))
    run_violated(run, PROPERTY_misuse, "%zu bytes were asked for with an alignment of %zu", size,
                 align);
  if (size == 0) return false;  // by the contract; it says nothing about memory
  bool injected = (in_mask < 64 && self->faults.mask >> in_mask & 1) ||
                  (self->refusing == REFUSING_ONE && number == self->refuse_at) ||
                  (self->refusing == REFUSING_ALL_FROM && number >= self->refuse_at);
  self->injected += injected;
  self->refused += injected;
  return !injected;
}

static bool layout(size_t size, size_t align, size_t *pad, size_t *total) {
  *pad = align > RED_ZONE ? align : RED_ZONE;
  return add_sizes(*pad, size, total) && add_sizes(*total, RED_ZONE, total);
}

static unsigned char *ask_beneath(struct guard *self, size_t total, size_t align) {
  for (;;) {
    enter_beneath(self);
    unsigned char *base = self->beneath->allocate(self->run->allocator, total, align);
    leave_beneath(self);
    if (base || self->quarantined == 0) return base;
    guard_flush(self);
  }
}

static void verify_answer(struct guard *self, const void *base, size_t total, size_t align) {
  struct run *run = self->run;
  run->acting = self->beneath->name;
  address_verify(run, base, total, align);
  run_exercise(run, PROPERTY_overlap);
  run->acting = NULL;
}

static _Noreturn void overlaps(struct guard *self, const void *base, size_t total) {
  struct run *run = self->run;
  run->acting = self->beneath->name;
  run_blame(run, base, total);
  run_violated(run, PROPERTY_overlap, "%#tx..%#tx overlaps another live block", run->guilty,
               run->guilty + (intptr_t)total);
}

static void *obtain(struct guard *self, size_t size, size_t align) {
  struct run *run = self->run;
  size_t pad, total;
  unsigned char *base = NULL;
  if (layout(size, align, &pad, &total)) base = ask_beneath(self, total, align);
  if (!base) {
    self->refused++;
    return NULL;
  }
  verify_answer(self, base, total, align);
  uint32_t id = block_new(self);
  struct guard_block *block = &self->blocks[id];
  *block = (struct guard_block){base, pad, size, run->index, GUARD_LIVE, 0};
  if (!shadow_add(&run->oracle->shadow, (uintptr_t)base, total, id)) overlaps(self, base, total);
  table_insert(self, id);
  self->live++;
  zones_paint(block);
  memory_grant(user_of(block), size);
  memory_fill(user_of(block), self->dirt, size);
  memory_grant(user_of(block), size);
  return user_of(block);
}

static struct guard_block *own(struct guard *self, const void *user, const char *call) {
  struct run *run = self->run;
  run_exercise(run, PROPERTY_misuse);
  struct guard_block *block = find(self, user);
  if (!block) {
    char where[32] = "outside its heap";
    if (arena_holds(&run->oracle->arena, user, 1)) {
      run_blame(run, user, 1);
      snprintf(where, sizeof where, "%#tx", run->guilty);
    }
    run_violated(run, PROPERTY_misuse, "%s of what is none of its blocks, at %s", call, where);
  }
  if (block->state == GUARD_RELEASED) {
    run_blame(run, user, block->size);
    run_violated(run, PROPERTY_misuse,
                 "%s of a block of %zu bytes, allocated by operation %zu, that it has released",
                 call, block->size, block->index);
  }
  zones_verify(self, block);
  return block;
}

static void *guard_allocate(struct allocator *allocator, size_t size, size_t align) {
  struct guard *self = guard_of(allocator);
  take_over(self);
  void *user = judge_request(self, size, align) ? obtain(self, size, align) : NULL;
  hand_back(self);
  return user;
}

static void release(struct guard *self, void *user) {
  struct guard_block *block = own(self, user, "release");
  self->trace = mix(self->trace, block->size + 1);
  quarantine(self, block);
}

static enum release_result guard_release(struct allocator *allocator, void *user) {
  struct guard *self = guard_of(allocator);
  take_over(self);
  if (user) release(self, user);
  hand_back(self);
  return RELEASED;
}

static void *move(struct guard *self, void *user, size_t size, size_t align) {
  size_t former = find(self, user)->size;
  void *moved = obtain(self, size, align);
  if (!moved) return NULL;
  size_t kept = former < size ? former : size;
#ifdef BUILT_WITH_MSAN
  // What is undefined stays so, which only a copy that is instrumented knows.
  memcpy(moved, user, kept);
#else
  memory_copy(moved, user, kept);
#endif
  release(self, user);
  return moved;
}

static void *resize_beneath(struct guard *self, struct guard_block *block, size_t size,
                            size_t align) {
  struct run *run = self->run;
  struct shadow *shadow = &run->oracle->shadow;
  uint32_t id = (uint32_t)(block - self->blocks);
  size_t total, former = block->size;
  if (!add_sizes(block->pad + RED_ZONE, size, &total)) return NULL;
  zones_open(block);
  unsigned char *base = NULL;
  for (;; guard_flush(self)) {
    enter_beneath(self);
    base = self->beneath->resize(run->allocator, block->base, total, align);
    leave_beneath(self);
    if (base || self->quarantined == 0) break;
  }
  if (!base) {
    zones_close(block);
    return NULL;
  }
  verify_answer(self, base, total, align);
  table_remove(self, user_of(block));
  block->base = base;
  block->size = size;
  if (!shadow_move(shadow, shadow_at(shadow, id), (uintptr_t)base, total))
    overlaps(self, base, total);
  table_insert(self, id);
  zones_paint(block);
  if (size > former) {
    memory_grant(user_of(block) + former, size - former);
    memory_fill(user_of(block) + former, self->dirt, size - former);
    memory_grant(user_of(block) + former, size - former);
  }
  return user_of(block);
}

static void *resize(struct guard *self, void *user, size_t size, size_t align) {
  struct guard_block *block = own(self, user, "resize");
  uint64_t refused = self->refused;
  bool moves = self->requests % MOVES_ONE_IN == 0 && self->beneath->traits & STRATEGY_RELEASES;
  void *result = NULL;
  if (align > block->pad || moves) result = move(self, user, size, align);
  if (!result && align <= block->pad) result = resize_beneath(self, find(self, user), size, align);
  // One request, whatever was tried for it.
  self->refused = refused + !result;
  return result;
}

static void *guard_resize(struct allocator *allocator, void *user, size_t size, size_t align) {
  struct guard *self = guard_of(allocator);
  take_over(self);
  void *result = NULL;
  if (judge_request(self, size, align))
    result = user ? resize(self, user, size, align) : obtain(self, size, align);
  hand_back(self);
  return result;
}

// ## A pass

void guard_begin(struct guard *self, struct run *run, const struct strategy *beneath,
                 unsigned char dirt) {
  struct guard_block *blocks = self->blocks;
  size_t capacity = self->capacity, table_size = self->table_size;
  uint32_t *table = self->table;
  enum guard_refusing refusing = self->refusing;
  uint64_t refuse_at = self->refuse_at;
  if (!table) {
    table_size = FIRST_TABLE;
    table = resized(NULL, table_size, sizeof *table);
  }
  memset(table, 0, table_size * sizeof *table);
  unsigned traits = beneath->traits & (STRATEGY_RELEASES | STRATEGY_RESIZES);
  *self = (struct guard){
      .strategy = {.name = beneath->name,
                   .summary = beneath->summary,
                   .traits = traits,
                   .min_align = beneath->min_align,
                   .max_align = beneath->max_align,
                   .allocate = guard_allocate,
                   .release = traits & STRATEGY_RELEASES ? guard_release : NULL,
                   .resize = traits & STRATEGY_RESIZES ? guard_resize : NULL},
      .run = run,
      .beneath = beneath,
      .blocks = blocks,
      .capacity = capacity,
      .table = table,
      .table_size = table_size,
      .refusing = refusing,
      .refuse_at = refuse_at,
      .dirt = dirt,
  };
}

void guard_arm(struct guard *self, uint64_t mask) {
  self->faults.mask = mask;
  self->faults.acquisitions = 0;
}

void guard_verify_nothing_left(struct guard *self) {
  if (!(self->beneath->traits & STRATEGY_RELEASES)) return;
  struct run *run = self->run;
  if (self->requests > 0) run_exercise(run, PROPERTY_leak);
  if (self->live == 0) return;
  const struct guard_block *first = NULL;
  for (size_t i = 0; i < self->count && !first; i++)
    if (self->blocks[i].state == GUARD_LIVE) first = &self->blocks[i];
  run_blame(run, user_of(first), first->size);
  run_violated(run, PROPERTY_leak,
               "%zu blocks are live after all was dropped, one of them of %zu bytes, allocated by "
               "operation %zu",
               self->live, first->size, first->index);
}
