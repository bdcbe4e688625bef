#define _GNU_SOURCE  // memfd_create
#include "fuzz/hints.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIABLE "ASSAY_HINTS"

static struct hints own;

struct hints *hints_own(void) { return &own; }

// NULL if that fails. The file may be closed afterwards.
static struct hints *map(int file) {
  void *memory = mmap(NULL, sizeof(struct hints), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

struct hints *hints_named(void) {
  const char *name = getenv(VARIABLE);
  if (!name) return &own;
  int file = open(name, O_RDWR | O_CLOEXEC);
  struct hints *hints = NULL;
  const char *problem = NULL;
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0)
    problem = strerror(errno);
  else if ((size_t)status.st_size != sizeof *hints)
    problem = "made by another version of the mutator; build both anew";
  else if (!(hints = map(file)))
    problem = strerror(errno);
  if (file >= 0) close(file);
  if (problem) fprintf(stderr, VARIABLE ": %s: %s\n", name, problem);
  return hints;
}

const struct hints *hints_share(void) {
  // Stays open: the name is that of an open file.
  int file = memfd_create("assay-hints", MFD_CLOEXEC);
  if (file < 0) return NULL;
  char name[64];
  snprintf(name, sizeof name, "/proc/%ld/fd/%d", (long)getpid(), file);
  const struct hints *hints = NULL;
  if (ftruncate(file, sizeof *hints) == 0 && setenv(VARIABLE, name, 1) == 0) hints = map(file);
  if (!hints) close(file);
  return hints;
}
