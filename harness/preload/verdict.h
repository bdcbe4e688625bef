// How a checked process ends with a violation of its allocator's.
#ifndef HARNESS_PRELOAD_VERDICT_H_
#define HARNESS_PRELOAD_VERDICT_H_

#include <stddef.h>

#include "allocators/strategy.h"
#include "harness/property.h"

// A crash of the strategy is a violation from here on, as long as the program does not handle such
// signals itself.
void verdict_start(const char *strategy_name);

// The strategy's turn, by this thread.
void verdict_begin(const char *call, size_t size, const void *block);
void verdict_end(void);

// What is to be recorded if there is a violation before the next such call: a block that cannot be
// recorded as it is.
enum verdict_event { VERDICT_NOTHING, VERDICT_ALLOCATES, VERDICT_RESIZES };
void verdict_record(enum verdict_event event, const void *block, size_t size, size_t align,
                    const void *former);

_Noreturn __attribute__((format(printf, 2, 3))) void verdict_violated(enum property property,
                                                                      const char *format, ...);
_Noreturn void verdict_broken(const struct broken_invariant *broken);

#endif
