// What the harness asks of an operating system, from the world.
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "collections/print.h"
#include "freestanding/world.h"

void abort(void) { world_leave(); }

ssize_t write(int descriptor, const void *bytes, size_t size) {
  (void)descriptor;
  return print_bytes(world_console(), bytes, size) == RESULT_OK ? (ssize_t)size : -1;
}

int clock_gettime(int clock, struct timespec *now) {
  enum { SECOND = 1000000000 };
  (void)clock;
  uint64_t instructions = world_instructions();
  *now = (struct timespec){(int64_t)(instructions / SECOND), (long)(instructions % SECOND)};
  return instructions ? 0 : -1;
}
