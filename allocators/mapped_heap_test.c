// What the mapped heap does beyond the contract's tests: it survives every crash that a source
// allows, and processes that are killed; it opens at other addresses, and nothing that is damaged.
#define _DEFAULT_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"
#include "allocators/scratch.h"

extern const struct strategy mapped_heap_strategy;

static const struct strategy *const s = &mapped_heap_strategy;
static const struct strategy_options fine;

// ## Memory that lasts word by word

enum { SIZE = 4096, WORDS = SIZE / sizeof(size_t), SLOTS = 12 };

struct lasting {
  struct source base;
  unsigned char *memory;
  size_t held;
  unsigned char words[SIZE];  // what is certain to last
  void (*barrier)(struct lasting *self);
  size_t barriers;
};

static void *lasting_acquire(struct source *base, size_t size) {
  struct lasting *self = (struct lasting *)base;
  if (size == 0 || size > SIZE || self->held != 0) return NULL;
  self->held = size;
  return self->memory;
}

static void lasting_release(struct source *base, void *memory, size_t size) {
  struct lasting *self = (struct lasting *)base;
  CHECK(memory == self->memory && size == self->held);
  self->held = 0;
}

static size_t lasting_available(const struct source *base) {
  return SIZE - ((const struct lasting *)base)->held;
}

static void lasting_persist(struct source *base, const void *start, size_t size) {
  struct lasting *self = (struct lasting *)base;
  CHECK(range_within(start, size, self->memory, SIZE));
  self->barriers++;
  if (self->barrier != NULL) self->barrier(self);
  size_t offset = address_of(start) - address_of(self->memory);
  memcpy(self->words + offset, self->memory + offset, size);
}

static void *lasting_held(struct source *base, size_t *size) {
  struct lasting *self = (struct lasting *)base;
  *size = self->held;
  return self->held == 0 ? NULL : self->memory;
}

// One to run on, one to see what should come of it, and those where a crash is looked at, and one
// while that is being looked at.
static _Alignas(4096) unsigned char arenas[4][SIZE];
static struct lasting sources[4];

static void lasting_init(unsigned which) {
  sources[which] = (struct lasting){
      .base = {.name = "lasting",
               .traits = SOURCE_PERSISTS,
               .page_size = 256,
               .acquire = lasting_acquire,
               .release = lasting_release,
               .available = lasting_available,
               .persist = lasting_persist,
               .held = lasting_held},
      .memory = arenas[which],
  };
}

// Opens a heap of these contents.
static struct allocator *open_image(unsigned which, const unsigned char *image) {
  lasting_init(which);
  struct lasting *source = &sources[which];
  memcpy(source->memory, image, SIZE);
  memcpy(source->words, image, SIZE);
  source->held = SIZE;
  return s->open(&source->base, &fine);
}

// ## States: all that can be told of a heap, but for addresses

struct state {
  struct span spans[SIZE / 32 * 2 + 4];  // starts are offsets
  size_t count;
  size_t root;
  const unsigned char *start;
};

static void add_span(void *context, const struct span *span) {
  struct state *state = context;
  struct span *place = &state->spans[state->count++];
  *place = *span;
  place->start = (void *)(address_of(span->start) - address_of(state->start));
}

static void take_state(struct state *state, const struct allocator *heap,
                       const unsigned char *start) {
  CHECK(s->check(heap).number == 0);
  state->count = 0;
  state->start = start;
  const void *root = s->root(heap);
  state->root = root == NULL ? 0 : address_of(root) - address_of(start);
  s->walk(heap, add_span, state);
}

static bool same_state(const struct state *a, const struct state *b) {
  if (a->count != b->count || a->root != b->root) return false;
  for (size_t i = 0; i < a->count; i++)
    if (a->spans[i].start != b->spans[i].start || a->spans[i].size != b->spans[i].size ||
        a->spans[i].kind != b->spans[i].kind)
      return false;
  return true;
}

struct slot {
  size_t offset;  // of the block; 0: none
  size_t size;    // bytes that hold `fill`
  unsigned char fill;
};

static void check_slots(const struct slot slots[SLOTS], const unsigned char *start) {
  for (size_t i = 0; i < SLOTS; i++)
    for (size_t j = 0; slots[i].offset != 0 && j < slots[i].size; j++)
      CHECK(start[slots[i].offset + j] == slots[i].fill);
}

// ## Every crash

static struct slot slots_before[SLOTS], slots_after[SLOTS];
static struct state state_before, state_after;
static bool may_be_none;  // in create and destroy
static size_t images, redone, reopened;
static uint64_t noise = 0x9E3779B97F4A7C15u;

// Of the words that were written since they were last certain, those that `mask` chooses.
static size_t make_image(unsigned char *image, const struct lasting *source, uint64_t mask) {
  size_t pending = 0;
  memcpy(image, source->words, SIZE);
  for (size_t i = 0; i < SIZE; i += sizeof(size_t)) {
    if (memcmp(image + i, source->memory + i, sizeof(size_t)) == 0) continue;
    if (mask >> pending++ % 64 & 1) memcpy(image + i, source->memory + i, sizeof(size_t));
  }
  return pending;
}

static const struct state *opened_as;

static void check_opened(struct allocator *heap, const unsigned char *start) {
  static struct state found;
  take_state(&found, heap, start);
  const struct state *as = same_state(&found, &state_before)  ? &state_before
                           : same_state(&found, &state_after) ? &state_after
                                                              : NULL;
  CHECK(as != NULL);
  CHECK(opened_as == NULL || opened_as == as || same_state(&state_before, &state_after));
  opened_as = as;
  if (same_state(&state_before, &state_after)) return;  // contents may be of either
  check_slots(as == &state_before ? slots_before : slots_after, start);
}

// A crash while opening: the next to open finds the same.
static void crash_again(struct lasting *source) {
  static unsigned char image[SIZE];
  for (int i = 0; i < 3; i++) {
    make_image(image, source, i == 0 ? 0 : i == 1 ? UINT64_MAX : next_random(&noise));
    struct allocator *heap = open_image(3, image);
    CHECK(heap != NULL);
    check_opened(heap, arenas[3]);
    reopened++;
  }
}

static void crash_with(const struct lasting *source, uint64_t mask) {
  static unsigned char image[SIZE], was[SIZE];
  make_image(image, source, mask);
  images++;
  memcpy(was, image, SIZE);
  opened_as = NULL;
  struct allocator *heap = open_image(2, image);
  if (heap == NULL) {
    CHECK(may_be_none && memcmp(arenas[2], was, SIZE) == 0);
    return;
  }
  redone += sources[2].barriers > 1;
  check_opened(heap, arenas[2]);
  // Once more, and this time opening it is cut off everywhere.
  lasting_init(2);
  sources[2].barrier = crash_again;
  sources[2].held = SIZE;
  memcpy(arenas[2], was, SIZE);
  memcpy(sources[2].words, was, SIZE);
  CHECK(s->open(&sources[2].base, &fine) != NULL);
  sources[2].barrier = NULL;
}

static void crash_here(struct lasting *source) {
  static unsigned char image[SIZE];
  size_t pending = make_image(image, source, 0);
  if (pending <= 5) {
    for (uint64_t mask = 0; mask < (uint64_t)1 << pending; mask++) crash_with(source, mask);
    return;
  }
  crash_with(source, 0);
  crash_with(source, UINT64_MAX);
  for (int i = 0; i < 12; i++)
    crash_with(source, (uint64_t)1 << next_random(&noise) % pending % 64);
  for (int i = 0; i < 12; i++) crash_with(source, next_random(&noise));
  for (int i = 0; i < 6; i++)
    crash_with(source, ~((uint64_t)1 << next_random(&noise) % pending % 64));
}

// ## Programs

enum kind { ALLOCATE, ZEROED, RELEASE, RESIZE, RESET, SET_ROOT, KINDS };

struct request {
  enum kind kind;
  size_t slot, size, align;
  unsigned char fill;
};

static struct request random_request(uint64_t *random, const struct slot slots[SLOTS]) {
  struct request request = {
      .slot = next_random(random) % SLOTS,
      .size = 1 + next_random(random) % (next_random(random) % 4 == 0 ? 1200 : 200),
      .align = (size_t)1 << next_random(random) % 8,
      .fill = (unsigned char)(1 + next_random(random) % 255),
  };
  bool live = slots[request.slot].offset != 0;
  size_t dice = next_random(random) % 32;
  request.kind = dice == 0   ? RESET
                 : dice <= 3 ? SET_ROOT
                 : !live     ? (dice % 2 ? ALLOCATE : ZEROED)
                 : dice < 14 ? RELEASE
                             : RESIZE;
  return request;
}

// Makes the request, and says in `slots` what must be true after it.
static void run(struct allocator *heap, unsigned char *start, const struct request *request,
                struct slot slots[SLOTS]) {
  struct slot *slot = &slots[request->slot];
  unsigned char *block = slot->offset == 0 ? NULL : start + slot->offset;
  switch (request->kind) {
  case ALLOCATE:
  case ZEROED: {
    bool zeroed = request->kind == ZEROED;
    unsigned char *got = zeroed ? s->allocate_zeroed(heap, 1, request->size, request->align)
                                : s->allocate(heap, request->size, request->align);
    if (got != NULL)
      *slot = (struct slot){address_of(got) - address_of(start), zeroed ? request->size : 0, 0};
    break;
  }
  case RELEASE:
    CHECK(s->release(heap, block) == RELEASED);
    *slot = (struct slot){0};
    break;
  case RESIZE: {
    unsigned char *got = s->resize(heap, block, request->size, request->align);
    if (got == NULL) break;
    slot->offset = address_of(got) - address_of(start);
    if (slot->size > request->size) slot->size = request->size;
    break;
  }
  case RESET:
    s->reset(heap);
    memset(slots, 0, SLOTS * sizeof *slots);
    break;
  case SET_ROOT:
  default:
    s->set_root(heap, block);
    break;
  }
}

static void test_crashes(void) {
  uint64_t random = 4711;
  struct lasting *source = &sources[0];
  lasting_init(0);
  struct allocator *heap = s->create(&source->base, &fine);
  CHECK(heap != NULL);
  memcpy(source->words, arenas[0], SIZE);
  for (int i = 0; i < 700; i++) {
    struct request request = random_request(&random, slots_before);
    // What will come of it, at another address. Lists are in the order in which open finds blocks.
    heap = s->open(&source->base, &fine);
    take_state(&state_before, heap, arenas[0]);
    memcpy(slots_after, slots_before, sizeof slots_after);
    struct allocator *forecast = open_image(1, arenas[0]);
    CHECK(forecast != NULL);
    run(forecast, arenas[1], &request, slots_after);
    take_state(&state_after, forecast, arenas[1]);

    source->barrier = crash_here;
    run(heap, arenas[0], &request, slots_before);
    crash_here(source);
    source->barrier = NULL;
    CHECK(memcmp(slots_before, slots_after, sizeof slots_after) == 0);
    struct state done;
    take_state(&done, heap, arenas[0]);
    CHECK(same_state(&done, &state_after));
    check_slots(slots_after, arenas[0]);

    // The user writes to his block, and sees to it that this lasts. What is volatile need not.
    struct slot *slot = &slots_before[request.slot];
    if (slot->offset != 0 && request.kind != SET_ROOT) {
      unsigned char *block = arenas[0] + slot->offset;
      slot->size = s->usable_size(heap, block);
      slot->fill = request.fill;
      memset(block, slot->fill, slot->size);
      source->base.persist(&source->base, block, slot->size);
    }
    if (i % 16 == 15) memcpy(source->words, arenas[0], SIZE);
  }
  CHECK(images > 20000 && redone > 1000 && reopened > 3000);
  s->destroy(heap);
}

// Before create is over there is nothing, and then an empty heap; before destroy begins there is
// all, and then nothing, whatever lay in the memory.
static void test_create_and_destroy(void) {
  struct lasting *source = &sources[0];
  memset(slots_before, 0, sizeof slots_before);
  memset(slots_after, 0, sizeof slots_after);
  lasting_init(1);
  struct allocator *forecast = s->create(&sources[1].base, &fine);
  take_state(&state_after, forecast, arenas[1]);
  state_before = state_after;
  may_be_none = true;
  for (int round = 0; round < 40; round++) {
    lasting_init(0);
    if (round % 4 == 0)
      for (size_t i = 0; i < SIZE; i++) arenas[0][i] = (unsigned char)next_random(&noise);
    memcpy(source->words, arenas[0], SIZE);
    source->barrier = crash_here;
    struct allocator *heap = s->create(&source->base, &fine);
    CHECK(heap != NULL);
    source->barrier = NULL;
    may_be_none = false;
    crash_with(source, 0);
    may_be_none = true;
    void *block = s->allocate(heap, 100 + (size_t)round, 1);
    if (round % 2 == 0) CHECK(s->release(heap, block) == RELEASED);
    source->barrier = round % 2 == 0 ? crash_here : NULL;
    s->destroy(heap);
    source->barrier = NULL;
    source->held = SIZE;
    CHECK(s->open(&source->base, &fine) == NULL);
  }
  may_be_none = false;
}

// How many barriers each kind of call takes: they are what persistence costs.
static size_t barriers_since(size_t *before) {
  size_t since = sources[0].barriers - *before;
  *before = sources[0].barriers;
  return since;
}

static void test_barriers(void) {
  lasting_init(0);
  struct allocator *heap = s->create(&sources[0].base, &fine);
  size_t count = sources[0].barriers;
  void *a = s->allocate(heap, 100, 1);
  CHECK(barriers_since(&count) == 2);
  CHECK(s->release(heap, a) == RELEASED);
  CHECK(barriers_since(&count) == 1);
  a = s->allocate_zeroed(heap, 1, 100, 1);
  CHECK(barriers_since(&count) == 3);
  void *b = s->allocate(heap, 100, 1), *c = s->allocate(heap, 500, 1), *d = s->allocate(heap, 9, 1);
  count = sources[0].barriers;
  CHECK(s->resize(heap, c, 100, 1) == c);
  CHECK(barriers_since(&count) == 4);
  CHECK(s->resize(heap, c, 393, 1) == c);
  CHECK(barriers_since(&count) == 2);
  CHECK(s->resize(heap, c, 400, 1) == c);
  CHECK(barriers_since(&count) == 0);
  CHECK(s->resize(heap, b, 300, 1) > d);
  CHECK(barriers_since(&count) == 6);
  CHECK(s->allocate(heap, 100, 1) == b);  // it fits exactly
  CHECK(barriers_since(&count) == 1);
  s->set_root(heap, a);
  CHECK(barriers_since(&count) == 1);
  s->reset(heap);
  CHECK(barriers_since(&count) == 1);
  s->destroy(heap);
}

// ## What does not open

// Fills a heap, and leaves it closed.
static void leave_closed(void) {
  lasting_init(0);
  struct allocator *heap = s->create(&sources[0].base, &fine);
  void *blocks[8];
  for (size_t i = 0; i < 8; i++) blocks[i] = s->allocate(heap, 60 + 30 * i, 1);
  for (size_t i = 0; i < 8; i += 3) CHECK(s->release(heap, blocks[i]) == RELEASED);
  for (size_t i = 0; i < 8; i++)
    if (i % 3 != 0) memset(blocks[i], 0xC3, 60 + 30 * i);
  s->set_root(heap, blocks[1]);
  take_state(&state_before, heap, arenas[0]);
  s->close(heap);
}

static void test_damage(void) {
  static unsigned char image[SIZE];
  static struct state found;
  leave_closed();
  size_t refused = 0;
  for (size_t bit = 0; bit < SIZE * 8; bit++) {
    memcpy(image, arenas[0], SIZE);
    image[bit / 8] ^= (unsigned char)(1 << bit % 8);
    struct allocator *heap = open_image(1, image);
    if (heap == NULL) {
      refused++;
      CHECK(memcmp(image, arenas[1], SIZE) == 0);
      continue;
    }
    take_state(&found, heap, arenas[1]);
    found.root = state_before.root;
    CHECK(same_state(&found, &state_before));  // it was volatile, or contents, or the root
  }
  // Magic, format, size, seal; and the headers of 8 blocks, of the rest and of the end.
  CHECK(refused == (4 + 10) * sizeof(size_t) * 8);
  // Other garbage: of words that occur here, of all kinds, and of a heap cut off.
  for (int i = 0; i < 3000; i++) {
    memcpy(image, arenas[0], SIZE);
    for (uint64_t j = next_random(&noise) % 6; j < 6; j++) {
      size_t to = next_random(&noise) % WORDS, from = next_random(&noise) % WORDS;
      size_t word = (size_t)(next_random(&noise) >> next_random(&noise) % 64);
      const void *source = i % 2 == 0 ? (void *)&word : (void *)(arenas[0] + from * sizeof word);
      memcpy(image + to * sizeof word, source, sizeof word);
    }
    struct allocator *heap = open_image(1, image);
    if (heap == NULL)
      CHECK(memcmp(image, arenas[1], SIZE) == 0);
    else
      CHECK(s->check(heap).number == 0);
  }
  for (size_t size = 0; size < SIZE; size++) {
    lasting_init(1);
    memcpy(arenas[1], arenas[0], SIZE);
    sources[1].held = size;
    CHECK(s->open(&sources[1].base, &fine) == NULL);
    CHECK(memcmp(arenas[0], arenas[1], SIZE) == 0);
  }
}

// ## Damage to a heap that is open

static void expect_broken(struct allocator *heap, size_t *word, size_t value, unsigned number) {
  size_t was = *word;
  *word = value;
  struct broken_invariant broken = s->check(heap);
  if (broken.number != number) fprintf(stderr, "I%u, not I%u\n", broken.number, number);
  CHECK(broken.number == number);
  struct state state = {.start = arenas[0]};
  s->walk(heap, add_span, &state);  // survives too
  *word = was;
  CHECK(s->check(heap).number == 0);
}

static void test_check(void) {
  lasting_init(0);
  struct allocator *heap = s->create(&sources[0].base, &fine);
  unsigned char *hole = s->allocate(heap, 100, 1), *wall = s->allocate(heap, 40, 1);
  CHECK(s->release(heap, hole) == RELEASED);
  // magic, format, size, seal, root; log: commit, 2 entries; heap, logged, first, end, the map's
  // levels and their sizes, lists
  size_t *fields = (size_t *)(void *)heap;
  for (size_t i = 0; i < 4; i++) expect_broken(heap, &fields[i], fields[i] ^ 64, 1);
  expect_broken(heap, &fields[5], 1, 2);
  expect_broken(heap, &fields[13], 1, 2);
  expect_broken(heap, &fields[11], fields[11] + 32, 3);
  for (size_t i = 14; i < 36; i++) expect_broken(heap, &fields[i], fields[i] - 32, 3);
  size_t *free_header = (size_t *)(void *)hole - 2, *live_header = (size_t *)(void *)wall - 2;
  enum { TRUTH, LEFT_SIZE, NEXT, PREVIOUS };
  for (size_t bit = 0; bit < sizeof(size_t) * 8; bit++) {
    expect_broken(heap, &live_header[TRUTH], live_header[TRUTH] ^ (size_t)1 << bit, 4);
    expect_broken(heap, &free_header[TRUTH], free_header[TRUTH] ^ (size_t)1 << bit, 4);
  }
  expect_broken(heap, (size_t *)fields[15], 0, 4);
  expect_broken(heap, &live_header[LEFT_SIZE], 0, 5);
  expect_broken(heap, &free_header[NEXT], address_of(wall), 8);
  expect_broken(heap, &free_header[PREVIOUS], address_of(wall), 8);
  size_t *map = (size_t *)fields[16], class = 4;
  expect_broken(heap, map, *map ^ 1, 7);
  expect_broken(heap, map, *map ^ 2, 7);
  expect_broken(heap, (size_t *)fields[17], 2, 7);
  expect_broken(heap, &fields[36 + class], 0, 8);
  expect_broken(heap, &fields[36 + 32], fields[36 + 32] ^ 1, 9);
  s->destroy(heap);
}

// A second release is known as such: in this life, after a crash that lost all that is volatile,
// and after reset.
static void test_double_release(void) {
  lasting_init(0);
  struct allocator *heap = s->create(&sources[0].base, &fine);
  unsigned char *blocks[8];
  for (size_t i = 0; i < 8; i++) blocks[i] = s->allocate(heap, 100, 1);
  for (size_t i = 0; i < 6; i++) {
    CHECK(s->release(heap, blocks[i * 5 % 8]) == RELEASED);
    for (size_t j = 0; j <= i; j++) CHECK(s->release(heap, blocks[j * 5 % 8]) == RELEASE_DOUBLE);
  }
  heap = open_image(1, sources[0].words);
  CHECK(heap != NULL);
  for (size_t i = 0; i < 6; i++)
    CHECK(s->release(heap, arenas[1] + (blocks[i * 5 % 8] - arenas[0])) == RELEASE_DOUBLE);
  unsigned char *live = arenas[1] + (blocks[30 % 8] - arenas[0]);
  for (size_t i = 1; i < 100; i++) CHECK(s->release(heap, live + i) == RELEASE_FOREIGN);
  s->reset(heap);
  CHECK(s->release(heap, live) == RELEASE_DOUBLE);
  s->destroy(heap);
}

// ## Files

static struct allocator *open_file(struct source_file *file, const char *path, size_t pages) {
  char error[256];
  CHECK(source_file_open(file, path, 0, pages, error, sizeof error));
  size_t size;
  return file->base.held(&file->base, &size) == NULL ? s->create(&file->base, &fine)
                                                     : s->open(&file->base, &fine);
}

struct link {
  size_t next;  // from the link's own address
  char text[16];
};

// A list of one process is read by another, which has it elsewhere.
static void test_other_process(void) {
  struct scratch scratch;
  scratch_make(&scratch);
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  CHECK(child >= 0);
  struct source_file file;
  if (child == 0) {
    struct allocator *heap = open_file(&file, scratch.path, 16);
    struct link *first = NULL;
    for (int i = 0; i < 100; i++) {
      struct link *link = s->allocate(heap, sizeof *link, 8);
      snprintf(link->text, sizeof link->text, "link %d", i);
      link->next = first == NULL ? 0 : address_of(first) - address_of(link);
      s->set_root(heap, first = link);
    }
    CHECK(write(ends[1], &file.mapping, sizeof file.mapping) == sizeof file.mapping);
    s->close(heap);
    CHECK(source_file_close(&file));
    _exit(0);
  }
  int status;
  void *there;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(read(ends[0], &there, sizeof there) == sizeof there);
  close(ends[0]);
  close(ends[1]);
  // Where it was there, nothing can be here.
  void *taken = mmap(there, 18 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct allocator *heap = open_file(&file, scratch.path, 16);
  CHECK(heap != NULL && (void *)file.mapping != there);
  size_t count = 0;
  for (struct link *link = s->root(heap);; count++) {
    char text[16];
    snprintf(text, sizeof text, "link %d", 99 - (int)count);
    CHECK(strcmp(link->text, text) == 0);
    if (link->next == 0) break;
    link = (struct link *)(address_of(link) + link->next);
  }
  CHECK(count == 99);
  s->destroy(heap);
  CHECK(source_file_pages(&file) == 0 && source_file_close(&file));
  munmap(taken, 18 * 4096);
  scratch_remove(&scratch);
}

// What a process has in its heap: each entry is believed only while it is `sure`.
struct entry {
  size_t offset;  // of the block, from the directory
  size_t size;
  unsigned char fill;
  volatile bool sure;
};
enum { ENTRIES = 64 };

static _Noreturn void work_until_killed(const char *path, uint64_t random) {
  struct source_file file;
  struct allocator *heap = open_file(&file, path, 64);
  CHECK(heap != NULL);
  struct entry *directory = s->root(heap);
  for (;;) {
    struct entry *entry = &directory[next_random(&random) % ENTRIES];
    unsigned char *block =
        entry->sure ? (unsigned char *)(address_of(directory) + entry->offset) : NULL;
    size_t size = 1 + next_random(&random) % 4000;
    entry->sure = false;
    if (block != NULL && next_random(&random) % 3 == 0) {
      CHECK(s->release(heap, block) == RELEASED);
      continue;
    }
    unsigned char *got = s->resize(heap, block, size, 16);
    if (got == NULL) {
      entry->sure = block != NULL;
      continue;
    }
    entry->offset = address_of(got) - address_of(directory);
    entry->size = size;
    entry->fill = (unsigned char)random;
    memset(got, entry->fill, size);
    entry->sure = true;
  }
}

static void find_unknown(void *context, const struct span *span) {
  if (span->kind == SPAN_BLOCK) ++*(size_t *)context;
}

static void test_kill(void) {
  struct scratch scratch;
  scratch_make(&scratch);
  struct source_file file;
  struct allocator *heap = open_file(&file, scratch.path, 64);
  s->set_root(heap, s->allocate_zeroed(heap, ENTRIES, sizeof(struct entry), 16));
  s->close(heap);
  CHECK(source_file_close(&file));
  uint64_t random = 31337;
  size_t lost = 0, most = 0;
  for (int round = 0; round < 80; round++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) work_until_killed(scratch.path, random + (uint64_t)round);
    struct timespec pause = {0, (long)(next_random(&random) % 6000000)};
    nanosleep(&pause, NULL);
    CHECK(kill(child, SIGKILL) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    heap = open_file(&file, scratch.path, 64);
    CHECK(heap != NULL && s->check(heap).number == 0);
    const struct entry *directory = s->root(heap);
    size_t known = 1, shown = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
      if (!directory[i].sure) continue;
      known++;
      const unsigned char *block = (unsigned char *)(address_of(directory) + directory[i].offset);
      CHECK(s->usable_size(heap, block) >= directory[i].size);
      for (size_t j = 0; j < directory[i].size; j++) CHECK(block[j] == directory[i].fill);
    }
    s->walk(heap, find_unknown, &shown);
    // The one block that the process was about to release, or to note.
    CHECK(shown == known + lost || shown == known + lost + 1);
    lost = shown - known;
    if (known > most) most = known;
    s->close(heap);
    CHECK(source_file_close(&file));
  }
  CHECK(most > 2);
  scratch_remove(&scratch);
}

int main(void) {
  test_crashes();
  test_create_and_destroy();
  test_barriers();
  test_damage();
  if (WIDE_WORDS) test_check();
  test_double_release();
  test_other_process();
  test_kill();
  return 0;
}
