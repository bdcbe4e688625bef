// What the target lets the mutator know: what the strategy offers, where its classes of sizes end,
// and what the allocator has answered before.
//
// libFuzzer mutates in the target's process: both use hints_own(). AFL++ mutates in afl-fuzz, which
// is the target's ancestor: the mutator makes a file for both to map, and names it in the
// environment variable ASSAY_HINTS, which the target inherits. Hints are advice: with none at all,
// and with values torn by the other process, mutations are as valid.
#ifndef FUZZ_HINTS_H_
#define FUZZ_HINTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Powers of two: a place is a number modulo this.
enum { HINTS_SIZES = 256, HINTS_ANSWERS = 128 };

// As aligned as atomic access wants it, whatever the size of the machine's own words: the file is
// the same for all.
typedef uint64_t shared_word __attribute__((aligned(8)));

struct hints {
  uint32_t offered;     // bit k: the strategy offers operations of kind k; 0: nothing is known yet
  uint32_t dying;       // bit k: an OP_CRASH strikes operations of kind k
  uint32_t variants;    // of the strategy, at least 1
  uint32_t concurrent;  // whether several threads can be in the allocator at once
  uint32_t align_log2;  // of the largest alignment that it serves
  uint32_t asks_zero;   // whether size 0 is a request that has more than one right answer
  uint32_t verbs;  // of a collection; 0: it is an allocator. A collection has no sizes or kinds
  uint32_t sizes_count;
  uint8_t verb_fields[16];         // enum collection_field, of each verb
  shared_word sizes[HINTS_SIZES];  // bytes: the largest requests with their footprint, ascending
  shared_word answers[HINTS_ANSWERS];  // bytes: usable sizes, distances between blocks and offsets
                                       // of blocks, the latest HINTS_ANSWERS; of
                                       // collections, lengths
  shared_word answers_count;           // since the target started
};

// Of this process; all zero at first.
struct hints *hints_own(void);

// Those to fill: of the file that ASSAY_HINTS names, or this process's own if it names none. NULL,
// with a message on stderr: the file cannot be mapped, or is not of the size of these hints.
struct hints *hints_named(void);

// Makes a file of zeros for the target to fill, and names it in the environment. It has no place in
// any directory, and ends with this process. NULL, with errno: there is no memory for it.
const struct hints *hints_share(void);

static inline void hints_answer(struct hints *hints, uint64_t value) {
  uint64_t count = hints->answers_count;
  shared_word *last = &hints->answers[(count - 1) % HINTS_ANSWERS];
  if (*last == value) return;  // an array of equal blocks is one answer
  __atomic_store_n(&hints->answers[count % HINTS_ANSWERS], value, __ATOMIC_RELAXED);
  __atomic_store_n(&hints->answers_count, count + 1, __ATOMIC_RELAXED);
}

#endif
