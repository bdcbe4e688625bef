// Counters such as VmRSS are kept per CPU and can be off by some hundred KiB; this file is made by
// walking the page tables, and is exact.
#include "bench/footprint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The number of KiB behind `name`, in bytes.
static bool read_field(const char *text, const char *name, size_t *bytes) {
  const char *at = strstr(text, name);
  if (!at) return false;
  *bytes = (size_t)strtoull(at + strlen(name), NULL, 10) * 1024;
  return true;
}

bool footprint_now(size_t *bytes) {
  char text[4096];
  int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return false;
  text[length] = '\0';
  size_t present, swapped = 0;
  if (!read_field(text, "\nAnonymous:", &present)) return false;
  read_field(text, "\nSwap:", &swapped);
  *bytes = present + swapped;
  return true;
}
