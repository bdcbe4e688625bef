// A doubly linked list that owns its elements.
//
// Each element lies in a block of its own, behind two links (D. E. Knuth, "The Art of Computer
// Programming", vol. 1, 2.2.5). So elements never move: an element's address is where it can be
// found, inserted beside, removed and spliced, until it is removed. That address is all there is to
// an iterator, and NULL is the end, in both directions.
//
// What may allocate, one block for each new element: push, insert and clone. No other call does,
// and none but those can fail for want of memory. An element costs two words and the padding to its
// alignment.
#ifndef COLLECTIONS_LIST_H_
#define COLLECTIONS_LIST_H_

#include <stdbool.h>
#include <stddef.h>

#include "collections/handle.h"
#include "collections/result.h"

struct list_node;

// May be moved to another place as a whole, since nothing points to it.
struct list {
  struct handle handle;
  size_t size;   // of an element, in bytes
  size_t align;  // of an element, in bytes
  // I1: links come first in a block, the element next to them, aligned; all of it has a size
  size_t offset;      // of the element in its block
  size_t block_size;  // SIZE_MAX: there is no such element
  // I2: the first has none before it, the last none behind it; one is there if the other is
  struct list_node *first;
  struct list_node *last;
  // I3: whom an element has behind it, has that element before it; nodes are aligned
  // I4: count is how many there are from the first to the last
  size_t count;
};

// A list without elements, which are to be of `size` bytes and aligned to `align`, a power of two.
// Any size will do, 0 too. If `align` is no power of two, or a block's size more than a size_t,
// every call that would allocate is refused.
void list_init(struct list *self, struct handle handle, size_t size, size_t align);

// Releases all elements. The list is as after init.
void list_drop(struct list *self);

// ## To find elements
//
// NULL if there is none. `element` is the address of one in this list.

void *list_first(const struct list *self);
void *list_last(const struct list *self);
void *list_next(const struct list *self, const void *element);
void *list_previous(const struct list *self, const void *element);

static inline size_t list_count(const struct list *self) { return self->count; }

// LIST_EACH(struct point, p, &points) sum += p->x; nothing may be removed meanwhile.
#define LIST_EACH(type, name, list)                                                                \
  for (type *name = list_first(list); name; name = list_next(list, name))

// ## To add elements
//
// The element becomes a copy of the `size` bytes at `from`, which may lie in the list itself; from
// NULL it holds arbitrary bytes. RESULT_NO_MEMORY.

enum result list_push_front(struct list *self, const void *from);
enum result list_push_back(struct list *self, const void *from);

// Beside `place`, an element, or NULL: the end, before which is the last, and after which the
// first. Where the new one is, list_previous or list_next of `place` tells.
enum result list_insert_before(struct list *self, void *place, const void *from);
enum result list_insert_after(struct list *self, void *place, const void *from);

// ## To remove elements

// Moves the element to the `size` bytes at `to`, or nowhere if that is NULL. RESULT_NOT_FOUND: the
// list is empty.
enum result list_pop_front(struct list *self, void *to);
enum result list_pop_back(struct list *self, void *to);

// Releases the element, and returns the one behind it, so that a loop can go on.
void *list_remove(struct list *self, void *element);

// ## To arrange elements, none of which moves in memory

// Moves the elements from `first` to `last`, both of them included, from `other` to before `place`
// in `self` (NULL: to its end). `other` may be `self`. Takes as many steps as elements are moved.
// RESULT_FOREIGN: `other` has another allocator, or elements of another size or alignment.
// RESULT_OUT_OF_BOUNDS: `last` does not follow `first`, or `place` is one of those to be moved.
enum result list_splice(struct list *self, void *place, struct list *other, void *first,
                        void *last);

void list_reverse(struct list *self);

// Ascending by `compare`, which says less than, equal to or more than 0 as C's qsort wants it.
// Stable: what is equal keeps its order. Merge sort, bottom up (Knuth, vol. 3, 5.2.4, algorithm L):
// n log2 n comparisons, no memory. Whatever `compare` says, the sort ends, and no element is lost.
void list_sort(struct list *self, int (*compare)(void *context, const void *a, const void *b),
               void *context);

// A list of its own over the same allocator, with copies of all elements. `copy` needs no
// init. RESULT_NO_MEMORY: `copy` was not touched.
enum result list_clone(const struct list *self, struct list *copy);

// The first invariant that does not hold, I1 to I4 above. It must follow links to check them: those
// of a damaged list may lead anywhere, but it takes no more steps than there should be elements.
struct broken_invariant list_check(const struct list *self);

// Their texts: list_invariants[n - 1] is that of I<n>. Ended by NULL.
extern const char *const list_invariants[];

#endif
