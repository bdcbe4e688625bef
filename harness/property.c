#include "harness/property.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const ids[PROPERTY_COUNT] = {"clean",
#define X(name, id, text) id,
                                                PROPERTY_LIST(X)
#undef X
};

static const char *const texts[PROPERTY_COUNT] = {"every property held",
#define X(name, id, text) text,
                                                  PROPERTY_LIST(X)
#undef X
};

const char *property_id(enum property property) { return ids[property]; }

const char *property_text(enum property property) { return texts[property]; }

enum property property_find(const char *id) {
  if (strncmp(id, "invariant:", 10) == 0) return PROPERTY_invariant;
  for (int i = 0; i < PROPERTY_COUNT; i++)
    if (strcmp(id, ids[i]) == 0) return (enum property)i;
  return PROPERTY_NONE;
}

// FNV-1a (Fowler, Noll, Vo).
static uint32_t hash_text(uint32_t hash, const char *text) {
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 16777619u;
  return (hash ^ 0xff) * 16777619u;
}

uint32_t verdict_signature(const struct verdict *verdict, const char *strategy) {
  return hash_text(hash_text(hash_text(2166136261u, strategy), verdict->id), verdict->site);
}

static violation_handler *on_violation;

void property_on_violation(violation_handler *handler) { on_violation = handler; }

void property_announce(const struct verdict *verdict, const char *strategy) {
  // One write each, so that lines of several processes do not mix; no stdio, whose locks the
  // allocator under test may have been called from.
  char line[VERDICT_TEXT_SIZE + VERDICT_ID_SIZE + 128];
  int size = snprintf(line, sizeof line, "ERROR: assay: %s: %s: %s\n", strategy, verdict->id,
                      verdict->diagnosis);
  if (size > (int)sizeof line - 1) size = (int)sizeof line - 1;
  if (write(STDERR_FILENO, line, (size_t)size) < 0) abort();
  size = snprintf(line, sizeof line, "ASSERTION FAILED: %s\n", verdict->id);
  if (write(STDERR_FILENO, line, (size_t)size) < 0) abort();
  if (on_violation) on_violation(verdict);
}

#define X(name, id, text)                                                                          \
  static _Noreturn __attribute__((noinline)) void violated_##name(const struct verdict *verdict,   \
                                                                  const char *strategy) {          \
    property_announce(verdict, strategy);                                                          \
    abort();                                                                                       \
  }
PROPERTY_LIST(X)
#undef X

void property_violated(const struct verdict *verdict, const char *strategy) {
  switch (verdict->property) {
#define X(name, id, text)                                                                          \
  case PROPERTY_##name:                                                                            \
    violated_##name(verdict, strategy);
    PROPERTY_LIST(X)
#undef X
  case PROPERTY_NONE:
  case PROPERTY_COUNT:
    break;
  }
  abort();
}
