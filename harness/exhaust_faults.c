#include "harness/exhaust_faults.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "harness/batch.h"

enum { MASK_BITS = 64 };

// The fault injector around an operation.
struct site {
  uint64_t mask;  // as armed before it
  size_t since;   // acquisitions between arming and the operation
  size_t until;   // and its end
};

// One acquisition: where a fault must stand to refuse it, and how.
struct target {
  size_t position;  // the record goes before this operation
  uint64_t mask;    // what is armed there anyway, counted from there
  unsigned bit;     // of this acquisition, likewise
};

struct plan {
  struct fault_exhaustion *exhaustion;
  const struct program *program;
  struct target *targets;
  size_t count;
};

// ## Learning where acquisitions are

static void note_before(void *context, const struct step *step) {
  struct site *site = (struct site *)context + step->index;
  site->mask = oracle_faults()->mask;
  site->since = oracle_faults()->acquisitions;
}

static void note_after(void *context, const struct step *step) {
  struct site *site = (struct site *)context + step->index;
  if (step->operation->kind == OP_FAULT) site->since = 0;
  site->until = oracle_faults()->acquisitions;
}

// Faults before anything else strike create.
static size_t leading_faults(const struct program *program) {
  size_t leading = 0;
  while (leading < program_length(program) && record_kind(program_at(program, leading)) == OP_FAULT)
    leading++;
  return leading;
}

static bool add_targets(struct plan *plan, size_t position, uint64_t mask, size_t since,
                        size_t count) {
  struct fault_coverage *coverage = &plan->exhaustion->coverage;
  coverage->acquisitions += count;
  size_t reached = count < MASK_BITS ? count : MASK_BITS;
  coverage->out_of_reach += count - reached;
  if (reached == 0) return true;
  struct target *grown = realloc(plan->targets, (plan->count + reached) * sizeof *grown);
  if (!grown) return false;
  plan->targets = grown;
  for (size_t i = 0; i < reached; i++)
    plan->targets[plan->count++] = (struct target){
        .position = position, .mask = since < MASK_BITS ? mask >> since : 0, .bit = (unsigned)i};
  return true;
}

// `acquisitions` are the program's in all: where no operation follows, they are all of create.
static bool find_targets(struct plan *plan, const struct site *sites, size_t acquisitions) {
  const struct program *program = plan->program;
  size_t length = program_length(program), leading = leading_faults(program);
  uint64_t armed = leading ? program_at(program, leading - 1)->size : 0;
  // Nothing can stand between create and the first operation, so they are one.
  size_t first = leading < length ? sites[leading].until : acquisitions;
  if (!add_targets(plan, leading, armed, 0, first)) return false;
  for (size_t i = leading + 1; i < length; i++)
    if (sites[i].until > sites[i].since &&
        !add_targets(plan, i, sites[i].mask, sites[i].since, sites[i].until - sites[i].since))
      return false;
  return true;
}

// ## Programs with one more fault

static void append(struct program *program, const struct record *record) {
  if (!program_append(program, record)) abort();
}

static void append_fault(struct program *program, uint64_t mask) {
  struct record record = operation_record(&(struct operation){.kind = OP_FAULT, .size = mask});
  append(program, &record);
}

// The program on one thread.
static void append_heap(struct program *to, const struct program *from) {
  struct heap heap = program_heap(from);
  heap.threads = 1;
  struct record record = heap_record(&heap);
  append(to, &record);
}

// Two for each target: it alone, and with all that follow it.
static void make(void *context, size_t index, struct program *made) {
  const struct plan *plan = context;
  const struct target *target = &plan->targets[index / 2];
  bool all = index % 2 != 0;
  append_heap(made, plan->program);
  for (size_t i = 0; i <= program_length(plan->program); i++) {
    uint64_t bit = (uint64_t)1 << target->bit;
    if (i == target->position) append_fault(made, target->mask | (all ? 0 - bit : bit));
    if (i == program_length(plan->program)) break;
    const struct record *record = program_at(plan->program, i);
    bool fault = record_kind(record) == OP_FAULT;
    if (all && fault && i > target->position) continue;
    if (all && i > target->position) append_fault(made, UINT64_MAX);
    append(made, record);
  }
}

// ## Running them

static void hand_over(void *context, size_t index, const struct program *program,
                      const struct isolated_run *run) {
  const struct plan *plan = context;
  struct fault_exhaustion *self = plan->exhaustion;
  self->found(self->context, &(struct fault_finding){.acquisition = index / 2 + 1,
                                                     .all = index % 2 != 0,
                                                     .program = program,
                                                     .run = run});
}

static void pass_on_progress(void *context, size_t done) {
  const struct plan *plan = context;
  struct fault_exhaustion *self = plan->exhaustion;
  if (self->progress) self->progress(self->context, done, 2 * plan->count);
}

static void count_run(struct fault_coverage *coverage, const struct run_counts *counts) {
  coverage->operations += counts->operations;
  coverage->refused += counts->refused;
  coverage->injected += counts->injected;
}

static bool refuse_each(struct plan *plan) {
  struct fault_exhaustion *self = plan->exhaustion;
  struct batch batch = {.settings = self->settings,
                        .strategy = self->strategy,
                        .count = 2 * plan->count,
                        .make = make,
                        .violated = hand_over,
                        .progress = pass_on_progress,
                        .context = plan,
                        .stop = self->stop};
  bool all = batch_run(&batch);
  self->coverage.runs += batch.runs;
  self->coverage.violations += batch.violations;
  count_run(&self->coverage, &batch.counts);
  self->stopped = batch.stopped;
  return all;
}

// The run that counts.
static bool learn(struct plan *plan, struct site *sites, struct isolated_run *run) {
  struct isolate_settings settings = plan->exhaustion->settings;
  settings.quiet = settings.once = true;
  settings.oracle.before = note_before;
  settings.oracle.after = note_after;
  settings.oracle.context = sites;
  return isolate_run(run, &settings, plan->exhaustion->strategy, plan->program);
}

static bool exhaust(struct plan *plan, struct site *sites) {
  struct fault_exhaustion *self = plan->exhaustion;
  struct isolated_run run;
  if (!learn(plan, sites, &run)) return false;
  self->coverage.programs++;
  self->coverage.runs++;
  if (run.verdict.property != PROPERTY_NONE) {
    self->coverage.violations++;
    self->found(self->context, &(struct fault_finding){.program = plan->program, .run = &run});
    return true;
  }
  count_run(&self->coverage, &run.counts);
  if (!find_targets(plan, sites, (size_t)run.counts.acquisitions)) return false;
  return refuse_each(plan);
}

bool exhaust_faults(struct fault_exhaustion *self, const struct program *program) {
  struct program single = {0};
  append_heap(&single, program);
  for (size_t i = 0; i < program_length(program); i++) append(&single, program_at(program, i));
  size_t size = (program_length(&single) + 1) * sizeof(struct site);
  struct site *sites = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sites == MAP_FAILED) {
    program_clear(&single);
    return false;
  }
  struct plan plan = {.exhaustion = self, .program = &single};
  bool all = exhaust(&plan, sites);
  int error = errno;
  free(plan.targets);
  munmap(sites, size);
  program_clear(&single);
  errno = error;
  return all;
}
