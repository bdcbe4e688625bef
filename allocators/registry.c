#include "allocators/registry.h"

#include <string.h>

const struct registry_entry *registry_find(const char *name) {
  for (const struct registry_entry *entry = registry; entry->name; entry++)
    if (strcmp(entry->name, name) == 0 || (entry->id && strcmp(entry->id, name) == 0)) return entry;
  return NULL;
}
