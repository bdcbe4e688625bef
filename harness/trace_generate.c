// A block's release is booked when it is allocated, in the free operation nearest to where its
// lifetime says. What is not booked when its turn comes is an allocation, or a resize. So lifetimes
// are kept, and releases do not pile up.
#include "harness/trace_generate.h"

#include <stdlib.h>
#include <string.h>

#include "harness/trace_build.h"

enum { TRIES = 8, MOST_SHIFT = 1 << 16 };

struct live_block {
  uint64_t size;
  uint32_t slot;
  uint32_t place;  // among those that live
  uint16_t thread;
};

struct generation {
  const struct profile *profile;
  struct trace_build build;
  uint64_t state;
  uint64_t operations;
  uint32_t *booked;           // by operation: the block that it releases, from 1; 0: free
  struct live_block *blocks;  // by slot
  uint32_t *live;             // slots
  uint32_t count, room;
  const char *problem;
};

// ## Chance: splitmix64 (Steele, Lea and Flood 2014)

static uint64_t draw_bits(struct generation *self) {
  uint64_t z = self->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

// Below `limit`, which is not 0, and so far below 2^64 that no remainder is likelier than another
// by more than nothing.
static uint64_t draw_below(struct generation *self, uint64_t limit) {
  return draw_bits(self) % limit;
}

static bool draw_share(struct generation *self, double share) {
  return (double)(draw_bits(self) >> 11) * 0x1p-53 < share;
}

static uint64_t draw(struct generation *self, const struct ranges *ranges) {
  uint64_t ticket = draw_below(self, ranges_total(ranges));
  size_t low = 0, high = ranges->count - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (ranges->all[middle].until > ticket)
      high = middle;
    else
      low = middle + 1;
  }
  const struct range *range = &ranges->all[low];
  return range->low + draw_below(self, range->high - range->low + 1);
}

static uint16_t draw_thread(struct generation *self) {
  return self->profile->threads.count ? (uint16_t)draw(self, &self->profile->threads) : 0;
}

// ## Blocks

static bool reserve(struct generation *self, uint32_t slots) {
  if (slots <= self->room) return true;
  uint32_t room = self->room ? 2 * self->room : 1024;
  while (room < slots) room *= 2;
  struct live_block *blocks = realloc(self->blocks, room * sizeof *blocks);
  if (blocks) self->blocks = blocks;
  uint32_t *live = realloc(self->live, room * sizeof *live);
  if (live) self->live = live;
  if (blocks && live) self->room = room;
  return blocks && live;
}

static void forget(struct generation *self, const struct live_block *block) {
  uint32_t last = self->live[--self->count];
  self->live[block->place] = last;
  self->blocks[last].place = block->place;
}

// Where the block that is allocated now is to be released: `operations` for never.
static uint64_t book(struct generation *self, uint64_t now, uint64_t size) {
  unsigned class = size_class_of(size);
  const struct ranges *lifetimes = &self->profile->lifetimes[class];
  uint64_t end = self->operations;
  if (ranges_total(lifetimes) == 0 || draw_share(self, self->profile->leaked[class])) return end;
  uint64_t wanted = end;
  for (unsigned i = 0; i < TRIES && wanted >= end; i++) {
    uint64_t lifetime = draw(self, lifetimes);
    wanted = lifetime < end - now ? now + lifetime : end;
  }
  if (wanted >= end) return end;
  // Sooner as often as later.
  bool sooner = draw_bits(self) & 1;
  for (uint64_t shift = 0; shift < 2 * MOST_SHIFT; shift++) {
    uint64_t far = (shift + 1) / 2;
    if (sooner == (shift & 1)) {
      if (wanted > now + far && !self->booked[wanted - far]) return wanted - far;
    } else {
      if (wanted + far < end && !self->booked[wanted + far]) return wanted + far;
    }
  }
  return end;
}

// ## Operations

static bool allocate(struct generation *self, uint64_t now) {
  const struct profile *profile = self->profile;
  uint64_t size = draw(self, &profile->sizes);
  struct operation operation = {.kind = OP_ALLOCATE,
                                .count = 1,
                                .size = size,
                                .align = draw(self, &profile->alignments),
                                .thread = draw_thread(self)};
  if (draw_share(self, profile->zeroed)) {
    operation.kind = OP_ALLOCATE_ZEROED;
    uint64_t pieces = profile->pieces.count ? draw(self, &profile->pieces) : 1;
    if (size % pieces == 0) {
      operation.count = (unsigned)pieces;
      operation.size = size / pieces;
    }
  }
  self->problem = trace_build_allocate(&self->build, &operation);
  if (self->problem) return false;
  if (!reserve(self, operation.slot + 1)) {
    self->problem = "no memory for further blocks";
    return false;
  }
  self->blocks[operation.slot] = (struct live_block){.size = size,
                                                     .slot = operation.slot,
                                                     .place = self->count,
                                                     .thread = (uint16_t)operation.thread};
  self->live[self->count++] = operation.slot;
  uint64_t end = book(self, now, size);
  if (end < self->operations) self->booked[end] = operation.slot + 1;
  return true;
}

static bool release(struct generation *self, uint32_t slot) {
  struct live_block *block = &self->blocks[slot];
  uint16_t thread = block->thread;
  if (draw_share(self, self->profile->cross_thread))
    for (unsigned i = 0; i < 4 * TRIES && thread == block->thread; i++) thread = draw_thread(self);
  forget(self, block);
  self->problem = trace_build_release(&self->build, slot, thread);
  return !self->problem;
}

// Not the size is chosen after the block, but the block after the size: it grows as often as it
// should.
static bool resize(struct generation *self) {
  const struct profile *profile = self->profile;
  uint64_t size = draw(self, &profile->resized_to);
  bool choosy = profile->growing >= 0, grow = choosy && draw_share(self, profile->growing);
  struct live_block *block;
  unsigned tries = 0;
  do block = &self->blocks[self->live[draw_below(self, self->count)]];
  while (choosy && (size > block->size) != grow && ++tries < TRIES);
  block->size = size;
  self->problem = trace_build_resize(&self->build, block->slot, size,
                                     draw(self, &profile->alignments), block->thread);
  return !self->problem;
}

static bool generate(struct generation *self) {
  for (uint64_t now = 0; now < self->operations; now++) {
    bool done;
    if (self->booked[now])
      done = release(self, self->booked[now] - 1);
    else if (self->count > 0 && draw_share(self, self->profile->resized))
      done = resize(self);
    else
      done = allocate(self, now);
    if (!done) return false;
  }
  return true;
}

static uint64_t count_threads(const struct program *program) {
  uint64_t threads = 0;
  bool *seen = calloc(UINT16_MAX + 1, sizeof *seen);
  if (!seen) return 0;
  for (size_t i = 0; i < program_length(program); i++) {
    bool *this = &seen[program_at(program, i)->thread];
    threads += !*this;
    *this = true;
  }
  free(seen);
  return threads;
}

bool trace_generate(struct program *program, struct trace_header *header,
                    const struct profile *profile, uint64_t operations, uint64_t seed,
                    const char *name, struct file_error *error) {
  struct generation self = {.profile = profile, .state = seed, .operations = operations};
  self.problem = trace_build_begin(&self.build, program, header);
  self.booked = calloc((size_t)operations + 1, sizeof *self.booked);
  if (!self.problem && !self.booked) self.problem = "no memory for so many operations";
  bool done = !self.problem && generate(&self);
  if (done) {
    trace_build_end(&self.build);
    header->threads = count_threads(program);
  } else {
    program_clear(program);
    file_fail(error, name, "%s", self.problem);
  }
  trace_build_clear(&self.build);
  free(self.booked);
  free(self.blocks);
  free(self.live);
  return done;
}
