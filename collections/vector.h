// A vector: elements of one size side by side in one block of memory, which grows.
//
// Elements are bytes to it: their size and alignment are given at init, and functions take them by
// address. One copy of the code serves all types, a debugger can step through it, and on a small
// machine it is there once; what macros or generated code for each type would add is the compiler's
// check of the type. VECTOR_INIT and VECTOR_EACH say the type in one place. Compare `Vec` of Rust's
// standard library and `ArrayList` of Zig's.
//
// ## Growth
//
// Nothing is allocated until an element is there. A vector that is full asks for half as much
// again, or for what it needs if that is more, or if the allocator refuses the other: it is refused
// only where not even what it needs is to be had.
//
// Any factor f > 1 makes n pushes copy O(n) elements, n / (f - 1) at worst (T. H. Cormen, C. E.
// Leiserson, R. L. Rivest and C. Stein, "Introduction to Algorithms", dynamic tables), against an
// unused part of at most 1 - 1 / f. Here f = 1.5: 2 copies for each push and a third unused, where
// doubling has 1 copy and a half unused. Besides, as long as f is less than the golden ratio, the
// blocks that were given up come to be large enough for the next one if the allocator coalesces;
// with doubling they never do (A. Koenig, comp.lang.c++.moderated, 5 November 2003; so does
// `fbvector` of Facebook's folly). On a heap of a few KiB that decides how long a vector can
// become. The copies count for less here: where a strategy resizes in place, there are none. How
// little an array can waste that is not one block: A. Brodnik, S. Carlsson, E. D. Demaine, J. I.
// Munro and R. Sedgewick, "Resizable Arrays in Optimal Time and Space" (WADS 1999).
//
// ## Failure
//
// RESULT_NO_MEMORY: the allocator refused, or the vector would have more than PTRDIFF_MAX bytes.
// Whatever a call says but RESULT_OK, the vector is as it was, with its elements where they were.
// Of several errors the one is said that comes first in a function's list.
//
// ## Where elements are
//
// Addresses of elements and slices hold until the vector is next grown, shrunk or dropped, or
// elements before them come or go.
#ifndef COLLECTIONS_VECTOR_H_
#define COLLECTIONS_VECTOR_H_

#include <stddef.h>

#include "collections/handle.h"
#include "collections/result.h"

// Fields are for reading only. May be moved to another place as a whole: nothing points to it.
//
//   I1  elements is NULL if and only if capacity is 0
//   I2  count <= capacity
//   I3  capacity * size <= PTRDIFF_MAX
//   I4  unless capacity is 0: align is a power of two, size a multiple of it, and so is the address
//       of elements
struct vector {
  struct handle handle;
  void *elements;
  size_t count;
  size_t capacity;  // elements that the block has room for
  size_t size;      // of an element, in bytes
  size_t align;     // of an element, in bytes
};

// Texts of I1, I2 ..., ended by NULL.
extern const char *const vector_invariants[];

// Elements that are somebody else's: of a vector, until that is next changed.
struct slice {
  const void *first;  // NULL only if count is 0
  size_t count;
};

struct mutable_slice {
  void *first;  // NULL only if count is 0
  size_t count;
};

// A vector without elements, which are to be of `size` bytes, more than 0, and aligned to `align`,
// a power of two that divides `size`, as those of every C type do. Otherwise, or if the strategy
// has no such alignment, every call that would allocate says RESULT_NO_MEMORY. Allocates nothing.
void vector_init(struct vector *self, struct handle handle, size_t size, size_t align);

// VECTOR_INIT(&numbers, heap, int64_t);
#define VECTOR_INIT(vector, handle, type) vector_init(vector, handle, sizeof(type), _Alignof(type))

// The same with room for `capacity` elements, and no more. On failure *self is not touched, and
// owns nothing.
//   RESULT_NO_MEMORY
enum result vector_with_capacity(struct vector *self, struct handle handle, size_t size,
                                 size_t align, size_t capacity);

// Releases all, and leaves the vector as after init.
void vector_drop(struct vector *self);

// A vector of the same elements, over the same handle, with no more room than they need. `copy` is
// to be uninitialised, and is not touched on failure.
//   RESULT_NO_MEMORY
enum result vector_clone(const struct vector *self, struct vector *copy);

// ## Changing
//
// What is put in is copied from `from`, which may lie in the vector itself, all of it: what enters
// is what was there before the call. What is taken out is copied to `to`, unless that is NULL; it
// may not lie in the vector.

// Puts one element at the end: vector_push(&numbers, &(int64_t){17}).
//   RESULT_NO_MEMORY
enum result vector_push(struct vector *self, const void *from);

// Puts `count` elements at the end, all or none. `from` may be NULL if count is 0.
//   RESULT_NO_MEMORY
enum result vector_push_slice(struct vector *self, const void *from, size_t count);

// Puts one element, or `count`, before the one at `index`, or at the end if `index` is the count.
//   RESULT_OUT_OF_BOUNDS
//   RESULT_NO_MEMORY
enum result vector_insert(struct vector *self, size_t index, const void *from);
enum result vector_insert_slice(struct vector *self, size_t index, const void *from, size_t count);

// Takes the last element out. The room stays.
//   RESULT_NOT_FOUND  the vector is empty
enum result vector_pop(struct vector *self, void *to);

// Takes the element at `index` out, and closes the gap. The room stays.
//   RESULT_OUT_OF_BOUNDS
enum result vector_remove(struct vector *self, size_t index, void *to);

// Takes all elements out. The room stays.
void vector_clear(struct vector *self);

// Room for `more` elements than there are, so that to put them in allocates nothing. Grows as a
// push does, so that a loop of these is as cheap.
//   RESULT_NO_MEMORY
enum result vector_reserve(struct vector *self, size_t more);

// Gives back room that is not needed: all but `count`. A strategy that does not resize needs room
// for both blocks meanwhile; of one that does not release either, nothing is to be had, and nothing
// happens. Without elements, the block goes if the strategy releases, and stays otherwise.
//   RESULT_NO_MEMORY
enum result vector_shrink(struct vector *self);

// ## Looking

// The element at `index`, or NULL if there is none.
const void *vector_get(const struct vector *self, size_t index);
void *vector_get_mutable(struct vector *self, size_t index);

// The elements from index `from` up to `to`, without that one.
//   RESULT_OUT_OF_BOUNDS  from <= to <= count does not hold; *slice is not touched
enum result vector_slice(const struct vector *self, size_t from, size_t to, struct slice *slice);
enum result vector_slice_mutable(struct vector *self, size_t from, size_t to,
                                 struct mutable_slice *slice);

// VECTOR_EACH(int64_t, number, &numbers) sum += *number; nothing may come or go meanwhile.
#define VECTOR_EACH(type, name, vector)                                                            \
  for (type *name = (vector)->elements, *name##_end = name ? name + (vector)->count : name;        \
       name != name##_end; name++)

// The first invariant that does not hold. O(1).
struct broken_invariant vector_check(const struct vector *self);

#endif
