// How a run ends with a violation, whoever saw it: a check of the oracle, a signal or a sanitizer.
#include <stdarg.h>
#include <stdio.h>

#include "harness/concurrent.h"
#include "harness/forbid.h"
#include "harness/run.h"

struct run *run_in_progress;

// What the thread at a place of the watch is about: an operation, or something that has a name.
struct place {
  const char *phase;
  const struct operation *operation;
  size_t index;
  bool beside;  // other threads are in operations too
};

static struct place find_place(const struct run *run, unsigned thread) {
  struct place place = {run->phase, &run->operation, run->index, false};
  const struct operation *operation = concurrent_operation(thread, &place.index);
  if (!operation) return place;
  return (struct place){NULL, operation, place.index, true};
}

static void describe_place(const struct run *run, const struct place *place, char *text,
                           size_t size) {
  const struct operation *op = place->operation;
  char thread[24] = "";
  if (place->beside)
    snprintf(thread, sizeof thread, " by thread %u", op->thread & (run->heap.threads - 1));
  if (place->phase)
    snprintf(text, size, "%s", place->phase);
  else if (run->verb)
    snprintf(text, size, "operation %zu, %s", place->index, run->verb);
  else if (!operation_takes_slot(op->kind))
    snprintf(text, size, "operation %zu, %s", place->index, operation_name(op->kind));
  else
    snprintf(text, size, "operation %zu, %s of slot %u%s", place->index, operation_name(op->kind),
             (unsigned)(op->slot & (run->heap.slots - 1)), thread);
}

const char *run_name_block(const struct run *run, const struct shadow_block *block,
                           char name[BLOCK_NAME_SIZE]) {
  intptr_t start = arena_offset(&run->oracle->arena, (const void *)block->start);
  char slot[32] = "a block that no slot names";
  if (block->slot != SHADOW_NO_SLOT) snprintf(slot, sizeof slot, "slot %u", (unsigned)block->slot);
  snprintf(name, BLOCK_NAME_SIZE, "%s at %#tx..%#tx", slot, start, start + (intptr_t)block->size);
  return name;
}

const struct shadow_block *run_block_at(const struct run *run, const void *address) {
  return shadow_overlapping(&run->oracle->shadow, (uintptr_t)address, 1, NULL);
}

static const char *const pass_text[] = {
    [PASS_FIRST] = "",
    [PASS_ELSEWHERE] = " (in the second pass, at other addresses)",
    [PASS_WITHOUT_REFUSED] = " (in the second pass, without what was refused)",
    [PASS_AGAIN] = " (in the second pass)",
    [PASS_REFUSING] = "",
};

static const char *place_name(const struct run *run, const struct place *place) {
  if (place->phase) return place->phase;
  return run->verb ? run->verb : operation_name(place->operation->kind);
}

static struct verdict compose(const struct run *run, unsigned thread, enum property property,
                              const char *text, const char *function) {
  struct place place = find_place(run, thread);
  struct verdict verdict = {.property = property,
                            .operation = place.index,
                            .guilty = run->guilty,
                            .guilty_size = run->guilty_size};
  char where[80];
  describe_place(run, &place, where, sizeof where);
  snprintf(verdict.id, sizeof verdict.id, "%s", property_id(property));
  snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "%s%s%s: %s%s%s", where,
           run->acting ? ", in the strategy beneath, " : "", run->acting ? run->acting : "", text,
           pass_text[run->pass], run->note ? run->note : "");
  snprintf(verdict.site, sizeof verdict.site, "%s%s%s", place_name(run, &place),
           function ? " in " : "", function ? function : "");
  return verdict;
}

void run_violated(struct run *run, enum property property, const char *format, ...) {
  watch_leave();
  watch_silence_others();
  char text[VERDICT_TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  struct verdict verdict = compose(run, watch_place(), property, text, NULL);
  run_count_calls(run);
  // What threads judge is counted when all are still: this one does not come to that.
  if (find_place(run, watch_place()).beside) run_exercise(run, property);
  property_violated(&verdict, run->strategy->name);
}

void run_broken_invariant(struct run *run, const struct broken_invariant *broken) {
  char text[VERDICT_TEXT_SIZE], where[32] = "";
  if (broken->where) {
    run_blame(run, broken->where, 1);
    snprintf(where, sizeof where, " at %#tx", run->guilty);
  }
  snprintf(text, sizeof text, "I%u does not hold%s: %s", broken->number, where,
           run->strategy->invariants[broken->number - 1]);
  struct verdict verdict = compose(run, watch_place(), PROPERTY_invariant, text, NULL);
  run_count_calls(run);
  snprintf(verdict.id, sizeof verdict.id, "invariant:%s.I%u", run->strategy->name, broken->number);
  property_violated(&verdict, run->strategy->name);
}

// What an access at this address is. Memory that went back to the source is outside the heap, even
// if a block that is still live lies there.
static enum property classify(const struct run *run, const void *address, size_t size) {
  const struct arena *arena = &run->oracle->arena;
  if (!range_within(address, 1, arena->mapping, arena->mapping_size)) return PROPERTY_crash;
  if (run->verb) return PROPERTY_outside_heap;
  return arena_holds(arena, address, size) ? PROPERTY_touched_live_block : PROPERTY_outside_heap;
}

// To read what is not one's own is wrong, and mostly without consequence: whoever reads the verdict
// should know which it was. What a signal tells of was no place to read, either.
static const char *describe_access(const struct watch_report *report, enum property property) {
  if (property != PROPERTY_touched_live_block && property != PROPERTY_outside_heap) return "";
  if (report->access == WATCH_WRITE) return ", it wrote";
  if (report->access == WATCH_READ)
    return report->event == WATCH_CRASH ? ", it read" : ", it read, and no harm was seen,";
  return "";
}

// For a collection, in words that are not an allocator's.
static const char *what_happened(const struct run *run, enum property property) {
  if (!run->verb || run->acting) return property_text(property);
  switch (property) {
  case PROPERTY_outside_heap:
    return "the collection accessed memory outside its blocks";
  case PROPERTY_crash:
    return "the collection crashed";
  case PROPERTY_hang:
    return "the operation does not end";
  default:
    return property_text(property);
  }
}

static void on_watch(const struct watch_report *report) {
  struct run *run = run_in_progress;
  if (!run) return;
  watch_silence_others();
  enum property property = PROPERTY_NONE;
  bool printed_later = false;
  switch (report->event) {
  case WATCH_BAD_ACCESS:
    printed_later = true;
    property = classify(run, report->address, report->size);
    break;
  case WATCH_CRASH:
    property = report->address ? classify(run, report->address, report->size) : PROPERTY_crash;
    break;
  case WATCH_UNDEFINED:
    printed_later = true;
    property = PROPERTY_undefined_behaviour;
    break;
  case WATCH_OVERLAPPING:
    property = PROPERTY_overlapping_copy;
    break;
  case WATCH_HANG:
    property = PROPERTY_hang;
    break;
  case WATCH_RACE:
    printed_later = true;
    property = PROPERTY_race;
    break;
  case WATCH_ENDS:
    property = PROPERTY_crash;
    break;
  case WATCH_TAKES:
    property = PROPERTY_outside_heap;
    break;
  }
  if (run->misuse) property = run->misuse;
  char text[VERDICT_TEXT_SIZE];
  char what[VERDICT_TEXT_SIZE / 2] = "";
  if (report->what)
    snprintf(what, sizeof what, ": %s%s", report->what, describe_access(report, property));
  const struct arena *arena = &run->oracle->arena;
  if (report->address && range_within(report->address, 1, arena->mapping, arena->mapping_size)) {
    char owner[BLOCK_NAME_SIZE + 40] = "";
    const struct shadow_block *block = run->verb ? NULL : run_block_at(run, report->address);
    if (block) {
      char name[BLOCK_NAME_SIZE];
      snprintf(owner, sizeof owner, ", byte %zu of live %s",
               (size_t)((uintptr_t)report->address - block->start),
               run_name_block(run, block, name));
    }
    run_blame(run, report->address, report->size);
    snprintf(text, sizeof text, "%s%s at %#tx%s%s%s", what_happened(run, property), what,
             run->guilty, owner, report->site ? " in " : "", report->site ? report->site : "");
  } else
    snprintf(text, sizeof text, "%s%s%s%s", what_happened(run, property), what,
             report->site ? " in " : "", report->site ? report->site : "");
  struct verdict verdict = compose(run, report->place, property, text, report->site);
  run_count_calls(run);
  if (find_place(run, report->place).beside) run_exercise(run, property);
  if (printed_later)
    property_announce(&verdict, run->strategy->name);
  else
    property_violated(&verdict, run->strategy->name);
}

void run_enter(struct run *run) {
  run->errors = memory_errors();
  run->calls += !run->misuse;
  // Touching a foreign block is a crash.
  if (MEMORY_SHOWS_TOUCHES && run->oracle->shadow.count > 0 && !run->misuse && !run->verb &&
      !(run->strategy->traits & STRATEGY_FOREIGN))
    run_exercise(run, PROPERTY_touched_live_block);
  watch_tick();
  watch_enter();
}

void run_leave(struct run *run) {
  watch_leave();
  if (memory_errors() == run->errors) return;
  verify_canaries(run);
  run_violated(run,
               run->misuse ? run->misuse
               : run->verb ? PROPERTY_outside_heap
                           : PROPERTY_touched_live_block,
               "see Valgrind's report of the access");
}

void run_watch(void) { watch_install(on_watch); }
