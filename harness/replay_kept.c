// Bare replay on several threads: who waits for whom.
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "allocators/lock.h"
#include "harness/cpu_time.h"
#include "harness/crew.h"
#include "harness/replay_decoded.h"

// How far ahead of the last one a thread may be, in operations of the program; how often it looks;
// and how often it tries before it lets others run.
enum { WINDOW = 4096, LOOK_EACH = 64, SPINS = 100 };

// Each on a cache line of its own.
struct place {
  _Alignas(64) atomic_size_t at;  // the operation that the thread is at, or wants to be
  const uint32_t *mine;           // indices of its operations
  size_t count, next;
  uint64_t refused, nanoseconds;
};

struct kept {
  const struct bare_run *run;
  unsigned threads;
  size_t end;             // of the stretch in progress
  uint32_t *turns;        // of each operation: how many on its slot come before it
  atomic_uint *finished;  // of each slot: how many are done
  struct place places[CREW_MAX];
};

static void pause_again(unsigned times) {
  if (times < SPINS)
    lock_pause();
  else
    lock_yield();
}

static size_t last_of_all(struct kept *kept) {
  size_t least = SIZE_MAX;
  for (unsigned i = 0; i < kept->threads; i++) {
    size_t at = atomic_load_explicit(&kept->places[i].at, memory_order_relaxed);
    if (at < least) least = at;
  }
  return least;
}

// The thread at the least operation waits for nobody: what comes before on its slot is done, and it
// is not ahead. So there is always one that goes on.
static void carry_out(struct kept *kept, struct place *place, uint32_t index) {
  const struct bare *op = &kept->run->bare[index];
  atomic_uint *finished = &kept->finished[op->slot];
  atomic_store_explicit(&place->at, index, memory_order_relaxed);
  if (place->next % LOOK_EACH == 0)
    for (unsigned i = 0; index - last_of_all(kept) > WINDOW; i++) pause_again(i);
  uint32_t turn = kept->turns[index];
  for (unsigned i = 0; atomic_load_explicit(finished, memory_order_acquire) != turn; i++)
    pause_again(i);
  ORDER_AFTER(finished);
  place->refused += !bare_execute(kept->run, op);
  ORDER_BEFORE(finished);
  atomic_store_explicit(finished, turn + 1, memory_order_release);
}

static void work(void *context, unsigned thread) {
  struct kept *kept = context;
  struct place *place = &kept->places[thread];
  uint64_t start = cpu_time();
  for (; place->next < place->count && place->mine[place->next] < kept->end; place->next++)
    carry_out(kept, place, place->mine[place->next]);
  atomic_store_explicit(&place->at, SIZE_MAX, memory_order_relaxed);
  place->nanoseconds += cpu_time() - start;
}

static bool alone(const struct bare *op) { return op->kind == OP_RESET; }

// What comes before the next operation that nobody else may run beside; not more than `most`.
static bool run_stretch(struct kept *kept, size_t begin, size_t most) {
  const struct bare_run *run = kept->run;
  size_t end = begin;
  while (end < run->length && end - begin < most && !alone(&run->bare[end])) end++;
  kept->end = end;
  for (unsigned i = 0; i < kept->threads; i++)
    atomic_store_explicit(&kept->places[i].at, begin, memory_order_relaxed);
  return end == begin || crew_work(kept->threads, work, kept);
}

static void reset(const struct kept *kept) {
  const struct bare_run *run = kept->run;
  run->strategy->reset(run->allocator);
  for (uint32_t slot = 0; slot < run->slots_count; slot++) run->slots[slot] = NULL;
}

// Whose each operation is, and its turn. Resets are nobody's.
static void deal(struct kept *kept, uint32_t *indices) {
  const struct bare_run *run = kept->run;
  uint32_t *counts = (uint32_t *)kept->finished;  // until the threads need it
  size_t from = 0;
  for (unsigned thread = 0; thread < kept->threads; thread++) {
    struct place *place = &kept->places[thread];
    place->mine = indices + from;
    for (size_t i = 0; i < run->length; i++)
      if ((program_at(run->program, i)->thread & (kept->threads - 1)) == thread &&
          !alone(&run->bare[i]))
        indices[from + place->count++] = (uint32_t)i;
    from += place->count;
  }
  for (size_t i = 0; i < run->length; i++)
    if (!alone(&run->bare[i])) kept->turns[i] = counts[run->bare[i].slot]++;
  for (uint32_t slot = 0; slot < run->slots_count; slot++) {
    counts[slot] = 0;
    ORDER_ATOMIC(kept->finished[slot]);
  }
  for (unsigned i = 0; i < kept->threads; i++) ORDER_ATOMIC(kept->places[i].at);
}

_Static_assert(sizeof(atomic_uint) == sizeof(uint32_t), "counts are made where they are kept");

bool replay_kept(struct replay *result, const struct bare_run *run,
                 const struct replay_settings *settings) {
  struct kept kept = {.run = run, .threads = settings->threads};
  uint32_t *indices = malloc((run->length + 1) * sizeof *indices);
  kept.turns = malloc((run->length + 1) * sizeof *kept.turns);
  kept.finished = calloc(run->slots_count, sizeof *kept.finished);
  bool done = indices && kept.turns && kept.finished;
  if (done)
    deal(&kept, indices);
  else
    errno = ENOMEM;
  size_t most = settings->told ? REPLAY_TOLD_EACH : run->length;
  for (size_t index = 0; done && index < run->length;) {
    done = run_stretch(&kept, index, most);
    if (!done) errno = EAGAIN;
    index = kept.end;
    if (done && index < run->length && alone(&run->bare[index])) {
      reset(&kept);
      index++;
    }
    if (done && settings->told) settings->told(settings->context, index);
  }
  for (unsigned i = 0; i < kept.threads; i++) {
    result->refused += kept.places[i].refused;
    result->nanoseconds += kept.places[i].nanoseconds;
  }
  free(indices);
  free(kept.turns);
  free(kept.finished);
  return done;
}
