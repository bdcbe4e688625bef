// Which blocks refer to which, and what can be reached: the shadow of a collector's heap.
//
// References are kept beside the blocks, not in them: a block's bytes stay the pattern that every
// other check goes by. The collector is shown them by `trace`, as words.
#ifndef HARNESS_GRAPH_H_
#define HARNESS_GRAPH_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "harness/shadow.h"

enum { GRAPH_REFERENCES = 4, GRAPH_NOISE = 8 };

struct graph_node {
  uint32_t to[GRAPH_REFERENCES];  // serials of blocks; 0: none
  uintptr_t words[GRAPH_REFERENCES];
  uint32_t block;  // during a collection: index in the shadow + 1; 0: not live
  bool root;
  bool reached;
  bool collected;
};

struct graph {
  struct graph_node *nodes;  // by serial
  size_t capacity;
  size_t count;        // nodes that may not be all zero
  uint32_t *by_start;  // indices of live blocks, ascending by address
  size_t by_start_capacity;
  size_t live;
  uint32_t *queue;
  uintptr_t *roots;  // words; a root that was found twice stands there twice
  size_t roots_count;
};

void graph_begin(struct graph *self);
void graph_free(struct graph *self);

void graph_set_root(struct graph *self, uint32_t serial, bool root);
// Reference `which` of one block refers to another one from now on; `to` 0: to nothing.
void graph_link(struct graph *self, uint32_t from, unsigned which, uint32_t to);

// Before a collection: writes all words, and finds what they reach. `noise` 0: precisely. Else
// words may point into the middle of their blocks, and roots hold words that nobody meant, made of
// `noise`.
void graph_prepare(struct graph *self, const struct shadow *shadow, uint64_t noise);
// During it: the node of the live block that begins at `block`, or NULL.
struct graph_node *graph_find(struct graph *self, const struct shadow *shadow, const void *block);

#endif
