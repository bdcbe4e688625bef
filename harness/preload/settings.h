// What the environment asks of the preloaded allocator. Children inherit it, and run on the same
// strategy.
#ifndef HARNESS_PRELOAD_SETTINGS_H_
#define HARNESS_PRELOAD_SETTINGS_H_

#include <stdbool.h>
#include <stddef.h>

// ASSAY_STRATEGY   of the registry; none: the C library's own, `system`
// ASSAY_VARIANT    of the strategy, by name; none: the first
// ASSAY_HEAP       bytes, for strategies with a fixed heap; none: PRELOAD_DEFAULT_HEAP
// ASSAY_MISUSE     `tell`: a misuse that is detected is told, and the program goes on; else it ends
// ASSAY_SHADOW     a directory: every call is checked, and a violation leaves a note there
// ASSAY_RECORD_DIR a directory: every call is recorded there (record_log.h)
struct preload_settings {
  char strategy[96];
  char variant[48];
  size_t heap;
  bool goes_on;
  char shadow[1024];  // empty: no checks
  bool records;
};

#define PRELOAD_DEFAULT_HEAP ((size_t)1 << 30)

// Works before the C library is initialised. What is not set, or cannot be read, is as above.
void preload_settings_read(struct preload_settings *settings);

#endif
