// A directory of its own for a test that needs files.
#ifndef ALLOCATORS_SCRATCH_H_
#define ALLOCATORS_SCRATCH_H_

// Includers define _DEFAULT_SOURCE before their first include.

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocators/check.h"

struct scratch {
  char directory[512];
  char path[544];  // of a file in it, which does not exist yet
};

static inline void scratch_make(struct scratch *scratch) {
  const char *parent = getenv("TEST_TMPDIR");
  snprintf(scratch->directory, sizeof scratch->directory, "%s/assay.XXXXXX",
           parent != NULL ? parent : "/tmp");
  CHECK(mkdtemp(scratch->directory) != NULL);
  snprintf(scratch->path, sizeof scratch->path, "%s/heap", scratch->directory);
}

// How many files are in it.
static inline size_t scratch_count(const struct scratch *scratch) {
  DIR *directory = opendir(scratch->directory);
  CHECK(directory != NULL);
  size_t count = 0;
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
    count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  closedir(directory);
  return count;
}

// Fails if the test left more behind than `path`.
static inline void scratch_remove(const struct scratch *scratch) {
  unlink(scratch->path);
  CHECK(rmdir(scratch->directory) == 0);
}

#endif
