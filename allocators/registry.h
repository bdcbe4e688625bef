// The table of strategies that a program was linked with. Its contents are made by the build from
// allocators/registry.bzl: that file is where a strategy is added.
#ifndef ALLOCATORS_REGISTRY_H_
#define ALLOCATORS_REGISTRY_H_

#include "allocators/strategy.h"

struct registry_entry {
  const char
      *name;  // the strategy's, or `strategy+bug` for one with a planted bug; NULL ends the table
  const struct strategy *strategy;
  const char *recipe;    // its sources and definitions, as words for a C compiler in the top folder
  const char *bug;       // a planted bug in one line; NULL: a clean strategy
  const char *expect;    // property ids that may report the bug, separated by spaces; NULL if clean
  const char *id;        // of a historical bug, such as `AB-017`; NULL for all else
  const char *reported;  // where and when that was: project and issue, year; NULL for all else
};

extern const struct registry_entry registry[];

// The entry with that name or id, or NULL.
const struct registry_entry *registry_find(const char *name);

#endif
