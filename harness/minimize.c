#include "harness/minimize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/arithmetic.h"

struct search {
  struct minimization *task;
  struct program *best;
  struct record *scratch;  // a candidate's records; as many fit as best has
  char id[VERDICT_ID_SIZE];
  bool stopped;
};

// Whether a candidate still violates the property. If so, it is the best.
static bool improves(struct search *search, size_t count) {
  struct minimization *task = search->task;
  if (search->stopped) return false;
  struct program candidate = {.records = search->scratch, .count = count};
  struct isolated_run run;
  task->runs++;
  if (task->progress && task->runs % 16 == 0 &&
      !task->progress(task->context, program_length(search->best), task->runs))
    search->stopped = true;
  if (!isolate_run(&run, &task->settings, task->strategy, &candidate)) return false;
  if (strcmp(run.verdict.id, search->id) != 0) return false;
  memcpy(search->best->records, search->scratch, count * sizeof *search->scratch);
  search->best->count = count;
  task->verdict = run.verdict;
  return true;
}

static void start_candidate(struct search *search) {
  memcpy(search->scratch, search->best->records, search->best->count * sizeof *search->scratch);
}

// Without operations [from, from + count).
static bool try_without(struct search *search, size_t from, size_t count) {
  const struct program *best = search->best;
  size_t length = program_length(best);
  memcpy(search->scratch, best->records, (from + 1) * sizeof *best->records);
  memcpy(search->scratch + from + 1, best->records + from + 1 + count,
         (length - from - count) * sizeof *best->records);
  return improves(search, best->count - count);
}

// What comes after the guilty operation is not needed, mostly.
static void cut_tail(struct search *search) {
  size_t length = program_length(search->best), guilty = search->task->verdict.operation;
  if (guilty + 1 < length) try_without(search, guilty + 1, length - guilty - 1);
}

// Chunks from the end, since what comes late rarely matters to what comes early. True if any went.
static bool remove_operations(struct search *search) {
  bool any = false;
  for (size_t chunk = program_length(search->best); chunk > 0; chunk /= 2) {
    for (size_t end = program_length(search->best); end > 0 && !search->stopped;) {
      size_t size = end < chunk ? end : chunk, from = end - size;
      if (try_without(search, from, size)) any = true;
      end = from;
    }
  }
  return any;
}

static bool same(const struct record *a, const struct record *b) {
  return a->code == b->code && a->align == b->align && a->thread == b->thread &&
         a->slot == b->slot && a->size == b->size;
}

static bool try_record(struct search *search, size_t index, struct record record) {
  if (same(&search->best->records[index], &record)) return false;
  start_candidate(search);
  search->scratch[index] = record;
  return improves(search, search->best->count);
}

static bool try_heap(struct search *search, const struct heap *heap) {
  return try_record(search, 0, heap_record(heap));
}

// The plainest heap that still shows it: field by field, as some may be needed.
static bool simplify_heap(struct search *search) {
  bool any = false;
  const struct heap plain = program_heap(&(struct program){0});
  struct heap heap = program_heap(search->best);
#define TRY(field, value)                                                                          \
  do {                                                                                             \
    struct heap candidate = program_heap(search->best);                                            \
    candidate.field = (value);                                                                     \
    if (try_heap(search, &candidate)) any = true, heap = candidate;                                \
  } while (0)
  TRY(threads, plain.threads);
  if (heap.threads > 2) TRY(threads, 2);
  TRY(source, plain.source);
  TRY(variant, plain.variant);
  TRY(skew, plain.skew);
  TRY(page_size, plain.page_size);
  TRY(capacity, plain.capacity);
  // If the default is not it, the next power of two reads better than an odd number.
  if (heap.capacity != plain.capacity && !is_power_of_two(heap.capacity)) {
    size_t power = 1;
    while (power < heap.capacity) power *= 2;
    TRY(capacity, power);
    TRY(capacity, power / 2);
  }
#undef TRY
  return any;
}

static bool try_operation(struct search *search, size_t index, const struct operation *op) {
  return try_record(search, index + 1, operation_record(op));
}

// The smallest size that still shows it, if smaller ones do not show it either: halving from both
// ends.
static bool shrink_size(struct search *search, size_t index) {
  struct operation op = record_operation(program_at(search->best, index));
  uint64_t high = op.size, low = 0;
  bool any = false;
  if (op.kind == OP_FAULT || op.kind == OP_RELEASE || op.kind == OP_USE || op.kind == OP_RESET) {
    op.size = op.kind == OP_FAULT ? 1 : 0;
    return try_operation(search, index, &op);
  }
  static const uint64_t plain[] = {1, 8, 16, 64};
  for (size_t i = 0; i < sizeof plain / sizeof *plain && plain[i] < high; i++) {
    op.size = plain[i];
    if (try_operation(search, index, &op)) return true;
    low = plain[i];
  }
  while (high - low > 1 && !search->stopped) {
    op.size = low + (high - low) / 2;
    if (try_operation(search, index, &op))
      high = op.size, any = true;
    else
      low = op.size;
  }
  return any;
}

static bool simplify_operation(struct search *search, size_t index) {
  bool any = shrink_size(search, index);
  struct operation op = record_operation(program_at(search->best, index));
  static const uint64_t aligns[] = {1, 8, 16};
  for (size_t i = 0; i < sizeof aligns / sizeof *aligns; i++) {
    struct operation candidate = op;
    candidate.align = aligns[i];
    if (op.align <= aligns[i] && op.align > 0) break;
    if (try_operation(search, index, &candidate)) {
      any = true;
      break;
    }
  }
  op = record_operation(program_at(search->best, index));
  if (op.kind == OP_ALLOCATE_ZEROED || op.kind == OP_RESIZE) {
    struct operation candidate = op;
    candidate.kind = OP_ALLOCATE;
    candidate.count = 1;
    if (try_operation(search, index, &candidate)) any = true;
  }
  op = record_operation(program_at(search->best, index));
  if (op.thread > 0) {
    op.thread = 0;
    if (try_operation(search, index, &op)) any = true;
  }
  op = record_operation(program_at(search->best, index));
  if (op.count > 1) {
    op.count = 1;
    if (try_operation(search, index, &op)) any = true;
  }
  return any;
}

// Slots numbered in the order in which they come, and no thread that the heap does not have.
static bool rename_slots(struct search *search) {
  uint32_t names[64], count = 0;
  uint32_t mask = program_heap(search->best).slots - 1;
  unsigned threads = program_heap(search->best).threads;
  start_candidate(search);
  bool changed = false;
  for (size_t i = 1; i < search->best->count; i++) {
    struct record *record = &search->scratch[i];
    struct operation op = record_operation(record);
    uint32_t old = op.slot & mask, name = 0;
    if (op.kind == OP_RESET || op.kind == OP_FAULT) {
      op.slot = 0;
    } else {
      while (name < count && names[name] != old) name++;
      if (name == count) {
        if (count == sizeof names / sizeof *names) return false;
        names[count++] = old;
      }
      op.slot = name;
    }
    op.thread &= threads - 1;
    struct record renamed = operation_record(&op);
    changed |= !same(&renamed, record);
    *record = renamed;
  }
  return changed && improves(search, search->best->count);
}

bool minimize(struct minimization *self, struct program *program) {
  self->runs = 0;
  self->complete = false;
  struct isolated_run run;
  if (!isolate_run(&run, &self->settings, self->strategy, program)) return false;
  self->runs = 1;
  self->verdict = run.verdict;
  if (run.verdict.property == PROPERTY_NONE ||
      (self->property && strcmp(self->property, run.verdict.id) != 0))
    return false;
  struct search search = {.task = self, .best = program};
  search.scratch = malloc((program->count + 1) * sizeof *search.scratch);
  if (!search.scratch) {
    self->runs = 0;
    return false;
  }
  snprintf(search.id, sizeof search.id, "%s", run.verdict.id);
  program->tail_size = 0;
  if (program_length(program) > 0) {
    cut_tail(&search);
    for (bool again = true; again && !search.stopped;) {
      again = remove_operations(&search);
      again |= simplify_heap(&search);
      for (size_t i = 0; i < program_length(program); i++) again |= simplify_operation(&search, i);
      again |= rename_slots(&search);
    }
  }
  self->complete = !search.stopped;
  free(search.scratch);
  return true;
}
