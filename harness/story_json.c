// A story as JSON.
#include <inttypes.h>
#include <stdio.h>

#include "harness/json.h"
#include "harness/program_file.h"
#include "harness/story.h"

enum { SCHEMA = 1 };

static void print_text(const char *key, const char *text) {
  printf("\"%s\": ", key);
  json_print_text(text);
}

static void print_slot(uint32_t slot) {
  if (slot == SHADOW_NO_SLOT)
    printf("\"slot\": null");
  else
    printf("\"slot\": %" PRIu32, slot);
}

static void print_extent(intptr_t start, size_t size) {
  printf("\"start\": %td, \"size\": %zu", start, size);
}

static void print_heap(const struct story *story) {
  static const char *const sources[] = {"fixed", "pages"};
  struct heap heap = oracle_heap(story->strategy, story->program);
  if (story_of_collection(story)) {
    printf(", ");
    print_text("beneath", story->walked->name);
  }
  printf(", \"heap\": {\"source\": \"%s\", \"capacity\": %" PRIu64 ", \"page\": %zu, \"skew\": %u, "
         "\"variant\": %u, \"slots\": %" PRIu32 ", \"threads\": %u}",
         sources[heap.source], heap.capacity, heap.page_size, heap.skew, heap.variant, heap.slots,
         heap.threads);
}

static void print_steps(const struct story *story) {
  static const char *const results[] = {"not reached", "violated", "done", "skipped", "refused"};
  struct heap heap = program_heap(story->program);
  printf(", \"steps\": [");
  for (size_t i = 0; i < story->length; i++) {
    char line[PROGRAM_LINE_MAX];
    const struct story_step *step = &story->steps[i];
    operation_format(program_at(story->program, i), heap.slots, line, sizeof line);
    bool beside = step->result == STEP_BEGUN && i != story->run.verdict.operation;
    printf("%s{", i ? ", " : "");
    print_text("text", line);
    printf(", \"result\": \"%s\"", beside ? "begun" : results[step->result]);
    if (story_of_collection(story) && step->size > 0) {
      printf(", \"length\": %zu", step->size);
    } else if (step->size > 0) {
      printf(", ");
      print_extent(step->start, step->size);
    }
    printf("}");
  }
  printf("]");
}

static void print_lives(const struct story *story) {
  printf(", \"lives\": [");
  for (size_t i = 0; i < story->lives_count; i++) {
    const struct story_life *life = &story->lives[i];
    printf("%s{", i ? ", " : "");
    print_slot(life->slot);
    printf(", ");
    print_extent(life->start, life->size);
    printf(", \"begin\": %zu, \"end\": ", life->begin);
    if (life->end == SIZE_MAX)
      printf("null}");
    else
      printf("%zu}", life->end);
  }
  printf("]");
}

static void print_states(const struct story *story) {
  static const char *const kinds[] = {"meta", "block", "used", "free"};
  printf(", \"states\": [");
  for (size_t i = 0; i < story->states_count; i++) {
    const struct story_state *state = &story->states[i];
    printf("%s{\"before\": %zu, \"end\": %s, \"whole\": %s, \"broken\": ", i ? ", " : "",
           state->before, state->end ? "true" : "false", state->whole ? "true" : "false");
    if (state->broken)
      printf("\"I%u\"", state->broken);
    else
      printf("null");
    printf(", \"spans\": [");
    for (size_t j = 0; j < state->count; j++) {
      const struct story_span *span = &story->spans[state->first + j];
      printf("%s{", j ? ", " : "");
      print_extent(span->start, span->size);
      printf(", \"kind\": \"%s\", ", kinds[span->kind]);
      print_slot(span->slot);
      printf("}");
    }
    printf("]}");
  }
  printf("]");
}

static void print_verdict(const struct story *story, const char *strategy) {
  const struct verdict *verdict = &story->run.verdict;
  const struct run_counts *counts = &story->run.counts;
  printf(", \"operations\": %zu", story->length);
  if (verdict->property == PROPERTY_NONE) {
    printf(", \"executed\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"skipped\": %" PRIu64,
           counts->operations, counts->refused, counts->skipped);
    return;
  }
  printf(", \"signature\": \"%08" PRIx32 "\", \"operation\": %zu, ",
         verdict_signature(verdict, strategy), verdict->operation);
  print_text("diagnosis", verdict->diagnosis);
  printf(", ");
  print_text("site", verdict->site);
  printf(", ");
  print_text("property_text", property_text(verdict->property));
  printf(", \"guilty\": ");
  if (verdict->guilty_size > 0) {
    printf("{");
    print_extent(verdict->guilty, verdict->guilty_size);
    printf("}");
  } else {
    printf("null");
  }
  const struct verdict *first = &story->first;
  printf(", \"first_visible\": ");
  if (first->property == PROPERTY_NONE) {
    printf("null");
    return;
  }
  printf("{\"operation\": %zu, ", first->operation);
  print_text("verdict", first->id);
  printf(", ");
  print_text("diagnosis", first->diagnosis);
  printf("}");
}

void story_print_json(const struct story *story, const char *path, const char *strategy,
                      const char *tier, uint64_t same, uint64_t runs) {
  printf("{\"schema\": %d, ", SCHEMA);
  print_text("file", path);
  printf(", ");
  print_text("strategy", strategy);
  printf(", ");
  print_text("tier", tier);
  printf(", ");
  print_text("verdict", story->run.verdict.id);
  print_verdict(story, strategy);
  printf(", \"replays\": {\"runs\": %" PRIu64 ", \"same\": %" PRIu64 "}", runs, same);
  print_heap(story);
  print_steps(story);
  print_lives(story);
  print_states(story);
  printf("}\n");
}
