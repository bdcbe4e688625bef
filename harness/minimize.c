// Which operations are needed. How small their numbers can be is in minimize_values.c.
#include "harness/minimize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/concurrent.h"
#include "harness/minimize_search.h"
#include "harness/program_file.h"

// Programs of up to so many operations are tried without each two of them.
enum { PAIRS_OF = 40 };

// ## Candidates

static uint64_t hash_candidate(const struct search *search, size_t count) {
  uint64_t hash = count;
  for (size_t i = 0; i < count; i++) {
    const struct record *record = &search->scratch[i];
    uint64_t small = (uint64_t)record->slot << 32 ^ (uint64_t)record->thread << 16 ^
                     (uint64_t)record->align << 8 ^ record->code;
    hash = (hash ^ small) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 29 ^ record->size) * 0xBF58476D1CE4E5B9u;
  }
  hash ^= hash >> 32;
  return hash ? hash : 1;
}

static bool violates(struct search *search, size_t count, struct isolated_run *run) {
  struct program candidate = {.records = search->scratch, .count = count};
  struct minimization *task = search->task;
  task->runs++;
  if (!row_inside(&search->row) && task->progress && task->runs % 16 == 0 &&
      !task->progress(task->context, program_length(search->best), task->runs))
    search->stopped = true;
  bool ran = task->judge ? task->judge(task->judge_context, &candidate, run)
                         : row_run(&search->row, &candidate, run);
  return ran && strcmp(run->verdict.id, search->id) == 0;
}

bool search_improves(struct search *search, size_t count) {
  if (search->stopped) return false;
  uint64_t hash = hash_candidate(search, count);
  uint64_t *failed = &search->failed[hash % SEARCH_FAILED];
  if (*failed == hash && (!search->row.alone || search->careful)) return false;
  struct isolated_run run;
  if (!violates(search, count, &run)) {
    *failed = hash;
    return false;
  }
  memcpy(search->best->records, search->scratch, count * sizeof *search->scratch);
  search->best->count = count;
  search->task->verdict = run.verdict;
  return true;
}

// ## Removal

// Without the units [from, to).
static bool try_without(struct search *search, size_t from, size_t to) {
  const struct program *best = search->best;
  size_t count = 1, length = program_length(best);
  search->scratch[0] = best->records[0];
  for (size_t i = 0; i < length; i++)
    if (search->unit[i] < from || search->unit[i] >= to)
      search->scratch[count++] = *program_at(best, i);
  if (count == best->count || !search_improves(search, count)) return false;
  size_t kept = 0;
  for (size_t i = 0; i < length; i++) {
    size_t unit = search->unit[i];
    if (unit < from || unit >= to) search->unit[kept++] = unit < from ? unit : unit - (to - from);
  }
  return true;
}

// Chunks from the end, since what comes late rarely matters to what comes early. True if any went.
static bool remove_units(struct search *search, size_t count) {
  bool any = false;
  for (size_t chunk = count; chunk > 0; chunk = chunk > count ? count : chunk / 2) {
    for (size_t end = count; end > 0 && !search->stopped;) {
      size_t from = end < chunk ? 0 : end - chunk;
      if (try_without(search, from, end)) {
        any = true;
        count -= end - from;
      }
      end = from;
    }
    if (chunk == 1) break;
  }
  return any;
}

// Each operation by itself.
static size_t number_operations(struct search *search) {
  size_t length = program_length(search->best);
  for (size_t i = 0; i < length; i++) search->unit[i] = i;
  return length;
}

// Of a collection, all that is done to an instance; and each fault by itself.
static size_t number_instances(struct search *search) {
  size_t count = COLLECTION_INSTANCES;
  for (size_t i = 0; i < program_length(search->best); i++) {
    const struct record *record = program_at(search->best, i);
    bool fault = verb_of(record, search_driver(search)->verb_count) < 0;
    search->unit[i] = fault ? count++ : record->slot % COLLECTION_INSTANCES;
  }
  return count;
}

// Whole lives of blocks: an allocation with all that is done to its slot until the next one.
static size_t number_lives(struct search *search) {
  enum { MOST_SLOTS = 1 << 12 };
  struct heap heap = program_heap(search->best);
  if (search_driver(search)) return number_instances(search);
  if (heap.slots > MOST_SLOTS) return 0;
  size_t lives[MOST_SLOTS], count = 0;  // the slot's current life + 1
  memset(lives, 0, heap.slots * sizeof *lives);
  for (size_t i = 0; i < program_length(search->best); i++) {
    struct operation op = record_operation(program_at(search->best, i));
    size_t *life = &lives[op.slot & (heap.slots - 1)];
    if (!operation_takes_slot(op.kind)) {
      search->unit[i] = count++;
      continue;
    }
    bool begins = op.kind == OP_ALLOCATE || op.kind == OP_ALLOCATE_ZEROED;
    if (begins || *life == 0) *life = ++count;
    search->unit[i] = *life - 1;
    if (op.kind == OP_RELEASE || op.kind == OP_OVERRUN) *life = 0;
  }
  return count;
}

// Each two operations that are of no use but together, such as a pair that keeps a balance.
static bool remove_pairs(struct search *search) {
  bool any = false;
  for (size_t i = program_length(search->best); i-- > 1 && !search->stopped;) {
    for (size_t j = i; j-- > 0 && i < program_length(search->best);) {
      if (program_length(search->best) > PAIRS_OF) return any;
      const struct program *best = search->best;
      size_t count = 0;
      for (size_t k = 0; k < best->count; k++)
        if (k != i + 1 && k != j + 1) search->scratch[count++] = best->records[k];
      any |= search_improves(search, count);
    }
  }
  return any;
}

static bool remove_operations(struct search *search) {
  bool any = remove_units(search, number_lives(search));
  while (remove_units(search, number_operations(search))) any = true;
  return remove_pairs(search) || any;
}

// In a smaller heap fewer operations may fill it.
static bool remove_in_smaller_heaps(struct search *search) {
  enum { SHORT = 4, SMALLEST = 512 };
  struct record *before = search->before;
  size_t length = program_length(search->best), count = search->best->count;
  struct heap heap = program_heap(search->best);
  if (length <= SHORT) return false;
  memcpy(before, search->best->records, count * sizeof *before);
  struct verdict verdict = search->task->verdict;
  for (size_t capacity = SMALLEST; capacity < heap.capacity && !search->stopped; capacity *= 2) {
    struct heap smaller = heap;
    smaller.capacity = capacity;
    memcpy(search->scratch, before, count * sizeof *before);
    search->scratch[0] = heap_record(&smaller);
    if (!search_improves(search, count)) continue;
    if (remove_operations(search)) return true;
    memcpy(search->best->records, before, count * sizeof *before);
    search->best->count = count;
    search->task->verdict = verdict;
  }
  return false;
}

// What comes after the guilty operation is not needed, mostly.
static void cut_tail(struct search *search) {
  size_t length = number_operations(search), guilty = search->task->verdict.operation;
  if (guilty + 1 < length) try_without(search, guilty + 1, length);
}

// The program in which nothing is left to remove is judged by runs that share their process with
// none. True if something could be removed after all.
static bool remove_single_alone(struct search *search) {
  bool any = false;
  search->row.alone = true;
  for (size_t i = number_operations(search); i-- > 0 && !search->stopped;)
    any |= try_without(search, i, i + 1);
  search->row.alone = search->careful;
  return any;
}

// ## All of it

static void reduce(struct search *search) {
  cut_tail(search);
  do {
    for (bool again = true; again && !search->stopped;) {
      again = remove_operations(search);
      again |= search_simplify_heap(search);
      again |= remove_in_smaller_heaps(search);
      again |= search_shrink_equal_sizes(search);
      for (size_t i = 0; i < program_length(search->best); i++)
        again |= search_simplify_operation(search, i);
      again |= search_rename_slots(search);
    }
  } while (!search->stopped && remove_single_alone(search));
  row_end(&search->row);
}

// Whether a run that is alone, and as patient as others, confirms what is left.
static bool confirmed(struct search *search) {
  struct isolated_run run;
  if (search->task->judge) return true;  // each candidate was judged alone
  struct heap heap = oracle_heap(search->task->strategy, search->best);
  if (concurrent_possible(search->task->strategy, &heap)) return true;  // chance has confirmed it
  if (!isolate_run(&run, &search->task->settings, search->task->strategy, search->best))
    return false;
  search->task->verdict = run.verdict;
  return strcmp(run.verdict.id, search->id) == 0;
}

static bool begin_search(struct search *search, struct program *program, bool careful) {
  struct minimization *task = search->task;
  size_t count = program->count + 1;
  search->best = program;
  search->row = (struct isolated_row){.settings = task->settings, .strategy = task->strategy};
  search->row.alone = search->careful = careful;
  search->row.settings.impatient = !careful;
  if (search->row.settings.impatient) search->row.settings.seconds = 2;
  memset(search->failed, 0, sizeof search->failed);
  free(search->scratch);
  free(search->before);
  free(search->unit);
  search->scratch = malloc(count * sizeof *search->scratch);
  search->before = malloc(count * sizeof *search->before);
  search->unit = malloc(count * sizeof *search->unit);
  return search->scratch && search->before && search->unit;
}

// False if the first run was too hasty to call it a hang, or memory is out.
static bool search_all(struct search *search, struct program *program) {
  struct program first = {0};
  if (!program_copy(&first, program)) return false;
  // What an allocator of the whole process answers depends on all that was asked before.
  bool careful = search->task->judge || search->task->strategy->traits & STRATEGY_FOREIGN;
  bool ready = begin_search(search, program, careful);
  if (ready) reduce(search);
  if (ready && !careful && !confirmed(search)) {
    // What a run shows depends on those before it, or on patience.
    memcpy(program->records, first.records, first.count * sizeof *first.records);
    program->count = first.count;
    ready = confirmed(search) && begin_search(search, program, true);
    if (ready) reduce(search);
  }
  program_clear(&first);
  return ready;
}

// What the program violates. A hang may be told before it is certain: what is left of it will be
// confirmed.
static bool first_run(struct minimization *self, const struct program *program,
                      struct isolated_run *run) {
  if (self->judge) return self->judge(self->judge_context, program, run);
  struct isolate_settings settings = self->settings;
  settings.impatient = true;
  if (isolate_run(run, &settings, self->strategy, program) &&
      (run->verdict.property != PROPERTY_hang || !self->property ||
       strcmp(self->property, run->verdict.id) == 0))
    return true;
  return isolate_run(run, &self->settings, self->strategy, program);
}

bool minimize(struct minimization *self, struct program *program) {
  self->runs = 0;
  self->complete = false;
  self->settings.oracle.twice = true;
  struct isolated_run run;
  if (!first_run(self, program, &run)) return false;
  self->runs = 1;
  self->verdict = run.verdict;
  if (run.verdict.property == PROPERTY_NONE ||
      (self->property && strcmp(self->property, run.verdict.id) != 0))
    return false;
  struct search *search = calloc(1, sizeof *search);
  if (!search) {
    self->runs = 0;
    return false;
  }
  search->task = self;
  snprintf(search->id, sizeof search->id, "%s", run.verdict.id);
  program->tail_size = 0;
  bool done = search_all(search, program);
  self->complete = done && !search->stopped;
  free(search->scratch);
  free(search->before);
  free(search->unit);
  free(search);
  return done;
}
