// What mark and sweep does beyond the contract's tests: which blocks it takes and which it leaves,
// precisely and conservatively; what it tells and when; and which invariant each kind of damage
// breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

extern const struct strategy mark_sweep_strategy;

static const struct strategy *const s = &mark_sweep_strategy;
static struct rig rig;
static struct picture before, now;

static struct allocator *open_heap(size_t size) {
  struct source *source = rig_init(&rig, &(struct rig_layout){.name = "buffer", .size = size});
  struct allocator *self = s->create(source, &(struct strategy_options){0});
  CHECK(self != NULL);
  return self;
}

static void check(const struct allocator *self) { CHECK(s->check(self).number == 0); }

static void close_heap(struct allocator *self) {
  check(self);
  s->destroy(self);
  rig_check_empty(&rig);
}

static void *get(struct allocator *self, size_t size) {
  void *block = s->allocate(self, size, 1);
  CHECK(block != NULL);
  return memset(block, 0, s->usable_size(self, block));
}

// Collects with the words in `roots` as the only ones, and no trace. Returns how many died.
static size_t collect(struct allocator *self, bool precise, const uintptr_t *roots, size_t count) {
  const struct words range = {roots, count};
  size_t died =
      s->collect(self, &(struct collection){.roots = &range, .roots_count = 1, .precise = precise});
  check(self);
  return died;
}

// ## A random graph, with a shadow of what is reachable

enum { NODES = 600, EDGES = 3, ROOT_RANGES = 4, ROOTS_EACH = 3 };

struct node {
  void *block;  // NULL: none
  size_t size;
  size_t edges[EDGES];  // of other nodes; NODES: none
  bool reached, dead;
  uintptr_t words[EDGES];  // what a trace gives: outside of the block, which nobody may touch
};

static struct node nodes[NODES];

static struct node *node_at(const void *block) {
  for (size_t i = 0; i < NODES; i++)
    if (nodes[i].block == block) return &nodes[i];
  CHECK(false);  // no block of ours
  return NULL;
}

static struct words trace_node(void *context, const void *block) {
  (void)context;
  struct node *node = node_at(block);
  for (size_t i = 0; i < EDGES; i++)
    node->words[i] = node->edges[i] == NODES ? 0 : address_of(nodes[node->edges[i]].block);
  return (struct words){node->words, EDGES};
}

static void reach(size_t index) {
  static size_t pending[NODES * EDGES + 1];
  size_t count = 0;
  pending[count++] = index;
  while (count != 0) {
    index = pending[--count];
    if (index == NODES || nodes[index].reached) continue;
    nodes[index].reached = true;
    for (size_t i = 0; i < EDGES; i++) pending[count++] = nodes[index].edges[i];
  }
}

static void check_contents(const struct node *node) {
  const unsigned char *bytes = node->block;
  ASAN_UNPOISON_MEMORY_REGION(node->block, node->size);
  for (size_t i = 0; i < node->size; i++) CHECK(bytes[i] == (unsigned char)(node - nodes));
}

// When the first is told, all are still as they were.
static void bury(void *context, void *block) {
  struct node *node = node_at(block);
  CHECK(!node->reached && !node->dead);
  node->dead = true;
  if (++*(size_t *)context != 1) return;
  for (size_t i = 0; i < NODES; i++)
    if (nodes[i].block != NULL && !nodes[i].reached) check_contents(&nodes[i]);
}

static void grow_graph(struct allocator *self, uint64_t *random) {
  for (size_t i = 0; i < NODES; i++) {
    struct node *node = &nodes[i];
    if (node->block != NULL) continue;
    size_t size = 1 + next_random(random) % (next_random(random) % 20 == 0 ? 9000 : 300);
    void *block = s->allocate(self, size, (size_t)1 << next_random(random) % 9);
    if (block == NULL) continue;
    *node = (struct node){.block = memset(block, (int)i, size), .size = size};
    ASAN_POISON_MEMORY_REGION(block, size);
  }
  for (size_t i = 0; i < NODES; i++)
    for (size_t j = 0; j < EDGES; j++) {
      size_t to = next_random(random) % (NODES * 3);
      nodes[i].edges[j] = to >= NODES || nodes[to].block == NULL ? NODES : to;
    }
}

static void test_graph(void) {
  struct allocator *self = open_heap(400000);
  uint64_t random = 20240229;
  for (int round = 0; round < 60; round++) {
    grow_graph(self, &random);
    check(self);
    uintptr_t roots[ROOT_RANGES][ROOTS_EACH];
    struct words ranges[ROOT_RANGES];
    for (size_t i = 0; i < NODES; i++) nodes[i].reached = false;
    for (size_t i = 0; i < ROOT_RANGES; i++) {
      for (size_t j = 0; j < ROOTS_EACH; j++) {
        size_t root = next_random(&random) % NODES;
        roots[i][j] = address_of(nodes[root].block);
        if (nodes[root].block != NULL) reach(root);
      }
      ranges[i] = (struct words){roots[i], ROOTS_EACH};
    }
    size_t told = 0, doomed = 0;
    for (size_t i = 0; i < NODES; i++) doomed += nodes[i].block != NULL && !nodes[i].reached;
    CHECK(doomed != 0);
    bool quiet = round % 4 == 0;
    for (size_t i = 0; i < NODES && quiet; i++)
      if (!nodes[i].reached) ASAN_UNPOISON_MEMORY_REGION(nodes[i].block, nodes[i].size);
    const struct collection collection = {
        .roots = ranges,
        .roots_count = ROOT_RANGES,
        .precise = round % 3 != 0,  // all words are starts of blocks: it makes no difference
        .trace = trace_node,
        .collected = quiet ? NULL : bury,
        .context = &told,
    };
    CHECK(s->collect(self, &collection) == doomed);
    CHECK(told == (quiet ? 0 : doomed));
    check(self);
    picture_take(&now, s, self);
    for (size_t i = 0; i < NODES; i++) {
      struct node *node = &nodes[i];
      if (node->block == NULL) continue;
      const struct span *span = picture_find(&now, node->block);
      CHECK((span != NULL && span->kind == SPAN_BLOCK) == node->reached);
      if (!node->reached) {
        *node = (struct node){0};
        continue;
      }
      check_contents(node);
      ASAN_POISON_MEMORY_REGION(node->block, node->size);
    }
  }
  size_t live = 0;
  for (size_t i = 0; i < NODES; i++) {
    if (nodes[i].block == NULL) continue;
    ASAN_UNPOISON_MEMORY_REGION(nodes[i].block, nodes[i].size);
    live++;
  }
  CHECK(s->collect(self, &(struct collection){.precise = true}) == live);
  picture_take(&now, s, self);
  CHECK(now.bytes[SPAN_BLOCK] == 0 && s->statistics(self).largest_free == now.bytes[SPAN_FREE]);
  close_heap(self);
}

// ## Structures as deep, and as wide, as the heap has room for

static void test_depth(void) {
  enum { SIZE = 8 << 20 };
  static _Alignas(4096) unsigned char memory[SIZE];
  struct source_buffer buffer;
  source_buffer_init(&buffer, memory, SIZE);
  struct allocator *self = s->create(&buffer.base, &(struct strategy_options){0});
  CHECK(self != NULL);
  void **chain = NULL;
  size_t length = 0;
  for (void **link; (link = s->allocate(self, sizeof *link, 1)) != NULL; length++) {
    *link = chain;
    chain = link;
  }
  CHECK(length > 100000);
  uintptr_t root = address_of(chain);
  CHECK(collect(self, true, &root, 1) == 0);
  CHECK(collect(self, false, &root, 1) == 0);
  root = address_of(*chain);
  CHECK(collect(self, true, &root, 1) == 1);  // the chain's first, as nothing refers to it
  root = 0;
  CHECK(collect(self, true, &root, 1) == length - 1);
  // A wide one; and each lookup in its large block is one of an interior pointer.
  enum { WIDTH = 10000 };
  void **wide = s->allocate(self, WIDTH * sizeof *wide, 1);
  for (size_t i = 0; i < WIDTH; i++) CHECK((wide[i] = s->allocate(self, 100, 1)) != NULL);
  for (size_t i = 0; i < WIDTH; i++) memset(wide[i], 0, 104);
  root = address_of(wide + WIDTH / 2) + 3;
  CHECK(collect(self, true, &root, 1) == WIDTH + 1);
  wide = s->allocate_zeroed(self, WIDTH, sizeof *wide, 1);
  for (size_t i = 0; i < WIDTH; i++) CHECK((wide[i] = s->allocate_zeroed(self, 1, 100, 1)) != NULL);
  for (size_t i = 0; i < WIDTH; i++)
    *(void **)wide[i] = (unsigned char *)(wide + i) + i % sizeof(void *);
  root = address_of(wide[WIDTH - 1]);
  CHECK(collect(self, false, &root, 1) == 0);
  CHECK(collect(self, false, NULL, 0) == WIDTH + 1);
  s->destroy(self);
}

// ## Which words retain

// Cycles live as long as they are reached, and no longer.
static void test_cycles(void) {
  struct allocator *self = open_heap(100000);
  uintptr_t *a = get(self, 3 * sizeof *a), *b = get(self, 3 * sizeof *b), *c = get(self, 24);
  a[1] = address_of(b);
  b[2] = address_of(c);
  c[0] = address_of(a);
  a[0] = address_of(a);
  uintptr_t *d = get(self, 16), *e = get(self, 16);
  d[0] = address_of(e);
  e[1] = address_of(d);
  e[0] = address_of(a);  // garbage that refers to what lives
  uintptr_t root = address_of(c);
  CHECK(collect(self, true, &root, 1) == 2);
  CHECK(a[1] == address_of(b) && b[2] == address_of(c) && c[0] == address_of(a));
  CHECK(collect(self, true, &root, 1) == 0);
  CHECK(s->release(self, d) == RELEASE_DOUBLE && s->release(self, e) == RELEASE_DOUBLE);
  c[0] = 0;
  CHECK(collect(self, true, &root, 1) == 2);
  CHECK(s->release(self, c) == RELEASED);
  close_heap(self);
}

static void test_conservative(void) {
  struct allocator *self = open_heap(200000);
  for (size_t size = 1; size < 5000; size += size < 100 ? 1 : 487) {
    unsigned char *wall = get(self, 40), *block = get(self, size), *other = get(self, 40);
    size_t usable = s->usable_size(self, block);
    const uintptr_t walls[2] = {address_of(wall), address_of(other)};
    // Each of its bytes retains it, seen from a root or from a block.
    for (size_t at = 0; at < usable; at += at < 100 || at + 20 > usable ? 1 : 61) {
      uintptr_t roots[3] = {walls[0], walls[1], address_of(block + at)};
      CHECK(collect(self, false, roots, 3) == 0);
      roots[2] = 0;
      *(uintptr_t *)(void *)(wall + 32) = address_of(block + at);
      CHECK(collect(self, false, roots, 3) == 0);
      *(uintptr_t *)(void *)(wall + 32) = 0;
    }
    // What only comes close, or is wild, does not.
    const uintptr_t misses[] = {address_of(block) - 1,
                                address_of(block) - 16,
                                address_of(wall) + 40,
                                address_of(block) + usable,
                                address_of(self),
                                address_of(rig_memory),
                                address_of(rig_memory) + 199999,
                                address_of(rig_memory) + 200000,
                                UINTPTR_MAX,
                                1,
                                address_of(&rig)};
    for (size_t i = 0; i < sizeof misses / sizeof *misses; i++) {
      picture_take(&before, s, self);
      uintptr_t roots[3] = {walls[0], misses[i], walls[1]};
      CHECK(collect(self, false, roots, 3) == 1);
      CHECK(s->allocate(self, size, 1) == block);  // the same place again
      picture_take(&now, s, self);
      CHECK(pictures_equal(&before, &now));
      memset(block, 0, usable);
    }
    CHECK(collect(self, false, NULL, 0) == 3);
  }
  close_heap(self);
}

// In precise mode a word that is no start of a live block should not be there, and does no harm.
static void test_precise_ignores_others(void) {
  struct allocator *self = open_heap(100000);
  unsigned char *a = get(self, 500), *b = get(self, 100), *c = get(self, 100);
  CHECK(s->release(self, b) == RELEASED);
  const uintptr_t roots[] = {address_of(a) + 1,      address_of(a) + 8,  address_of(a) + 32,
                             address_of(a) - 16,     address_of(b),      address_of(c),
                             address_of(self),       UINTPTR_MAX,        1,
                             address_of(rig_memory), address_of(a) + 96, UINTPTR_MAX / 2 + 1};
  CHECK(collect(self, true, roots, sizeof roots / sizeof *roots) == 1);
  picture_take(&now, s, self);
  CHECK(picture_find(&now, c)->kind == SPAN_BLOCK && picture_find(&now, a)->kind == SPAN_FREE);
  close_heap(self);
}

// What lies behind the words that were asked for refers to nothing, whatever lay there before.
static void test_slack(void) {
  struct allocator *self = open_heap(100000);
  uintptr_t *victim = get(self, 64);
  for (size_t size = 1; size <= 200; size++) {
    unsigned char *dirty = get(self, 400);
    for (size_t i = 0; i + 8 <= 400; i += 8) memcpy(dirty + i, &victim, sizeof victim);
    CHECK(s->release(self, dirty) == RELEASED);
    unsigned char *block = s->allocate(self, size, 1);
    CHECK(block == dirty);
    size_t usable = s->usable_size(self, block);
    CHECK(usable == (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *));
    for (size_t i = size; i < usable; i++) CHECK(block[i] == 0);
    memset(block, 0, size);
    uintptr_t root = address_of(block);
    CHECK(collect(self, true, &root, 1) == 1);
    victim = get(self, 64);
    // Smaller in place: the words that are given up refer to nothing either.
    memset(block, 0, usable);
    unsigned char *large = s->resize(self, block, 400, 1);
    memset(large, 0, 400);
    memcpy(large + 392, &victim, sizeof victim);
    CHECK(s->resize(self, large, 390, 1) == large);
    CHECK(s->usable_size(self, large) == 392);
    root = address_of(large);
    CHECK(collect(self, true, &root, 1) == 1);
    CHECK(collect(self, true, NULL, 0) == 1);
    victim = get(self, 64);
  }
  close_heap(self);
}

// A collection leaves the free memory as one would that was released by hand.
static void test_coalescing(void) {
  struct allocator *self = open_heap(100000);
  size_t largest = s->statistics(self).largest_free;
  uint64_t random = 99;
  for (int round = 0; round < 50; round++) {
    void *kept = NULL;
    for (int i = 0; i < 200; i++) {
      void *block = get(self, 1 + next_random(&random) % 400);
      if (i % 7 == 3 && kept == NULL) kept = block;
      if (i % 5 == 4) CHECK(s->release(self, block) == RELEASED);
    }
    uintptr_t root = address_of(kept);
    collect(self, true, &root, 1);
    picture_take(&now, s, self);
    size_t spans = 0;
    for (size_t i = 0; i < now.count; i++) spans += now.spans[i].kind == SPAN_FREE;
    CHECK(spans <= 2);
    CHECK(collect(self, round % 2 == 0, NULL, 0) == 1);
    CHECK(s->statistics(self).largest_free == largest);
    void *all = s->allocate(self, largest, 1);
    CHECK(all != NULL && s->allocate(self, 1, 1) == NULL);
    CHECK(s->release(self, all) == RELEASED && s->allocate(self, largest + 1, 1) == NULL);
  }
  close_heap(self);
}

// Addresses that are no block's, in the heap: inside of a live block, of a free one, misaligned.
static void test_misuse(void) {
  struct allocator *self = open_heap(100000);
  unsigned char *a = get(self, 300), *b = get(self, 300), *c = get(self, 300);
  CHECK(s->release(self, a) == RELEASED && s->release(self, b) == RELEASED);
  picture_take(&before, s, self);
  CHECK(s->release(self, a) == RELEASE_DOUBLE && s->release(self, b) == RELEASE_DOUBLE);
  for (size_t i = 1; i < 300; i++) CHECK(s->release(self, c + i) == RELEASE_FOREIGN);
  for (size_t i = 1; i < 4 * sizeof(size_t); i++) CHECK(s->release(self, b + i) == RELEASE_FOREIGN);
  picture_take(&now, s, self);
  CHECK(pictures_equal(&before, &now));
  close_heap(self);
}

// ## Damage

static void expect_broken(struct allocator *self, size_t *word, size_t value, unsigned number) {
  size_t was = *word;
  *word = value;
  struct broken_invariant broken = s->check(self);
  if (broken.number != number) fprintf(stderr, "I%u, not I%u\n", broken.number, number);
  CHECK(broken.number == number);
  picture_take(&now, s, self);  // survives too
  *word = was;
  check(self);
}

static void test_check(void) {
  struct allocator *self = open_heap(100000);
  void *holes[3], *walls[3];
  for (size_t i = 0; i < 3; i++) {
    holes[i] = get(self, i == 2 ? 1000 : 100);
    walls[i] = get(self, 40);
  }
  for (size_t i = 0; i < 3; i++) CHECK(s->release(self, holes[i]) == RELEASED);
  size_t *fields = (size_t *)self;  // heap: source, start, size; first, end, the map's levels
  for (size_t i = 1; i < 25; i++) expect_broken(self, &fields[i], fields[i] + 64, 1);

  size_t *hole = (size_t *)holes[1] - 2, *wall = (size_t *)walls[1] - 2, *end = (size_t *)fields[4];
  enum { LEFT_SIZE, SIZE_STATE, NEXT, PREVIOUS };
  enum { FREE = 1, MARKED = 2, SLACK = 4 };
  expect_broken(self, &wall[SIZE_STATE], 0, 2);
  expect_broken(self, &wall[SIZE_STATE], SIZE_MAX, 2);
  expect_broken(self, &wall[SIZE_STATE], 100000 / 32 * 32, 2);
  expect_broken(self, &end[SIZE_STATE], 32, 2);
  expect_broken(self, &wall[SIZE_STATE], address_of(walls[2]) - address_of(walls[1]), 3);
  expect_broken(self, &wall[LEFT_SIZE], wall[LEFT_SIZE] + 32, 3);
  expect_broken(self, &end[LEFT_SIZE], 0, 3);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | FREE, 4);
  expect_broken(self, &wall[SIZE_STATE], wall[SIZE_STATE] | MARKED, 5);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] | MARKED, 5);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] | SLACK, 5);
  size_t *lowest = (size_t *)fields[5], *above = (size_t *)fields[6];
  expect_broken(self, lowest, *lowest & ~(size_t)1, 6);
  expect_broken(self, lowest, *lowest | 2, 6);
  expect_broken(self, above, *above & ~(size_t)1, 6);
  expect_broken(self, above, *above | 2, 6);
  expect_broken(self, &hole[SIZE_STATE], hole[SIZE_STATE] & ~(size_t)FREE, 7);
  const size_t wrong[] = {SIZE_MAX,
                          8,
                          address_of(walls[1]),
                          address_of(holes[1]),
                          address_of(hole),
                          address_of(holes[2])};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    expect_broken(self, &hole[NEXT], wrong[i], 7);
    expect_broken(self, &hole[PREVIOUS], wrong[i], 7);
  }
  // Two free blocks of a class that only know of each other.
  size_t *first = (size_t *)holes[0] - 2;
  CHECK(hole[NEXT] == address_of(holes[0]) && first[PREVIOUS] == address_of(holes[1]));
  first[NEXT] = address_of(holes[1]);
  hole[PREVIOUS] = address_of(holes[0]);
  CHECK(s->check(self).number == 7);
  first[NEXT] = 0;
  hole[PREVIOUS] = 0;
  check(self);
  uint32_t *filled = (uint32_t *)(void *)(fields + 25 + 32);
  *filled ^= 2;
  CHECK(s->check(self).number == 8);
  *filled ^= 2;
  close_heap(self);
}

int main(void) {
  test_graph();
  test_depth();
  test_cycles();
  test_conservative();
  test_precise_ignores_others();
  test_slack();
  test_coalescing();
  test_misuse();
  test_check();
  return 0;
}
