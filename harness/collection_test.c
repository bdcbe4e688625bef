// The test of how collections are judged: a small collection, damaged in one way after the other,
// is found under the id that the damage belongs to; undamaged it is clean on every strategy.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/applies.h"
#include "harness/collection.h"
#include "harness/forbid.h"
#include "harness/isolate.h"
#include "harness/minimize.h"
#include "harness/program_file.h"

#ifdef BUILT_WITH_ASAN
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "symbolize=0:detect_leaks=0"; }
#endif

// ## A pile of numbers

enum damage {
  DAMAGE_NONE,
  DAMAGE_WRONG_ANSWER,      // pop takes the number and gives another
  DAMAGE_WRITES_PAST_END,   // push, where the pile is full
  DAMAGE_READS_PAST_END,    // top of a full pile
  DAMAGE_WRITES_RELEASED,   // grow, into the former place
  DAMAGE_READS_RELEASED,    // grow, from there
  DAMAGE_LEAKS,             // grow
  DAMAGE_RELEASES_TWICE,    // drop
  DAMAGE_RELEASES_INSIDE,   // drop
  DAMAGE_ASKS_UNALIGNED,    // grow
  DAMAGE_REFUSED_CHANGES,   // push that is refused drops a number
  DAMAGE_REFUSED_CRASHES,   // push that is refused
  DAMAGE_REFUSES_FOR_FUN,   // push
  DAMAGE_REFUSES_RESIZED,   // push, when a large block was resized as it asked
  DAMAGE_HANGS,             // pop
  DAMAGE_READS_FRESH,       // grow asks for more, as fresh memory says
  DAMAGE_INVARIANT,         // pop
  DAMAGE_OVERLAPPING_COPY,  // pop
  DAMAGE_ABORTS,            // pop
  DAMAGE_BREAKS_BENEATH,    // pop, far before its block
};

static enum damage damage;

struct pile {
  struct handle handle;
  uint64_t *numbers;
  size_t count, capacity;
};

// By its address, as files that are built for machines without a libc call it.
static void *(*volatile copy_numbers)(void *, const void *, size_t) = memcpy;

static bool pile_grow(struct pile *self) {
  size_t capacity = self->capacity ? 2 * self->capacity : 2, align = _Alignof(uint64_t);
  if (damage == DAMAGE_ASKS_UNALIGNED) align = 24;
  uint64_t *former = self->numbers;
  uint64_t *grown = handle_allocate(self->handle, capacity * sizeof *grown, align);
  if (!grown) return false;
  if (damage == DAMAGE_READS_FRESH && grown[1] & 2)
    handle_release(self->handle, handle_allocate(self->handle, 8, 8));
  if (self->count > 0) memcpy(grown, former, self->count * sizeof *grown);
  if (damage != DAMAGE_LEAKS) handle_release(self->handle, former);
  if (damage == DAMAGE_WRITES_RELEASED && former) former[0] = 7;
  if (damage == DAMAGE_READS_RELEASED && former) grown[0] = former[0];
  self->numbers = grown;
  self->capacity = capacity;
  return true;
}

// Whether a block can be resized, again and again, that there is no room for twice.
static bool resizes_large(struct pile *self) {
  enum { LARGE = 48 << 10, TIMES = 3 };
  char *block = handle_allocate(self->handle, LARGE, 8);
  bool resized = block != NULL;
  for (size_t i = 1; i <= TIMES && resized; i++) {
    char *moved = handle_resize(self->handle, block, LARGE, LARGE - 8 * i, 8);
    resized = moved != NULL;
    if (resized) block = moved;
  }
  handle_release(self->handle, block);
  return resized;
}

static bool pile_push(struct pile *self, uint64_t number) {
  if (damage == DAMAGE_REFUSES_RESIZED && resizes_large(self)) return false;
  if (damage == DAMAGE_REFUSES_FOR_FUN && self->count == 3) return false;
  if (damage == DAMAGE_WRITES_PAST_END && self->count > 0 && self->count == self->capacity)
    self->numbers[self->count] = number;
  if (self->count == self->capacity && !pile_grow(self)) {
    if (damage == DAMAGE_REFUSED_CHANGES && self->count > 0) self->count--;
    if (damage == DAMAGE_REFUSED_CRASHES) *(volatile int *)(uintptr_t)8 = 1;
    return false;
  }
  self->numbers[self->count++] = number;
  return true;
}

static bool pile_pop(struct pile *self, uint64_t *number) {
  if (damage == DAMAGE_HANGS && self->count == 2)
    for (volatile bool more = true; more;) {
    }
  if (damage == DAMAGE_ABORTS) abort();
  // Past the red zone of two words: the header of the block beneath.
  if (damage == DAMAGE_BREAKS_BENEATH && self->numbers)
    memset((char *)self->numbers - 16 - sizeof(size_t), 0x77, sizeof(size_t));
  if (self->count == 0) return false;
  if (damage == DAMAGE_OVERLAPPING_COPY && self->count > 1)
    copy_numbers(self->numbers, (char *)self->numbers + self->count, self->count * 4);
  *number = self->numbers[--self->count];
  if (damage == DAMAGE_WRONG_ANSWER && self->count == 2) ++*number;
  if (damage == DAMAGE_INVARIANT && self->count == 2) self->count = self->capacity + 1;
  return true;
}

static uint64_t pile_top(const struct pile *self) {
  if (damage == DAMAGE_READS_PAST_END && self->count == self->capacity)
    return self->numbers[self->count];
  return self->numbers[self->count - 1];
}

static void pile_drop(struct pile *self) {
  void *place = self->numbers;
  handle_release(self->handle, place);
  if (damage == DAMAGE_RELEASES_TWICE) handle_release(self->handle, place);
  self->numbers = NULL;
}

static struct broken_invariant pile_check(const struct pile *self) {
  return (struct broken_invariant){.number = self->count > self->capacity};
}

// ## Its driver

enum { PUSH, POP, POUR, MODEL = 4096 };

static const struct collection_verb verbs[] = {
    [PUSH] = {"push", COLLECTION_VALUE | COLLECTION_COUNT},
    [POP] = {"pop", 0},
    [POUR] = {"pour", COLLECTION_OTHER},
};

struct instance {
  struct pile pile;
  uint64_t model[MODEL];
  size_t count;
};

static void create(struct collection_run *run, void *instance, struct handle handle) {
  (void)run;
  struct instance *self = instance;
  self->pile.handle = handle;
}

static bool push(struct collection_run *run, struct instance *self, uint64_t number) {
  if (self->count == MODEL) return false;
  if (!pile_push(&self->pile, number)) {
    collection_refused(run);
    return false;
  }
  self->model[self->count++] = number;
  return true;
}

static bool pop(struct collection_run *run, struct instance *self, uint64_t *number) {
  bool popped = pile_pop(&self->pile, number);
  collection_expect(run, popped == (self->count > 0), "there are %zu numbers", self->count);
  if (!popped) return false;
  uint64_t right = self->model[--self->count];
  collection_expect(run, *number == right, "%llu instead of %llu", (unsigned long long)*number,
                    (unsigned long long)right);
  return true;
}

static void apply(struct collection_run *run, void *instance, unsigned verb,
                  const struct collection_arguments *arguments) {
  struct instance *self = instance;
  uint64_t number;
  switch (verb) {
  case PUSH:
    for (unsigned i = 0; i < arguments->count; i++)
      if (!push(run, self, arguments->value + i)) break;
    break;
  case POP:
    pop(run, self, &number);
    break;
  case POUR:
    if (self->count > 0) push(run, arguments->other, pile_top(&self->pile));
    break;
  }
}

static void verify(struct collection_run *run, void *instance) {
  const struct instance *self = instance;
  collection_broken(run, pile_check(&self->pile));
  collection_expect(run, self->pile.count == self->count, "%zu numbers instead of %zu",
                    self->pile.count, self->count);
  for (size_t i = 0; i < self->count; i++)
    collection_expect(run, self->pile.numbers[i] == self->model[i], "number %zu is another", i);
  if (self->count > 0)
    collection_expect(run, pile_top(&self->pile) == self->model[self->count - 1], "the top");
}

static void destroy(struct collection_run *run, void *instance) {
  (void)run;
  struct instance *self = instance;
  if (damage == DAMAGE_RELEASES_INSIDE) self->pile.numbers++;
  pile_drop(&self->pile);
}

static const struct collection_driver driver = {
    .oracle = &collection_oracle,
    .name = "pile",
    .verbs = verbs,
    .verb_count = sizeof verbs / sizeof *verbs,
    .instance_size = sizeof(struct instance),
    .create = create,
    .apply = apply,
    .verify = verify,
    .destroy = destroy,
};
static const char *const invariants[] = {"there is room for all numbers", NULL};
COLLECTION_STRATEGY(pile, "a pile of numbers", &driver, invariants);

// ## Programs

// Three records a letter: p pushes some, P pushes many, o pops, u pours, f refuses the next
// request.
static void program_make(struct program *program, const char *letters, unsigned variant) {
  *program = (struct program){0};
  struct record heap = heap_record(
      &(struct heap){.capacity = 1 << 16, .variant = variant, .slots = 64, .threads = 1});
  CHECK(program_append(program, &heap));
  for (size_t i = 0; letters[i]; i++) {
    struct record record = {.slot = 0, .size = 100 * i + 5};
    switch (letters[i]) {
    case 'p':
      record.code = verb_code(PUSH);
      break;
    case 'P':
      record.code = (uint8_t)(verb_code(PUSH) + 15 * OP_CODES);
      break;
    case 'o':
      record.code = verb_code(POP);
      break;
    case 'u':
      record.code = verb_code(POUR);
      record.thread = (uint16_t)i;
      break;
    case 'f':
      record.code = OP_FAULT;
      record.size = 1;
      break;
    default:
      CHECK(false);
    }
    CHECK(program_append(program, &record));
  }
}

static struct isolated_run run(const char *letters, unsigned variant, enum tier tier) {
  struct program program;
  program_make(&program, letters, variant);
  const struct isolate_settings settings = {
      .oracle = {.tier = tier, .twice = true}, .quiet = true, .impatient = true};
  struct isolated_run result;
  CHECK(isolate_run(&result, &settings, &pile_strategy, &program));
  program_clear(&program);
  return result;
}

static unsigned find_variant(const char *name) {
  struct program program;
  for (unsigned i = 0;; i++) {
    program_make(&program, "", i);
    bool found = strcmp(collection_oracle.beneath(&program)->name, name) == 0;
    program_clear(&program);
    if (found) return i;
    CHECK(i < 64);
  }
}

static bool guarded(void) {
#ifdef BUILT_WITH_ASAN
  return true;
#else
  return MEMORY_ON_VALGRIND;
#endif
}
static bool with_msan(void) {
#ifdef BUILT_WITH_MSAN
  return true;
#else
  return false;
#endif
}

static const struct expectation {
  enum damage damage;
  const char *id;  // NULL: whatever the strategy beneath is found to violate
  const char *letters;
  const char *says;
  bool guarded;  // seen only where memory is
} expectations[] = {
    {DAMAGE_WRONG_ANSWER, "model", "pppo", "operation 3, pop: 206 instead of 205", false},
    {DAMAGE_WRITES_PAST_END, "outside-heap", "ppp", "push", false},
    {DAMAGE_READS_PAST_END, "outside-heap", "pp", NULL, true},
    {DAMAGE_WRITES_RELEASED, "outside-heap", "ppp", NULL, false},
    {DAMAGE_READS_RELEASED, "outside-heap", "ppp", NULL, true},
    {DAMAGE_READS_RELEASED, "model", "ppp", NULL, false},
    {DAMAGE_LEAKS, "leak", "ppp", "1 blocks are live after all was dropped", false},
    {DAMAGE_RELEASES_TWICE, "misuse", "p", "that it has released", false},
    {DAMAGE_RELEASES_INSIDE, "misuse", "p", "none of its blocks", false},
    {DAMAGE_ASKS_UNALIGNED, "misuse", "p", "with an alignment of 24", false},
    {DAMAGE_REFUSED_CHANGES, "failed-op-changed-state", "ppfp", NULL, false},
    {DAMAGE_REFUSED_CHANGES, "failed-op-changed-state", "pppu", "refused)", false},
    {DAMAGE_REFUSED_CRASHES, "crash", "pp", "(with request 0 to the allocator refused)", false},
    {DAMAGE_REFUSES_FOR_FUN, "spurious-oom", "pppp", "refused nothing", false},
    {DAMAGE_REFUSES_RESIZED, "spurious-oom", "p", "refused nothing", false},
    {DAMAGE_HANGS, "hang", "ppo", "operation 2, pop", false},
    {DAMAGE_INVARIANT, "invariant:pile.I1", "pppopo", "there is room for all numbers", false},
    {DAMAGE_OVERLAPPING_COPY, "overlapping-copy", "pppo", NULL, false},
    {DAMAGE_ABORTS, "crash", "po", "pop", false},
    {DAMAGE_BREAKS_BENEATH, NULL, "ppppo", "in the strategy beneath, free_list", false},
};

static void test_damages(void) {
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
    const struct expectation *e = &expectations[i];
    if (e->guarded ? !guarded() : guarded() && e->damage == DAMAGE_READS_RELEASED) continue;
    if (with_msan() && e->damage == DAMAGE_READS_RELEASED) continue;
    enum tier last = MEMORY_ON_VALGRIND ? TIER_FULL : TIER_PARANOID;
    for (enum tier tier = TIER_FULL; tier <= last; tier++) {
      damage = e->damage;
      struct isolated_run result = run(e->letters, find_variant("free_list"), tier);
      damage = DAMAGE_NONE;
      if (!e->id) CHECK(result.verdict.property != PROPERTY_NONE);
      const char *id = e->id ? e->id : result.verdict.id;
      if (strcmp(result.verdict.id, id) != 0 ||
          (e->says && !strstr(result.verdict.diagnosis, e->says)))
        fprintf(stderr, "damage %d, tier %d: %s, not %s: %s\n", e->damage, tier, result.verdict.id,
                e->id, result.verdict.diagnosis);
      CHECK(strcmp(result.verdict.id, id) == 0);
      CHECK(!e->says || strstr(result.verdict.diagnosis, e->says));
    }
  }
  // What fresh memory holds is told by a second heap with other dirt, or by MSan.
  damage = DAMAGE_READS_FRESH;
  struct isolated_run result = run("ppppppp", find_variant("free_list"), TIER_FULL);
  damage = DAMAGE_NONE;
  CHECK(strcmp(result.verdict.id, with_msan() ? "undefined-behaviour" : "nondeterministic") == 0);
}

static void test_clean_everywhere(void) {
  unsigned step = MEMORY_ON_VALGRIND ? 27 : 1;
  for (unsigned variant = 0; variant < 64; variant += step) {
    struct isolated_run result = run("pppooPufPPuPoofpuuPPPPP", variant, TIER_PARANOID);
    if (result.verdict.property)
      fprintf(stderr, "variant %u: %s\n", variant, result.verdict.diagnosis);
    CHECK(result.verdict.property == PROPERTY_NONE);
    CHECK(result.counts.operations == 23 && result.counts.refused > 0);
    CHECK(result.counts.exercised[PROPERTY_model] > 0);
    CHECK(result.counts.exercised[PROPERTY_misuse] > 0);
    CHECK(result.counts.exercised[PROPERTY_failed_op_changed_state] > 0);
    CHECK(result.counts.exercised[PROPERTY_spurious_oom] > 0);
    for (int i = 1; i < PROPERTY_COUNT; i++)
      if (result.counts.exercised[i] > 0 && !property_applies((enum property)i, &pile_strategy)) {
        fprintf(stderr, "%s counted\n", property_id((enum property)i));
        CHECK(false);
      }
  }
}

// What is printed in a collection's words is read back as the same.
static const struct program_verbs words = {"pile", verbs, sizeof verbs / sizeof *verbs};
static const struct program_verbs *find_words(const char *name, size_t length) {
  return length == 4 && memcmp(name, "pile", length) == 0 ? &words : NULL;
}

static char *text_of(const struct program *program) {
  char *text;
  size_t size;
  FILE *stream = open_memstream(&text, &size);
  CHECK(stream != NULL);
  program_print(program, stream);
  fclose(stream);
  return text;
}

static void test_words(void) {
  struct program program, again = {0};
  struct file_error error;
  program_make(&program, "pPouufP", 3);
  program_knows_verbs(find_words);
  program_speak(&words);
  char *text = text_of(&program);
  CHECK(strcmp(text, "heap source=fixed capacity=65536 page=64 skew=0 variant=3 slots=64 "
                     "verbs=pile\n"
                     "push 0 value=5\n"
                     "push 0 value=105 count=16\n"
                     "pop 0\n"
                     "pour 0 other=3\n"
                     "pour 0\n"
                     "fault mask=0x1\n"
                     "push 0 value=605 count=16\n") == 0);
  CHECK(text_parse(&again, text, strlen(text), "text", &error));
  char *second = text_of(&again);
  CHECK(strcmp(text, second) == 0 && again.count == program.count);
  free(second);
  free(text);
  static const struct {
    const char *text, *says;
  } wrong[] = {
      {"heap verbs=heap\n", "line 1:12: this program knows no collection 'heap'"},
      {"heap verbs=pile\nallocate 0 size=1\n", "line 2:1: 'allocate' is no verb of pile"},
      {"heap verbs=pile\npush\n", "line 2:5: the instance is missing"},
      {"heap verbs=pile\npush 4\n", "line 2:6: instance 4 is not below 4"},
      {"heap verbs=pile\npop 0 value=1\n", "line 2:7: unknown field 'value'"},
      {"heap verbs=pile\npush 0 count=17\n", "line 2:14: count=17 is not in 1..16"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(!text_parse(&again, wrong[i].text, strlen(wrong[i].text), "text", &error));
    if (!strstr(error.text, wrong[i].says)) fprintf(stderr, "%s\n", error.text);
    CHECK(strstr(error.text, wrong[i].says) != NULL);
  }
  program_clear(&program);
  program_clear(&again);
}

// Of many operations those are left that the damage needs, in the plainest words.
static void test_minimize(void) {
  struct program program;
  program_make(&program, "PooPuPuPofuPPoopuPPoPPuo", find_variant("tlsf"));
  struct minimization task = {.strategy = &pile_strategy,
                              .settings = {.oracle = {.tier = TIER_FULL}, .quiet = true}};
  damage = DAMAGE_WRONG_ANSWER;
  CHECK(minimize(&task, &program));
  damage = DAMAGE_NONE;
  CHECK(strcmp(task.verdict.id, "model") == 0);
  char *text = text_of(&program);
  if (program_length(&program) > 2) fputs(text, stderr);
  CHECK(strstr(text, "push 0 count=3\npop 0\n") && program_length(&program) == 2);
  CHECK(program_heap(&program).variant == 0);
  free(text);
  program_clear(&program);
}

int main(void) {
  test_words();
  test_minimize();
  test_clean_everywhere();
  test_damages();
  return 0;
}
