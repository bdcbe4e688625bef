#include "fuzz/hints_learn.h"

#include "harness/collection.h"

// Sizes beyond are told from the heap, not from classes.
#define LARGEST ((size_t)1 << 20)

// Programs say their page size themselves: this is the one that most of them mean.
enum { PAGE_SIZE = 4096 };

// Of a collection: the strategies beneath, and variants of these. More than there are come round to
// the first.
enum { COLLECTION_VARIANTS = 64 };

#define THREADS (STRATEGY_CONCURRENT | STRATEGY_ALLOCATES_CONCURRENTLY)

static size_t footprint(const struct strategy *strategy, size_t size) {
  return strategy->footprint(size, strategy->min_align, PAGE_SIZE);
}

// The largest size up to LARGEST with the footprint that `size` has. Footprints do not shrink as
// sizes grow.
static size_t last_alike(const struct strategy *strategy, size_t size) {
  size_t same = footprint(strategy, size), low = size, step = 1;
  while (low + step <= LARGEST && footprint(strategy, low + step) == same) {
    low += step;
    step *= 2;
  }
  for (; step > 0; step /= 2)
    if (low + step <= LARGEST && footprint(strategy, low + step) == same) low += step;
  return low;
}

// Every class of small sizes, and of larger ones some per octave: where a footprint grows with
// every granule there are too many.
static void describe_sizes(struct hints *hints, const struct strategy *strategy) {
  uint32_t count = 0;
  for (size_t size = 1; size < LARGEST && count < HINTS_SIZES;) {
    size_t last = last_alike(strategy, size);
    if (last < LARGEST) hints->sizes[count++] = last;
    size_t next = size + size / 8;
    size = last + 1 > next ? last + 1 : next;
  }
  hints->sizes_count = count;
}

// What a verb takes for a number is its own affair.
static void describe_collection(struct hints *hints, const struct collection_driver *driver) {
  hints->variants = COLLECTION_VARIANTS;
  for (size_t i = 0; i < driver->verb_count; i++)
    hints->verb_fields[i] = (uint8_t)driver->verbs[i].fields;
  hints->verbs = (uint32_t)driver->verb_count;
  __atomic_store_n(&hints->offered, (1u << OP_CODES) - 1, __ATOMIC_RELEASE);
}

void hints_describe(struct hints *hints, const struct strategy *strategy) {
  if (strategy->traits & STRATEGY_COLLECTION) {
    describe_collection(hints, strategy->driver);
    return;
  }
  uint32_t offered = 0, dying = 0;
  for (unsigned kind = 0; kind < OP_KINDS; kind++) {
    bool offers = operation_offered((enum operation_kind)kind, strategy);
    offered |= (uint32_t)offers << kind;
    dying |= (uint32_t)(offers && operation_can_die((enum operation_kind)kind)) << kind;
  }
  hints->dying = offered >> OP_CRASH & 1 ? dying : 0;
  hints->variants = 1;
  while (strategy->variants && strategy->variants[hints->variants - 1] &&
         strategy->variants[hints->variants])
    hints->variants++;
  hints->concurrent = (strategy->traits & THREADS) != 0;
  hints->align_log2 = 63 - (unsigned)__builtin_clzll(strategy->max_align);
  hints->asks_zero = (strategy->traits & STRATEGY_C_EDGES) != 0;
  describe_sizes(hints, strategy);
  // Last: it says that the rest is there.
  __atomic_store_n(&hints->offered, offered, __ATOMIC_RELEASE);
}

void hints_begin(struct hints_learner *learner, const struct strategy *strategy,
                 const struct program *program) {
  bool alone = !(strategy->traits & THREADS) || program_heap(program).threads == 1;
  learner->places = alone && !(strategy->traits & STRATEGY_FOREIGN);
  learner->last = 0;
}

void hints_learn(void *context, const struct step *step) {
  struct hints_learner *learner = context;
  if (learner->hints->verbs) {
    if (step->size > 0) hints_answer(learner->hints, step->size);
    return;
  }
  if (step->skipped || step->refused) return;
  switch (step->operation->kind) {
  case OP_USE:
    hints_answer(learner->hints, step->size);
    break;
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
  case OP_RESIZE: {
    if (!learner->places) break;
    intptr_t distance = step->offset - learner->last;
    hints_answer(learner->hints, (uint64_t)(distance < 0 ? -distance : distance));
    if (step->index % 4 == 0) hints_answer(learner->hints, (uint64_t)step->offset);
    learner->last = step->offset;
    break;
  }
  default:
    break;
  }
}
