// Programs in processes of their own, for a strategy that keeps state: each begins in a child that
// is forked before the strategy was ever called.
//
// What an engine wants to know comes back from the child: which edges were covered (libFuzzer's
// counters; AFL++'s map is shared anyway), and the hints. A child that the engine has ended, with
// whatever it leaves of a finding, ends this process in the same way; one that died without a word
// is told as a crash. So engines, and who reads what they print, need not know of it.
#ifndef FUZZ_APART_H_
#define FUZZ_APART_H_

#include "fuzz/hints.h"
#include "harness/property.h"

// What the child does, which must return or end the process.
typedef void apart_body(void *context);

// Returns in the parent, and only if the child came to its end without a violation. `hints` are
// those that the child fills.
void apart_run(const char *strategy, struct hints *hints, apart_body *body, void *context);

// To be called in the child with each violation: somebody has said what is wrong.
void apart_announced(void);

#endif
