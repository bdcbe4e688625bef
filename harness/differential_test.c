// Differential mode's own test: each kind of disagreement is found and named after both, what is
// close to it but allowed is not, and clean strategies agree whatever the program.
#define _GNU_SOURCE
#include "harness/differential.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "allocators/registry.h"
#include "harness/forbid.h"
#include "harness/program_file.h"

extern const struct strategy free_list_strategy, buddy_strategy;
#define VICTIM free_list_strategy

enum { TRIGGER = 77 };  // requests of this size are what damages wait for

// ## Damages, and what is nearly one

static void *refuses(struct allocator *self, size_t size, size_t align) {
  return size == TRIGGER ? NULL : VICTIM.allocate(self, size, align);
}

static void *refuses_to_resize(struct allocator *self, void *former, size_t size, size_t align) {
  return size == TRIGGER ? NULL : VICTIM.resize(self, former, size, align);
}

static void *wraps(struct allocator *self, size_t count, size_t size, size_t align) {
  return count * size < size ? VICTIM.allocate(self, 16, align)
                             : VICTIM.allocate_zeroed(self, count, size, align);
}

static void *misaligns(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate(self, size + 8, align);
  return block && size == TRIGGER ? block + 8 : block;
}

static void *aligns_by_hand(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate(self, size + align, align);
  return block && size == TRIGGER && align > 0 ? block + align : block;
}

static void *leaves_dirt(struct allocator *self, size_t count, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate_zeroed(self, count, size, align);
  if (block && size == TRIGGER) block[count * size - 1] = 1;
  return block;
}

static void *leaves_dirt_behind(struct allocator *self, size_t count, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate_zeroed(self, count, size + 8, align);
  if (block && size == TRIGGER) block[count * size] = 1;
  return block;
}

static void *loses_a_byte(struct allocator *self, void *former, size_t size, size_t align) {
  unsigned char *block = VICTIM.resize(self, former, size, align);
  if (former && block && size == TRIGGER) block[9] ^= 1;
  return block;
}

static void *loses_a_byte_when_it_refuses(struct allocator *self, void *former, size_t size,
                                          size_t align) {
  unsigned char *block = VICTIM.resize(self, former, size, align);
  if (former && !block) *(unsigned char *)former ^= 1;
  return block;
}

// What a block gains by growing is arbitrary.
static void *dirties_what_is_new(struct allocator *self, void *former, size_t size, size_t align) {
  unsigned char *block = VICTIM.resize(self, former, size, align);
  if (former && block && size == TRIGGER) block[size - 1] ^= 1;
  return block;
}

static unsigned char *second;

static void *remembers(struct allocator *self, size_t size, size_t align) {
  unsigned char *block = VICTIM.allocate(self, size, align);
  if (size == TRIGGER) second = block;
  return block;
}

static enum release_result scribbles(struct allocator *self, void *block) {
  enum release_result result = VICTIM.release(self, block);
  if (second && block != second) second[5] ^= 1;
  return result;
}

static enum release_result scribbles_on_what_it_releases(struct allocator *self, void *block) {
  if (block == second) second[5] ^= 1;
  return VICTIM.release(self, block);
}

static size_t too_little(const struct allocator *self, const void *block) {
  (void)self, (void)block;
  return 1;
}

static size_t just_enough(const struct allocator *self, const void *block) {
  (void)self, (void)block;
  return TRIGGER;
}

static enum release_result accepts_all(struct allocator *self, void *block) {
  enum release_result result = VICTIM.release(self, block);
  return result == RELEASED ? result : RELEASED;
}

static enum release_result refuses_live_ones(struct allocator *self, void *block) {
  (void)self, (void)block;
  return RELEASE_DOUBLE;
}

static struct allocator *is_not_created(struct source *source,
                                        const struct strategy_options *options) {
  (void)source, (void)options;
  return NULL;
}

static struct allocator *wants_a_page(struct source *source,
                                      const struct strategy_options *options) {
  return source->available(source) < 4096 ? NULL : VICTIM.create(source, options);
}

// ## The rows

struct row {
  const char *what;
  struct strategy with;
  const char *program;  // with `;` for ends of lines; the heap's line first
  const char *says;     // part of the diagnosis; NULL: they must agree
  bool last;            // the damaged one is named second
};

static const struct row rows[] = {
    {"a request is refused that fits",
     {.allocate = refuses},
     "heap capacity=4096;allocate 0 size=1;allocate 2 size=77",
     "operation 1, allocate of slot 2: damaged refused what buddy gave, although the bounds of "
     "both "
     "say that it fits",
     false},
    {"the bound no longer says that it fits",
     {.allocate = refuses},
     "heap capacity=1024;allocate 0 size=1;allocate 1 size=400;release 1;allocate 1 size=400;"
     "release 1;allocate 1 size=400;release 1;allocate 2 size=77",
     NULL,
     false},
    {"later operations on what one lacks",
     {.allocate = refuses},
     "heap capacity=1024;allocate 0 size=1;allocate 1 size=400;release 1;allocate 1 size=400;"
     "release 1;allocate 1 size=400;release 1;allocate 2 size=77;resize 2 "
     "size=78;use 2;release 2;allocate 2 size=9;release 2;release_again 0",
     NULL,
     false},
    {"two blocks in one slot, made by other operations",
     {.allocate = refuses, .resize = refuses_to_resize},
     "heap capacity=1100;allocate 1 size=1;allocate 0 size=9;allocate 3 size=500;release "
     "3;allocate "
     "3 size=500;resize 0 size=8;release 3;allocate 0 size=77;release 9;release 9;release 9;resize "
     "0 size=77;release 0",
     NULL,
     false},
    {"a product that overflows is given",
     {.allocate_zeroed = wraps},
     "heap capacity=4096;zeroed 0 count=16 size=1152921504606846992",
     "operation 0, zeroed of slot 0: damaged gave what buddy refused, although the contract says "
     "that both must refuse it",
     false},
    {"a product that does not overflow",
     {.allocate_zeroed = wraps},
     "heap capacity=4096;zeroed 0 count=16 size=8",
     NULL,
     false},
    {"an address is not aligned",
     {.allocate = misaligns},
     "heap capacity=4096;allocate 0 size=77 align=16",
     "operation 0, allocate of slot 0: damaged gave an address that is not aligned or not inside "
     "its heap, buddy a good one",
     false},
    {"an address is aligned in another way",
     {.allocate = aligns_by_hand, .usable_size = just_enough},
     "heap capacity=4096;allocate 0 size=77 align=64;use 0",
     NULL,
     false},
    {"a zeroed block is not zero",
     {.allocate_zeroed = leaves_dirt},
     "heap capacity=4096;zeroed 0 count=3 size=77",
     "operation 0, zeroed of slot 0: the 231 bytes that the user finds in the zeroed block are not "
     "the same on",
     true},
    {"a zeroed block is dirty behind",
     {.allocate_zeroed = leaves_dirt_behind},
     "heap capacity=4096;zeroed 0 count=3 size=77;release 0",
     NULL,
     false},
    {"resize loses a byte",
     {.resize = loses_a_byte},
     "heap capacity=4096;allocate 0 size=40;resize 0 size=77",
     "operation 1, resize of slot 0: the 40 bytes that the user had in the block are not the same "
     "on",
     true},
    {"a new byte of a resized block is anything",
     {.resize = dirties_what_is_new},
     "heap capacity=4096;allocate 0 size=40;resize 0 size=77;release 0",
     NULL,
     false},
    {"a refused resize loses a byte",
     {.resize = loses_a_byte_when_it_refuses},
     "heap capacity=4096;allocate 0 size=40;resize 0 size=77777",
     "operation 1, resize of slot 0: the 40 bytes that the user had in the block are not the same "
     "on",
     true},
    {"a live block changes, and is released",
     {.allocate = remembers, .release = scribbles},
     "heap capacity=4096;allocate 0 size=9;allocate 1 size=77;release 0;release 1",
     "operation 3, release of slot 1: the 77 bytes that the user had in the block are not the same "
     "on",
     true},
    {"a live block changes, and stays",
     {.allocate = remembers, .release = scribbles},
     "heap capacity=4096;allocate 0 size=9;allocate 1 size=77;release 0",
     "operation 1, allocate of slot 1: the 77 bytes that the user was left with are not the same "
     "on",
     true},
    {"a live block changes, and is reset",
     {.allocate = remembers, .release = scribbles},
     "heap capacity=4096;allocate 0 size=9;allocate 1 size=77;release 0;reset",
     "operation 1, allocate of slot 1: the 77 bytes that the user was left with are not the same "
     "on",
     true},
    {"a block changes as it is released",
     {.allocate = remembers, .release = scribbles_on_what_it_releases},
     "heap capacity=4096;allocate 0 size=9;allocate 1 size=77;release 1;release 0",
     NULL,
     false},
    {"a usable size is too small",
     {.usable_size = too_little},
     "heap capacity=4096;allocate 0 size=40;use 0",
     "operation 1, use of slot 0: on damaged the usable size is not the user's to write, on buddy "
     "it "
     "is",
     false},
    {"a usable size is another",
     {.usable_size = just_enough},
     "heap capacity=4096;allocate 0 size=77;use 0;release 0",
     NULL,
     false},
    {"a second release is accepted",
     {.release = accepts_all},
     "heap capacity=4096;allocate 0 size=40;release 0;release_again 0",
     "operation 2, release_again: damaged says that it was a live block, buddy that it was "
     "released "
     "before",
     false},
    {"a second release after the block was given out again",
     {.release = accepts_all},
     "heap capacity=4096;allocate 0 size=40;release 0;allocate 1 size=40;release_again 0",
     NULL,
     false},
    {"a foreign release is accepted",
     {.release = accepts_all},
     "heap capacity=4096;release_foreign 0",
     "operation 0, release_foreign: damaged says that it was a live block, buddy that it was none "
     "of "
     "its blocks",
     false},
    {"a live block cannot be released",
     {.release = refuses_live_ones},
     "heap capacity=4096;allocate 0 size=40;release 0",
     "operation 1, release of slot 0: damaged says that it was released before, buddy that it was "
     "a "
     "live block",
     false},
    {"no allocator",
     {.create = is_not_created},
     "heap capacity=4096;allocate 0 size=40",
     "create: damaged failed on a heap that buddy lives on, although its own bound says that it "
     "suffices",
     false},
    {"no allocator, as the source fails",
     {.create = is_not_created},
     "heap capacity=4096;fault mask=0x1;allocate 0 size=40",
     NULL,
     false},
    {"no allocator on a heap that is too small",
     {.create = wants_a_page},
     "heap capacity=8;allocate 0 size=40",
     NULL,
     false},
};

static struct strategy damaged(const struct row *row) {
  struct strategy strategy = VICTIM;
#define REPLACE(slot)                                                                              \
  if (row->with.slot) strategy.slot = row->with.slot
  REPLACE(create);
  REPLACE(allocate);
  REPLACE(allocate_zeroed);
  REPLACE(release);
  REPLACE(resize);
  REPLACE(usable_size);
#undef REPLACE
  return strategy;
}

static void parse(struct program *program, const char *row) {
  char text[512];
  struct file_error error;
  int size = snprintf(text, sizeof text, "%s\n", row);
  CHECK(size > 0 && (size_t)size < sizeof text);
  for (char *end = text; (end = strchr(end, ';'));) *end = '\n';
  if (!text_parse(program, text, (size_t)size, "row", &error)) {
    fprintf(stderr, "%s\n", error.text);
    abort();
  }
}

// Both ways round: who is named first depends on who is to blame, not on the order.
static void test_row(const struct row *row, bool swapped) {
  struct strategy strategy = damaged(row);
  struct differential pair = {.count = 2};
  pair.contenders[swapped] = (struct contender){"damaged", &strategy, -1};
  pair.contenders[!swapped] = (struct contender){"buddy", &buddy_strategy, -1};
  struct program program = {0};
  struct disagreement found;
  parse(&program, row->program);
  second = NULL;
  CHECK(differential_run(&pair, &program, &found));
  bool right = found.found == (row->says != NULL);
  if (row->says && right) {
    const struct verdict *verdict = &found.verdict;
    right = strncmp(verdict->diagnosis, row->says, strlen(row->says)) == 0 &&
            strcmp(verdict->id, "differential") == 0 &&
            verdict->property == PROPERTY_differential && strstr(verdict->site, "damaged") &&
            strstr(verdict->site, "buddy") && strstr(verdict->diagnosis, "damaged") &&
            strstr(verdict->diagnosis, "buddy") &&
            (row->last || strcmp(found.names, "damaged,buddy") == 0);
  }
  if (!right)
    fprintf(stderr, "%s: %s\n", row->what, found.found ? found.verdict.diagnosis : "they agree");
  CHECK(right);
  differential_free(&pair);
  program_clear(&program);
}

// Of three, the one that differs from the other two is named first.
static void test_majority(void) {
  struct strategy strategy = VICTIM;
  strategy.allocate_zeroed = leaves_dirt;
  struct program program = {0};
  parse(&program, "heap capacity=4096;zeroed 0 count=1 size=77");
  for (int which = 0; which < 3; which++) {
    struct differential all = {.count = 3};
    for (int i = 0; i < 3; i++)
      all.contenders[i] = (struct contender){"buddy", &buddy_strategy, -1};
    all.contenders[which] = (struct contender){"damaged", &strategy, -1};
    struct disagreement found;
    CHECK(differential_run(&all, &program, &found) && found.found);
    CHECK(strcmp(found.names, "damaged,buddy") == 0);
    CHECK(strstr(found.verdict.diagnosis, "(as 2 of 3 have them)"));
    differential_free(&all);
  }
  program_clear(&program);
}

// ## Clean strategies

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % limit;
}

static struct record random_operation(void) {
  static const uint64_t sizes[] = {0, 1, 8, 24, 100, 512, 1 << 12, 1 << 16, UINT64_MAX};
  struct operation operation = {
      .kind = (enum operation_kind)below(OP_KINDS),
      .count = 1 + (unsigned)below(3),
      .slot = (uint32_t)below(6),
      .size = sizes[below(sizeof sizes / sizeof *sizes)] + below(4),
      .align = below(8) ? (uint64_t)1 << below(10) : below(64),
  };
  if ((operation.kind == OP_RESET || operation.kind == OP_FAULT) && below(4))
    operation.kind = OP_ALLOCATE;
  if (operation.kind == OP_FAULT) operation.size = (uint64_t)1 << below(4);
  return operation_record(&operation);
}

static void test_clean_strategies(void) {
  enum { LENGTH = 40 };
  size_t rounds = MEMORY_ON_VALGRIND ? 60 : 1500;
  struct record records[LENGTH + 1];
  static struct differential all;
  char error[160];
  CHECK(differential_choose(&all, "all", error, sizeof error));
  for (size_t round = 0; round < rounds; round++) {
    struct heap heap = {.source = (enum heap_source)below(HEAP_SOURCES),
                        .page_size = (size_t)64 << below(7),
                        .capacity = 1 + below(1 << (6 + below(13))),
                        .skew = (unsigned)below(64),
                        .variant = (unsigned)below(3),
                        .slots = 8,
                        .threads = 1};
    records[0] = heap_record(&heap);
    for (size_t i = 1; i <= LENGTH; i++) records[i] = random_operation();
    struct program program = {.records = records, .count = 1 + (size_t)below(LENGTH + 1)};
    struct disagreement found;
    CHECK(differential_run(&all, &program, &found));
    if (found.found) fprintf(stderr, "%s: %s\n", found.names, found.verdict.diagnosis);
    CHECK(!found.found);
  }
  const struct comparison_counts *counts = &all.counts;
  CHECK(counts->given > 0 && counts->refused > 0 && counts->contents > 0 && counts->zeroed > 0);
  CHECK(counts->usable > 0 && counts->releases > 0);
  differential_free(&all);
}

static void test_choice(void) {
  struct differential some = {0};
  char error[160];
  CHECK(differential_choose(&some, "free_list:best_fit,buddy", error, sizeof error));
  CHECK(some.count == 2 && some.contenders[0].variant == 2 && some.contenders[1].variant == -1);
  CHECK(strcmp(some.contenders[0].name, "free_list:best_fit") == 0);
  differential_free(&some);
  CHECK(!differential_choose(&some, "buddy", error, sizeof error) && strstr(error, "two"));
  differential_free(&some);
  CHECK(!differential_choose(&some, "buddy,nobody", error, sizeof error));
  CHECK(strstr(error, "'nobody'"));
  differential_free(&some);
  CHECK(!differential_choose(&some, "buddy,free_list:worst_fit", error, sizeof error));
  CHECK(strstr(error, "'worst_fit'"));
  differential_free(&some);
}

int main(void) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int swapped = 0; swapped <= 1; swapped++) test_row(&rows[i], swapped);
  test_majority();
  test_choice();
  test_clean_strategies();
  return 0;
}
