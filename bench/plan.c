#include "bench/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/import.h"

// ## Adding steps, and the account of what lives

struct planner {
  struct plan *plan;
  size_t room;     // for steps
  uint64_t *live;  // bytes of the block in each slot, 0: none
  size_t bytes, blocks;
};

static void planner_open(struct planner *self, struct plan *plan, size_t room, uint32_t slots) {
  *self = (struct planner){.plan = plan, .room = room, .live = calloc(slots, sizeof(uint64_t))};
  plan->slots = slots;
  if (!self->live) snprintf(plan->error, sizeof plan->error, "out of memory");
}

static void forget(struct planner *self, uint32_t slot) {
  if (!self->live[slot]) return;
  self->bytes -= self->live[slot];
  self->blocks--;
  self->live[slot] = 0;
}

static void name(struct planner *self, uint32_t slot, uint64_t bytes) {
  struct plan *plan = self->plan;
  self->live[slot] = bytes;
  self->bytes += bytes;
  self->blocks++;
  plan->handed_out += bytes;
  if (bytes > plan->largest) plan->largest = bytes;
  if (self->blocks > plan->peak_blocks) plan->peak_blocks = self->blocks;
  if (self->bytes <= plan->peak_bytes) return;
  plan->peak_bytes = self->bytes;
  plan->peak_step = plan->steps;
}

static void add(struct planner *self, struct step step) {
  if (!self->live) return;
  uint64_t bytes = step.kind == STEP_ZEROED ? step.count * step.size : step.size;
  switch (step.kind) {
  case STEP_RELEASE:
    if (!self->live[step.slot]) return;
    forget(self, step.slot);
    break;
  case STEP_RESET:
    for (uint32_t slot = 0; slot < self->plan->slots; slot++) forget(self, slot);
    break;
  case STEP_RESIZE:
    if (!self->live[step.slot]) step.kind = STEP_ALLOCATE;
    forget(self, step.slot);
    name(self, step.slot, bytes);
    break;
  default:
    // A block that no slot names any more could not be released at a reset.
    if (self->live[step.slot]) add(self, (struct step){.slot = step.slot, .kind = STEP_RELEASE});
    name(self, step.slot, bytes);
  }
  if (self->plan->steps == self->room) abort();
  self->plan->kinds |= 1u << step.kind;
  self->plan->step[self->plan->steps++] = step;
}

static void add_allocation(struct planner *self, uint32_t slot, uint64_t size) {
  add(self, (struct step){.slot = slot, .kind = STEP_ALLOCATE, .align_log2 = 4, .size = size});
}

static void add_release(struct planner *self, uint32_t slot) {
  add(self, (struct step){.slot = slot, .kind = STEP_RELEASE});
}

// ## Workloads that are made here

static uint64_t random_state = 0x9E3779B97F4A7C15;

static uint64_t next_random(void) {  // G. Marsaglia, "Xorshift RNGs" (2003)
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static uint64_t random_between(uint64_t low, uint64_t high) {
  return low + next_random() % (high - low + 1);
}

enum { LIVE = 10000, PAIRS = 100000, BURST = 64, ROOM = 400000 };

static uint64_t mixed_size(void) { return random_between(16, 1024); }
static uint64_t object_size(void) { return 192; }
static uint64_t power_size(void) { return (uint64_t)1 << random_between(5, 12); }

// LIVE blocks; then `burst` random ones are released, and as many allocated, and so on.
static void add_churn(struct planner *self, uint64_t (*size)(void), size_t burst) {
  for (uint32_t slot = 0; slot < LIVE; slot++) add_allocation(self, slot, size());
  self->plan->start = self->plan->steps;
  self->plan->cyclic = true;
  for (size_t pair = 0; pair + burst <= PAIRS; pair += burst) {
    uint32_t victims[BURST];
    for (size_t i = 0; i < burst; i++) {
      do victims[i] = (uint32_t)(next_random() % LIVE);
      while (!self->live[victims[i]]);
      add_release(self, victims[i]);
    }
    for (size_t i = 0; i < burst; i++) add_allocation(self, victims[i], size());
  }
}

static void add_mixed_churn(struct planner *self) { add_churn(self, mixed_size, 1); }
static void add_object_churn(struct planner *self) { add_churn(self, object_size, 1); }
static void add_object_bursts(struct planner *self) { add_churn(self, object_size, BURST); }
static void add_power_churn(struct planner *self) { add_churn(self, power_size, 1); }

static void add_stack(struct planner *self) {
  self->plan->cyclic = true;
  for (size_t i = 0; i < PAIRS / 100; i++) {
    for (uint32_t slot = 0; slot < 100; slot++) add_allocation(self, slot, 64);
    for (uint32_t slot = 100; slot-- > 0;) add_release(self, slot);
  }
}

static void add_regions(struct planner *self) {
  self->plan->cyclic = true;
  for (size_t i = 0; i < PAIRS / 1000; i++) {
    for (uint32_t slot = 0; slot < 1000; slot++)
      add_allocation(self, slot, random_between(16, 128));
    add(self, (struct step){.kind = STEP_RESET});
  }
}

// In memory that comes in large pieces, so that it is the pages that cost.
static void add_pages(struct planner *self) {
  self->plan->page_size = (size_t)1 << 20;
  for (uint32_t slot = 0; slot < 32768; slot++) add_allocation(self, slot, 4096);
}

const char *const plan_names[] = {"lifo64", "churn", "fixed", "bursts",
                                  "region", "pow2",  "pages", NULL};

static const struct workload {
  void (*add)(struct planner *self);
  uint32_t slots;
} workloads[] = {{add_stack, 100},          {add_mixed_churn, LIVE}, {add_object_churn, LIVE},
                 {add_object_bursts, LIVE}, {add_regions, 1000},     {add_power_churn, LIVE},
                 {add_pages, 32768}};

// ## Workloads from files

// What means something to any allocator. Requests that must be refused, and what is only for an
// oracle, are left out.
static void add_operation(struct planner *self, const struct operation *op, uint32_t slot) {
  struct step step = {.slot = slot, .count = (uint8_t)op->count, .size = op->size};
  switch (op->kind) {
  case OP_RELEASE:
    add_release(self, slot);
    return;
  case OP_RESET:
    add(self, (struct step){.kind = STEP_RESET});
    return;
  case OP_ALLOCATE:
    step.kind = STEP_ALLOCATE;
    break;
  case OP_ALLOCATE_ZEROED:
    step.kind = STEP_ZEROED;
    break;
  case OP_RESIZE:
    step.kind = STEP_RESIZE;
    break;
  default:
    return;
  }
  uint64_t most = PROGRAM_MAX_CAPACITY;
  if (op->size == 0 || op->size > most || op->align == 0 || op->align & (op->align - 1) ||
      op->align > most)
    return;
  step.align_log2 = (uint8_t)__builtin_ctzll(op->align);
  add(self, step);
}

// ## In a process of its own

// Memory that the child makes as large as it needs, and this process maps when that is done.
static struct plan *map_plan(int memory, size_t room) {
  size_t size = sizeof(struct plan) + room * sizeof(struct step);
  if (ftruncate(memory, (off_t)size) != 0) return NULL;
  void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  return mapped == MAP_FAILED ? NULL : mapped;
}

static struct plan *failed_plan(int memory, const char *text) {
  struct plan *plan = map_plan(memory, 0);
  if (plan) snprintf(plan->error, sizeof plan->error, "%s", text);
  return plan;
}

static struct plan *plan_of_file(int memory, const char *path) {
  struct program program = {0};
  struct file_error error;
  if (!import_load(&program, path, NULL, NULL, NULL, NULL, &error))
    return failed_plan(memory, error.text);
  // An operation may be a release and an allocation here.
  size_t room = 2 * program_length(&program);
  struct plan *plan = map_plan(memory, room);
  if (!plan) return NULL;
  struct planner planner;
  uint32_t slots = program_heap(&program).slots;
  planner_open(&planner, plan, room, slots);
  for (size_t i = 0; i < program_length(&program); i++) {
    struct operation op = record_operation(program_at(&program, i));
    add_operation(&planner, &op, op.slot & (slots - 1));
  }
  if (plan->steps == 0 && !plan->error[0])
    snprintf(plan->error, sizeof plan->error, "%s: no operation to measure", path);
  return plan;
}

static struct plan *plan_of_workload(int memory, const struct workload *workload) {
  struct plan *plan = map_plan(memory, ROOM);
  if (!plan) return NULL;
  struct planner planner;
  planner_open(&planner, plan, ROOM, workload->slots);
  workload->add(&planner);
  return plan;
}

const struct plan *plan_make(const char *workload) {
  static struct plan unprepared;
  size_t index = 0;
  while (plan_names[index] && strcmp(plan_names[index], workload) != 0) index++;
  int memory = memfd_create("plan", MFD_CLOEXEC);
  pid_t child = memory < 0 ? -1 : fork();
  if (child == 0) {
    const struct plan *made = plan_names[index] ? plan_of_workload(memory, &workloads[index])
                                                : plan_of_file(memory, workload);
    _exit(made ? 0 : 1);
  }
  int status = -1;
  struct stat size;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
      fstat(memory, &size) == 0) {
    void *plan = mmap(NULL, (size_t)size.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    close(memory);
    if (plan != MAP_FAILED) return plan;
  }
  snprintf(unprepared.error, sizeof unprepared.error, "%s: could not be prepared", workload);
  return &unprepared;
}
