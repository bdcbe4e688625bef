// Abstract states: what they tell apart and what not, and that every strategy's programs show some.
#include "fuzz/heap_state.h"

#include "allocators/check.h"
#include "allocators/registry.h"

static uint32_t state_of(struct heap_view view) { return heap_state(&view); }

static void magnitudes_are_told_apart(void) {
  const struct heap_view view = {.operation = OP_ALLOCATE,
                                 .live = 4,
                                 .free_spans = 2,
                                 .bytes = 65536,
                                 .free = 1000,
                                 .largest_free = 900};
  uint32_t state = heap_state(&view);
  CHECK(state >> 24 == HEAP_STATE_DEFINITION);
  struct heap_view other = view;
  other.live = 7;
  other.free_spans = 3;
  other.bytes = 70000;
  other.operation = OP_ALLOCATE_ZEROED;
  other.neighbours = 1u << (4 * SPAN_META + SPAN_BLOCK);
  CHECK(heap_state(&other) == state);
#define DIFFERS(field, value)                                                                      \
  other = view;                                                                                    \
  other.field = (value);                                                                           \
  CHECK(heap_state(&other) != state)
  DIFFERS(live, 3);
  DIFFERS(live, 8);
  DIFFERS(free_spans, 1);
  DIFFERS(largest_free, 400);
  DIFFERS(bytes, 1024);
  DIFFERS(refused, true);
  DIFFERS(fresh, true);
  DIFFERS(beside, true);
  DIFFERS(operation, OP_RELEASE);
  DIFFERS(neighbours, 1u << (4 * SPAN_FREE + SPAN_FREE));
  DIFFERS(neighbours, 1u << (4 * SPAN_BLOCK + SPAN_BLOCK));
#undef DIFFERS
  CHECK(state_of((struct heap_view){.fresh = true}) != 0);
}

enum { MOST = 64 };
static struct {
  struct heap_view views[MOST];
  size_t count;
} seen;

static void note(void *context, const struct heap_view *view) {
  (void)context;
  CHECK(view->free <= view->bytes && view->largest_free <= view->free);
  CHECK((view->free_spans == 0) == (view->free == 0));
  if (seen.count < MOST) seen.views[seen.count++] = *view;
}

static void run_on(struct oracle *oracle, const struct strategy *strategy) {
  struct record records[] = {
      heap_record(&(struct heap){.page_size = 4096, .capacity = 262144, .slots = 4}),
      operation_record(&(struct operation){.kind = OP_ALLOCATE, .size = 100, .align = 1}),
      operation_record(&(struct operation){.kind = OP_RELEASE, .slot = 3}),
      operation_record(
          &(struct operation){.kind = OP_ALLOCATE, .slot = 1, .size = 1 << 20, .align = 1}),
  };
  struct program program = {.records = records, .count = sizeof records / sizeof *records};
  seen.count = 0;
  CHECK(oracle_run(oracle, strategy, &program));
}

// Of each strategy, through the contract alone; and always the same ones.
static void every_strategy_shows_states(void) {
  static struct oracle oracle;
  for (int tier = TIER_FAST; tier <= TIER_PARANOID; tier++) {
    oracle_init(&oracle, &(struct oracle_settings){.tier = (enum tier)tier, .viewed = note});
    for (const struct registry_entry *entry = registry; entry->name; entry++) {
      run_on(&oracle, entry->strategy);
      CHECK(seen.count > 0);
      const struct heap_view last = seen.views[seen.count - 1];
      // What was skipped is no operation.
      CHECK(!last.fresh && last.operation == OP_ALLOCATE && last.refused && last.live == 1);
      size_t count = seen.count;
      run_on(&oracle, entry->strategy);
      CHECK(seen.count == count && heap_state(&seen.views[count - 1]) == heap_state(&last));
    }
    oracle_free(&oracle);
  }
}

int main(void) {
  magnitudes_are_told_apart();
  every_strategy_shows_states();
  return 0;
}
