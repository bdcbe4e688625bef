// What one contender gave and saw on a program, operation by operation: what differential.c
// compares. Private to the two.
#ifndef HARNESS_DIFFERENTIAL_ACCOUNT_H_
#define HARNESS_DIFFERENTIAL_ACCOUNT_H_

#include "harness/differential.h"

enum answer {
  NOT_ASKED,  // not offered, or there is no allocator
  SKIPPED,    // the slot names nothing
  REFUSED,
  GIVEN,
  UNUSABLE,  // given, but not aligned or not inside the heap: it is not touched
  ANSWERED,  // what is no request
};

enum duty { MAY, MUST_GIVE, MUST_REFUSE };

// What one contender did at one operation.
struct observation {
  uint8_t answer, duty, said;  // of enum answer, duty and release_result
  bool usable;                 // OP_USE: the size is at least what was asked for
  uint64_t lineage;            // of the slot's block before; 0: it named none
  uint64_t digest;             // of what the user read
  size_t read;                 // bytes of that
  // Of the block that was given here, if it was reset or live at the end.
  uint64_t last_lineage, last_digest;
  size_t last_size;
};

struct account {
  struct observation *observations;  // of each operation
  size_t capacity;
  struct observation creation;
};

// Runs the program on a contender, and fills in its account. The arena is made larger as needed.
// False, with errno, if memory cannot be had.
bool account_take(struct account *self, const struct contender *contender, struct arena *arena,
                  const struct program *program);

// The operation in words, for a diagnosis: `operation 3, release of slot 2`.
void account_describe(const struct program *program, size_t index, char *text, size_t size);

void account_free(struct account *self);

#endif
