#include "harness/collection.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "harness/collection_guard.h"
#include "harness/cpu_time.h"
#include "harness/forbid.h"

enum { SECOND_DIRT = 0x5A, VERIFY_EACH = 4, SLOTS = 1 << 20 };
// A collection is tried on a heap that has room for something.
enum { LEAST_CAPACITY = 4096 };
// Operations of all passes that refuse requests, and so how many of these there can be: few while
// fuzzing, where other programs will have theirs.
enum {
  REFUSING_OPERATIONS_FUZZING = 1 << 11,
  REFUSING_OPERATIONS_FULL = 1 << 14,
  REFUSING_OPERATIONS_PARANOID = 1 << 17,
};

struct collection_run {
  struct run run;
  struct guard guard;
  const struct strategy *collection;
  const struct collection_driver *driver;
  const struct strategy *beneath;
  unsigned char *instances;
  bool made[COLLECTION_INSTANCES];
};

// ## What is beneath

// An adapter has memory of its own, or keeps state: neither goes together with a guard.
static bool can_be_beneath(const struct registry_entry *entry) {
  return !entry->bug &&
         !(entry->strategy->traits & (STRATEGY_COLLECTION | STRATEGY_FOREIGN |
                                      STRATEGY_KEEPS_STATE | STRATEGY_PLACED | STRATEGY_C_EDGES));
}

static const struct strategy *find_beneath(unsigned variant, unsigned *rest) {
  unsigned count = 0;
  for (const struct registry_entry *entry = registry; entry->name; entry++)
    count += can_be_beneath(entry);
  if (count == 0) return NULL;
  *rest = variant / count;
  variant %= count;
  for (const struct registry_entry *entry = registry;; entry++)
    if (can_be_beneath(entry) && variant-- == 0) return entry->strategy;
}

static const struct strategy *beneath_of(const struct program *program) {
  unsigned rest;
  return find_beneath(program_heap(program).variant, &rest);
}

// The heap, its variant that of the strategy beneath.
static struct heap heap_beneath(const struct program *program) {
  struct heap heap = program_heap(program);
  const struct strategy *beneath = find_beneath(heap.variant, &heap.variant);
  if (heap.capacity < LEAST_CAPACITY) heap.capacity = LEAST_CAPACITY;
  heap.threads = 1;
  return beneath ? run_fit_heap(beneath, heap) : heap;
}

static struct heap heap_of(const struct strategy *collection, const struct program *program) {
  (void)collection;
  return heap_beneath(program);
}

// ## Calls of the driver

static void enter(struct collection_run *self) {
  self->run.errors = memory_errors();
  self->run.calls++;
  watch_tick();
  watch_enter();
}

// What Valgrind objects to comes before what follows from it.
static void leave(struct collection_run *self) {
  watch_leave();
  if (memory_errors() != self->run.errors)
    run_violated(&self->run, PROPERTY_outside_heap, "see Valgrind's report of the access");
}

static unsigned char *instance_at(struct collection_run *self, unsigned which) {
  size_t size;
  if (!align_up(self->driver->instance_size, _Alignof(max_align_t), &size)) abort();
  return self->instances + (which % COLLECTION_INSTANCES) * size;
}

static void *instance(struct collection_run *self, unsigned which) {
  which %= COLLECTION_INSTANCES;
  void *found = instance_at(self, which);
  if (self->made[which]) return found;
  struct handle handle = {&self->guard.strategy, (struct allocator *)(void *)&self->guard};
  enter(self);
  self->driver->create(self, found, handle);
  leave(self);
  self->made[which] = true;
  return found;
}

static void verify(struct collection_run *self, void *found) {
  enter(self);
  self->driver->verify(self, found);
  leave(self);
}

static void verify_all(struct collection_run *self) {
  for (unsigned i = 0; i < COLLECTION_INSTANCES; i++)
    if (self->made[i]) verify(self, instance_at(self, i));
  guard_verify(&self->guard);
}

// ## What drivers say

static enum property expected(const struct collection_run *self) {
  return self->guard.refused > 0 ? PROPERTY_failed_op_changed_state : PROPERTY_model;
}

void collection_held(struct collection_run *self) { run_exercise(&self->run, expected(self)); }

void collection_failed(struct collection_run *self, const char *format, ...) {
  run_exercise(&self->run, expected(self));
  leave(self);
  char text[VERDICT_TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  run_violated(&self->run, expected(self), "%s", text);
}

void collection_refused(struct collection_run *self) {
  run_exercise(&self->run, PROPERTY_spurious_oom);
  if (self->run.refused) return;
  if (self->guard.refused == 0) {
    leave(self);
    run_violated(&self->run, PROPERTY_spurious_oom,
                 "it says that memory is out, but its allocator refused nothing");
  }
}

uint64_t collection_refusals(const struct collection_run *self) { return self->guard.refused; }

void collection_broken(struct collection_run *self, struct broken_invariant broken) {
  run_exercise(&self->run, PROPERTY_invariant);
  if (broken.number == 0) return;
  leave(self);
  run_broken_invariant(&self->run, &broken);
}

// ## One pass

static void look_beneath(struct collection_run *self) {
  struct run *run = &self->run;
  run->strategy = self->beneath;
  run->acting = self->beneath->name;
  inspect(run);
  run->acting = NULL;
  run->strategy = self->collection;
}

static void apply(struct collection_run *self, const struct record *record, int verb) {
  struct run *run = &self->run;
  unsigned fields = self->driver->verbs[verb].fields;
  void *main = instance(self, record->slot);
  struct collection_arguments arguments = {
      .other = fields & COLLECTION_OTHER ? instance(self, record->thread) : NULL,
      .value = record->size,
      .count = record->code / OP_CODES + 1,
      .small = record->align,
  };
  enter(self);
  self->driver->apply(self, main, (unsigned)verb, &arguments);
  leave(self);
  run->refused = self->guard.refused > 0;
  if (self->driver->length) run->step.size = self->driver->length(main);
  bool paranoid = run_at_least(run, TIER_PARANOID), full = run_at_least(run, TIER_FULL);
  if (paranoid) {
    verify_all(self);
    look_beneath(self);
  } else if (full && (run->refused || run->index % VERIFY_EACH == VERIFY_EACH - 1)) {
    verify(self, main);
    if (arguments.other && arguments.other != main) verify(self, arguments.other);
    guard_verify(&self->guard);
  }
}

// Whether the requests so far are those of the first pass.
static void compare_requests(struct collection_run *self) {
  struct run *run = &self->run;
  struct first_answer *answer = &run->oracle->answers[run->index];
  if (run->pass == PASS_FIRST) {
    *answer = (struct first_answer){.size = (size_t)self->guard.trace};
  } else if (run->pass == PASS_ELSEWHERE) {
    run_exercise(run, PROPERTY_nondeterministic);
    if (answer->size != (size_t)self->guard.trace)
      run_violated(run, PROPERTY_nondeterministic,
                   "it asked its allocator for something else than on another fresh heap");
  }
}

static void step(struct collection_run *self, const struct record *record) {
  struct run *run = &self->run;
  const struct oracle_settings *settings = &run->oracle->settings;
  bool first = run->pass == PASS_FIRST;
  int verb = verb_of(record, self->driver->verb_count);
  run->operation = record_operation(record);
  run->verb = verb < 0 ? "fault" : self->driver->verbs[verb].name;
  run->refused = false;
  self->guard.refused = 0;
  run->step = (struct step){.index = run->index, .operation = &run->operation};
  if (settings->before && first) settings->before(settings->context, &run->step);
  if (verb < 0)
    guard_arm(&self->guard, record->size);
  else
    apply(self, record, verb);
  compare_requests(self);
  run->step.refused = run->refused;
  if (first) {
    run->oracle->counts.operations++;
    run->oracle->counts.refused += run->refused;
  }
  if (settings->after && first) settings->after(settings->context, &run->step);
}

static void drop_all(struct collection_run *self) {
  self->run.phase = "drop";
  guard_arm(&self->guard, 0);
  self->guard.refused = 0;
  for (unsigned i = 0; i < COLLECTION_INSTANCES; i++) {
    if (!self->made[i]) continue;
    enter(self);
    self->driver->destroy(self, instance_at(self, i));
    leave(self);
  }
  guard_verify_nothing_left(&self->guard);
  self->run.phase = "end";
  guard_flush(&self->guard);
}

static void end(struct collection_run *self) {
  struct run *run = &self->run;
  run->phase = "end";
  self->guard.refused = 0;
  verify_all(self);
  drop_all(self);
  if (self->beneath->traits & STRATEGY_RELEASES) {
    run->strategy = self->beneath;
    verify_returned(run, PROPERTY_source_leak);
    run->strategy = self->collection;
  }
  run->shows = run->oracle->settings.viewed && run->pass == PASS_FIRST;
  look_beneath(self);
  run->shows = false;
  guard_verify(&self->guard);  // where nothing is released
}

static void pass(struct collection_run *self) {
  struct run *run = &self->run;
  struct oracle *oracle = run->oracle;
  size_t length = program_length(run->program);
  memset(self->made, 0, sizeof self->made);
  memset(self->instances, 0,
         (size_t)(instance_at(self, 1) - instance_at(self, 0)) * COLLECTION_INSTANCES);
  shadow_begin(&oracle->shadow, SLOTS, self->beneath->min_align < 8, false);
  run->index = 0;
  run->credit = 0;
  run->verb = "nothing";
  run->strategy = self->beneath;
  run->acting = self->beneath->name;
  run_create(run, run_open_heap(run));
  run->acting = NULL;
  if (run->allocator) {
    run->fresh_bytes = run->account.bytes;
    run->strategy = self->collection;
    run->phase = NULL;
    guard_begin(&self->guard, run, self->beneath,
                run->pass == PASS_ELSEWHERE ? SECOND_DIRT : ARENA_DIRT);
    uint64_t start = oracle->settings.timed ? cpu_time() : 0;
    for (; run->index < length; run->index++) step(self, program_at(run->program, run->index));
    if (oracle->settings.timed && run->pass == PASS_FIRST)
      oracle->counts.nanoseconds += cpu_time() - start;
    if (run->pass == PASS_FIRST) {
      oracle->counts.acquisitions += self->guard.requests;
      oracle->counts.injected += self->guard.injected;
    }
    end(self);
    run->strategy = self->beneath;
    run->acting = self->beneath->name;
    shadow_clear(&oracle->shadow);
    verify_canaries(run);
    run_destroy(run);
    run->acting = NULL;
  }
  run->strategy = self->collection;
  run_abandon_heap(run);
}

// ## Refusals at every request

static void refuse(struct collection_run *self, enum guard_refusing refusing, uint64_t at) {
  char note[80];
  snprintf(note, sizeof note,
           refusing == REFUSING_ONE ? " (with request %zu to the allocator refused)"
                                    : " (with request %zu to the allocator and all after refused)",
           (size_t)at);
  self->run.pass = PASS_REFUSING;
  self->run.note = note;
  self->guard.refusing = refusing;
  self->guard.refuse_at = at;
  pass(self);
  self->guard.refusing = REFUSING_NONE;
  self->run.note = NULL;
}

static void refuse_each(struct collection_run *self, uint64_t requests) {
  size_t length = program_length(self->run.program);
  uint64_t budget = run_at_least(&self->run, TIER_PARANOID) ? REFUSING_OPERATIONS_PARANOID
                    : self->run.oracle->settings.twice      ? REFUSING_OPERATIONS_FULL
                                                            : REFUSING_OPERATIONS_FUZZING;
  uint64_t count = budget / (2 * (length + 1)) + 1;
  if (count > requests) count = requests;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = i * requests / count;
    refuse(self, REFUSING_ONE, at);
    refuse(self, REFUSING_ALL_FROM, at);
  }
}

// ## The oracle's

static bool make_room(struct oracle *oracle, const struct strategy *collection,
                      const struct program *program) {
  (void)collection;
  struct heap heap = heap_beneath(program);
  return run_prepare(oracle, &heap, program_length(program));
}

static struct collection_run kept;  // its storage serves run after run

static bool run_collection(struct oracle *oracle, const struct strategy *collection,
                           const struct program *program) {
  struct collection_run *self = &kept;
  const struct strategy *beneath = beneath_of(program);
  if (!beneath) {
    fprintf(stderr, "%s is a collection, and this program has no strategy for it to be on\n",
            collection->name);
    exit(2);
  }
  self->run = (struct run){.oracle = oracle,
                           .strategy = collection,
                           .program = program,
                           .heap = heap_beneath(program),
                           .told_faults = &self->guard.faults};
  if (!run_prepare(oracle, &self->run.heap, program_length(program))) return false;
  self->guard.refusing = REFUSING_NONE;
  self->collection = collection;
  self->beneath = beneath;
  self->driver = collection->driver;
  size_t size;
  if (!align_up(self->driver->instance_size, _Alignof(max_align_t), &size)) abort();
  self->instances = realloc(self->instances, COLLECTION_INSTANCES * size);
  if (!self->instances) abort();
  watch_lets_call = false;
  oracle->copies = watch_copies();
  run_in_progress = &self->run;
  pass(self);
  uint64_t requests = self->guard.requests;
  if (run_once_more(oracle, program)) {
    if (run_goes_elsewhere(beneath)) {
      self->run.pass = PASS_ELSEWHERE;
      pass(self);
    }
    refuse_each(self, requests);
  }
  run_in_progress = NULL;
  return true;
}

// ## Words

static struct program_verbs words_of(const struct collection_driver *driver) {
  return (struct program_verbs){driver->name, driver->verbs, driver->verb_count};
}

static const struct program_verbs *find_words(const char *name, size_t length) {
  static struct program_verbs found;
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    if (!(entry->strategy->traits & STRATEGY_COLLECTION)) continue;
    found = words_of(entry->strategy->driver);
    if (strlen(found.name) == length && memcmp(found.name, name, length) == 0) return &found;
  }
  return NULL;
}

void collection_speak(const struct strategy *strategy) {
  static struct program_verbs words;
  program_knows_verbs(find_words);
  bool is_one = strategy && strategy->traits & STRATEGY_COLLECTION;
  if (is_one) words = words_of(strategy->driver);
  program_speak(is_one ? &words : NULL);
}

const struct collection_oracle collection_oracle = {
    .run = run_collection, .make_room = make_room, .heap = heap_of, .beneath = beneath_of};
