// Free blocks in lists by size class: small sizes exactly, larger ones by powers of two.
//
// Segregated fits with a word that tells which lists are not empty (P. R. Wilson, M. S. Johnstone,
// M. Neely and D. Boles, "Dynamic Storage Allocation: A Survey and Critical Review", IWMM 1995).
// Sizes are in units, whatever these are. What is put in last is found first.
#ifndef ALLOCATORS_CLASS_LISTS_H_
#define ALLOCATORS_CLASS_LISTS_H_

#include <stddef.h>
#include <stdint.h>

#include "allocators/memory.h"

enum { SIZE_CLASSES = 32, EXACT_CLASS_BITS = 4 };

// Lies in the free block.
struct free_link {
  struct free_link *next;
  struct free_link *previous;
};

struct class_lists {
  struct free_link *lists[SIZE_CLASSES];
  uint32_t filled;  // bit i: list i is not empty
};

static inline unsigned class_of(size_t units) {
  if (units >> EXACT_CLASS_BITS == 0) return (unsigned)units;
  unsigned bits = 64 - (unsigned)__builtin_clzll(units);  // more than EXACT_CLASS_BITS
  unsigned class = (1u << EXACT_CLASS_BITS) + bits - EXACT_CLASS_BITS - 1;
  return class < SIZE_CLASSES ? class : SIZE_CLASSES - 1;
}

static inline void class_lists_clear(struct class_lists *self) { memset(self, 0, sizeof *self); }

static inline void class_lists_add(struct class_lists *self, struct free_link *link, size_t units) {
  struct free_link **list = &self->lists[class_of(units)];
  *link = (struct free_link){.next = *list};
  if (link->next != NULL) link->next->previous = link;
  *list = link;
  self->filled |= (uint32_t)1 << class_of(units);
}

static inline void class_lists_remove(struct class_lists *self, struct free_link *link,
                                      size_t units) {
  struct free_link **list = &self->lists[class_of(units)];
  *(link->previous == NULL ? list : &link->previous->next) = link->next;
  if (link->next != NULL) link->next->previous = link->previous;
  if (*list == NULL) self->filled &= ~((uint32_t)1 << class_of(units));
}

// The classes from that of `units` on which are not empty: bit i for class i.
static inline uint32_t class_lists_from(const struct class_lists *self, size_t units) {
  return self->filled & ~(uint32_t)0 << class_of(units);
}

static inline unsigned first_class(uint32_t classes) { return (unsigned)__builtin_ctz(classes); }

#endif
