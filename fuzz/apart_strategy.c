// A strategy that keeps state, and what can become of its processes: for the test of apart.h.
//
// It is a bump allocator for the first program of a process, and for no other.
#define _GNU_SOURCE  // syscall
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocators/registry.h"

extern const struct strategy bump_strategy;

static bool was_there;

static struct allocator *create_once(struct source *source,
                                     const struct strategy_options *options) {
  if (was_there) return NULL;
  was_there = true;
  return bump_strategy.create(source, options);
}

// Requests of some sizes end the process, each in another way.
static void *allocate_or_die(struct allocator *self, size_t size, size_t align) {
  switch (size) {
  case 50021:  // past everybody who would have a word with it
    syscall(SYS_exit_group, 0);
    break;
  case 50022:
    syscall(SYS_exit_group, 5);
    break;
  case 50023:
    raise(SIGKILL);
    break;
  case 50024:
    *(volatile int *)NULL = 0;
    break;
  case 50025:
    for (volatile int i = 0; i < 2; i = 0) continue;
  case 50026:
    return (char *)bump_strategy.allocate(self, size + 1, align) + 1;
  default:
    break;
  }
  return bump_strategy.allocate(self, size, align);
}

static struct strategy kept;

// As its table is that of another strategy, it is made when the program starts.
__attribute__((constructor)) static void make(void) {
  kept = bump_strategy;
  kept.name = "kept";
  kept.traits |= STRATEGY_KEEPS_STATE;
  kept.create = create_once;
  kept.allocate = allocate_or_die;
}

const struct registry_entry registry[] = {{.name = "kept", .strategy = &kept, .recipe = ""},
                                          {.name = NULL}};
