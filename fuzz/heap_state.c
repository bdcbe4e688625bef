#include "fuzz/heap_state.h"

enum { LIVE = 7, FREE_SPANS = 5, LARGEST = 5, FRAGMENTATION = 3, NEIGHBOURS = 4 };

// 0 1 2 4 8 ...: the number of the step that `value` has reached, at most steps - 1.
static unsigned step_of(size_t value, unsigned steps) {
  unsigned step = 0;
  for (; value > 0 && step < steps - 1; value /= 2) step++;
  return step;
}

static unsigned largest_of(const struct heap_view *view) {
  size_t largest = view->largest_free, bytes = view->bytes;
  if (largest == 0) return 0;
  if (largest < bytes / 64) return 1;
  if (largest < bytes / 8) return 2;
  return largest < bytes - bytes / 8 ? 3 : 4;
}

static unsigned fragmentation_of(const struct heap_view *view) {
  size_t elsewhere = view->free - view->largest_free;
  if (elsewhere == 0) return 0;
  return elsewhere <= view->free / 2 ? 1 : 2;
}

static unsigned neighbours_of(unsigned pairs) {
  const unsigned blocks = 1u << SPAN_BLOCK | 1u << SPAN_USED;
  unsigned free_beside_free = pairs >> (4 * SPAN_FREE + SPAN_FREE) & 1;
  unsigned blocks_beside =
      ((pairs >> 4 * SPAN_BLOCK) & blocks) != 0 || ((pairs >> 4 * SPAN_USED) & blocks) != 0;
  return 2 * blocks_beside + free_beside_free;
}

static unsigned last_of(const struct heap_view *view) {
  enum { FRESH, BESIDE, REFUSED, REFUSED_RESIZE, ALLOCATED, RELEASED_ONE, RESIZED, USED };
  enum { MISUSED = USED + 1, ENDED_MANY, LIVED_ON, OTHER };
  if (view->fresh) return FRESH;
  if (view->beside) return BESIDE;
  switch (view->operation) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
    return view->refused ? REFUSED : ALLOCATED;
  case OP_RESIZE:
    return view->refused ? REFUSED_RESIZE : RESIZED;
  case OP_RELEASE:
    return RELEASED_ONE;
  case OP_USE:
    return USED;
  case OP_RELEASE_AGAIN:
  case OP_RELEASE_FOREIGN:
  case OP_OVERRUN:
    return MISUSED;
  case OP_RESET:
  case OP_ROLLBACK:
  case OP_COLLECT:
    return ENDED_MANY;
  case OP_REOPEN:
  case OP_CRASH:
    return LIVED_ON;
  default:
    return OTHER;
  }
}

uint32_t heap_state(const struct heap_view *view) {
  uint32_t state = last_of(view);
  state = state * LIVE + step_of(view->live, LIVE);
  state = state * FREE_SPANS + step_of(view->free_spans, FREE_SPANS);
  state = state * LARGEST + largest_of(view);
  state = state * FRAGMENTATION + fragmentation_of(view);
  state = state * NEIGHBOURS + neighbours_of(view->neighbours);
  return (uint32_t)HEAP_STATE_DEFINITION << 24 | state;
}
