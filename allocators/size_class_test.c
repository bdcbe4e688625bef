// What size class does beyond the contract: which slot serves which size, where blocks lie, what
// is kept and what goes back, and which invariant each kind of damage breaks.
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"
#include "allocators/size_class_heaps.h"

extern const struct strategy size_class_strategy;

static const struct strategy *const s = &size_class_strategy;
static struct rig rig;

#define PAGE ((size_t)4096)
#define CHUNK ((size_t)1 << 20)
#define UNIT (CHUNK / MAX_UNITS)

static struct allocator *open_pages(size_t page_size, size_t limit) {
  struct rig_layout layout = {.name = "pages", .page_size = page_size, .size = limit};
  return s->create(rig_init(&rig, &layout), &(struct strategy_options){0});
}

static void close_pages(struct allocator *self) {
  s->destroy(self);
  rig_check_empty(&rig);
}

static void *get(struct allocator *self, size_t size, size_t align) {
  void *block = s->allocate(self, size, align);
  CHECK(block != NULL && address_of(block) % align == 0 && s->check(self).number == 0);
  memset(block, 0x3C, size);
  return block;
}

static void put(struct allocator *self, void *block) {
  CHECK(s->release(self, block) == RELEASED && s->check(self).number == 0);
}

// ## Sizes

static void test_classes(void) {
  for (unsigned class = 0; class < CLASSES; class ++) {
    CHECK(slot_of(class) % GRAIN == 0);
    CHECK(class == 0 || slot_of(class) > slot_of(class - 1));
    CHECK(class_of(slot_of(class)) == class);
  }
  CHECK(slot_of(CLASSES - 1) == SLOT_END);
  for (size_t size = 1; size <= SLOT_END; size++) {
    unsigned class = class_of(size);
    CHECK(slot_of(class) >= size && (class == 0 || slot_of(class - 1) < size));
    CHECK(slot_of(class) - size < GRAIN || slot_of(class) - size <= size / 4);
    CHECK(size > EIGHTHS_END || slot_of(class) - size < GRAIN || slot_of(class) - size <= size / 8);
    for (size_t align = 1; align <= SLOT_END; align *= 2) {
      unsigned aligned = class_of_aligned(size, align);
      CHECK(slot_of(aligned) >= size && slot_of(aligned) % align == 0);
    }
  }
  for (size_t unit = 256; unit <= UNIT; unit *= 2)
    for (unsigned class = 0; class < CLASSES && slot_of(class) <= 2 * unit; class ++) {
      unsigned units = units_for_slots(slot_of(class), unit, MAX_UNITS);
      CHECK(units >= 1 && units <= 8 && units * unit / slot_of(class) >= 1);
      CHECK(units * unit % slot_of(class) <= units * unit / 8);
    }
}

static void test_usable_sizes(void) {
  struct allocator *self = open_pages(PAGE, SIZE_MAX);
  for (size_t size = 1; size <= 100000; size += 1 + size / 9) {
    void *block = get(self, size, 1);
    size_t usable = s->usable_size(self, block);
    if (size <= SLOT_END)
      CHECK(usable == slot_of(class_of(size)));
    else
      CHECK(usable % UNIT == 0 && usable - size < UNIT);
  }
  void *large = get(self, CHUNK, 1);  // has the slack that its alignment costs as well
  CHECK(s->usable_size(self, large) >= CHUNK);
  close_pages(self);
}

// ## Places

static void test_slots(void) {
  struct allocator *self = open_pages(PAGE, SIZE_MAX);
  unsigned char *a = get(self, 64, 1), *b = get(self, 50, 1), *c = get(self, 64, 1);
  CHECK(b == a + 64 && c == b + 64);  // a slab is handed out from its start
  unsigned char *other = get(self, 65, 1);
  CHECK(address_of(other) / UNIT != address_of(a) / UNIT);  // another class has another slab
  put(self, a);
  put(self, c);
  CHECK(get(self, 60, 1) == c && get(self, 60, 1) == a);  // last in, first out
  CHECK(get(self, 64, 1) == c + 64);
  // A slab that is full is out of the way until a slot comes back.
  enum { COUNT = UNIT / 64 };
  static unsigned char *blocks[COUNT];
  for (size_t i = 0; i < COUNT; i++) blocks[i] = get(self, 64, 1);
  CHECK(address_of(blocks[COUNT - 1]) / UNIT != address_of(a) / UNIT);
  put(self, b);
  for (size_t i = 0; i < COUNT - 4; i++)
    CHECK(address_of(get(self, 64, 1)) / UNIT != address_of(a) / UNIT);
  CHECK(get(self, 64, 1) == b);
  close_pages(self);
}

static void test_alignment(void) {
  for (size_t limit = 100000; limit <= 1000000000; limit *= 100)
    for (size_t page_size = 64; page_size <= 65536; page_size *= 16) {
      for (size_t align = 1; align <= s->max_align; align *= 2) {
        struct allocator *self = open_pages(page_size, limit);
        if (self == NULL) continue;
        for (size_t size = 1; size <= 70000; size *= 7) {
          unsigned char *block = s->allocate(self, size, align);
          if (block == NULL) break;
          CHECK(address_of(block) % align == 0 && s->usable_size(self, block) >= size);
          memset(block, 1, size);
        }
        CHECK(s->check(self).number == 0);
        close_pages(self);
      }
    }
}

static void test_resize(void) {
  struct allocator *self = open_pages(PAGE, SIZE_MAX);
  unsigned char *a = get(self, 900, 1);
  CHECK(s->resize(self, a, 960, 1) == a);  // its slot has as much
  CHECK(s->resize(self, a, 480, 1) == a);  // half of it is not worth a move,
  unsigned char *b = s->resize(self, a, 100, 1);
  CHECK(b != a && b[0] == 0x3C && b[99] == 0x3C);  // less is
  unsigned char *c = s->resize(self, b, 113, 1);
  CHECK(c != b && c[99] == 0x3C);
  CHECK(s->resize(self, c, 1, 1) != NULL);
  unsigned char *d = get(self, 100, 1), *e = s->resize(self, d, 100, 512);
  CHECK(address_of(e) % 512 == 0 && e[99] == 0x3C);
  unsigned char *f = s->resize(self, e, 5 * CHUNK, 1);
  CHECK(f[0] == 0x3C && f[99] == 0x3C && s->usable_size(self, f) >= 5 * CHUNK);
  unsigned char *g = s->resize(self, f, 100000, 1);
  CHECK(g[99] == 0x3C && s->usable_size(self, g) < 120000);
  CHECK(s->check(self).number == 0);
  close_pages(self);
}

// Where there is nothing to move to, a block that is to shrink stays.
static void test_resize_in_need(void) {
  struct allocator *self = open_pages(PAGE, 60000);
  unsigned char *a = get(self, 3000, 1);
  while (s->allocate(self, 16, 1) != NULL) continue;
  while (s->allocate(self, 8000, 1) != NULL) continue;
  CHECK(s->resize(self, a, 20, 1) == a && a[19] == 0x3C);
  CHECK(s->resize(self, a, 30000, 1) == NULL && a[19] == 0x3C);
  close_pages(self);
}

// ## Memory

static void test_give_back(void) {
  struct allocator *self = open_pages(PAGE, SIZE_MAX);
  size_t own = rig.account.bytes;
  enum { COUNT = 20000 };
  static void *blocks[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    blocks[i] = s->allocate(self, 1 + i * 7 % 1000, 1);
    CHECK(blocks[i] != NULL);
  }
  CHECK(rig.account.bytes > own + 9 * CHUNK);
  for (size_t i = 0; i < COUNT; i++) CHECK(s->release(self, blocks[i * 7919 % COUNT]) == RELEASED);
  CHECK(s->check(self).number == 0 && s->statistics(self).blocks == 0);
  // The last slab of each class is kept, and one chunk without any.
  CHECK(rig.account.bytes <= rig.account.peak - 2 * CHUNK);
  size_t held = rig.account.bytes;
  void *large = get(self, 3 * CHUNK, 1);
  CHECK(rig.account.bytes >= held + 3 * CHUNK);
  put(self, large);
  CHECK(rig.account.bytes == held);  // what has a chunk of its own goes back at once
  s->reset(self);
  CHECK(rig.account.bytes == own && s->check(self).number == 0);
  close_pages(self);
}

// All that is kept is given up where a request would fail.
static void test_need(void) {
  const size_t limit = (size_t)1 << 18;
  struct allocator *self = open_pages(PAGE, limit);
  for (int round = 0; round < 3; round++) {
    void *blocks[12];
    for (size_t i = 0; i < 12; i++) blocks[i] = get(self, 1 + 100 * i, 1);
    CHECK(s->allocate(self, limit * 7 / 8, 1) == NULL);
    for (size_t i = 0; i < 12; i++) put(self, blocks[i]);
    put(self, get(self, limit * 7 / 8, 1));
  }
  close_pages(self);
}

// A source whose memory comes zeroed is believed for blocks that are fresh from it, and only those.
static void test_zeroes(void) {
  struct source_pages pages;
  CHECK(source_pages_init(&pages, 0));
  struct allocator *self = s->create(&pages.base, &(struct strategy_options){0});
  for (size_t size = 16; size < 3 * CHUNK; size *= 3)
    for (int round = 0; round < 3; round++) {
      unsigned char *block = s->allocate_zeroed(self, 1, size, 1);
      for (size_t i = 0; i < size; i++) CHECK(block[i] == 0);
      memset(block, 7, size);
      put(self, block);
    }
  s->destroy(self);
}

// ## Damage

#define EXPECT_BROKEN(self, field, value, n)                                                       \
  do {                                                                                             \
    __typeof__(field) was_ = (field);                                                              \
    (field) = (value);                                                                             \
    CHECK(s->check(self).number == (n));                                                           \
    (field) = was_;                                                                                \
    CHECK(s->check(self).number == 0);                                                             \
  } while (0)

static void test_check(void) {
  struct allocator *self = open_pages(PAGE, SIZE_MAX);
  struct pool *pool = &self->pool;
  unsigned char *a = get(self, 100, 1), *b = get(self, 100, 1), *c = get(self, 100, 1);
  void *other = get(self, 200, 1), *run = get(self, 100000, 1), *direct = get(self, CHUNK, 1);
  put(self, a);
  put(self, c);
  struct chunk *chunk = chunk_of(pool, b), *own_chunk = chunk_of(pool, direct);
  struct slab *slab = slab_of(pool, b), *another = slab_of(pool, other);
  struct slab *run_slab = slab_of(pool, run), *direct_slab = slab_of(pool, direct);
  struct heap *heap = slab->heap;
  struct slot *first = slab->free;
  CHECK(first == (struct slot *)c && first->next == (struct slot *)a);

  EXPECT_BROKEN(self, chunk->next, own_chunk, own_chunk == chunk->next ? 0 : 1);
  EXPECT_BROKEN(self, chunk->size, chunk->size + PAGE, 1);
  EXPECT_BROKEN(self, pool->own.memory, NULL, 1);
  EXPECT_BROKEN(self, chunk->previous, own_chunk, 2);
  EXPECT_BROKEN(self, pool->chunks, 1, 2);
  EXPECT_BROKEN(self, pool->chunks, 3, 2);
  EXPECT_BROKEN(self, pool->unit_shift, 15, 3);
  EXPECT_BROKEN(self, pool->chunk_size, CHUNK / 2, 3);
  EXPECT_BROKEN(self, self->heaps, 64, 3);
  uint64_t second_of_run = (uint64_t)2 << index_of(chunk, run_slab);
  EXPECT_BROKEN(self, chunk->free_units, chunk->free_units | second_of_run, 4);
  EXPECT_BROKEN(self, chunk->free_units, chunk->free_units | 2, 9);
  EXPECT_BROKEN(self, chunk->free_units, chunk->free_units & ~((uint64_t)1 << 63), 4);
  EXPECT_BROKEN(self, chunk->map[1], 2, 4);
  EXPECT_BROKEN(self, slab->units, 2, 4);
  EXPECT_BROKEN(self, direct_slab->slot_size, CHUNK, 4);
  EXPECT_BROKEN(self, direct_slab->free, NULL, 4);
  EXPECT_BROKEN(self, run_slab->slot_size, 100000, 5);
  EXPECT_BROKEN(self, slab->slot_size, 128, 5);
  EXPECT_BROKEN(self, slab->slots, 2, 5);
  EXPECT_BROKEN(self, slab->class, 8, 5);
  EXPECT_BROKEN(self, slab->used, (uint16_t)(slab->fresh + 1), 5);
  EXPECT_BROKEN(self, slab->used, 2, 6);
  EXPECT_BROKEN(self, slab->free, NULL, 6);
  EXPECT_BROKEN(self, slab->free, (struct slot *)(c + 1), 6);
  EXPECT_BROKEN(self, slab->free, other, 6);
  EXPECT_BROKEN(self, first->next, first, 6);
  EXPECT_BROKEN(self, first->next, (struct slot *)&rig, 6);
  EXPECT_BROKEN(self, slab->next, another, 7);
  EXPECT_BROKEN(self, slab->previous, NULL, 7);
  EXPECT_BROKEN(self, slab->next, NULL, 7);
  EXPECT_BROKEN(self, slab->heap, &self->shared, 7);
  EXPECT_BROKEN(self, heap->bins[slab->class], another, 7);
  EXPECT_BROKEN(self, heap->bins[slab->class], NULL, 7);
  EXPECT_BROKEN(self, heap->bins[slab->class], (struct slab *)&rig, 7);
  EXPECT_BROKEN(self, heap->bins[slab->class + 1], slab, 7);
  EXPECT_BROKEN(self, pool->first_open, NULL, 9);
  EXPECT_BROKEN(self, pool->last_open, own_chunk, 9);
  EXPECT_BROKEN(self, chunk->next_open, chunk, 9);
  EXPECT_BROKEN(self, pool->empty_chunks, 1, 9);

  // A slot that another thread has released.
  slab->used++;
  slab->free = first->next;
  first->next = NULL;
  atomic_store(&slab->remote, first);
  CHECK(s->check(self).number == 8);
  atomic_store(&heap->pending, slab);
  CHECK(s->check(self).number == 0 && s->statistics(self).blocks == 4);
  atomic_store(&slab->remote, slab->free);
  CHECK(s->check(self).number == 6);
  atomic_store(&slab->remote, NULL);
  CHECK(s->check(self).number == 8 && s->statistics(self).blocks == 5);
  atomic_store(&slab->remote, first);

  struct heap *beside = heap == self->table ? heap + 1 : self->table;
  atomic_store(&beside->owner, owner_of(heap));
  CHECK(s->check(self).number == 10);
  atomic_store(&beside->owner, NOBODY);
  atomic_store(&self->shared.owner, owner_of(heap));
  CHECK(s->check(self).number == 10);
  atomic_store(&self->shared.owner, NOBODY);

  // The owner finds it again.
  enum { REST = UNIT / 112 };
  bool found = false;
  for (size_t i = 0; i < REST; i++) found |= get(self, 100, 1) == (void *)first;
  CHECK(found);
  close_pages(self);
}

int main(void) {
  test_classes();
  test_usable_sizes();
  test_slots();
  test_alignment();
  test_resize();
  test_resize_in_need();
  test_give_back();
  test_need();
  test_zeroes();
  test_check();
  return 0;
}
