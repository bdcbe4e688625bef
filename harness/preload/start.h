// How the preloaded allocator comes to be, with the first call.
#ifndef HARNESS_PRELOAD_START_H_
#define HARNESS_PRELOAD_START_H_

#include <stdbool.h>

#include "harness/preload/settings.h"

extern struct preload_settings preload_settings;

// False: this thread is amidst it, and the call must be served otherwise. Whoever cannot be given
// an allocator at all ends here, and is told why.
bool preload_start(void);

#endif
