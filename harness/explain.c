#include "harness/explain.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "harness/concurrent.h"
#include "harness/program_file.h"

enum { LINE_SIZE = 200, SPANS_SHOWN = 64, LATER_SHOWN = 8, WALK_SECONDS = 5, ATTEMPTS = 50 };

// The run that is being told, in the child.
static struct {
  const struct strategy *strategy;
  const struct program *program;
  struct heap heap;
  size_t first, last;  // operations in progress; several only on several threads
  bool in_progress;    // they have begun and not all ended
  size_t stop_before;
  size_t spans;
} telling;

static void format_operation(size_t index, char *line, size_t size) {
  operation_format(program_at(telling.program, index), telling.heap.slots, line, size);
}

static void tell_step(void *context, const struct step *step) {
  (void)context;
  char line[LINE_SIZE];
  format_operation(step->index, line, sizeof line);
  printf("  %4zu  %-44s", step->index, line);
  if (step->skipped)
    printf("  skipped\n");
  else if (step->refused)
    printf("  refused\n");
  else if (step->size > 0)
    printf("  %#tx..%#tx\n", step->offset, step->offset + (intptr_t)step->size);
  else
    printf("  done\n");
  telling.first = step->index + 1;
  telling.in_progress = telling.first <= telling.last;
}

static void begin_step(void *context, const struct step *step) {
  (void)context;
  if (!telling.in_progress) telling.first = step->index;
  telling.last = step->index;
  telling.in_progress = true;
  fflush(stdout);
}

// ## The state at the guilty operation

static void tell_span(void *context, const struct span *span) {
  static const char *const kinds[] = {"meta", "block", "used", "free"};
  const struct arena *arena = context;
  if (telling.spans++ >= SPANS_SHOWN) return;
  intptr_t offset = arena_offset(arena, span->start);
  printf("    %#8tx..%-#8tx %8zu  %s\n", offset, offset + (intptr_t)span->size, span->size,
         kinds[span->kind]);
}

static void tell_live_blocks(const struct arena *arena, const struct shadow *shadow) {
  printf("\nLive blocks by the shadow model: %zu, %zu bytes\n", shadow->count, shadow->live_bytes);
  for (size_t i = 0; i < shadow->count && i < SPANS_SHOWN; i++) {
    const struct shadow_block *block = &shadow->blocks[i];
    intptr_t offset = arena_offset(arena, (const void *)block->start);
    char name[32] = "no slot";
    if (block->slot != SHADOW_NO_SLOT) snprintf(name, sizeof name, "slot %" PRIu32, block->slot);
    printf("    %#8tx..%-#8tx %8zu  %s\n", offset, offset + (intptr_t)block->size, block->size,
           name);
  }
  if (shadow->count > SPANS_SHOWN) printf("    ... and %zu more\n", shadow->count - SPANS_SHOWN);
}

// The allocator may be damaged beyond walking: then the process ends in the middle of this, with
// all that is worth knowing printed already.
static void tell_walk(const struct allocator *allocator, const struct arena *arena) {
  alarm(WALK_SECONDS);
  printf("\nThe allocator's own account:\n");
  fflush(stdout);
  struct broken_invariant broken = telling.strategy->check(allocator);
  if (broken.number)
    printf("    I%u does not hold: %s\n", broken.number,
           telling.strategy->invariants[broken.number - 1]);
  fflush(stdout);
  telling.spans = 0;
  telling.strategy->walk(allocator, tell_span, (void *)arena);
  if (telling.spans > SPANS_SHOWN) printf("    ... and %zu more\n", telling.spans - SPANS_SHOWN);
}

static void tell_violation(const struct verdict *verdict) {
  size_t length = program_length(telling.program);
  char line[LINE_SIZE];
  if (telling.in_progress) {
    for (size_t i = telling.first; i <= telling.last; i++) {
      bool guilty = i == verdict->operation;
      format_operation(i, line, sizeof line);
      printf("%c %4zu  %-44s  %s%s\n", guilty ? '>' : ' ', i, line, guilty ? "<== " : "beside it",
             guilty ? verdict->id : "");
    }
    size_t later = length - telling.last - 1;
    for (size_t i = 0; i < later && i < LATER_SHOWN; i++) {
      format_operation(telling.last + 1 + i, line, sizeof line);
      printf("  %4zu  %-44s  not reached\n", telling.last + 1 + i, line);
    }
    if (later > LATER_SHOWN) printf("        ... and %zu more\n", later - LATER_SHOWN);
  } else {
    printf(">       %-44s  <== %s\n", verdict->site, verdict->id);
  }
  printf("\n%s\n", verdict->diagnosis);
  const struct arena *arena;
  const struct shadow *shadow;
  const struct allocator *allocator = oracle_allocator(&arena, &shadow);
  if (arena) tell_live_blocks(arena, shadow);
  // TSan, which calls from within its report of a race, would wait for itself at the next.
  if (allocator && verdict->property != PROPERTY_race) tell_walk(allocator, arena);
  fflush(stdout);
}

static void start_telling(const struct explanation *how, const struct strategy *strategy,
                          const struct program *program) {
  telling.strategy = strategy;
  telling.program = program;
  telling.heap = program_heap(program);
  telling.in_progress = false;
  telling.stop_before = how->stop_before;
}

bool explain(struct isolated_run *run, const struct explanation *how,
             const struct strategy *strategy, const struct program *program) {
  start_telling(how, strategy, program);
  char line[LINE_SIZE];
  heap_format(&telling.heap, line, sizeof line);
  printf("        %s\n", line);
  struct isolate_settings settings = {
      .oracle = {.tier = how->tier, .twice = true, .before = begin_step, .after = tell_step},
      .on_violation = tell_violation,
      .once = true};
  struct heap heap = oracle_heap(strategy, program);
  if (!concurrent_possible(strategy, &heap)) return isolate_run(run, &settings, strategy, program);
  // The run that is told must be one that shows something.
  FILE *story = tmpfile();
  if (!story) return false;
  settings.output = fileno(story);
  bool ran = true;
  for (int i = 0; ran && i < ATTEMPTS; i++) {
    ran = ftruncate(settings.output, 0) == 0 && lseek(settings.output, 0, SEEK_SET) == 0 &&
          isolate_run(run, &settings, strategy, program);
    if (ran && run->verdict.property != PROPERTY_NONE) break;
  }
  rewind(story);
  for (int c; (c = getc(story)) != EOF;) putchar(c);
  fclose(story);
  return ran;
}

// ## In a debugger

__attribute__((noinline)) void explain_guilty_operation(const struct allocator *allocator,
                                                        const struct step *step) {
  __asm__ volatile("" : : "r"(allocator), "r"(step) : "memory");  // keeps the call
}

static void stop_in_time(void *context, const struct step *step) {
  (void)context;
  if (step->index != telling.stop_before) return;
  const struct arena *arena;
  const struct shadow *shadow;
  explain_guilty_operation(oracle_allocator(&arena, &shadow), step);
}

void explain_in_debugger(const struct explanation *how, const struct strategy *strategy,
                         const struct program *program) {
  start_telling(how, strategy, program);
  static struct oracle oracle;
  oracle_init(&oracle,
              &(struct oracle_settings){.tier = how->tier, .twice = true, .before = stop_in_time});
  if (!oracle_run(&oracle, strategy, program)) perror("no memory for the heap");
}
