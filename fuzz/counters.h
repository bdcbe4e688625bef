// The target's own numbers, for whoever runs it: how many programs it was given, what came of their
// operations, which properties were judged, and in which abstract states heaps were seen.
//
// They lie in a file that the environment variable ASSAY_COUNTERS names, which the target makes and
// maps. So they outlive every process that adds to them, however it dies, and no engine needs to
// know of them. Each number is one aligned word that only grows, by atomic additions: any number of
// processes may share the file, and a reader never finds half a number. A process that is killed in
// the middle of a program has told of its beginning.
//
// Without that variable nothing is counted, and a program costs one comparison more.
#ifndef FUZZ_COUNTERS_H_
#define FUZZ_COUNTERS_H_

#include <stdint.h>

#include "harness/oracle.h"

// ## The file (counters.py reads it)
//
// It says itself how many numbers it has and what they are called, so that a reader need not be of
// the target's version. All words are of this machine's order.

#define COUNTERS_MAGIC 0x315443594153531Au  // written last: with it the file is whole

enum {
  COUNTERS_VERSION = 1,    // of the arrangement; that numbers come and go does not change it
  COUNTERS_NAME = 40,      // bytes
  COUNTERS_STATES = 8192,  // places; a power of two
};

// As aligned as atomic additions want it, whatever the size of the machine's own words: the file is
// the same for all.
typedef uint64_t counted_word __attribute__((aligned(8)));

// Those of properties are called `exercised:<id>`.
enum counters_row {
  COUNTERS_EXECUTIONS,   // programs begun
  COUNTERS_OPERATIONS,   // carried out
  COUNTERS_REFUSED,      // of these, answered with NULL
  COUNTERS_SKIPPED,      // not carried out: there was nothing to do, or it is not offered
  COUNTERS_VIOLATIONS,   // programs that ended in one
  COUNTERS_STATES_LOST,  // states that found no place in the table
  COUNTERS_FIRST_PROPERTY,
  COUNTERS_ROWS = COUNTERS_FIRST_PROPERTY + PROPERTY_COUNT - 1
};

// A state (heap_state.h) and in how many programs it was seen. Placed by open addressing: once a
// place is taken, it stays. 0: nobody's. There are far more places than states are ever seen;
// should they run out, those that are in go on counting, and each sight of another one is counted
// as lost.
struct counted_state {
  counted_word state;
  counted_word hits;
};

struct counters {
  counted_word magic;
  uint32_t version;
  uint32_t rows;
  uint32_t states;
  uint32_t name_size;
  counted_word check;  // FNV-1a of the four numbers before and of all names
  struct {
    char name[COUNTERS_NAME];
    counted_word value;
  } row[COUNTERS_ROWS];
  struct counted_state state[COUNTERS_STATES];
};

// ## Counting

// A process's view. All zero: nobody wants to know.
struct counting {
  struct counters *file;   // NULL: nobody wants to know
  struct run_counts told;  // what of the oracle's counts is in the file
  uint32_t program;
  uint32_t seen[COUNTERS_STATES];  // the program that saw the state there last
};

// Of the file that ASSAY_COUNTERS names. If it cannot be made, on a full disk for example, the
// target says so and goes on without: no input is to blame for it.
void counting_open(struct counting *self);

// The program ends in a violation: adds what the oracle counted until then.
void counting_violated(struct counting *self, const struct run_counts *counts);

void counting_begin_always(struct counting *self);
void counting_add_always(struct counting *self, const struct run_counts *counts);
void counting_state_always(struct counting *self, uint32_t state);

// A program begins.
static inline void counting_begin(struct counting *self) {
  if (self->file) counting_begin_always(self);
}

// It ends: adds what the oracle counted since the last call.
static inline void counting_add(struct counting *self, const struct run_counts *counts) {
  if (self->file) counting_add_always(self, counts);
}

// The heap was seen in this state, which is not 0. Counts once per program: a program is what is
// drawn at random, and its states hang together.
static inline void counting_state(struct counting *self, uint32_t state) {
  if (self->file) counting_state_always(self, state);
}

#endif
