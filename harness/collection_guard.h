// The guard between a collection and the strategy beneath it. Private to collection.c.
//
// To the collection it is a strategy: each block that it hands out lies in one of the strategy
// beneath, between red zones that are forbidden and hold a pattern. Fresh bytes are dirty. What is
// released stays forbidden, with a pattern of its own, until so much else was released that the
// strategy beneath gets it, or until that has need of it (a quarantine, as in AddressSanitizer;
// Serebryany et al., USENIX ATC 2012). One resize in three moves, whatever the strategy beneath
// does.
#ifndef HARNESS_COLLECTION_GUARD_H_
#define HARNESS_COLLECTION_GUARD_H_

#include "harness/run.h"

enum { GUARD_QUARANTINE = 16 };

enum guard_state { GUARD_NONE, GUARD_LIVE, GUARD_RELEASED };

struct guard_block {
  unsigned char *base;  // of the block of the strategy beneath
  size_t pad;           // bytes of the red zone before it
  size_t size;          // that the collection asked for
  size_t index;         // of the operation that did
  enum guard_state state;
  uint32_t next;  // GUARD_NONE: another such, plus 1
};

// Which requests are refused throughout a pass.
enum guard_refusing { REFUSING_NONE, REFUSING_ONE, REFUSING_ALL_FROM };

struct guard {
  struct strategy strategy;  // as the collection sees it; its allocator is this struct
  struct run *run;
  const struct strategy *beneath;
  struct guard_block *blocks;
  size_t count, capacity;  // of blocks, GUARD_NONE included
  uint32_t unused;         // the first GUARD_NONE, plus 1
  uint32_t *table;         // hash of address -> block, plus 1
  size_t table_size;       // a power of two
  size_t filled;           // entries that were used in this pass
  size_t live;
  uint32_t quarantine[GUARD_QUARANTINE];  // a ring
  unsigned oldest, quarantined;
  size_t quarantined_bytes;
  uint64_t requests;            // in this pass
  uint64_t injected;            // of the requests, refused by the guard itself
  uint64_t trace;               // hash of all requests and releases
  uint64_t refused;             // since the caller set it to 0
  struct source_faults faults;  // mask, and acquisitions: requests since it was armed
  enum guard_refusing refusing;
  uint64_t refuse_at;  // the first request is 0
  unsigned char dirt;
};

// For a pass over run->allocator, of `beneath`, with requests refused as `refusing` and `refuse_at`
// say. Storage of an earlier pass is used again.
void guard_begin(struct guard *self, struct run *run, const struct strategy *beneath,
                 unsigned char dirt);

// Bit i: the i-th request from now on is refused.
void guard_arm(struct guard *self, uint64_t mask);

// Verifies all red zones.
void guard_verify(struct guard *self);
// `leak`, if a block is live and the strategy beneath releases.
void guard_verify_nothing_left(struct guard *self);
// What was released goes to the strategy beneath.
void guard_flush(struct guard *self);

#endif
