#include "bench/run.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/arithmetic.h"
#include "bench/ticks.h"
#include "harness/cpu_time.h"

enum { PAGE = 4096, BATCH = 4096 };

void *run_memory(size_t size) {
  void *memory = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("measure: memory");
    exit(2);
  }
  return memory;
}

// ## The source

static void *acquire_counted(struct source *base, size_t size) {
  struct run_source *self = (struct run_source *)base;
  void *memory = self->pages.base.acquire(&self->pages.base, size);
  if (!memory) return NULL;
  self->acquired += size;
  if (self->acquired > self->peak) self->peak = self->acquired;
  return memory;
}

static void release_counted(struct source *base, void *memory, size_t size) {
  struct run_source *self = (struct run_source *)base;
  self->acquired -= size;
  self->pages.base.release(&self->pages.base, memory, size);
}

static size_t available_counted(const struct source *base) {
  const struct run_source *self = (const struct run_source *)base;
  return self->pages.base.available(&self->pages.base);
}

static bool protect_counted(struct source *base, void *start, size_t size, bool accessible) {
  struct run_source *self = (struct run_source *)base;
  return self->pages.base.protect(&self->pages.base, start, size, accessible);
}

// What a mapped file costs: nothing, as the system has each write already.
static void persist_nothing(struct source *base, const void *start, size_t size) {
  (void)base, (void)start, (void)size;
}

static void *held_nothing(struct source *base, size_t *size) {
  (void)base, (void)size;
  return NULL;
}

void run_source_init(struct run_source *self, size_t page_size) {
  *self = (struct run_source){.acquired = 0};
  source_pages_init(&self->pages, page_size);
  self->base = self->pages.base;
  self->base.acquire = acquire_counted;
  self->base.release = release_counted;
  self->base.available = available_counted;
  self->base.protect = protect_counted;
  self->base.traits |= SOURCE_PERSISTS;
  self->base.persist = persist_nothing;
  self->base.held = held_nothing;
}

// ## What each kind of allocator does. Inlined into a loop of its own for each `api`.

#define INLINE static inline __attribute__((always_inline))

INLINE unsigned char *api_allocate(struct run *run, enum run_api api, size_t size, size_t align) {
  unsigned char *block;
  switch (api) {
  case RUN_STRATEGY:
    return run->strategy->allocate(run->allocator, size, align);
  case RUN_LIBC:
    return align <= _Alignof(max_align_t) ? malloc(size) : memalign(align, size);
  case RUN_LOOP:
    return run->memory;
  case RUN_RAW:
    block = run->memory + run->at;
    run->at += size;
    return block;
  }
  return NULL;
}

INLINE void api_release(struct run *run, enum run_api api, unsigned char *block) {
  if (api == RUN_STRATEGY) run->strategy->release(run->allocator, block);
  if (api == RUN_LIBC) free(block);
}

INLINE unsigned char *api_zeroed(struct run *run, enum run_api api, size_t count, size_t size,
                                 size_t align) {
  if (api == RUN_STRATEGY && run->strategy->allocate_zeroed)
    return run->strategy->allocate_zeroed(run->allocator, count, size, align);
  if (api == RUN_LIBC && align <= _Alignof(max_align_t)) return calloc(count, size);
  unsigned char *block = api_allocate(run, api, count * size, align);
  if (block && api != RUN_LOOP) memset(block, 0, count * size);
  return block;
}

INLINE unsigned char *api_move(struct run *run, enum run_api api, unsigned char *block, size_t old,
                               size_t size, size_t align) {
  unsigned char *moved = api_allocate(run, api, size, align);
  if (!moved) return NULL;
  memcpy(moved, block, old < size ? old : size);
  api_release(run, api, block);
  return moved;
}

INLINE unsigned char *api_resize(struct run *run, enum run_api api, uint32_t slot, size_t size,
                                 size_t align) {
  unsigned char *block = run->slots[slot];
  if (api == RUN_LIBC && align <= _Alignof(max_align_t)) return realloc(block, size);
  if (api == RUN_LIBC) return api_move(run, api, block, malloc_usable_size(block), size, align);
  if (api != RUN_STRATEGY) return block;
  if (run->strategy->resize) return run->strategy->resize(run->allocator, block, size, align);
  return api_move(run, api, block, run->sizes[slot], size, align);
}

INLINE void api_reset(struct run *run, enum run_api api) {
  if (api == RUN_STRATEGY && run->strategy->reset) {
    run->strategy->reset(run->allocator);
    // The addresses mean nothing any more, and nobody would clear them.
    if (run->plan->kinds & 1u << STEP_RELEASE)
      memset(run->slots, 0, run->plan->slots * sizeof *run->slots);
    return;
  }
  if (api == RUN_LOOP || api == RUN_RAW) return;
  for (uint32_t slot = 0; slot < run->plan->slots; slot++) {
    if (run->slots[slot]) api_release(run, api, run->slots[slot]);
    run->slots[slot] = NULL;
  }
}

// ## The loop

// Fresh memory costs whoever hands it out, and so it must be used.
INLINE void touch(unsigned char *block, size_t size) {
  *(volatile unsigned char *)block = 1;
  if (size <= PAGE / 2) return;
  for (size_t i = PAGE; i < size; i += PAGE) *(volatile unsigned char *)(block + i) = 1;
  *(volatile unsigned char *)(block + size - 1) = 1;
}

INLINE void take(struct run *run, uint32_t slot, unsigned char *block, size_t size, bool sized) {
  if (!block) {
    run->refused++;
    return;
  }
  run->slots[slot] = block;
  if (sized) run->sizes[slot] = size;
  touch(block, size);
}

INLINE void run_steps(struct run *run, enum run_api api, bool sized, size_t end) {
  const struct step *last = run->plan->step + end;
  for (const struct step *step = run->plan->step + run->next; step < last; step++) {
    uint32_t slot = step->slot;
    size_t size = (size_t)step->size, align = (size_t)1 << step->align_log2;
    switch (step->kind) {
    case STEP_ALLOCATE:
      take(run, slot, api_allocate(run, api, size, align), size, sized);
      break;
    case STEP_ZEROED:
      take(run, slot, api_zeroed(run, api, step->count, size, align), step->count * size, sized);
      break;
    case STEP_RELEASE:
      api_release(run, api, run->slots[slot]);
      run->slots[slot] = NULL;
      break;
    case STEP_RESIZE:
      take(run, slot, api_resize(run, api, slot, size, align), size, sized);
      break;
    default:
      api_reset(run, api);
    }
  }
  run->next = end;
}

void run_until(struct run *self, size_t end) {
  if (self->api == RUN_LIBC)
    run_steps(self, RUN_LIBC, false, end);
  else if (self->api == RUN_LOOP)
    run_steps(self, RUN_LOOP, false, end);
  else if (self->api == RUN_RAW)
    run_steps(self, RUN_RAW, false, end);
  else if (self->sizes)
    run_steps(self, RUN_STRATEGY, true, end);
  else
    run_steps(self, RUN_STRATEGY, false, end);
}

uint64_t run_timed(struct run *self, uint64_t budget, uint64_t *nanoseconds) {
  const struct plan *plan = self->plan;
  uint64_t steps = 0, start = cpu_time();
  *nanoseconds = 0;
  while (self->next < plan->steps && (steps == 0 || *nanoseconds < budget)) {
    size_t left = plan->steps - self->next;
    size_t now = plan->cyclic && left > BATCH ? BATCH : left;
    run_until(self, self->next + now);
    steps += now;
    *nanoseconds = cpu_time() - start;
    if (plan->cyclic && self->next == plan->steps) self->next = plan->start;
  }
  return steps;
}

// ## Each step by itself

INLINE uint32_t clocked_step(struct run *run, enum run_api api, bool sized,
                             const struct step *step) {
  uint32_t slot = step->slot;
  size_t size = (size_t)step->size, align = (size_t)1 << step->align_log2;
  unsigned char *block = NULL, *former = run->slots[slot];
  uint64_t start = ticks(), end;
  switch (step->kind) {
  case STEP_ALLOCATE:
    block = api_allocate(run, api, size, align);
    end = ticks();
    break;
  case STEP_ZEROED:
    block = api_zeroed(run, api, step->count, size, align);
    end = ticks();
    break;
  case STEP_RELEASE:
    api_release(run, api, former);
    end = ticks();
    run->slots[slot] = NULL;
    break;
  case STEP_RESIZE:
    block = api_resize(run, api, slot, size, align);
    end = ticks();
    break;
  default:
    api_reset(run, api);
    end = ticks();
  }
  if (step->kind != STEP_RELEASE && step->kind != STEP_RESET)
    take(run, slot, block, step->kind == STEP_ZEROED ? step->count * size : size, sized);
  return end - start < UINT32_MAX ? (uint32_t)(end - start) : UINT32_MAX;
}

INLINE void clocked_steps(struct run *run, enum run_api api, bool sized, uint32_t *spent) {
  const struct plan *plan = run->plan;
  for (size_t i = plan->start; i < plan->steps; i++)
    spent[i] = clocked_step(run, api, sized, &plan->step[i]);
}

void run_clocked(struct run *self, uint32_t *spent) {
  if (self->api == RUN_LIBC)
    clocked_steps(self, RUN_LIBC, false, spent);
  else if (self->sizes)
    clocked_steps(self, RUN_STRATEGY, true, spent);
  else
    clocked_steps(self, RUN_STRATEGY, false, spent);
  self->next = self->plan->steps;
}

// ## Before and after

static bool moves(const struct strategy *strategy, const struct plan *plan) {
  return plan->kinds & 1u << STEP_RESIZE && !(strategy->traits & STRATEGY_RESIZES);
}

// Whether the strategy can run the plan at all.
static bool supports(const struct strategy *strategy, const struct plan *plan, size_t page_size,
                     char *reason, size_t reason_size) {
  bool releases = plan->kinds & 1u << STEP_RELEASE || moves(strategy, plan);
  bool resets = plan->kinds & 1u << STEP_RESET;
  if (!(strategy->traits & STRATEGY_RELEASES) &&
      (releases || (resets && !(strategy->traits & STRATEGY_RESETS)))) {
    snprintf(reason, reason_size, "it does not release blocks");
    return false;
  }
  for (size_t i = 0; i < plan->steps; i++) {
    const struct step *step = &plan->step[i];
    if (step->kind != STEP_ALLOCATE && step->kind != STEP_ZEROED && step->kind != STEP_RESIZE)
      continue;
    size_t size = (size_t)step->size * (step->kind == STEP_ZEROED ? step->count : 1u);
    size_t align = (size_t)1 << step->align_log2;
    // What a foreign allocator can serve, nobody knows beforehand.
    bool can = strategy->traits & STRATEGY_FOREIGN ||
               strategy->footprint(size, align, page_size) != SIZE_MAX;
    if (align <= strategy->max_align && can) continue;
    snprintf(reason, reason_size, "it never serves %zu bytes aligned to %zu", size, align);
    return false;
  }
  return true;
}

// What any sensible strategy with a fixed heap finds roomy.
static size_t roomy_heap(const struct plan *plan) {
  size_t need = 4 * (plan->peak_bytes + 64 * plan->peak_blocks), size = (size_t)1 << 20;
  while (size < need) size *= 2;
  return size;
}

bool run_prepare(struct run *self, const struct plan *plan, enum run_api api,
                 const struct strategy *strategy, char *reason, size_t reason_size) {
  *self = (struct run){.plan = plan, .api = api, .strategy = strategy};
  run_source_init(&self->source, plan->page_size);
  if (api == RUN_STRATEGY) {
    if (!supports(strategy, plan, self->source.base.page_size, reason, reason_size)) return false;
    if (moves(strategy, plan)) self->sizes = run_memory(plan->slots * sizeof *self->sizes);
  }
  self->slots = run_memory(plan->slots * sizeof *self->slots);
  if (api == RUN_LOOP) self->memory = run_memory(plan->largest);
  return true;
}

bool run_open(struct run *self, unsigned variant, char *reason, size_t reason_size) {
  if (self->api == RUN_STRATEGY) {
    struct strategy_options options = {
        .heap_size = roomy_heap(self->plan), .variant = variant, .seed = 1};
    self->allocator = self->strategy->create(&self->source.base, &options);
    if (self->allocator) return true;
    snprintf(reason, reason_size, "it cannot be created over pages");
    return false;
  }
  if (self->api != RUN_RAW) return true;
  self->memory = mmap(NULL, self->plan->handed_out, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (self->memory != MAP_FAILED) return true;
  snprintf(reason, reason_size, "no address range of %zu bytes", self->plan->handed_out);
  return false;
}

size_t run_usable(const struct run *self) {
  size_t usable = 0;
  if (self->api == RUN_STRATEGY && !self->strategy->usable_size) return 0;
  for (uint32_t slot = 0; slot < self->plan->slots; slot++) {
    unsigned char *block = self->slots[slot];
    if (!block) continue;
    usable += self->api == RUN_STRATEGY ? self->strategy->usable_size(self->allocator, block)
                                        : malloc_usable_size(block);
  }
  return usable;
}
