// Threads that allocate at once from one atomic bump until it is full: no two blocks overlap, each
// is aligned, and no byte is lost but to alignment.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/rig.h"

extern const struct strategy bump_atomic_strategy;

static const struct strategy *const s = &bump_atomic_strategy;

enum { THREADS = 4, BLOCKS = 1 << 14 };

struct worker {
  pthread_t thread;
  uint64_t random;
  struct allocator *allocator;
  size_t max_align;
  size_t count;
  struct {
    unsigned char *start;
    size_t size;
  } blocks[BLOCKS];
};

static struct worker workers[THREADS];
static atomic_uint waiting;

// Takes blocks until not even one byte is left.
static void *work(void *context) {
  struct worker *self = context;
  atomic_fetch_sub(&waiting, 1);
  while (atomic_load(&waiting) != 0) {  // start together
  }
  for (size_t size = 100; size != 0;) {
    size_t align = (size_t)1 << next_random(&self->random) % 16;
    size_t wanted = 1 + next_random(&self->random) % size;
    if (align > self->max_align) align = self->max_align;
    unsigned char *start = s->allocate(self->allocator, wanted, align);
    if (start == NULL && align == 1) {
      size = wanted - 1;
      continue;
    }
    if (start == NULL) {
      self->max_align = 1;
      continue;
    }
    CHECK(self->count < BLOCKS && address_of(start) % align == 0);
    memset(start, (int)(1 + self->count % 255), wanted);  // a race here is an overlap
    self->blocks[self->count].start = start;
    self->blocks[self->count++].size = wanted;
  }
  return NULL;
}

static size_t run(struct allocator *allocator, size_t max_align, unsigned round) {
  size_t total = 0;
  atomic_store(&waiting, THREADS);
  for (unsigned i = 0; i < THREADS; i++) {
    struct worker *worker = &workers[i];
    worker->random = 0x9E3779B97F4A7C15u * (i + 1) + round;
    worker->allocator = allocator;
    worker->max_align = max_align;
    worker->count = 0;
    CHECK(pthread_create(&worker->thread, NULL, work, worker) == 0);
  }
  for (unsigned i = 0; i < THREADS; i++) CHECK(pthread_join(workers[i].thread, NULL) == 0);
  // Each block still holds what its owner wrote, so nobody else wrote there.
  for (unsigned i = 0; i < THREADS; i++)
    for (size_t j = 0; j < workers[i].count; j++) {
      for (size_t k = 0; k < workers[i].blocks[j].size; k++)
        CHECK(workers[i].blocks[j].start[k] == 1 + j % 255);
      total += workers[i].blocks[j].size;
    }
  return total;
}

int main(void) {
  static struct rig rig;
  struct source *source =
      rig_init(&rig, &(struct rig_layout){.name = "buffer", .offset = 5, .size = RIG_MEMORY / 2});
  struct allocator *allocator = s->create(source, &(struct strategy_options){0});
  CHECK(allocator != NULL);
  size_t capacity = s->statistics(allocator).largest_free;
  for (unsigned round = 0; round < 8; round++) {
    size_t max_align = round % 2 == 0 ? 1 : 256;
    size_t total = run(allocator, max_align, round);
    CHECK(s->check(allocator).number == 0);
    CHECK(s->statistics(allocator).largest_free == 0);
    CHECK(max_align == 1 ? total == capacity : total <= capacity);
    s->reset(allocator);
    CHECK(s->statistics(allocator).largest_free == capacity);
  }
  s->destroy(allocator);
  rig_check_empty(&rig);
  return 0;
}
