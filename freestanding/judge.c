#include "freestanding/judge.h"

#include <string.h>

#include "collections/print.h"
#include "freestanding/harness/space.h"
#include "freestanding/harness/watch_fault.h"
#include "freestanding/libc/heap.h"
#include "freestanding/world.h"
#include "harness/concurrent.h"
#include "harness/limits.h"
#include "harness/watch.h"

static struct oracle oracle;
static struct judgement *judging;
static bool ran;
static const struct strategy *(*through)(const struct strategy *strategy);

void judge_through(const struct strategy *(*instead)(const struct strategy *strategy)) {
  through = instead;
}

void judge_begin(void) {
  heap_begin();
  space_begin();
  memset(&oracle, 0, sizeof oracle);
}

const struct run_counts *judge_counts(void) { return &oracle.counts; }

static void note(const struct verdict *verdict) { judging->verdict = *verdict; }

struct task {
  const struct strategy *strategy;
  const struct program *program;
};

static void run(void *context) {
  const struct task *task = context;
  oracle_init(&oracle, &(struct oracle_settings){.tier = TIER_FULL});
  ran = oracle_run(&oracle, task->strategy, task->program);
}

static void tell_fault(void *context) { watch_fault(*(const enum world_fault *)context); }

// What keeps a program from being judged here, before it is run.
static const char *unfit_for(const struct strategy *strategy, const struct program *program) {
  struct heap heap = oracle_heap(strategy, program);
  if (concurrent_possible(strategy, &heap)) return "threads";
  if (heap.slots > SHADOW_SLOTS) return "slots";
  if (heap.capacity > WORLD_HEAP_SIZE) return "heap";
  return NULL;
}

static bool failed(const char *what) {
  print_text(world_console(), "the harness failed: ");
  print_text(world_console(), what);
  print_char(world_console(), '\n');
  return false;
}

// The run was left: why?
static bool settle(struct judgement *judgement, enum world_fault fault) {
  if (fault != WORLD_FAULT_LEFT) {
    if (!watch_inside())
      return failed(fault == WORLD_FAULT_WATCHDOG ? "it takes too long" : "an exception");
    // The handler leaves with a verdict.
    world_guarded(tell_fault, &fault, &fault);
  }
  if (judgement->verdict.property != PROPERTY_NONE) return true;
  if (!heap_refused() && !space_refused()) return failed("it aborted");
  judgement->unfit = space_refused() ? "addresses" : "memory";
  return true;
}

bool judge(struct judgement *judgement, const struct strategy *strategy,
           const struct program *program) {
  *judgement = (struct judgement){.unfit = unfit_for(strategy, program),
                                  .verdict = {.property = PROPERTY_NONE, .id = "clean"}};
  if (judgement->unfit) return true;
  judging = judgement;
  property_on_violation(note);
  struct task task = {through ? through(strategy) : strategy, program};
  enum world_fault fault;
  ran = false;
  bool returned = world_guarded(run, &task, &fault);
  if (returned && !ran) judgement->unfit = "memory";
  if (!returned && !settle(judgement, fault)) return false;
  // A request that was refused for want of addresses would have been met elsewhere.
  if (oracle.arena.crowded && judgement->verdict.property == PROPERTY_NONE)
    judgement->unfit = "addresses";
  return true;
}
