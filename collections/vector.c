// A vector in one block: the contract, and why it grows as it does, are vector.h's.
#include "collections/vector.h"

#include "allocators/arithmetic.h"
#include "allocators/memory.h"

// Of the first block: room for one element would be given up by the second push.
#define LEAST_CAPACITY 4

const char *const vector_invariants[] = {
    "elements is NULL if and only if capacity is 0",
    "count <= capacity",
    "capacity * size <= PTRDIFF_MAX",
    "align is a power of two, size a multiple of it, and so is the address of elements",
    NULL,
};

// The place of element `index`, or the end of the last one.
static unsigned char *place(const struct vector *self, size_t index) {
  return self->elements == NULL ? NULL : (unsigned char *)self->elements + index * self->size;
}

// The bytes of that many elements. False if they are more than one block can have.
static bool bytes_of(const struct vector *self, size_t count, size_t *bytes) {
  return multiply_sizes(count, self->size, bytes) && *bytes <= PTRDIFF_MAX;
}

static bool is_well_laid_out(const struct vector *self) {
  return is_power_of_two(self->align) && self->size > 0 && self->size % self->align == 0;
}

// Moves the elements to a block of exactly `capacity` elements, not 0 and not less than there are.
static enum result set_capacity(struct vector *self, size_t capacity) {
  size_t bytes;
  if (!is_well_laid_out(self) || !bytes_of(self, capacity, &bytes)) return RESULT_NO_MEMORY;
  void *elements =
      handle_resize(self->handle, self->elements, self->count * self->size, bytes, self->align);
  if (elements == NULL) return RESULT_NO_MEMORY;
  self->elements = elements;
  self->capacity = capacity;
  return RESULT_OK;
}

void vector_init(struct vector *self, struct handle handle, size_t size, size_t align) {
  *self = (struct vector){.handle = handle, .size = size, .align = align};
}

enum result vector_with_capacity(struct vector *self, struct handle handle, size_t size,
                                 size_t align, size_t capacity) {
  struct vector made;
  vector_init(&made, handle, size, align);
  enum result result = capacity == 0 ? RESULT_OK : set_capacity(&made, capacity);
  if (result == RESULT_OK) *self = made;
  return result;
}

void vector_drop(struct vector *self) {
  handle_release(self->handle, self->elements);
  vector_init(self, self->handle, self->size, self->align);
}

enum result vector_clone(const struct vector *self, struct vector *copy) {
  struct vector made;
  enum result result =
      vector_with_capacity(&made, self->handle, self->size, self->align, self->count);
  if (result == RESULT_OK) result = vector_push_slice(&made, self->elements, self->count);
  if (result == RESULT_OK) *copy = made;
  return result;
}

enum result vector_reserve(struct vector *self, size_t more) {
  size_t needed;
  if (!add_sizes(self->count, more, &needed)) return RESULT_NO_MEMORY;
  if (needed <= self->capacity) return RESULT_OK;
  // Cannot overflow: its bytes are at most PTRDIFF_MAX.
  size_t grown = self->capacity + self->capacity / 2;
  if (grown < LEAST_CAPACITY) grown = LEAST_CAPACITY;
  if (grown > needed && set_capacity(self, grown) == RESULT_OK) return RESULT_OK;
  return set_capacity(self, needed);
}

enum result vector_shrink(struct vector *self) {
  unsigned traits = self->handle.strategy->traits;
  if (self->count == self->capacity) return RESULT_OK;
  if (self->count > 0)
    return traits & (STRATEGY_RELEASES | STRATEGY_RESIZES) ? set_capacity(self, self->count)
                                                           : RESULT_OK;
  if (traits & STRATEGY_RELEASES) vector_drop(self);
  return RESULT_OK;
}

enum result vector_insert_slice(struct vector *self, size_t index, const void *from, size_t count) {
  if (index > self->count) return RESULT_OUT_OF_BOUNDS;
  if (count == 0) return RESULT_OK;
  size_t bytes;
  if (!bytes_of(self, count, &bytes)) return RESULT_NO_MEMORY;
  // What lies in the vector itself is found again by its offset: growing may move it.
  bool is_own = range_within(from, bytes, self->elements, self->count * self->size);
  size_t offset = is_own ? address_of(from) - address_of(self->elements) : 0;
  enum result result = vector_reserve(self, count);
  if (result != RESULT_OK) return result;

  unsigned char *gap = place(self, index);
  memmove(gap + bytes, gap, (self->count - index) * self->size);
  self->count += count;
  if (is_own) {
    // What of it was behind the gap has moved by the gap's width.
    size_t at = index * self->size, ahead = offset < at ? at - offset : 0;
    size_t before = ahead < bytes ? ahead : bytes;
    const unsigned char *own = (const unsigned char *)self->elements + offset;
    memcpy(gap, own, before);
    memcpy(gap + before, own + before + bytes, bytes - before);
  } else {
    memcpy(gap, from, bytes);
  }
  return RESULT_OK;
}

enum result vector_insert(struct vector *self, size_t index, const void *from) {
  return vector_insert_slice(self, index, from, 1);
}

enum result vector_push(struct vector *self, const void *from) {
  return vector_insert_slice(self, self->count, from, 1);
}

enum result vector_push_slice(struct vector *self, const void *from, size_t count) {
  return vector_insert_slice(self, self->count, from, count);
}

enum result vector_remove(struct vector *self, size_t index, void *to) {
  if (index >= self->count) return RESULT_OUT_OF_BOUNDS;
  unsigned char *gone = place(self, index);
  if (to != NULL) memcpy(to, gone, self->size);
  self->count--;
  memmove(gone, gone + self->size, (self->count - index) * self->size);
  return RESULT_OK;
}

enum result vector_pop(struct vector *self, void *to) {
  if (self->count == 0) return RESULT_NOT_FOUND;
  return vector_remove(self, self->count - 1, to);
}

void vector_clear(struct vector *self) { self->count = 0; }

const void *vector_get(const struct vector *self, size_t index) {
  return index < self->count ? place(self, index) : NULL;
}

void *vector_get_mutable(struct vector *self, size_t index) {
  return index < self->count ? place(self, index) : NULL;
}

enum result vector_slice_mutable(struct vector *self, size_t from, size_t to,
                                 struct mutable_slice *slice) {
  if (from > to || to > self->count) return RESULT_OUT_OF_BOUNDS;
  *slice = (struct mutable_slice){place(self, from), to - from};
  return RESULT_OK;
}

enum result vector_slice(const struct vector *self, size_t from, size_t to, struct slice *slice) {
  if (from > to || to > self->count) return RESULT_OUT_OF_BOUNDS;
  *slice = (struct slice){place(self, from), to - from};
  return RESULT_OK;
}

struct broken_invariant vector_check(const struct vector *self) {
  size_t bytes;
  unsigned broken = 0;
  if ((self->elements == NULL) != (self->capacity == 0))
    broken = 1;
  else if (self->count > self->capacity)
    broken = 2;
  else if (!bytes_of(self, self->capacity, &bytes))
    broken = 3;
  else if (self->capacity > 0 &&
           (!is_well_laid_out(self) || address_of(self->elements) % self->align != 0))
    broken = 4;
  return (struct broken_invariant){broken, broken == 0 ? NULL : self->elements};
}
