#include "harness/story.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/collection.h"
#include "harness/concurrent.h"
#include "harness/forbid.h"

enum { ATTEMPTS = 50, WALK_SECONDS = 2 };

// Room for what a run may leave. Only what is used costs memory.
enum {
  MOST_LIVES = 1 << 16,
  LIVES_UP_TO = 1 << 12,
  MOST_SPANS = 1 << 18,
  SPANS_OF_STATE = MOST_SPANS / (STORY_STATES + 2)
};

// At the start of the shared memory.
struct ledger {
  size_t lives, states, spans;
  size_t live_bytes, live_count;
};

// The story that the process is in.
static struct story *telling;
static struct ledger *ledger;
static size_t first_walk;  // states of earlier operations are not wanted

// ## Lives

// Closes the lives of blocks that are no more or elsewhere, and opens those of new ones.
static void note_lives(const struct arena *arena, const struct shadow *shadow, size_t now) {
  if (telling->length > LIVES_UP_TO) return;  // nobody could look at them, and it takes long
  for (size_t i = 0; i < ledger->lives; i++) {
    struct story_life *life = &telling->lives[i];
    if (life->end != SIZE_MAX) continue;
    const struct shadow_block *block = NULL;
    for (size_t j = 0; j < shadow->count && !block; j++)
      if (shadow->blocks[j].serial == life->serial) block = &shadow->blocks[j];
    if (!block || arena_offset(arena, (void *)block->start) != life->start ||
        block->size != life->size)
      life->end = now;
    if (block && block->slot != SHADOW_NO_SLOT) life->slot = block->slot;
  }
  for (size_t i = 0; i < shadow->count && ledger->lives < MOST_LIVES; i++) {
    const struct shadow_block *block = &shadow->blocks[i];
    bool known = false;
    for (size_t j = ledger->lives; j-- > 0 && !known;)
      known = telling->lives[j].serial == block->serial && telling->lives[j].end == SIZE_MAX;
    if (known) continue;
    telling->lives[ledger->lives++] =
        (struct story_life){block->slot, block->serial, arena_offset(arena, (void *)block->start),
                            block->size, now,           SIZE_MAX};
  }
}

static void note_live(const struct shadow *shadow) {
  ledger->live_bytes = shadow->live_bytes;
  ledger->live_count = shadow->count;
}

// ## States

// ASan tells of violations from within its own report, holding locks that it would wait for before
// a fork. _Fork (glibc 2.34) does without what is to be done before.
#if defined(BUILT_WITH_ASAN) && __GLIBC_PREREQ(2, 34)
static pid_t fork_in_report(void) { return _Fork(); }
#else
static pid_t fork_in_report(void) { return fork(); }
#endif

struct walk {
  const struct arena *arena;
  const struct shadow *shadow;
  struct story_state *state;
};

static void note_span(void *context, const struct span *span) {
  struct walk *walk = context;
  if (walk->state->count >= SPANS_OF_STATE) return;
  struct story_span *noted = &telling->spans[walk->state->first + walk->state->count];
  *noted = (struct story_span){arena_offset(walk->arena, span->start), span->size, span->kind,
                               SHADOW_NO_SLOT};
  bool live = span->kind == SPAN_BLOCK || span->kind == SPAN_USED;
  const struct shadow_block *block = NULL;  // the one that begins there, or else any
  if (live) {
    block = shadow_overlapping(walk->shadow, (uintptr_t)span->start, 1, NULL);
    if (!block) block = shadow_overlapping(walk->shadow, (uintptr_t)span->start, span->size, NULL);
  }
  if (block) noted->slot = block->slot;
  walk->state->count++;
}

// In a process of its own: the allocator may be damaged beyond walking.
static void note_state(size_t before, bool end) {
  const struct arena *arena;
  const struct shadow *shadow;
  const struct allocator *allocator = oracle_allocator(&arena, &shadow);
  if (!allocator || ledger->states >= STORY_STATES + 2) return;
  struct walk walk = {arena, shadow, &telling->states[ledger->states++]};
  *walk.state = (struct story_state){.before = before, .end = end, .first = ledger->spans};
  pid_t pid = end ? fork_in_report() : fork();
  if (pid == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(WALK_SECONDS);
    property_on_violation(NULL);
    int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    walk.state->broken = telling->walked->check(allocator).number;
    telling->walked->walk(allocator, note_span, &walk);
    walk.state->whole = walk.state->count < SPANS_OF_STATE;
    _exit(0);
  }
  int status;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ledger->spans += walk.state->count;
}

// ## The run

static bool walks(void) { return program_heap(telling->program).threads == 1; }

static void before_step(void *context, const struct step *step) {
  (void)context;
  telling->steps[step->index].result = STEP_BEGUN;
  if (walks() && step->index >= first_walk) note_state(step->index, false);
}

static void after_step(void *context, const struct step *step) {
  (void)context;
  struct story_step *noted = &telling->steps[step->index];
  noted->result = step->skipped ? STEP_SKIPPED : step->refused ? STEP_REFUSED : STEP_DONE;
  noted->start = step->offset;
  noted->size = step->skipped || (step->refused && !story_of_collection(telling)) ? 0 : step->size;
  const struct arena *arena;
  const struct shadow *shadow;
  oracle_allocator(&arena, &shadow);
  note_live(shadow);
  note_lives(arena, shadow, step->index);
  if (step->index + 1 == telling->length && walks()) note_state(telling->length, false);
}

// Of an operation that the first pass has behind it: further passes have blocks of their own, and
// perhaps no allocator any more.
static bool in_further_pass(const struct verdict *verdict) {
  if (verdict->operation >= telling->length) return false;
  enum story_result last = telling->steps[telling->length - 1].result;
  return last != STEP_NOT_REACHED && last != STEP_BEGUN;
}

static void on_violation(const struct verdict *verdict) {
  const struct arena *arena = NULL;
  const struct shadow *shadow;
  oracle_allocator(&arena, &shadow);
  if (!arena || in_further_pass(verdict)) return;
  note_live(shadow);
  note_lives(arena, shadow, verdict->operation);
  // TSan, which calls from within its report of a race, would wait for itself at the next.
  if (verdict->property != PROPERTY_race) note_state(verdict->operation, true);
}

static size_t whole_pages(size_t size) { return (size + 4095) & ~(size_t)4095; }

static bool begin_story(struct story *story) {
  size_t length = program_length(story->program);
  size_t sizes[] = {sizeof *ledger, (length + 1) * sizeof *story->steps,
                    MOST_LIVES * sizeof *story->lives, (STORY_STATES + 2) * sizeof *story->states,
                    MOST_SPANS * sizeof *story->spans};
  story->length = length;
  story->memory_size = 0;
  for (int i = 0; i < 5; i++) story->memory_size += whole_pages(sizes[i]);
  story->memory = mmap(NULL, story->memory_size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (story->memory == MAP_FAILED) return false;
  char *at = story->memory;
  ledger = (void *)at;
  story->steps = (void *)(at += whole_pages(sizes[0]));
  story->lives = (void *)(at += whole_pages(sizes[1]));
  story->states = (void *)(at += whole_pages(sizes[2]));
  story->spans = (void *)(at += whole_pages(sizes[3]));
  return true;
}

static void forget(struct story *story) {
  memset(ledger, 0, sizeof *ledger);
  memset(story->steps, 0, (story->length + 1) * sizeof *story->steps);
}

// The first violation that a look around every operation finds, where that is an earlier operation.
static struct verdict first_visible(const struct story *story, const struct verdict *late) {
  struct isolated_run run;
  struct verdict none = {.property = PROPERTY_NONE};
  if (late->property == PROPERTY_NONE || late->property == PROPERTY_race) return none;
  struct isolate_settings settings = {
      .oracle = {.tier = TIER_PARANOID}, .quiet = true, .once = true};
  if (!isolate_run(&run, &settings, story->strategy, story->program)) return none;
  bool earlier = run.verdict.property != PROPERTY_NONE && run.verdict.operation < late->operation;
  return earlier ? run.verdict : none;
}

bool story_tell(struct story *story, enum tier tier, bool quiet, const struct strategy *strategy,
                const struct program *program) {
  *story = (struct story){.strategy = strategy, .walked = strategy, .program = program};
  if (strategy->traits & STRATEGY_COLLECTION)
    story->walked = strategy->driver->oracle->beneath(program);
  if (!begin_story(story)) return false;
  telling = story;
  struct isolate_settings settings = {
      .oracle = {.tier = tier, .twice = true}, .quiet = true, .once = true};
  struct heap heap = oracle_heap(strategy, program);
  bool chance = concurrent_possible(strategy, &heap), ran = true;
  // Where to look closely: around the operation that is to blame.
  first_walk = 0;
  if (!chance && story->length > STORY_STATES) {
    if (!isolate_run(&story->run, &settings, strategy, program)) return false;
    size_t guilty =
        story->run.verdict.property == PROPERTY_NONE ? story->length : story->run.verdict.operation;
    first_walk = guilty < STORY_STATES - 1 ? 0 : guilty - (STORY_STATES - 1);
  }
  settings.quiet = quiet;
  settings.oracle.before = before_step;
  settings.oracle.after = after_step;
  settings.on_violation = on_violation;
  for (int i = 0; ran && i < (chance ? ATTEMPTS : 1); i++) {
    forget(story);
    ran = isolate_run(&story->run, &settings, strategy, program);
    if (ran && story->run.verdict.property != PROPERTY_NONE) break;
  }
  if (ran) story->first = first_visible(story, &story->run.verdict);
  story->lives_count = ledger->lives;
  story->states_count = ledger->states;
  story->live_bytes = ledger->live_bytes;
  story->live_count = ledger->live_count;
  return ran;
}

void story_free(struct story *story) {
  if (story->memory) munmap(story->memory, story->memory_size);
  *story = (struct story){0};
}
