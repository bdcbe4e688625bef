#include "harness/explain.h"

#include <inttypes.h>
#include <string.h>

#include "harness/collection.h"
#include "harness/program_file.h"

enum { LINE_SIZE = 200, SPANS_SHOWN = 64, LATER_SHOWN = 8, STEPS_AROUND = 2 };

static void print_operation(const struct story *story, size_t index, char mark, const char *rest) {
  char line[LINE_SIZE];
  struct heap heap = program_heap(story->program);
  operation_format(program_at(story->program, index), heap.slots, line, sizeof line);
  printf("%c %4zu  %-44s  %s\n", mark, index, line, rest);
}

// ## Operations

static void print_step(const struct story *story, size_t index, const char *guilt) {
  const struct story_step *step = &story->steps[index];
  struct operation op = record_operation(program_at(story->program, index));
  bool collection = story_of_collection(story);
  bool left_open = !collection && operation_left_open(&op, story->strategy);
  char rest[64 + VERDICT_ID_SIZE] = "done";
  if (step->result == STEP_SKIPPED)
    snprintf(rest, sizeof rest, "skipped");
  else if (step->result == STEP_REFUSED)
    snprintf(rest, sizeof rest, "%s",
             collection  ? "memory was refused"
             : left_open ? "NULL, as C allows"
                         : "refused");
  else if (left_open && step->result == STEP_DONE)
    snprintf(rest, sizeof rest, "no bytes at %#tx", step->start);
  else if (collection && step->size > 0)
    snprintf(rest, sizeof rest, "done, length %zu", step->size);
  else if (step->size > 0)
    snprintf(rest, sizeof rest, "%#tx..%#tx", step->start, step->start + (intptr_t)step->size);
  if (story->first.property != PROPERTY_NONE && story->first.operation == index) {
    size_t length = strlen(rest);
    snprintf(rest + length, sizeof rest - length, "  <-- first visible");
  }
  if (guilt) {
    size_t length = strlen(rest);
    snprintf(rest + length, sizeof rest - length, "  %s", guilt);
  }
  print_operation(story, index, guilt ? '>' : ' ', rest);
}

// Whether the violation is one of an operation, and not of create or of what comes after the last
// operation. A further pass blames one that the first has behind it.
static bool in_operation(const struct story *story) {
  const struct verdict *verdict = &story->run.verdict;
  if (verdict->property == PROPERTY_NONE || verdict->operation >= story->length) return false;
  const struct record *record = program_at(story->program, verdict->operation);
  const char *name = operation_name(record_kind(record));
  if (story_of_collection(story)) {
    int verb = verb_of(record, story->strategy->driver->verb_count);
    name = verb < 0 ? "fault" : story->strategy->driver->verbs[verb].name;
  }
  return story->steps[verdict->operation].result != STEP_NOT_REACHED &&
         strncmp(verdict->site, name, strlen(name)) == 0;
}

// The one that did it, as far as can be told.
static size_t guilty_operation(const struct story *story) {
  return story->first.property == PROPERTY_NONE ? story->run.verdict.operation
                                                : story->first.operation;
}

static void print_steps(const struct story *story) {
  const struct verdict *verdict = &story->run.verdict;
  bool found = verdict->property != PROPERTY_NONE, named = in_operation(story);
  size_t later = 0;
  char rest[LINE_SIZE];
  snprintf(rest, sizeof rest, "<== %s", verdict->id);
  for (size_t i = 0; i < story->length; i++) {
    enum story_result result = story->steps[i].result;
    bool guilty = named && i == verdict->operation;
    if (result == STEP_NOT_REACHED) {
      if (later++ < LATER_SHOWN) print_operation(story, i, ' ', "not reached");
    } else if (result == STEP_BEGUN) {
      print_operation(story, i, guilty ? '>' : ' ', guilty ? rest : "beside it");
    } else {
      print_step(story, i, guilty ? rest : NULL);
    }
  }
  if (later > LATER_SHOWN) printf("        ... and %zu more\n", later - LATER_SHOWN);
  if (found && !named) printf(">       %-44s  %s\n", verdict->site, rest);
}

// ## The heap

static void print_extent(char mark, intptr_t start, size_t size) {
  printf("  %c %#8tx..%-#8tx %8zu  ", mark, start, start + (intptr_t)size, size);
}

static void print_slot(const struct story *story, uint32_t slot) {
  if (slot == SHADOW_NO_SLOT)
    printf("no slot\n");
  else
    printf("%s %" PRIu32 "\n", story_of_collection(story) ? "block" : "slot", slot);
}

static void print_live_blocks(const struct story *story) {
  if (story_of_collection(story))
    printf("\nBlocks of %s, with red zones, and with those that were released of late: %zu, %zu "
           "bytes\n",
           story->walked->name, story->live_count, story->live_bytes);
  else
    printf("\nLive blocks by the shadow model: %zu, %zu bytes\n", story->live_count,
           story->live_bytes);
  size_t shown = 0;
  for (size_t i = 0; i < story->lives_count; i++) {
    const struct story_life *life = &story->lives[i];
    if (life->end != SIZE_MAX || shown++ >= SPANS_SHOWN) continue;
    print_extent(' ', life->start, life->size);
    print_slot(story, life->slot);
  }
  if (story->live_count > SPANS_SHOWN)
    printf("    ... and %zu more\n", story->live_count - SPANS_SHOWN);
}

static void print_span(const struct story *story, char mark, const struct story_span *span) {
  static const char *const kinds[] = {"meta", "block", "used", "free"};
  print_extent(mark, span->start, span->size);
  if (span->slot == SHADOW_NO_SLOT) {
    printf("%s\n", kinds[span->kind]);
  } else {
    printf("%-6s", kinds[span->kind]);
    print_slot(story, span->slot);
  }
}

static bool has_span(const struct story *story, const struct story_state *state,
                     const struct story_span *span) {
  for (size_t i = 0; i < state->count; i++) {
    const struct story_span *other = &story->spans[state->first + i];
    if (other->start == span->start && other->size == span->size && other->kind == span->kind &&
        other->slot == span->slot)
      return true;
  }
  return false;
}

static void print_remarks(const struct story *story, const struct story_state *state) {
  if (!state->whole) printf("    ... and here the walk breaks off\n");
  if (state->broken)
    printf("    I%u does not hold: %s\n", state->broken,
           story->walked->invariants[state->broken - 1]);
}

// All spans; those that are new since `before` are marked.
static void print_state(const struct story *story, const struct story_state *state,
                        const struct story_state *before) {
  for (size_t i = 0; i < state->count && i < SPANS_SHOWN; i++) {
    const struct story_span *span = &story->spans[state->first + i];
    print_span(story, before && !has_span(story, before, span) ? '+' : ' ', span);
  }
  if (state->count > SPANS_SHOWN) printf("    ... and %zu more\n", state->count - SPANS_SHOWN);
  print_remarks(story, state);
}

// What went is marked -, what came +.
static void print_changes(const struct story *story, const struct story_state *state,
                          const struct story_state *before) {
  size_t changes = 0;
  for (size_t i = 0; i < before->count; i++) {
    const struct story_span *span = &story->spans[before->first + i];
    if (!has_span(story, state, span) && changes++ < SPANS_SHOWN) print_span(story, '-', span);
  }
  for (size_t i = 0; i < state->count; i++) {
    const struct story_span *span = &story->spans[state->first + i];
    if (!has_span(story, before, span) && changes++ < SPANS_SHOWN) print_span(story, '+', span);
  }
  if (changes == 0) printf("    as before\n");
  if (changes > SPANS_SHOWN) printf("    ... and %zu more\n", changes - SPANS_SHOWN);
  print_remarks(story, state);
}

// The heap before the two operations that precede the guilty one, what each of them changed, and
// the heap in the end.
static void print_heap(const struct story *story) {
  const struct story_state *before = NULL;
  size_t guilty = guilty_operation(story);
  for (size_t i = 0; i < story->states_count; i++) {
    const struct story_state *state = &story->states[i];
    if (state->end) {
      printf("\nThe allocator's own account%s:\n", before ? ", what is new marked +" : "");
      print_state(story, state, before);
    } else if (state->before + STEPS_AROUND >= guilty && state->before <= guilty + 1) {
      if (!before)
        printf("\nThe heap before operation %zu:\n", state->before);
      else
        printf("\nChanged by operation %zu:\n", state->before - 1);
      before ? print_changes(story, state, before) : print_state(story, state, NULL);
    } else {
      continue;
    }
    before = state;
  }
}

void explain(const struct story *story) {
  struct heap heap = program_heap(story->program);
  char line[LINE_SIZE];
  heap_format(&heap, line, sizeof line);
  printf("        %s\n", line);
  if (story_of_collection(story)) printf("        on %s\n", story->walked->name);
  print_steps(story);
  const struct verdict *verdict = &story->run.verdict;
  if (verdict->property == PROPERTY_NONE) return;
  printf("\n%s\n", verdict->diagnosis);
  if (story->first.property != PROPERTY_NONE)
    printf("First visible as %s after %s\n", story->first.id, story->first.diagnosis);
  print_live_blocks(story);
  print_heap(story);
  fflush(stdout);
}

// ## In a debugger

static size_t stop_before;

// Where the guilty operation enters the allocator. For debuggers.
explain_entry *explain_call;

__attribute__((noinline)) void explain_guilty_operation(const struct allocator *allocator,
                                                        const struct step *step) {
  __asm__ volatile("" : : "r"(allocator), "r"(step) : "memory");  // keeps the call
}

static explain_entry *entry_of(const struct strategy *strategy, enum operation_kind kind) {
  switch (kind) {
  case OP_ALLOCATE:
    return (explain_entry *)strategy->allocate;
  case OP_ALLOCATE_ZEROED:
    return (explain_entry *)strategy->allocate_zeroed;
  case OP_RELEASE:
  case OP_RELEASE_AGAIN:
  case OP_RELEASE_FOREIGN:
  case OP_OVERRUN:
    return (explain_entry *)strategy->release;
  case OP_RESIZE:
    return (explain_entry *)strategy->resize;
  case OP_USE:
    return (explain_entry *)strategy->usable_size;
  case OP_RESET:
    return (explain_entry *)strategy->reset;
  case OP_COLLECT:
    return (explain_entry *)strategy->collect;
  default:
    return NULL;
  }
}

bool explain_has_entry(const struct strategy *strategy, const struct program *program,
                       size_t operation) {
  if (operation >= program_length(program)) return false;
  const struct record *record = program_at(program, operation);
  if (strategy->traits & STRATEGY_COLLECTION)
    return verb_of(record, strategy->driver->verb_count) >= 0;
  return entry_of(strategy, record_kind(program_at(program, operation))) != NULL;
}

static void stop_in_time(void *context, const struct step *step) {
  if (step->index != stop_before) return;
  const struct strategy *strategy = context;
  explain_call = strategy->traits & STRATEGY_COLLECTION ? (explain_entry *)strategy->driver->apply
                                                        : entry_of(strategy, step->operation->kind);
  const struct arena *arena;
  const struct shadow *shadow;
  explain_guilty_operation(oracle_allocator(&arena, &shadow), step);
}

void explain_in_debugger(enum tier tier, size_t operation, const struct strategy *strategy,
                         const struct program *program) {
  stop_before = operation;
  static struct oracle oracle;
  oracle_init(&oracle, &(struct oracle_settings){.tier = tier,
                                                 .twice = true,
                                                 .before = stop_in_time,
                                                 .context = (void *)(uintptr_t)strategy});
  if (!oracle_run(&oracle, strategy, program)) perror("no memory for the heap");
}
