#include "harness/replay.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "harness/cpu_time.h"
#include "harness/crew.h"
#include "harness/oracle.h"
#include "harness/replay_decoded.h"

size_t replay_unsupported(const struct strategy *strategy, const struct program *program) {
  size_t index = 0;
  while (index < program_length(program) &&
         operation_offered(record_kind(program_at(program, index)), strategy))
    index++;
  return index;
}

static unsigned cores(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

unsigned replay_threads(const struct program *program) {
  unsigned most = 0;
  for (size_t i = 0; i < program_length(program); i++)
    if (program_at(program, i)->thread > most) most = program_at(program, i)->thread;
  unsigned threads = most > 0 ? 2 : 1;
  while (threads > 1 && 2 * threads <= CREW_MAX && 2 * threads <= cores() && threads <= most)
    threads *= 2;
  return threads;
}

bool replay_serves_threads(const struct strategy *strategy, const struct program *program) {
  if (strategy->traits & STRATEGY_CONCURRENT) return true;
  if (!(strategy->traits & STRATEGY_ALLOCATES_CONCURRENTLY)) return false;
  for (size_t i = 0; i < program_length(program); i++) {
    enum operation_kind kind = record_kind(program_at(program, i));
    if (kind == OP_RELEASE || kind == OP_RESIZE) return false;
  }
  return true;
}

static struct bare *decode(const struct program *program, uint32_t mask) {
  size_t length = program_length(program);
  struct bare *bare = malloc((length + 1) * sizeof *bare);
  for (size_t i = 0; bare && i < length; i++) {
    struct operation op = record_request(program_at(program, i));
    bare[i] = (struct bare){.slot = op.slot & mask,
                            .kind = (uint8_t)op.kind,
                            .count = (uint8_t)op.count,
                            .size = (size_t)op.size};
    if (!op.align) continue;
    bare[i].align_log2 = (uint8_t)__builtin_ctzll(op.align);
    bare[i].align_factor = (uint8_t)(op.align >> bare[i].align_log2);
  }
  return bare;
}

static uint64_t run_stretch(const struct bare_run *about, size_t *named, size_t from, size_t to) {
  const struct bare_run run = *about;  // its own, so that no call can change it
  uint64_t refused = 0;
  for (const struct bare *op = run.bare + from, *end = run.bare + to; op < end; op++) {
    if (__builtin_expect(op->kind == OP_RESET, 0)) {
      run.strategy->reset(run.allocator);
      // No slot names a block any more.
      for (const struct bare *done = run.bare + *named; done < op; done++)
        run.slots[done->slot] = NULL;
      *named = (size_t)(op - run.bare);
    } else if (!bare_execute(&run, op)) {
      refused++;
    }
  }
  return refused;
}

static void replay_merged(struct replay *result, const struct bare_run *run,
                          const struct replay_settings *settings) {
  size_t named = 0, each = settings->told ? REPLAY_TOLD_EACH : run->length;
  for (size_t done = 0; done < run->length;) {
    size_t end = run->length - done < each ? run->length : done + each;
    uint64_t start = cpu_time();
    result->refused += run_stretch(run, &named, done, end);
    result->nanoseconds += cpu_time() - start;
    done = end;
    if (settings->told) settings->told(settings->context, done);
  }
}

static uint64_t wall_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool replay_with(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program, const struct replay_settings *settings) {
  *result = (struct replay){.operations = program_length(program),
                            .threads = settings->threads > 1 ? settings->threads : 1};
  struct heap heap = oracle_heap(strategy, program);
  if (!arena_fits(arena, &heap)) {
    arena_free(arena);
    if (!arena_init(arena, heap.capacity)) return false;
  }
  struct bare *bare = decode(program, heap.slots - 1);
  void **slots = calloc(heap.slots, sizeof *slots);
  struct source_limit limit;
  source_limit_init(&limit, arena_open(arena, &heap, 0, ARENA_DIRT), (size_t)heap.capacity);
  struct allocator *allocator =
      strategy->create(&limit.base, &(struct strategy_options){.variant = heap.variant});
  bool done = bare && slots && allocator;
  if (done) {
    const struct bare_run run = {strategy,   allocator, program, bare, program_length(program),
                                 heap.slots, slots};
    uint64_t start = wall_time();
    if (result->threads > 1)
      done = replay_kept(result, &run, settings);
    else
      replay_merged(result, &run, settings);
    result->wall = wall_time() - start;
    strategy->destroy(allocator);
  } else {
    errno = allocator ? ENOMEM : ENOSPC;
  }
  arena_close(arena);
  free(bare);
  free(slots);
  return done;
}

bool replay_bare(struct replay *result, struct arena *arena, const struct strategy *strategy,
                 const struct program *program) {
  return replay_with(result, arena, strategy, program, &(struct replay_settings){.threads = 1});
}
