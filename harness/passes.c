// Passes over the same program beside the first, and how they compare with it.
#include <stdio.h>

#include "harness/run.h"

static const intptr_t refused = INTPTR_MIN, skipped = INTPTR_MIN + 1;

static size_t left_out_before(const struct run *run, size_t index) {
  size_t count = 0;
  for (size_t i = 0; i < index; i++) count += run->oracle->answers[i].left_out > 0;
  return count;
}

// Did the first pass end with the same walk, or likewise without an allocator?
void pass_walk(struct run *run, uint64_t walk) {
  if (run->pass == PASS_FIRST) {
    run->last_walk = walk;
    return;
  }
  run_exercise(run, run->pass == PASS_WITHOUT_REFUSED ? PROPERTY_failed_op_changed_state
                                                      : PROPERTY_nondeterministic);
  if (walk == run->last_walk) return;
  if (run->pass == PASS_WITHOUT_REFUSED)
    run->difference = (struct difference){.found = true, .at_end = true, .index = run->index};
  else if (!walk != !run->last_walk)
    run_violated(run, PROPERTY_nondeterministic,
                 "create failed on one fresh heap and not on another");
  else
    run_violated(run, PROPERTY_nondeterministic,
                 "all answers were the same on two fresh heaps, but the walk is not");
}

static intptr_t answer_of(const struct run *run) {
  return run->refused ? refused : run->step.skipped ? skipped : run->step.offset;
}

enum { ANSWER_TEXT = 24 };

static const char *describe(intptr_t answer, char text[ANSWER_TEXT]) {
  if (answer == refused) return "a refusal";
  if (answer == skipped) return "none";
  snprintf(text, ANSWER_TEXT, "%#tx", answer);
  return text;
}

static void compare_answer(struct run *run) {
  const struct first_answer *first = &run->oracle->answers[run->index];
  intptr_t answer = answer_of(run);
  bool same = answer == first->offset && run->step.size == first->size;
  if (run->pass == PASS_WITHOUT_REFUSED) {
    if (run->leaving_out && answer != skipped) run_exercise(run, PROPERTY_failed_op_changed_state);
    if (!same)
      run->difference = (struct difference){.found = true, .index = run->index, .answer = answer};
    return;
  }
  if (answer != skipped || !same) run_exercise(run, PROPERTY_nondeterministic);
  if (same) return;
  if (answer == first->offset)
    run_violated(run, PROPERTY_nondeterministic,
                 "%zu bytes are usable on one fresh heap and %zu on another", first->size,
                 run->step.size);
  run_violated(
      run, PROPERTY_nondeterministic, "the answer was %s on one fresh heap and %s on another",
      describe(first->offset, (char[ANSWER_TEXT]){0}), describe(answer, (char[ANSWER_TEXT]){0}));
}

static void note_answer(struct run *run) {
  struct first_answer *answer = &run->oracle->answers[run->index];
  *answer = (struct first_answer){.offset = answer_of(run), .size = run->step.size};
  if (!run->without_effect || run->account.changes != run->traffic.changes) return;
  answer->left_out = (uint32_t)(run->faults.requests - run->traffic.requests) + 1;
  run->left_out++;
}

bool pass_begins(struct run *run) {
  run->traffic = (struct traffic){run->account.changes, run->faults.requests};
  if (run->pass != PASS_WITHOUT_REFUSED) return true;
  uint32_t left_out = run->oracle->answers[run->index].left_out;
  if (left_out == 0) return true;
  run->leaving_out = true;
  // Faults strike the acquisitions that they struck before.
  run->faults.acquisitions += left_out - 1;
  if (operation_can_die(run->operation.kind)) run->crash_barrier = 0;
  return false;
}

void pass_ends(struct run *run) {
  if (run->pass != PASS_FIRST)
    compare_answer(run);
  else if (run->noted)
    note_answer(run);
}

_Noreturn void pass_differs(struct run *run) {
  const struct difference *difference = &run->difference;
  run->pass = PASS_FIRST;
  run->index = difference->index;
  size_t others = left_out_before(run, run->index);
  if (difference->at_end) {
    run->phase = "end";
    run_violated(run, PROPERTY_failed_op_changed_state,
                 "the walk is another one if %zu requests that were refused are left out", others);
  }
  run->operation = record_request(program_at(run->program, run->index));
  run_violated(run, PROPERTY_failed_op_changed_state,
               "the answer was %s, and is %s if %zu requests before, that were refused, are left "
               "out",
               describe(run->oracle->answers[run->index].offset, (char[ANSWER_TEXT]){0}),
               describe(difference->answer, (char[ANSWER_TEXT]){0}), others);
}
