#include "harness/preload/settings.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness/record_log.h"

// The value, if the variable is `name` and has one; else NULL.
static const char *value_of(const char *variable, const char *name) {
  size_t length = strlen(name);
  if (strncmp(variable, name, length) != 0 || variable[length] != '=') return NULL;
  return variable[length + 1] != '\0' ? variable + length + 1 : NULL;
}

static void copy(char *to, size_t size, const char *from) {
  size_t length = strnlen(from, size - 1);
  memcpy(to, from, length);
  to[length] = '\0';
}

static size_t number_of(const char *text) {
  size_t number = 0;
  for (; *text >= '0' && *text <= '9'; text++) number = 10 * number + (size_t)(*text - '0');
  return number;
}

static void take(struct preload_settings *settings, const char *variable) {
  const char *value;
  if (strncmp(variable, "ASSAY_", 6) != 0) return;
  if ((value = value_of(variable, "ASSAY_STRATEGY")))
    copy(settings->strategy, sizeof settings->strategy, value);
  else if ((value = value_of(variable, "ASSAY_VARIANT")))
    copy(settings->variant, sizeof settings->variant, value);
  else if ((value = value_of(variable, "ASSAY_HEAP")))
    settings->heap = number_of(value);
  else if ((value = value_of(variable, "ASSAY_MISUSE")))
    settings->goes_on = strcmp(value, "tell") == 0;
  else if ((value = value_of(variable, "ASSAY_SHADOW")))
    copy(settings->shadow, sizeof settings->shadow, value);
  else if (value_of(variable, RAW_DIRECTORY_VARIABLE))
    settings->records = true;
}

enum { MOST = 8 << 20 };

// Before the C library is initialised nobody has told it of the environment; the kernel knows it.
static void read_from_kernel(struct preload_settings *settings) {
  char *text =
      mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (text == MAP_FAILED) return;
  int descriptor =
      (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY | O_CLOEXEC, 0);
  size_t size = 0;
  long got = descriptor >= 0;
  while (got > 0 && size < MOST - 1)
    if ((got = syscall(SYS_read, descriptor, text + size, MOST - 1 - size)) > 0)
      size += (size_t)got;
  if (descriptor >= 0) syscall(SYS_close, descriptor);
  for (size_t at = 0; at < size; at += strlen(text + at) + 1) take(settings, text + at);
  munmap(text, MOST);
}

void preload_settings_read(struct preload_settings *settings) {
  *settings = (struct preload_settings){0};
  if (environ)
    for (char **variable = environ; *variable; variable++) take(settings, *variable);
  else
    read_from_kernel(settings);
  if (settings->strategy[0] == '\0') copy(settings->strategy, sizeof settings->strategy, "system");
  if (settings->heap == 0) settings->heap = PRELOAD_DEFAULT_HEAP;
}
