// Lifetimes that end by other means than release: by rollback to a mark, by collection; and the
// release of a block that was written past its end.
#include "harness/payload.h"
#include "harness/run.h"

// A block ends. To release it once more is a double release.
static void end(struct run *run, struct shadow_block *block) {
  struct shadow *shadow = &run->oracle->shadow;
  if (run->releases_again) shadow_remember(shadow, block->start, block->size);
  shadow_remove(shadow, block);
}

// Verifies a live block and leaves it to the allocator.
static void abandon(struct run *run, struct shadow_block *block) {
  block_verify(run, block);
  memory_grant((void *)block->start, block->size);
  end(run, block);
}

static void ended_some(struct run *run, enum property property) {
  if (run->oracle->shadow.count == 0) run->claimed = 0;
  verify_returned(run, property);
}

// ## Marks

// A mark, and what was true when it was taken.
struct pushed_mark {
  struct mark mark;
  uint32_t serial;  // of the newest block
  uint64_t walk;    // hash of it; 0: not known, or nothing that would be seen again
};
enum { MARKS = 16 };
static struct pushed_mark marks[MARKS];  // a stack; the run knows how many there are

void marks_forget_walks(struct run *run, uint32_t serial) {
  for (size_t i = run->marks_count; i-- > 0 && marks[i].serial >= serial;) marks[i].walk = 0;
}

void operation_mark(struct run *run) {
  if (run->marks_count == MARKS) {
    run->step.skipped = true;
    return;
  }
  struct pushed_mark *pushed = &marks[run->marks_count++];
  *pushed = (struct pushed_mark){.serial = run->oracle->shadow.serial};
  if (inspect_affordable(run)) pushed->walk = inspect(run).hash;
  run_enter(run);
  pushed->mark = run->strategy->mark(run->allocator);
  run_leave(run);
}

void operation_rollback(struct run *run) {
  if (run->marks_count == 0) {
    run->step.skipped = true;
    return;
  }
  run->marks_count = run->operation.slot % run->marks_count + 1;
  const struct pushed_mark *to = &marks[run->marks_count - 1];
  struct shadow *shadow = &run->oracle->shadow;
  for (size_t i = shadow->count; i-- > 0;)
    if (shadow->blocks[i].serial > to->serial) abandon(run, &shadow->blocks[i]);
  run_enter(run);
  run->strategy->rollback(run->allocator, to->mark);
  run_leave(run);
  ended_some(run, PROPERTY_rollback);
  if (!to->walk) return;
  if (inspect_after(run, PROPERTY_rollback).hash != to->walk)
    run_violated(run, PROPERTY_rollback, "the walk is not what it was at the mark");
}

// ## Collections

static struct words show_words(void *context, const void *block) {
  struct run *run = context;
  watch_leave();
  const struct graph_node *node = graph_find(&run->oracle->graph, &run->oracle->shadow, block);
  if (!node)
    run_violated(run, PROPERTY_walk, "the words of %#tx were asked for, where no live block begins",
                 arena_offset(&run->oracle->arena, block));
  watch_enter();
  return (struct words){node->words, GRAPH_REFERENCES};
}

static void hear_collected(void *context, void *block) {
  struct run *run = context;
  watch_leave();
  intptr_t offset = arena_offset(&run->oracle->arena, block);
  struct graph_node *node = graph_find(&run->oracle->graph, &run->oracle->shadow, block);
  if (!node || node->collected)
    run_violated(run, PROPERTY_walk, "%#tx was collected, where no live block begins", offset);
  const struct shadow_block *shadow = &run->oracle->shadow.blocks[node->block - 1];
  if (node->reached) {
    char name[BLOCK_NAME_SIZE];
    run_exercise(run, PROPERTY_reachable_collected);
    run_blame(run, (const void *)shadow->start, shadow->size);
    run_violated(run, PROPERTY_reachable_collected,
                 "the block of %s was collected, though it can be reached from the roots",
                 run_name_block(run, shadow, name));
  }
  block_verify(run, shadow);
  node->collected = true;
  memory_grant(block, shadow->size);
  watch_enter();
}

static void collect(struct run *run, uint64_t noise) {
  struct shadow *shadow = &run->oracle->shadow;
  struct graph *graph = &run->oracle->graph;
  graph_prepare(graph, shadow, noise);
  // In several ranges, one of them empty: none may be missed.
  size_t half = graph->roots_count / 2;
  const struct words roots[] = {{graph->roots, half},
                                {graph->roots + half, 0},
                                {graph->roots + half, graph->roots_count - half}};
  struct collection collection = {.roots = roots,
                                  .roots_count = sizeof roots / sizeof *roots,
                                  .precise = noise == 0,
                                  .trace = show_words,
                                  .collected = hear_collected,
                                  .context = run};
  run_enter(run);
  size_t count = run->strategy->collect(run->allocator, &collection);
  run_leave(run);
  size_t told = 0;
  for (size_t i = shadow->count; i-- > 0;) {
    const struct graph_node *node = &graph->nodes[shadow->blocks[i].serial];
    if (node->reached)
      run_exercise(run, PROPERTY_reachable_collected);
    else if (noise == 0)
      run_exercise(run, PROPERTY_garbage_kept);
    if (node->collected) {
      told++;
      block_changes(run, shadow->blocks[i].serial);
      end(run, &shadow->blocks[i]);
    } else if (noise == 0 && !node->reached) {
      char name[BLOCK_NAME_SIZE];
      run_blame(run, (void *)shadow->blocks[i].start, shadow->blocks[i].size);
      run_violated(run, PROPERTY_garbage_kept,
                   "the block of %s was not collected, though no root reaches it",
                   run_name_block(run, &shadow->blocks[i], name));
    }
  }
  if (count != told)
    run_violated(run, PROPERTY_walk, "%zu blocks were collected, and %zu were told of", count,
                 told);
  ended_some(run, PROPERTY_not_pristine);
}

void operation_collect(struct run *run) {
  collect(run, run->operation.size);
  run_over(run);
  if (inspect_affordable(run)) inspect(run);
}

void collect_everything(struct run *run) {
  for (size_t i = 0; i < run->oracle->graph.count; i++) run->oracle->graph.nodes[i].root = false;
  collect(run, 0);
}

void operation_link(struct run *run) {
  struct shadow *shadow = &run->oracle->shadow;
  const struct shadow_block *from = shadow_at(shadow, run->operation.slot);
  const struct shadow_block *to = shadow_at(shadow, (uint32_t)run->operation.size);
  run->step.skipped = !from;
  if (from)
    graph_link(&run->oracle->graph, from->serial, run->operation.count - 1, to ? to->serial : 0);
}

// ## Overruns

void operation_overrun(struct run *run) {
  struct shadow *shadow = &run->oracle->shadow;
  struct shadow_block *block = shadow_at(shadow, run->operation.slot);
  if (!block) {
    run->step.skipped = true;
    return;
  }
  unsigned char *start = (unsigned char *)block->start, *past = start + block->size;
  run_note_block(run, start, block->size);
  run_exercise(run, PROPERTY_overrun_missed);
  block_changes(run, block->serial);
  abandon(run, block);
  bool inside =
      run->strategy->traits & STRATEGY_FOREIGN || arena_holds(&run->oracle->arena, past, 1);
  if (!inside || occupancy_any(&shadow->occupancy, (uintptr_t)past, 1, false))
    run_violated(run, PROPERTY_overrun_missed,
                 "behind the block of %zu bytes at %#tx there is no place to detect a write in",
                 run->step.size, arena_offset(&run->oracle->arena, start));
  unsigned char byte;
  memory_copy(&byte, past, 1);
  byte = (unsigned char)~byte;
  memory_copy(past, &byte, 1);
  run_enter(run);
  enum release_result result = run->strategy->release(run->allocator, start);
  run_leave(run);
  if (result != RELEASE_OVERRUN)
    run_violated(run, PROPERTY_overrun_missed, "release of %#tx was %s",
                 arena_offset(&run->oracle->arena, start),
                 result == RELEASED ? "accepted" : "taken for another misuse");
  ended_some(run, PROPERTY_not_pristine);
}
