#include "harness/enumerate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "harness/cpu_time.h"
#include "harness/program_file.h"
#include "harness/replay.h"

enum { BETWEEN_CLOCKS = 256 };

// What the child leaves for its parent, who goes on from there with another if it dies.
struct legacy {
  unsigned depth;  // of the programs in hand
  uint64_t begun;  // of these, how many were begun
  bool complete, interrupted, no_allocator;
  uint64_t nanoseconds;
  struct depth_counts depths[ENUMERATE_DEPTH + 1];
  struct run_counts counts;
  size_t length;  // of the program in hand
  struct record records[ENUMERATE_DEPTH + 1];
};

// A program that violates a property, and so is neither run again nor extended.
struct violating {
  struct record records[ENUMERATE_DEPTH];
  size_t length;
};

struct search {
  const struct enumeration *enumeration;
  struct legacy *legacy;
  struct violating *violating;
  size_t violating_count;
  // Of this child.
  struct oracle oracle;
  struct run_counts former;  // what children before counted
  uint64_t former_nanoseconds, met;
  unsigned depth;
  struct record records[ENUMERATE_DEPTH + 1];
  struct program program;
  // What became of the last operation of the last program.
  uint32_t live;  // slots that name a block
  bool refused, skipped, carried_out;
  time_t told;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
  (void)number;
  interrupted = 1;
}

// ## Letters: the operations that may come next

struct letters {
  const struct alphabet *alphabet;
  uint32_t live;
  unsigned free_slot;  // ENUMERATE_SLOTS: none
};

enum { FOREIGN_ADDRESSES = 4 };

enum shape { ALONE, ALONE_FOREIGN, NEW_BLOCK, EACH_BLOCK, EACH_BLOCK_RESIZED, EACH_PAIR };

static enum shape shape_of(enum operation_kind kind) {
  switch (kind) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
    return NEW_BLOCK;
  case OP_RESIZE:
    return EACH_BLOCK_RESIZED;
  case OP_LINK:
    return EACH_PAIR;
  case OP_RELEASE:
  case OP_USE:
  case OP_ROOT:
  case OP_UNROOT:
  case OP_OVERRUN:
    return EACH_BLOCK;
  case OP_RELEASE_FOREIGN:
    return ALONE_FOREIGN;
  default:
    return ALONE;
  }
}

static bool takes_block(enum shape shape) { return shape != ALONE && shape != ALONE_FOREIGN; }

// How many operations of a kind there are for one slot, whatever it names.
static unsigned variations(const struct alphabet *alphabet, enum shape shape) {
  switch (shape) {
  case NEW_BLOCK:
    return alphabet->sizes_count * alphabet->aligns_count;
  case EACH_BLOCK_RESIZED:
    return alphabet->sizes_count;
  case EACH_PAIR:
    return alphabet->slots;
  case ALONE_FOREIGN:
    return FOREIGN_ADDRESSES;
  default:
    return 1;
  }
}

static bool names(uint32_t live, uint64_t slot) { return (live >> slot & 1) != 0; }

// The operation with that number among those of a kind for a slot.
static struct operation letter(const struct alphabet *alphabet, enum operation_kind kind,
                               unsigned slot, unsigned number) {
  struct operation op = {.kind = kind, .count = 1, .slot = slot};
  switch (shape_of(kind)) {
  case NEW_BLOCK:
    op.size = alphabet->sizes[number / alphabet->aligns_count];
    op.align = alphabet->aligns[number % alphabet->aligns_count];
    break;
  case EACH_BLOCK_RESIZED:
    op.size = alphabet->sizes[number];
    op.align = alphabet->aligns[0];
    break;
  case EACH_PAIR:
    op.size = number;
    break;
  case ALONE_FOREIGN:
    op.slot = number;
    break;
  case EACH_BLOCK:
  case ALONE:
    op.size = kind == OP_FAULT;
    break;
  }
  return op;
}

// ## One program

static void after(void *context, const struct step *step) {
  struct search *search = context;
  if (step->index + 1 != search->program.count - 1) return;
  const struct arena *arena;
  const struct shadow *shadow;
  oracle_allocator(&arena, &shadow);
  search->carried_out = true;
  search->refused = step->refused;
  search->skipped = step->skipped;
  search->live = 0;
  for (unsigned i = 0; i < search->enumeration->alphabet.slots; i++)
    search->live |= (uint32_t)(shadow_at(shadow, i) != NULL) << i;
}

static void judge(struct search *search, size_t length) {
  search->legacy->length = length;
  memcpy(search->legacy->records, search->records, sizeof search->records);
  search->program.count = length + 1;
  search->oracle.settings.judged = length - 1;
  search->carried_out = search->refused = search->skipped = false;
  oracle_run(&search->oracle, search->enumeration->strategy, &search->program);
}

static double seconds_so_far(const struct search *search) {
  return (double)(search->former_nanoseconds + cpu_time()) / 1e9;
}

static void tell(struct search *search) {
  time_t now = time(NULL);
  if (search->enumeration->progress < 0 || now == search->told) return;
  search->told = now;
  char line[160];
  int size = snprintf(line, sizeof line,
                      "\renumerating: programs of %u operations, %llu so far, %.0f s of CPU\033[K",
                      search->depth, (unsigned long long)search->met, seconds_so_far(search));
  if (write(search->enumeration->progress, line, (size_t)size) < 0) search->told = now;
}

static bool must_stop(struct search *search) {
  struct legacy *legacy = search->legacy;
  if (search->met % BETWEEN_CLOCKS == 0) {
    legacy->nanoseconds = search->former_nanoseconds + cpu_time();
    double budget = search->enumeration->budget;
    if (budget > 0 && seconds_so_far(search) > budget) legacy->interrupted = true;
    tell(search);
  }
  if (interrupted) legacy->interrupted = true;
  return legacy->interrupted;
}

static void add_counts(struct run_counts *sum, const struct run_counts *a,
                       const struct run_counts *b) {
  sum->operations = a->operations + b->operations;
  sum->refused = a->refused + b->refused;
  sum->skipped = a->skipped + b->skipped;
  for (int i = 0; i < PROPERTY_COUNT; i++) sum->exercised[i] = a->exercised[i] + b->exercised[i];
}

static bool is_violating(const struct search *search, const struct record *operations,
                         size_t length) {
  for (size_t i = 0; i < search->violating_count; i++)
    if (search->violating[i].length == length &&
        memcmp(search->violating[i].records, operations, length * sizeof *operations) == 0)
      return true;
  return false;
}

// ## All programs of one length

// Once, however often children begin anew.
static void count_pruned(struct search *search, enum pruned rule, uint64_t count) {
  if (search->met >= search->legacy->begun)
    search->legacy->depths[search->depth].pruned[rule] += count;
}

static bool extend(struct search *search, size_t length, uint32_t live, bool after_fault);

// The program with one more operation. False: stop.
static bool try_letter(struct search *search, size_t length, const struct operation *op) {
  struct legacy *legacy = search->legacy;
  struct depth_counts *counts = &legacy->depths[search->depth];
  bool leaf = length + 1 == search->depth;
  search->records[length + 1] = operation_record(op);
  if (!leaf) {
    if (is_violating(search, search->records + 1, length + 1)) {
      count_pruned(search, PRUNED_VIOLATING, 1);
      return true;
    }
    // A fault before all else strikes create, which the next operation will show.
    if (length == 0 && op->kind == OP_FAULT) return extend(search, 1, 0, true);
    judge(search, length + 1);
    return search->skipped || !search->carried_out ||
           extend(search, length + 1, search->live, op->kind == OP_FAULT);
  }
  if (++search->met <= legacy->begun) return true;
  if (must_stop(search)) return false;
  legacy->begun++;
  counts->programs++;
  judge(search, length + 1);
  counts->refused += search->refused;
  if (search->skipped) {
    counts->programs--;
    counts->pruned[PRUNED_SKIPPED]++;
  }
  add_counts(&legacy->counts, &search->former, &search->oracle.counts);
  return true;
}

static bool extend(struct search *search, size_t length, uint32_t live, bool after_fault) {
  const struct alphabet *alphabet = &search->enumeration->alphabet;
  bool leaf = length + 1 == search->depth;
  for (int k = 0; k < OP_KINDS; k++) {
    enum operation_kind kind = (enum operation_kind)k;
    if (!alphabet->kinds[kind] || !operation_offered(kind, search->enumeration->strategy)) continue;
    enum shape shape = shape_of(kind);
    unsigned each = variations(alphabet, shape);
    if (kind == OP_FAULT && (leaf || after_fault)) {
      if (leaf) count_pruned(search, PRUNED_IDLE, 1);
      continue;
    }
    bool placed = false;
    for (unsigned slot = 0; slot < (takes_block(shape) ? alphabet->slots : 1); slot++) {
      if (shape == NEW_BLOCK ? names(live, slot) : takes_block(shape) && !names(live, slot)) {
        if (leaf && shape != NEW_BLOCK && shape != EACH_BLOCK_RESIZED)
          count_pruned(search, PRUNED_SKIPPED, each);
        continue;
      }
      if (shape == NEW_BLOCK && placed) {
        if (leaf) count_pruned(search, PRUNED_RENAMED, each);
        continue;
      }
      placed = true;
      for (unsigned number = 0; number < each; number++) {
        if (shape == EACH_PAIR && !names(live, number)) {
          if (leaf) count_pruned(search, PRUNED_SKIPPED, 1);
          continue;
        }
        struct operation op = letter(alphabet, kind, slot, number);
        if (!try_letter(search, length, &op)) return false;
      }
    }
  }
  return true;
}

static bool search_all(void *context, struct run_counts *counts) {
  struct search *search = context;
  const struct enumeration *enumeration = search->enumeration;
  struct legacy *legacy = search->legacy;
  search->former = legacy->counts;
  search->former_nanoseconds = legacy->nanoseconds;
  search->records[0] = heap_record(&enumeration->alphabet.heap);
  search->program = (struct program){.records = search->records};
  oracle_init(&search->oracle, &(struct oracle_settings){
                                   .tier = enumeration->tier, .after = after, .context = search});
  // An operation that is skipped tells whether there is an allocator at all.
  search->records[1] = operation_record(&(struct operation){.kind = OP_RELEASE});
  search->program.count = 2;
  if (!oracle_run(&search->oracle, enumeration->strategy, &search->program)) return false;
  legacy->no_allocator = !search->carried_out;
  legacy->length = 0;
  search->oracle.counts = (struct run_counts){0};
  for (; legacy->depth <= enumeration->depth && !legacy->no_allocator; legacy->depth++) {
    search->depth = legacy->depth;
    search->met = 0;
    if (!extend(search, 0, 0, false)) break;
    legacy->begun = 0;
  }
  legacy->complete = legacy->depth > enumeration->depth;
  legacy->nanoseconds = search->former_nanoseconds + cpu_time();
  *counts = legacy->counts;
  return true;
}

// ## Findings

static void keep_finding(struct enumeration *self, struct search *search,
                         const struct verdict *verdict) {
  const struct legacy *legacy = search->legacy;
  struct violating *grown =
      realloc(search->violating, (search->violating_count + 1) * sizeof *search->violating);
  if (!grown) abort();
  search->violating = grown;
  struct violating *one = &grown[search->violating_count++];
  memset(one, 0, sizeof *one);
  one->length = legacy->length;
  memcpy(one->records, legacy->records + 1, legacy->length * sizeof *one->records);
  self->violations++;
  uint32_t signature = verdict_signature(verdict, self->strategy->name);
  for (unsigned i = 0; i < self->findings_count; i++)
    if (verdict_signature(&self->findings[i].verdict, self->strategy->name) == signature) return;
  struct enumeration_finding *finding = &self->findings[self->findings_count++];
  finding->verdict = *verdict;
  finding->length = legacy->length;
  memcpy(finding->records, legacy->records, sizeof finding->records);
}

// ## A small heap

struct trial {
  const struct strategy *strategy;
  struct record records[3];
  struct program program;
  struct heap heap;
  size_t most, *found;
};

static uint64_t largest(const uint64_t *values, unsigned count) {
  uint64_t most = 1;
  for (unsigned i = 0; i < count; i++)
    if (values[i] > most) most = values[i];
  return most;
}

static bool suffices(struct trial *trial, struct arena *arena, size_t capacity) {
  trial->heap.capacity = capacity;
  trial->records[0] = heap_record(&trial->heap);
  struct replay result;
  return replay_bare(&result, arena, trial->strategy, &trial->program) && result.refused == 0;
}

static bool try_heaps(void *context, struct run_counts *counts) {
  (void)counts;
  struct trial *trial = context;
  static struct arena arena;
  bool pages = trial->heap.source == HEAP_PAGES;
  size_t unit = pages ? trial->heap.page_size : 8;
  size_t low = 0, high = trial->most / unit + 1;  // low does not suffice
  if (!suffices(trial, &arena, high * unit)) return true;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (suffices(trial, &arena, middle * unit))
      high = middle;
    else
      low = middle;
  }
  *trial->found = high * unit;
  return true;
}

size_t enumerate_smallest_heap(const struct strategy *strategy, const struct alphabet *alphabet) {
  struct operation op = {.kind = OP_ALLOCATE,
                         .size = largest(alphabet->sizes, alphabet->sizes_count),
                         .align = largest(alphabet->aligns, alphabet->aligns_count)};
  struct trial trial = {.strategy = strategy, .heap = alphabet->heap};
  trial.program = (struct program){.records = trial.records, .count = 3};
  trial.records[1] = operation_record(&op);
  op.slot = 1;
  trial.records[2] = operation_record(&op);
  bool pages = (strategy->needs & SOURCE_RECLAIMS) != 0;
  trial.heap.source = pages ? HEAP_PAGES : HEAP_FIXED;
  size_t align = (size_t)op.align < strategy->min_align ? strategy->min_align : (size_t)op.align;
  size_t block = strategy->footprint((size_t)op.size, align, pages ? trial.heap.page_size : 1);
  // One that states no bound has little of its own.
  if (block > SIZE_MAX / 8) block = 2 * ((size_t)op.size + align) + trial.heap.page_size;
  trial.most = strategy->overhead + trial.heap.page_size + 2 * block;
  size_t *found =
      mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return trial.most;
  trial.found = found;
  struct isolated_run run;
  struct isolate_settings settings = {.quiet = true, .once = true};
  bool done = isolate_call(&run, &settings, try_heaps, &trial);
  size_t capacity = done && *found > 0 ? *found : trial.most;
  munmap(found, sizeof *found);
  return capacity;
}

// ## All of it

bool enumerate(struct enumeration *self) {
  self->alphabet.heap.slots = ENUMERATE_SLOTS;
  struct legacy *legacy =
      mmap(NULL, sizeof *legacy, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (legacy == MAP_FAILED) return false;
  static struct search search;
  search = (struct search){.enumeration = self, .legacy = legacy};
  legacy->depth = 1;
  struct sigaction former, action = {.sa_handler = on_interrupt};
  interrupted = 0;
  sigaction(SIGINT, &action, &former);
  struct isolate_settings settings = {.quiet = true, .once = true, .seconds = 1u << 30};
  bool able = true;
  for (;;) {
    struct isolated_run run;
    able = isolate_call(&run, &settings, search_all, &search);
    if (able && legacy->no_allocator) errno = ENOSPC;
    able &= !legacy->no_allocator;
    if (!able || run.verdict.property == PROPERTY_NONE) break;
    // What shows before any operation, or again, would show for ever.
    bool known = legacy->length == 0 || is_violating(&search, legacy->records + 1, legacy->length);
    keep_finding(self, &search, &run.verdict);
    if (known || self->findings_count >= self->findings_max || interrupted) break;
  }
  int error = errno;
  sigaction(SIGINT, &former, NULL);
  self->complete = legacy->depth - 1;
  self->interrupted = legacy->interrupted || interrupted;
  self->seconds = (double)legacy->nanoseconds / 1e9;
  self->counts = legacy->counts;
  memcpy(self->depths, legacy->depths, sizeof self->depths);
  free(search.violating);
  munmap(legacy, sizeof *legacy);
  errno = error;
  return able;
}
