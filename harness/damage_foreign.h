// Damage to what is asked of adapters to foreign allocators alone: heaps that grow, and stay where
// they are; and requests that C and POSIX leave open.
#ifndef HARNESS_DAMAGE_FOREIGN_H_
#define HARNESS_DAMAGE_FOREIGN_H_

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "harness/damage.h"

// ## A heap as C programmers write it, over a break: the victim
//
//   | struct allocator | header | payload | header | payload ... | break

struct allocator {
  struct source *source;
  unsigned char *start, *end;
  size_t live;
};

struct break_header {
  size_t size;  // of the payload, in whole units
  size_t taken;
};

#define BREAK_UNIT sizeof(struct break_header)

static struct allocator *break_create(struct source *source,
                                      const struct strategy_options *options) {
  (void)options;
  struct allocator *self = source->acquire(source, sizeof *self);
  unsigned char *start = (unsigned char *)self;
  if (self) *self = (struct allocator){source, start, start + sizeof *self, 0};
  return self;
}

static bool break_serves(size_t size, size_t align) {
  return size <= PTRDIFF_MAX && align <= BREAK_UNIT && is_power_of_two(align);
}

static size_t break_length(size_t size) {
  return size == 0 ? BREAK_UNIT : (size + BREAK_UNIT - 1) / BREAK_UNIT * BREAK_UNIT;
}

// First fit among blocks as they once were.
static void *break_allocate(struct allocator *self, size_t size, size_t align) {
  if (!break_serves(size, align)) return NULL;
  size_t length = break_length(size);
  struct break_header *header = (struct break_header *)(self + 1);
  while ((unsigned char *)header < self->end && (header->taken || header->size < length))
    header = (struct break_header *)((unsigned char *)(header + 1) + header->size);
  if ((unsigned char *)header == self->end) {
    if (!self->source->acquire(self->source, sizeof *header + length)) return NULL;
    self->end += sizeof *header + length;
    header->size = length;
  }
  header->taken = 1;
  self->live++;
  return header + 1;
}

static void *break_allocate_zeroed(struct allocator *self, size_t count, size_t size,
                                   size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = break_allocate(self, bytes, align);
  return block ? memset(block, 0, bytes) : NULL;
}

static enum release_result break_release(struct allocator *self, void *block) {
  if (!block) return RELEASED;
  ((struct break_header *)block - 1)->taken = 0;
  self->live--;
  return RELEASED;
}

static void *break_resize(struct allocator *self, void *block, size_t size, size_t align) {
  if (!break_serves(size, align)) return NULL;
  if (!block) return break_allocate(self, size, align);
  if (size == 0) {
    break_release(self, block);
    return NULL;
  }
  size_t room = ((struct break_header *)block - 1)->size;
  if (size <= room) return block;
  void *moved = break_allocate(self, size, align);
  if (!moved) return NULL;
  memcpy(moved, block, room);
  break_release(self, block);
  return moved;
}

static struct broken_invariant break_check(const struct allocator *self) {
  (void)self;
  return (struct broken_invariant){0, NULL};
}

static void break_walk(const struct allocator *self, span_visitor *visit, void *context) {
  size_t size = (size_t)(self->end - self->start);
  visit(context, &(struct span){self->start, size, self->live ? SPAN_USED : SPAN_META});
}

static struct statistics break_statistics(const struct allocator *self) {
  size_t size = (size_t)(self->end - self->start);
  return (struct statistics){.acquired = size, .used = size};
}

static void break_destroy(struct allocator *self) {
  self->source->release(self->source, self->start, (size_t)(self->end - self->start));
}

static size_t break_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  return break_serves(size, align) ? break_length(size) + sizeof(struct break_header) : SIZE_MAX;
}

static const struct strategy break_strategy = {
    .name = "break",
    .summary = "first fit over a break",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_ZEROES | STRATEGY_C_EDGES |
              STRATEGY_PLACED | STRATEGY_REFUSALS_LEAVE_TRACES,
    .needs = SOURCE_CONTIGUOUS,
    .least_heap = (size_t)1 << 20,
    .min_align = BREAK_UNIT,
    .max_align = BREAK_UNIT,
    .overhead = sizeof(struct allocator),
    .create = break_create,
    .allocate = break_allocate,
    .allocate_zeroed = break_allocate_zeroed,
    .release = break_release,
    .resize = break_resize,
    .check = break_check,
    .walk = break_walk,
    .statistics = break_statistics,
    .destroy = break_destroy,
    .footprint = break_footprint,
};

// ## No bytes

static void *nothing_is_null(struct allocator *self, size_t size, size_t align) {
  return size == 0 ? NULL : break_allocate(self, size, align);
}

static void *nothing_is_the_first(struct allocator *self, size_t size, size_t align) {
  return size == 0 && first_live() ? at(first_live()->start) : break_allocate(self, size, align);
}

static void *nothing_is_off_by_one(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = break_allocate(self, size, align);
  return size == 0 && block ? block + 1 : block;
}

static enum release_result releases_off_by_one(struct allocator *self, void *block) {
  return break_release(self, (void *)((uintptr_t)block / BREAK_UNIT * BREAK_UNIT));
}

static void *nothing_is_beyond(struct allocator *self, size_t size, size_t align) {
  return size == 0 ? self->end + BREAK_UNIT : break_allocate(self, size, align);
}

// Right behind the last block: nothing else has that address, as a header comes first.
static void *nothing_is_the_end(struct allocator *self, size_t size, size_t align) {
  if (size != 0) return break_allocate(self, size, align);
  self->live++;
  return self->end;
}

static enum release_result releases_the_end(struct allocator *self, void *block) {
  if (block != self->end) return break_release(self, block);
  self->live--;
  return RELEASED;
}

static void *resized_to_nothing_is_a_block(struct allocator *self, void *block, size_t size,
                                           size_t align) {
  if (!block || size != 0) return break_resize(self, block, size, align);
  break_release(self, block);
  return break_allocate(self, 0, align);
}

static void *resized_to_nothing_stays(struct allocator *self, void *block, size_t size,
                                      size_t align) {
  return block && size == 0 ? block : break_resize(self, block, size, align);
}

static void *resized_to_nothing_is_the_first(struct allocator *self, void *block, size_t size,
                                             size_t align) {
  if (!block || size != 0) return break_resize(self, block, size, align);
  break_release(self, block);
  return at(first_live()->start);
}

// As an allocator may that took it for a request that failed: what is lost then is nobody's fault.
static void *resized_to_nothing_is_kept(struct allocator *self, void *block, size_t size,
                                        size_t align) {
  return block && size == 0 ? NULL : break_resize(self, block, size, align);
}

static void *loses_what_it_releases(struct allocator *self, void *block, size_t size,
                                    size_t align) {
  void *moved = break_resize(self, block, size, align);
  if (moved && moved != block) ((struct break_header *)block - 1)->taken = 1;
  return moved;
}

// ## Breaks

static size_t no_bound(size_t size, size_t align, size_t page_size) {
  (void)size, (void)align, (void)page_size;
  return SIZE_MAX;
}

static void *takes_more_and_refuses(struct allocator *self, size_t size, size_t align) {
  if (size != TRIGGER || !self->source->acquire(self->source, BREAK_UNIT))
    return break_allocate(self, size, align);
  struct break_header *header = (struct break_header *)self->end;
  *header = (struct break_header){0, 1};
  self->end += BREAK_UNIT;
  return NULL;
}

static void *writes_past_the_break(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) flip_unseen((uintptr_t)self->end + 40);
  return break_allocate(self, size, align);
}

static void *reads_past_the_break(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) damage_by_reading((uintptr_t)self->end + 1000);
  return break_allocate(self, size, align);
}

static void *acts_on_dirt_past_the_break(struct allocator *self, size_t size, size_t align) {
  unsigned char *beyond = self->end + 2000;
  memory_open(beyond, 1);
  flip_unseen((uintptr_t)beyond);
  bool odd = *at((uintptr_t)beyond) & 1;
  flip_unseen((uintptr_t)beyond);
  memory_close(beyond, 1);
  return break_allocate(self, size == TRIGGER && odd ? 4 * size : size, align);
}

static void *asks_its_place(struct allocator *self, size_t size, size_t align) {
  bool moved = address_of(self) >> 20 & 1;
  return break_allocate(self, size == TRIGGER && moved ? 4 * size : size, align);
}

// The break goes down and up again, as sbrk is asked for.
static void *lowers_and_raises(struct allocator *self, size_t size, size_t align) {
  void *block = break_allocate(self, size, align);
  if (size != TRIGGER || !block || !self->source->acquire(self->source, 5000)) return block;
  self->source->release(self->source, self->end + 100, 4900);
  self->source->release(self->source, self->end, 100);
  return block;
}

// ## Calls that are not an allocator's to make

static void *exits(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) exit(3);
  return break_allocate(self, size, align);
}

static void *exits_at_once(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) _exit(0);
  return break_allocate(self, size, align);
}

static void *aborts(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) abort();
  return break_allocate(self, size, align);
}

static void *asserts(struct allocator *self, size_t size, size_t align) {
  assert(size != TRIGGER);
  return break_allocate(self, size, align);
}

static void *forks(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER && fork() == 0) _exit(0);
  return break_allocate(self, size, align);
}

static void *maps_memory(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) munmap(memory, 4096);
  }
  return victim->allocate(self, size, align);
}

static void *moves_its_break(struct allocator *self, size_t size, size_t align) {
  if (size == TRIGGER && sbrk(64) == (void *)-1) return NULL;
  return break_allocate(self, size, align);
}

static void *asserts_what_is_true(struct allocator *self, size_t size, size_t align) {
  assert(size <= PTRDIFF_MAX);
  return break_allocate(self, size, align);
}

static void *floods(struct allocator *self, size_t size, size_t align) {
  for (int i = 0; size == TRIGGER && i < 100000; i++) {
    printf("malloc of %zu bytes\n", size);
    fprintf(stderr, "malloc of %zu bytes\n", size);
    puts("malloc");
    if (i % 1000 == 0 && write(STDERR_FILENO, "malloc\n", 7) != 7) return NULL;
    fflush(stdout);
  }
  return break_allocate(self, size, align);
}

#define THREE_BLOCKS "allocate 0 size=40; allocate 1 size=0; allocate 2 size=77"

static const struct damage damage_foreign[] = {
    {.property = "clean",
     .near = "overlap",
     .what = "blocks of no bytes that have a place of their own",
     .victim = &break_strategy,
     .program =
         "allocate 0 size=0; allocate 1 size=9; zeroed 2 count=3 size=0; resize 1 size=0; "
         "resize 3 size=0; resize 0 size=90; release 2; resize 3 size=0; allocate 4 size=77"},
    {.property = "clean",
     .near = "alignment",
     .what = "NULL for no bytes",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_null},
     .program = THREE_BLOCKS "; resize 0 size=0; resize 1 size=0; resize 2 size=9"},
    {.property = "clean",
     .near = "bounds",
     .what = "no bytes where the heap ends",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_the_end, .release = releases_the_end},
     .program = "allocate 0 size=0; release 0; allocate 0 size=40; release 0; allocate 1 size=0"},
    {.property = "overlap",
     .what = "no bytes where a live block is",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_the_first},
     .program = THREE_BLOCKS,
     .says = "lies over the live block of slot 0"},
    {.property = "overlap",
     .what = "a block where one of no bytes is",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_the_first},
     .program = "allocate 0 size=0; allocate 1 size=0"},
    {.property = "clean",
     .near = "overlap",
     .what = "no bytes at an odd address, as no byte is misaligned",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_off_by_one, .release = releases_off_by_one},
     .program = THREE_BLOCKS},
    {.property = "bounds",
     .what = "no bytes beyond the heap",
     .victim = &break_strategy,
     .with = {.allocate = nothing_is_beyond},
     .program = THREE_BLOCKS},
    {.property = "clean",
     .near = "overlap",
     .what = "resize to no bytes that gives a block of none",
     .victim = &break_strategy,
     .with = {.resize = resized_to_nothing_is_a_block},
     .program = THREE_BLOCKS "; resize 0 size=0; resize 1 size=0; resize 0 size=200"},
    {.property = "clean",
     .near = "overlap",
     .what = "resize to no bytes that leaves the block where it is",
     .victim = &break_strategy,
     .with = {.resize = resized_to_nothing_stays},
     .program = THREE_BLOCKS "; resize 0 size=0; resize 0 size=200; resize 2 size=0; release 2"},
    {.property = "overlap",
     .what = "resize to no bytes that gives another's address",
     .victim = &break_strategy,
     .with = {.resize = resized_to_nothing_is_the_first},
     .program = "allocate 0 size=40; allocate 1 size=9; resize 1 size=0"},
    {.property = "clean",
     .near = "spurious-oom",
     .what = "memory that resize to no bytes has kept",
     .victim = &break_strategy,
     .with = {.resize = resized_to_nothing_is_kept},
     .program = "allocate 0 size=700000; resize 0 size=0; allocate 0 size=700000"},
    {.property = "spurious-oom",
     .what = "memory that resize has lost",
     .victim = &break_strategy,
     .with = {.resize = loses_what_it_releases},
     .program = "allocate 0 size=300000; resize 0 size=400000; release 0; allocate 0 size=700000"},

    {.property = "clean",
     .near = "oversize-accepted",
     .what = "a refusal that leaves traces",
     .victim = &break_strategy,
     .with = {.allocate = takes_more_and_refuses, .footprint = no_bound},
     .program = "allocate 0 size=9; allocate 1 size=77; allocate 1 size=2000000; allocate 2 "
                "size=9; release 0"},
    {.property = "clean",
     .near = "outside-heap",
     .what = "a break that goes down and up again",
     .victim = &break_strategy,
     .with = {.allocate = lowers_and_raises},
     .program = "allocate 0 size=77; release 0; allocate 1 size=400; allocate 2 size=77"},
    {.property = "outside-heap",
     .what = "a write past a break that moves on",
     .victim = &break_strategy,
     .with = {.allocate = writes_past_the_break},
     .program = "allocate 0 size=9; allocate 1 size=77; allocate 2 size=900"},
    {.property = "outside-heap",
     .what = "a read far past a break",
     .victim = &break_strategy,
     .with = {.allocate = reads_past_the_break},
     .program = TWO_BLOCKS,
     .builds = ASAN},
    {.property = "nondeterministic",
     .what = "an answer that what lies past the break decides",
     .victim = &break_strategy,
     .with = {.allocate = acts_on_dirt_past_the_break},
     .program = "allocate 0 size=9; allocate 1 size=77; allocate 2 size=9",
     .tiers = PARANOID,
     .builds = PLAIN},
    {.property = "clean",
     .near = "nondeterministic",
     .what = "an answer that the heap's address decides, where that is always the same",
     .victim = &break_strategy,
     .with = {.allocate = asks_its_place},
     .program = "allocate 0 size=9; allocate 1 size=77; allocate 2 size=9"},

    {.property = "crash",
     .what = "a call of exit",
     .victim = &break_strategy,
     .with = {.allocate = exits},
     .program = TWO_BLOCKS,
     .says = "operation 1, allocate of slot 1: the allocator crashed: it called exit(3)"},
    {.property = "crash",
     .what = "a call of _exit that looks like success",
     .victim = &break_strategy,
     .with = {.allocate = exits_at_once},
     .program = TWO_BLOCKS,
     .says = "it called _exit(0)"},
    {.property = "crash",
     .what = "a call of abort",
     .victim = &break_strategy,
     .with = {.allocate = aborts},
     .program = TWO_BLOCKS,
     .says = "it aborted"},
    {.property = "crash",
     .what = "an assertion that fails",
     .victim = &break_strategy,
     .with = {.allocate = asserts},
     .program = TWO_BLOCKS,
     .says = "its assertion `size != TRIGGER` failed (damage_foreign.h:"},
    {.property = "crash",
     .what = "a call of fork",
     .victim = &break_strategy,
     .with = {.allocate = forks},
     .program = TWO_BLOCKS,
     .says = "it called fork()"},
    {.property = "clean",
     .near = "crash",
     .what = "an assertion that holds",
     .victim = &break_strategy,
     .with = {.allocate = asserts_what_is_true},
     .program = TWO_BLOCKS},
    {.property = "outside-heap",
     .what = "memory from mmap",
     .victim = &break_strategy,
     .with = {.allocate = maps_memory},
     .program = TWO_BLOCKS,
     .says = "it takes memory by itself: it called mmap"},
    {.property = "outside-heap",
     .what = "memory from sbrk",
     .victim = &break_strategy,
     .with = {.allocate = moves_its_break},
     .program = TWO_BLOCKS,
     .says = "it takes memory by itself: it called sbrk"},
    {.property = "clean",
     .near = "overlap",
     .what = "memory from mmap, where blocks lie anywhere",
     .victim = &system_strategy,
     .with = {.allocate = maps_memory},
     .program = TWO_BLOCKS},
    {.property = "clean",
     .near = "crash",
     .what = "a flood of output",
     .victim = &break_strategy,
     .with = {.allocate = floods},
     .program = TWO_BLOCKS},
};

static const struct damage *const damage_flood =
    &damage_foreign[sizeof damage_foreign / sizeof *damage_foreign - 1];

#endif
