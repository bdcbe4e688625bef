#define _GNU_SOURCE  // posix_fallocate, flock
#include "fuzz/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "ASSAY_COUNTERS"

// Where a state is looked for before it is given up.
enum { PROBES = 64 };

static const char *const names[COUNTERS_FIRST_PROPERTY] = {
    [COUNTERS_EXECUTIONS] = "executions", [COUNTERS_OPERATIONS] = "operations",
    [COUNTERS_REFUSED] = "refused",       [COUNTERS_SKIPPED] = "skipped",
    [COUNTERS_VIOLATIONS] = "violations", [COUNTERS_STATES_LOST] = "states-lost",
};

static void name_row(unsigned row, char name[COUNTERS_NAME]) {
  memset(name, 0, COUNTERS_NAME);
  if (row < COUNTERS_FIRST_PROPERTY)
    snprintf(name, COUNTERS_NAME, "%s", names[row]);
  else
    snprintf(name, COUNTERS_NAME, "exercised:%s",
             property_id((enum property)(row - COUNTERS_FIRST_PROPERTY + 1)));
}

static uint64_t hash_bytes(uint64_t hash, const void *start, size_t size) {
  const unsigned char *bytes = start;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

// Of what is not a number that grows.
static uint64_t check_of(const struct counters *counters) {
  const uint32_t numbers[4] = {counters->version, counters->rows, counters->states,
                               counters->name_size};
  uint64_t hash = hash_bytes(14695981039346656037u, numbers, sizeof numbers);
  for (unsigned row = 0; row < COUNTERS_ROWS; row++)
    hash = hash_bytes(hash, counters->row[row].name, COUNTERS_NAME);
  return hash;
}

// ## The file

static void describe(struct counters *counters) {
  counters->version = COUNTERS_VERSION;
  counters->rows = COUNTERS_ROWS;
  counters->states = COUNTERS_STATES;
  counters->name_size = COUNTERS_NAME;
  for (unsigned row = 0; row < COUNTERS_ROWS; row++) name_row(row, counters->row[row].name);
  counters->check = check_of(counters);
  __atomic_store_n(&counters->magic, COUNTERS_MAGIC, __ATOMIC_RELEASE);
}

// Whether its numbers are those of this version.
static bool is_ours(const struct counters *counters) {
  if (counters->version != COUNTERS_VERSION || counters->rows != COUNTERS_ROWS ||
      counters->states != COUNTERS_STATES || counters->name_size != COUNTERS_NAME)
    return false;
  char name[COUNTERS_NAME];
  for (unsigned row = 0; row < COUNTERS_ROWS; row++) {
    name_row(row, name);
    if (memcmp(name, counters->row[row].name, COUNTERS_NAME) != 0) return false;
  }
  return true;
}

// What is wrong, or NULL. The file is this process's alone for now.
static const char *map(int file, struct counters **counters) {
  struct stat status;
  if (fstat(file, &status) != 0) return strerror(errno);
  if (status.st_size != 0 && (size_t)status.st_size != sizeof **counters)
    return "not made by this version of the target; name another file";
  // Room on the disk now: to find none in the middle of a program would be a signal.
  int error = posix_fallocate(file, 0, sizeof **counters);
  if (error) return strerror(error);
  void *memory = mmap(NULL, sizeof **counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) return strerror(errno);
  *counters = memory;
  // Not whole: new, or its maker was killed.
  if ((*counters)->magic != COUNTERS_MAGIC) describe(*counters);
  if (is_ours(*counters)) return NULL;
  munmap(memory, sizeof **counters);
  *counters = NULL;
  return "not made by this version of the target; name another file";
}

void counting_open(struct counting *self) {
  const char *name = getenv(VARIABLE);
  if (!name || !*name || self->file) return;
  int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  const char *problem =
      file < 0 || flock(file, LOCK_EX) != 0 ? strerror(errno) : map(file, &self->file);
  if (file >= 0) close(file);
  if (problem) fprintf(stderr, VARIABLE ": %s: %s; nothing is counted\n", name, problem);
}

// ## Counting

static void add(struct counting *self, unsigned row, uint64_t *told, uint64_t now) {
  if (now == *told) return;
  __atomic_fetch_add(&self->file->row[row].value, now - *told, __ATOMIC_RELAXED);
  *told = now;
}

void counting_begin_always(struct counting *self) {
  self->program++;
  __atomic_fetch_add(&self->file->row[COUNTERS_EXECUTIONS].value, 1, __ATOMIC_RELAXED);
}

void counting_add_always(struct counting *self, const struct run_counts *counts) {
  add(self, COUNTERS_OPERATIONS, &self->told.operations, counts->operations);
  add(self, COUNTERS_REFUSED, &self->told.refused, counts->refused);
  add(self, COUNTERS_SKIPPED, &self->told.skipped, counts->skipped);
  for (unsigned i = 1; i < PROPERTY_COUNT; i++)
    add(self, COUNTERS_FIRST_PROPERTY + i - 1, &self->told.exercised[i], counts->exercised[i]);
}

void counting_violated(struct counting *self, const struct run_counts *counts) {
  if (!self->file) return;
  __atomic_fetch_add(&self->file->row[COUNTERS_VIOLATIONS].value, 1, __ATOMIC_RELAXED);
  counting_add_always(self, counts);
}

void counting_state_always(struct counting *self, uint32_t state) {
  uint64_t wanted = state;
  uint32_t place = state * 0x9E3779B1u;
  for (unsigned i = 0; i < PROBES; i++, place++) {
    place %= COUNTERS_STATES;
    struct counted_state *there = &self->file->state[place];
    uint64_t found = __atomic_load_n(&there->state, __ATOMIC_RELAXED);
    if (found == 0 && __atomic_compare_exchange_n(&there->state, &found, wanted, false,
                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      found = wanted;
    if (found != wanted) continue;
    if (self->seen[place] == self->program) return;
    self->seen[place] = self->program;
    __atomic_fetch_add(&there->hits, 1, __ATOMIC_RELAXED);
    return;
  }
  __atomic_fetch_add(&self->file->row[COUNTERS_STATES_LOST].value, 1, __ATOMIC_RELAXED);
}
