// A trial run of an allocator that somebody brings, before anything is built for it: whether it
// runs at this width at all, what its blocks are aligned to, and whether it is the same each time
// that it begins anew. Linked with an adapter and a source alone; judges nothing.
//
//   foreign_probe LIMIT [elsewhere]
//
// Elsewhere is where ASan leaves room for a heap, and a source that knows its heap's address by
// heart does not find it there. Prints one JSON object, and exits with 0 if the allocator did what
// a program would need, with 1 if not. A process that dies has told something as well. What the
// allocator prints goes nowhere.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/foreign/foreign.h"

enum { STEPS = 4000, SLOTS = 64, ROUNDS = 3 };

struct block {
  unsigned char *start;
  size_t size;
  unsigned char fill;
};

struct trial {
  struct block blocks[SLOTS];
  uintptr_t bits;      // of all addresses
  uint64_t addresses;  // a digest of all, from the first one
  bool content;        // its own checker
  const char *failed;  // what a program would not survive, or NULL
};

// An allocator that multiplies would go on doing so until the machine has no room. It is told as
// one that leaves: what is checked later tells why.
pid_t fork(void) { _exit(3); }

static uint32_t random_state;
static uint32_t draw(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

static bool intact(const struct block *block) {
  if (block->size == 0) return true;
  return block->start[0] == block->fill && block->start[block->size - 1] == block->fill;
}

static void drop(struct trial *trial, struct block *block) {
  if (!block->start) return;
  if (!intact(block)) trial->failed = "a block does not keep what is written to it";
  foreign_api.release(block->start);
  block->start = NULL;
}

static void take(struct trial *trial, struct block *block, uintptr_t *first) {
  size_t size = draw() % 16 == 0 ? draw() % 6000 + 1 : draw() % 120 + 1;
  unsigned char *start = foreign_api.allocate(size);
  if (!start) {
    trial->failed = "memory runs out";
    return;
  }
  if (*first == 0) *first = (uintptr_t)start;
  trial->bits |= (uintptr_t)start;
  trial->addresses = (trial->addresses ^ ((uintptr_t)start - *first)) * 0x100000001b3u;
  *block = (struct block){start, size, (unsigned char)draw()};
  start[0] = start[size - 1] = block->fill;
}

static void run(struct trial *trial) {
  uintptr_t first = 0;
  random_state = 1;
  for (unsigned step = 0; step < STEPS && !trial->failed; step++) {
    struct block *block = &trial->blocks[draw() % SLOTS];
    if (block->start)
      drop(trial, block);
    else
      take(trial, block, &first);
    if (step % 64 == 0 && foreign_api.check && !foreign_api.check()) trial->content = false;
  }
  for (unsigned i = 0; i < SLOTS && !trial->failed; i++) drop(trial, &trial->blocks[i]);
}

// Where the heap of a course lies, as high as pointers of 64 bits are truncated; else anywhere.
static void *place(size_t size, bool elsewhere) {
  uint64_t start = elsewhere ? 0x200800000000u : 0x800000000u;
  void *wanted = sizeof(void *) == 8 ? (void *)(uintptr_t)start : NULL;
  void *memory = mmap(wanted, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) return memory;
  fprintf(stderr, "no memory for a heap of %zu bytes\n", size);
  exit(2);
}

// Where the answer goes, from when on nothing else gets there.
static FILE *silence_others(void) {
  int output = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY);
  FILE *answer = output < 0 ? NULL : fdopen(output, "w");
  if (answer && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0 &&
      dup2(nowhere, STDERR_FILENO) >= 0)
    return answer;
  perror("/dev/null");
  exit(2);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: foreign_probe LIMIT [elsewhere]\n", stderr);
    return 2;
  }
  size_t limit = strtoul(argv[1], NULL, 10);
  struct source_buffer source;
  void *memory = place(limit, argc > 2);
  FILE *answer = silence_others();
  source_buffer_init(&source, memory, limit);
  source.base.traits |= SOURCE_CONTIGUOUS;
  const char *failed = NULL;
  uintptr_t bits = 0;
  uint64_t addresses = 0;
  bool same = true, content = true;
  for (unsigned round = 0; round < ROUNDS && !failed; round++) {
    struct trial trial = {.content = true};
    // Who reads what he never wrote reads the same in each round.
    madvise(memory, limit, MADV_DONTNEED);
    if (foreign_api.begin(&source.base, limit)) {
      run(&trial);
      foreign_api.end();
    } else {
      trial.failed = "its own start fails";
    }
    if (round > 0 && trial.addresses != addresses) same = false;
    addresses = trial.addresses;
    bits |= trial.bits;
    content = content && trial.content;
    failed = trial.failed;
  }
  size_t align = bits ? bits & -bits : 0;
  fprintf(answer, "{\"align\": %zu, \"same\": %s, \"content\": %s, \"failed\": \"%s\"}\n", align,
          same ? "true" : "false", content ? "true" : "false", failed ? failed : "");
  return fclose(answer) == 0 && !failed ? 0 : 1;
}
