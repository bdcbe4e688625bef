#include "harness/score_workloads.h"

#include <stdlib.h>

enum { SLOTS = 1 << 14 };

struct maker {
  struct program *program;
  bool failed;
  uint64_t random;
  uint32_t live[SLOTS];  // slots in use, in no order
  uint32_t free[SLOTS];
  size_t count, free_count;
};

static void append(struct maker *self, enum operation_kind kind, uint32_t slot, uint64_t size) {
  struct record record = operation_record(
      &(struct operation){.kind = kind, .count = 1, .slot = slot, .size = size, .align = 1});
  self->failed |= !program_append(self->program, &record);
}

static uint64_t draw(struct maker *self, uint64_t low, uint64_t high) {
  self->random ^= self->random << 13;  // G. Marsaglia, "Xorshift RNGs" (2003)
  self->random ^= self->random >> 7;
  self->random ^= self->random << 17;
  return low + self->random % (high - low + 1);
}

// Returns the slot.
static uint32_t allocate(struct maker *self, uint64_t size) {
  uint32_t slot = self->free[--self->free_count];
  self->live[self->count++] = slot;
  append(self, OP_ALLOCATE, slot, size);
  return slot;
}

static void release_at(struct maker *self, size_t at) {
  uint32_t slot = self->live[at];
  self->live[at] = self->live[--self->count];
  self->free[self->free_count++] = slot;
  append(self, OP_RELEASE, slot, 0);
}

static void release_any(struct maker *self) {
  release_at(self, (size_t)draw(self, 0, self->count - 1));
}

static void release_last(struct maker *self) { release_at(self, self->count - 1); }

// The one that was allocated first, if the order was kept since.
static void release_slot(struct maker *self, uint32_t slot) {
  size_t at = 0;
  while (self->live[at] != slot) at++;
  release_at(self, at);
}

// ## The kinds

static void churn(struct maker *self, size_t operations, size_t live, uint64_t least,
                  uint64_t most) {
  for (size_t i = 0; i < operations; i++)
    if (self->count == 0 || (self->count < live && draw(self, 0, 99) < 55))
      allocate(self, draw(self, least, most));
    else
      release_any(self);
}

static void make_random(struct maker *self) { churn(self, 5000, 300, 1, 32768); }
static void make_small(struct maker *self) { churn(self, 12000, 2000, 1, 512); }

// What two neighbours leave serves one of both their sizes, if they are merged.
static void make_coalescing(struct maker *self) {
  for (int i = 0; i < 1500; i++) {
    allocate(self, 4080);
    allocate(self, 4080);
    release_last(self);
    release_last(self);
    allocate(self, 8160);
    if (i % 50 != 0) release_last(self);
  }
}

// Between blocks that stay others leave holes, into which what comes then does not fit.
static void make_holes(struct maker *self, size_t pairs, uint64_t stays, uint64_t goes,
                       uint64_t next) {
  uint32_t *going = malloc(pairs * sizeof *going);
  self->failed |= !going;
  for (size_t i = 0; going && i < pairs; i++) {
    allocate(self, stays);
    going[i] = allocate(self, goes);
  }
  for (size_t i = 0; going && i < pairs; i++) release_slot(self, going[i]);
  for (size_t i = 0; i < pairs; i++) allocate(self, next);
  free(going);
}

static void make_binary(struct maker *self) { make_holes(self, 2000, 64, 448, 512); }
static void make_binary_small(struct maker *self) { make_holes(self, 4000, 16, 112, 128); }

static void grow(struct maker *self, size_t steps, uint64_t first, uint64_t more, uint64_t other) {
  uint32_t growing = allocate(self, first), before = allocate(self, other);
  for (size_t i = 1; i <= steps; i++) {
    append(self, OP_RESIZE, growing, first + i * more);
    uint32_t next = allocate(self, other);
    release_slot(self, before);
    before = next;
  }
}

static void make_growing(struct maker *self) { grow(self, 2400, 512, 128, 128); }
static void make_growing_slowly(struct maker *self) { grow(self, 4000, 4092, 5, 16); }

// Most blocks are small and die young.
static void make_program(struct maker *self) {
  for (size_t i = 0; i < 20000; i++) {
    if (self->count > 100 && draw(self, 0, 99) < 48) {
      size_t young = (size_t)draw(self, 1, draw(self, 0, 9) ? 20 : self->count);
      release_at(self, self->count - young);
      continue;
    }
    uint64_t kind = draw(self, 0, 99);
    allocate(self, kind < 70   ? draw(self, 8, 64)
                   : kind < 95 ? draw(self, 65, 512)
                               : draw(self, 513, 8192));
  }
}

// Each phase has sizes of its own, and leaves something behind.
static void make_phases(struct maker *self) {
  for (unsigned phase = 0; phase < 12; phase++) {
    uint64_t least = (uint64_t)24 << phase % 4, most = (uint64_t)256 << phase % 6;
    for (size_t i = 0; i < 500; i++) allocate(self, draw(self, least, most));
    for (size_t i = 0; i < 450; i++) phase % 2 ? release_last(self) : release_any(self);
  }
}

static void (*const makers[])(struct maker *self) = {
    make_random,  make_small,          make_coalescing, make_binary, make_binary_small,
    make_growing, make_growing_slowly, make_program,    make_phases};

const struct score_workload score_workloads[] = {
    {"random", "blocks of 1 to 32768 bytes, one allocated or any released"},
    {"small", "the same with 1 to 512 bytes"},
    {"coalescing", "two neighbours released, one as large as both allocated"},
    {"binary", "64 and 448 bytes in turn; the larger ones released, 512 bytes wanted"},
    {"binary-small", "the same with 16, 112 and 128 bytes"},
    {"growing", "a block resized by 128 bytes at a time, with small ones beside it"},
    {"growing-slowly", "the same by 5 bytes at a time"},
    {"program", "mostly small blocks, which mostly die young"},
    {"phases", "sizes that change from phase to phase, each leaving some blocks behind"},
    {NULL, NULL}};

_Static_assert(sizeof score_workloads / sizeof *score_workloads ==
                   sizeof makers / sizeof *makers + 1,
               "each workload has its maker");

bool score_workload_make(struct program *program, size_t index) {
  struct maker *self = calloc(1, sizeof *self);
  if (!self) return false;
  program_clear(program);
  self->program = program;
  self->random = 0x9E3779B97F4A7C15;
  for (uint32_t slot = SLOTS; slot-- > 0;) self->free[self->free_count++] = slot;
  struct record heap = heap_record(
      &(struct heap){.source = HEAP_FIXED, .capacity = (size_t)20 << 20, .slots = SLOTS});
  self->failed = !program_append(program, &heap);
  makers[index](self);
  while (self->count > 0) release_last(self);
  bool made = !self->failed;
  free(self);
  if (!made) program_clear(program);
  return made;
}
