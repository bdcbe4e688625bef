// Foreign allocators: how an adapter hands one to the tiers that make strategies of it.
//
// An adapter (foreign_mm.c, foreign_malloc.c, foreign_heap.c) knows how one kind of foreign
// allocator is called, what it expects to be given, and how it is brought back to its first state.
// tiers.c makes strategies of it, one for each tier: a kind of request that it is judged by on its
// own, so that a heap whose resize is broken still gets a verdict on the rest.
//
// A program is linked with one adapter. Unlike other strategies an adapter has state of its own:
// what it calls has it too.
#ifndef ALLOCATORS_FOREIGN_FOREIGN_H_
#define ALLOCATORS_FOREIGN_FOREIGN_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/source.h"
#include "allocators/strategy.h"

// The functions are those of C and POSIX, and mean the same. Those that may be NULL are not there.
struct foreign_api {
  // In its first state, over a source that outlives it, with at most `limit` bytes of heap. False:
  // the allocator's own start failed, and all of the source is given back.
  bool (*begin)(struct source *source, size_t limit);
  // An empty heap again by the allocator's own means, its state being what it is. False: it
  // refused. May be NULL.
  bool (*restart)(void);
  // Gives back all of the source.
  void (*end)(void);

  void *(*allocate)(size_t size);
  void (*release)(void *block);
  void *(*resize)(void *block, size_t size);                 // may be NULL
  void *(*allocate_zeroed)(size_t count, size_t size);       // may be NULL
  void *(*allocate_aligned)(size_t alignment, size_t size);  // may be NULL
  size_t (*usable_size)(const void *block);                  // may be NULL
  bool (*check)(void);  // the allocator's own checker: false, it complains. May be NULL
  // What it holds of the source, for walks; NULL: blocks lie elsewhere.
  void (*extent)(const void **start, size_t *size);
};

// Of the adapter that the program is linked with.
extern const struct foreign_api foreign_api;

#endif
