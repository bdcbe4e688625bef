// The C reproducers' own test: what is in order is not complained about, and each kind of damage is
// shown. Each run has a process of its own, as a violated check ends it.
#define _GNU_SOURCE
#include <stdio.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/emit_c.h"
#include "harness/program_file.h"
#include "harness/reproducer_lifetimes.h"
#include "harness/reproducer_persistence.h"

#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "symbolize=0:detect_leaks=0"; }
#endif

// ## A toy that offers what few strategies do: a persistent bump allocator with marks
//
//   | struct allocator | header | payload, canary, padding | header | ...  | free |

enum damage {
  NONE,
  WALKS_FREE,        // the walk shows the first block as free
  WALKS_SHORT,       // the walk leaves out its last span
  WRITES_BELOW,      // a byte below the heap
  KEEPS_PART,        // reset does
  ROLLS_NOTHING,     // rollback
  ROLLS_TOO_FAR,     // rollback
  MISSES_OVERRUN,    // release
  LOSES_ROOT,        // open
  COUNTS_TOO_EARLY,  // allocate: what is counted is not yet there when the process dies
  FORGETS_BARRIER,   // allocate: between what is counted, and its header
  REPAIRS_BADLY,     // open: writes in between what no further open understands
};
static enum damage damage;

enum { MAGIC = 0x70e5, TOY_CANARY = 0xC3, UNIT = 16 };

struct allocator {
  size_t magic, size, used, root;
  struct source *source;
  size_t padding;
};
struct header {
  size_t size;
  size_t dead;
};

static struct header *header_at(const struct allocator *self, size_t at) {
  return (struct header *)((unsigned char *)self + sizeof *self + at);
}
static size_t length_of(size_t size) {
  return (sizeof(struct header) + size + 1 + UNIT - 1) / UNIT * UNIT;
}
static void persist(const struct allocator *self, const void *start, size_t size) {
  if (self->source->persist) self->source->persist(self->source, start, size);
}

static struct allocator *toy_create(struct source *source, const struct strategy_options *options) {
  (void)options;
  size_t size = source->available(source) / UNIT * UNIT;
  struct allocator *self = size > sizeof *self ? source->acquire(source, size) : NULL;
  if (!self) return NULL;
  *self = (struct allocator){.magic = MAGIC, .size = size, .source = source};
  persist(self, self, sizeof *self);
  return self;
}

// As an allocator that was built without a sanitizer.
static __attribute__((noinline, no_sanitize("address"))) void write_below(void *heap) {
  *((volatile unsigned char *)heap - 1) ^= 1;
}

static void *toy_allocate(struct allocator *self, size_t size, size_t align) {
  size_t room = self->size - sizeof *self - self->used;
  if (size == 0 || align > UNIT || !is_power_of_two(align)) return NULL;
  if (size > room || length_of(size) > room) return NULL;
  struct header *header = header_at(self, self->used);
  if (damage == WRITES_BELOW) write_below(self);
  if (damage == COUNTS_TOO_EARLY) {
    self->used += length_of(size);
    persist(self, &self->used, sizeof self->used);
  }
  *header = (struct header){.size = size};
  ((unsigned char *)(header + 1))[size] = TOY_CANARY;
  if (damage != FORGETS_BARRIER) persist(self, header, length_of(size));
  if (damage != COUNTS_TOO_EARLY) self->used += length_of(size);
  persist(self, &self->used, sizeof self->used);
  return header + 1;
}

static enum release_result toy_release(struct allocator *self, void *block) {
  if (!block) return RELEASED;
  struct header *header = (struct header *)block - 1;
  header->dead = 1;
  persist(self, header, sizeof *header);
  bool overrun = ((unsigned char *)block)[header->size] != TOY_CANARY;
  return overrun && damage != MISSES_OVERRUN ? RELEASE_OVERRUN : RELEASED;
}

static void toy_reset(struct allocator *self) {
  self->used = damage == KEEPS_PART && self->used > 0 ? length_of(header_at(self, 0)->size) : 0;
  if (self->used > 0) header_at(self, 0)->dead = 1;
  persist(self, &self->used, sizeof self->used);
}

static struct mark toy_mark(struct allocator *self) { return (struct mark){.amount = self->used}; }

static void toy_rollback(struct allocator *self, struct mark mark) {
  if (damage == ROLLS_NOTHING) return;
  self->used = damage == ROLLS_TOO_FAR ? 0 : mark.amount;
}

static void toy_close(struct allocator *self) { (void)self; }

static struct allocator *toy_open(struct source *source, const struct strategy_options *options) {
  (void)options;
  size_t size;
  struct allocator *self = source->held(source, &size);
  if (!self || self->magic != MAGIC) return NULL;
  self->source = source;
  if (damage == LOSES_ROOT) self->root = 0;
  if (damage == REPAIRS_BADLY) {
    self->magic = 0;
    persist(self, self, sizeof *self);
    self->magic = MAGIC;
    persist(self, self, sizeof *self);
  }
  return self;
}

static void *toy_root(const struct allocator *self) {
  return self->root ? (unsigned char *)self + self->root : NULL;
}
static void toy_set_root(struct allocator *self, const void *block) {
  self->root = block ? (size_t)((const unsigned char *)block - (unsigned char *)self) : 0;
  persist(self, &self->root, sizeof self->root);
}

static struct broken_invariant toy_check(const struct allocator *self) {
  size_t at = 0, room = self->size - sizeof *self;
  while (at < self->used && header_at(self, at)->size < room - at)
    at += length_of(header_at(self, at)->size);
  return (struct broken_invariant){.number = at != self->used};
}

static void show(span_visitor *visit, void *context, const void *start, size_t size,
                 enum span_kind kind) {
  visit(context, &(struct span){start, size, kind});
}

static void toy_walk(const struct allocator *self, span_visitor *visit, void *context) {
  show(visit, context, self, sizeof *self, SPAN_META);
  for (size_t at = 0; at < self->used; at += length_of(header_at(self, at)->size)) {
    const struct header *header = header_at(self, at);
    const unsigned char *payload = (const unsigned char *)(header + 1);
    size_t behind = length_of(header->size) - sizeof *header - header->size;
    enum span_kind kind = header->dead                      ? SPAN_META
                          : damage == WALKS_FREE && at == 0 ? SPAN_FREE
                                                            : SPAN_BLOCK;
    show(visit, context, header, sizeof *header, SPAN_META);
    show(visit, context, payload, header->size, kind);
    show(visit, context, payload + header->size, behind, SPAN_META);
  }
  size_t rest = self->size - sizeof *self - self->used;
  if (rest > 0 && damage != WALKS_SHORT)
    show(visit, context, header_at(self, self->used), rest, SPAN_FREE);
}

static void toy_destroy(struct allocator *self) {
  self->source->release(self->source, self, self->size);
}

static size_t toy_footprint(size_t size, size_t align, size_t page_size) {
  (void)page_size;
  return align > UNIT || size > SIZE_MAX / 2 ? SIZE_MAX : length_of(size);
}

static const char *const toy_invariants[] = {"blocks end where memory is used up to", NULL};

static const struct strategy toy = {
    .name = "toy",
    .traits = STRATEGY_RELEASES | STRATEGY_RESETS | STRATEGY_MARKS | STRATEGY_PERSISTS |
              STRATEGY_DETECTS_OVERRUN | STRATEGY_WALKS_BLOCKS,
    .needs = SOURCE_PERSISTS,
    .min_align = 1,
    .max_align = UNIT,
    .overhead = sizeof(struct allocator) + UNIT,
    .invariants = toy_invariants,
    .create = toy_create,
    .allocate = toy_allocate,
    .release = toy_release,
    .reset = toy_reset,
    .mark = toy_mark,
    .rollback = toy_rollback,
    .close = toy_close,
    .open = toy_open,
    .root = toy_root,
    .set_root = toy_set_root,
    .check = toy_check,
    .walk = toy_walk,
    .destroy = toy_destroy,
    .footprint = toy_footprint,
};

// A process shows one heap; here it goes on to another.
static void start_over(void) {
  free(repro.blocks);
  free(repro.sorted);
  free(repro.stretches);
  repro_memory_close(&repro.memory);
  memset(&repro, 0, sizeof repro);
}

// ## A damaged collector

extern const struct strategy mark_sweep_strategy;
static struct strategy collector;

static size_t collects_nothing(struct allocator *self, const struct collection *collection) {
  (void)self, (void)collection;
  return 0;
}
static size_t takes_first_roots_only(struct allocator *self, const struct collection *collection) {
  struct collection less = *collection;
  less.roots_count = 1;
  return mark_sweep_strategy.collect(self, &less);
}
static size_t counts_one_more(struct allocator *self, const struct collection *collection) {
  return mark_sweep_strategy.collect(self, collection) + 1;
}
static struct words no_words(void *context, const void *block) {
  (void)context, (void)block;
  return (struct words){0};
}
static size_t follows_nothing(struct allocator *self, const struct collection *collection) {
  struct collection less = *collection;
  less.trace = no_words;
  return mark_sweep_strategy.collect(self, &less);
}

static void collect_some(uint64_t noise) {
  repro_open(&collector, 32768, 0, 3, 0, 0);
  for (int i = 0; i < 12; i++) repro_allocate(i, 100 + 9 * (size_t)i, 1);
  repro_root(1, true);
  repro_root(2, true);
  repro_root(2, false);
  repro_root(3, true);
  repro_link(1, 0, 4);
  repro_link(4, 5, 5);
  repro_link(5, 1, 1);
  repro_link(6, 0, 7);
  repro_collect(noise);
  repro_allocate(2, 50, 1);
  repro_collect(noise);
  repro_collect_all();
  repro_close();
}

static void collect_precisely(void) { collect_some(0); }
static void collect_conservatively(void) {
  for (uint64_t noise = 1; noise < 4; noise++) {
    collect_some(noise * 0x123456789u);
    start_over();
  }
}

// ## Programs

static void many_kinds(void) {
  repro_open(&toy, 4096, 0, 16, 0, 0);
  repro_allocate(0, 100, 8);
  repro_mark();
  repro_allocate(1, 20, 1);
  repro_allocate(1, 0, 1);
  repro_rollback(0);
  repro_allocate(2, 40, 1);
  repro_mark();
  repro_allocate(1, 30, 1);
  repro_release(2);
  repro_rollback(1);
  repro_rollback(0);
  repro_allocate(1, 30, 1);
  repro_root(1, true);
  repro_reopen();
  repro_overrun(0);
  repro_reset();
  repro_allocate(2, 1, 1);
  repro_release(2);
  repro_close();
}

static void dies(unsigned barrier, uint64_t mask) {
  repro_open(&toy, 1024, 0, 16, 0, 0);
  repro_allocate(0, 100, 8);
  repro_crash(barrier, mask);
  REPRO_DIES(repro_allocate(1, 20, 1));
  repro_crash(barrier, mask);
  REPRO_DIES(repro_root(1, true));
  repro_crash(barrier, mask);
  REPRO_DIES(repro_release(1));
  repro_crash(barrier, mask);
  REPRO_DIES(repro_reset());
  repro_close();
  CHECK(repro.operation == 9);
  start_over();
}

static void dies_everywhere(void) {
  static const uint64_t masks[] = {0, UINT64_MAX, 0x5555555555555555, 0x3};
  for (unsigned barrier = 1; barrier <= 3; barrier++)
    for (int i = 0; i < 4; i++) dies(barrier, masks[i]);
}

static void more_blocks_than_one_table(void) {
  repro_open(&toy, 1 << 20, 0, 0, 0, 0);
  for (int i = 0; i < 4200; i++) repro_add(i, toy_allocate(repro.allocator, 9, 1), 9, false);
  repro_check_all();
  repro.operation = 1;
  damage = WALKS_FREE;
  repro_check_all();
}

// ## Runs

struct expectation {
  void (*run)(void);
  enum damage damage;
  const char *says;  // part of what is printed; NULL: nothing wrong
  size_t (*collect)(struct allocator *self, const struct collection *collection);
};

static const struct expectation expectations[] = {
    {many_kinds, NONE, NULL, NULL},
    {many_kinds, WALKS_FREE, "shows a live block as free", NULL},
    {many_kinds, WALKS_SHORT, "the walk shows", NULL},
    {many_kinds, WRITES_BELOW, "offset 15, outside the heap, was written", NULL},
    {many_kinds, KEEPS_PART, "after reset", NULL},
    {many_kinds, ROLLS_NOTHING, "as live where no live block is", NULL},
    {many_kinds, ROLLS_TOO_FAR, "the walk shows a live block as free", NULL},
    {many_kinds, MISSES_OVERRUN, "a write past the block", NULL},
    {many_kinds, LOSES_ROOT, "before the heap was closed", NULL},
    {dies_everywhere, NONE, NULL, NULL},
    {dies_everywhere, COUNTS_TOO_EARLY, "after the crash invariant I1", NULL},
    {dies_everywhere, FORGETS_BARRIER, "crash", NULL},
    {dies_everywhere, REPAIRS_BADLY, "what the crash left does not open", NULL},
    {more_blocks_than_one_table, NONE, "operation 1: the walk shows a live block as free", NULL},
    {collect_precisely, NONE, NULL, NULL},
    {collect_conservatively, NONE, NULL, NULL},
    {collect_precisely, NONE, "was not collected", collects_nothing},
    {collect_precisely, NONE, "that the roots reach", takes_first_roots_only},
    {collect_precisely, NONE, "that the roots reach", follows_nothing},
    {collect_precisely, NONE, "were told of", counts_one_more},
    {collect_conservatively, NONE, "that the roots reach", takes_first_roots_only},
    {collect_conservatively, NONE, "that the roots reach", follows_nothing},
};

static void run(const struct expectation *expected) {
  damage = expected->damage;
  collector = mark_sweep_strategy;
  if (expected->collect) collector.collect = expected->collect;
  expected->run();
  exit(0);
}

static void try(const struct expectation *expected, size_t number) {
  char text[4096];
  int out[2], status;
  CHECK(pipe(out) == 0);
  fflush(NULL);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(dup2(out[1], STDOUT_FILENO) >= 0);
    run(expected);
  }
  close(out[1]);
  FILE *from = fdopen(out[0], "r");
  CHECK(from != NULL);
  text[fread(text, 1, sizeof text - 1, from)] = 0;
  fclose(from);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
  bool as_expected = WEXITSTATUS(status) == (expected->says ? 1 : 0) &&
                     strstr(text, expected->says ? expected->says : "nothing wrong was seen");
  if (!as_expected) printf("%zu: exit code %d: %s", number, WEXITSTATUS(status), text);
  CHECK(as_expected);
}

// ## What is emitted

static void emits(const struct strategy *strategy, const char *text, const char *const *lines) {
  struct program program = {0};
  struct file_error error;
  CHECK(text_parse(&program, text, strlen(text), "text", &error));
  char *emitted;
  size_t size;
  FILE *to = open_memstream(&emitted, &size);
  CHECK(to != NULL);
  emit_c(to, &(struct registry_entry){.strategy = strategy, .name = "toy", .recipe = "toy.c"},
         &program, &(struct verdict){.id = "clean"});
  fclose(to);
  const char *at = emitted;
  for (; *lines; lines++) {
    at = strstr(at, *lines);
    if (!at) printf("no `%s` in:\n%s", *lines, emitted);
    CHECK(at != NULL);
  }
  free(emitted);
  program_clear(&program);
}

static void test_emitted(void) {
  emits(&toy,
        "heap threads=4 slots=8\nmark\ncrash barrier=2 mask=0x6\nrollback 3\nroot 1\nroot 2\n"
        "overrun 7\nreopen\n",
        (const char *const[]){"for 4 threads", "reproducer_lifetimes.h", "reproducer_persistence.h",
                              "repro_mark();", "repro_crash(2, 0x6u);", "repro_rollback(3);",
                              "REPRO_DIES(repro_root(1, true));", "  repro_root(2, true);",
                              "repro_overrun(7);", "repro_reopen();", "repro_close();", NULL});
  emits(&mark_sweep_strategy,
        "heap slots=8\nroot 1\nunroot 1\nlink 1 reference=3 to=2\ncollect noise=5\n",
        (const char *const[]){"reproducer_lifetimes.h", "repro_root(1, true);",
                              "repro_root(1, false);", "repro_link(1, 2, 2);", "repro_collect(5u);",
                              "repro_collect_all();", NULL});
}

int main(void) {
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) try(&expectations[i], i);
  test_emitted();
  return 0;
}
