// The vector against its model: an array of the libc's, which is done plainly.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collections/vector.h"
#include "harness/collection.h"
#include "harness/payload.h"

enum {
  PUSH,
  PUSH_SLICE,
  PUSH_OWN,
  INSERT,
  INSERT_SLICE,
  INSERT_OWN,
  POP,
  REMOVE,
  GET,
  SLICE,
  RESERVE,
  SHRINK,
  CLONE,
  CLEAR,
  RESTART,
};

static const struct collection_verb verbs[] = {
    [PUSH] = {"push", COLLECTION_VALUE},
    [PUSH_SLICE] = {"push_slice", COLLECTION_VALUE | COLLECTION_COUNT},
    [PUSH_OWN] = {"push_own", COLLECTION_VALUE | COLLECTION_COUNT},
    [INSERT] = {"insert", COLLECTION_VALUE | COLLECTION_SMALL},
    [INSERT_SLICE] = {"insert_slice", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [INSERT_OWN] = {"insert_own", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [POP] = {"pop", COLLECTION_SMALL},
    [REMOVE] = {"remove", COLLECTION_VALUE | COLLECTION_SMALL},
    [GET] = {"get", COLLECTION_VALUE | COLLECTION_SMALL},
    [SLICE] = {"slice", COLLECTION_VALUE | COLLECTION_SMALL},
    [RESERVE] = {"reserve", COLLECTION_VALUE | COLLECTION_SMALL},
    [SHRINK] = {"shrink", 0},
    [CLONE] = {"clone", COLLECTION_OTHER},
    [CLEAR] = {"clear", 0},
    [RESTART] = {"restart", COLLECTION_VALUE | COLLECTION_SMALL},
};

// Sizes and alignments of elements: the first one at first, any of them after `restart`. The last
// ones cannot be.
static const struct layout {
  unsigned char size, align;
} layouts[] = {{4, 4},  {1, 1},   {3, 1}, {8, 8}, {12, 4}, {16, 16},
               {40, 8}, {64, 64}, {0, 1}, {6, 4}, {9, 3}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, IMPOSSIBLE = 3 };
enum { MOST_SIZE = 64, MOST_COUNT = 16 };

struct instance {
  struct vector vector;
  unsigned char *bytes;  // the model: all elements, in a block of just that size
  size_t count;
  bool impossible;  // elements of its layout cannot be had
};

// The model with `more` elements from `from` put in at `index`.
static void model_insert(struct instance *self, size_t index, const unsigned char *from,
                         size_t more) {
  size_t size = self->vector.size;
  unsigned char *bytes = malloc((self->count + more) * size + 1);
  if (bytes == NULL) {
    fprintf(stderr, "drive_vector.c: no memory for the model of a vector; give the machine more\n");
    exit(2);
  }
  if (index > 0) memcpy(bytes, self->bytes, index * size);
  memcpy(bytes + index * size, from, more * size);
  if (self->count > index)
    memcpy(bytes + (index + more) * size, self->bytes + index * size, (self->count - index) * size);
  free(self->bytes);
  self->bytes = bytes;
  self->count += more;
}

static void model_remove(struct instance *self, size_t index) {
  size_t size = self->vector.size;
  self->count--;
  for (size_t i = index * size; i < self->count * size; i++) self->bytes[i] = self->bytes[i + size];
}

static void check(struct collection_run *run, const struct instance *self) {
  collection_broken(run, vector_check(&self->vector));
}

// After a call that said `result`, when there was `before`: what was refused has changed nothing.
// True if the call did what it should.
static bool succeeded(struct collection_run *run, const struct instance *self,
                      const struct vector *before, enum result result) {
  if (result == RESULT_OK) return true;
  collection_expect(run, result == RESULT_NO_MEMORY, "the result is %d, RESULT_NO_MEMORY may be",
                    (int)result);
  if (!self->impossible) collection_refused(run);
  collection_expect(run, memcmp(&self->vector, before, sizeof *before) == 0,
                    "a refused call has changed the vector itself");
  return false;
}

// After a call that found or made room for `more` elements: what there was is used, and what there
// was not was asked for as the header says.
static void expect_growth(struct collection_run *run, const struct instance *self,
                          const struct vector *before, size_t more) {
  const struct vector *after = &self->vector;
  collection_expect(run, !self->impossible, "there is room for elements that cannot be");
  if (before->capacity - before->count >= more)
    collection_expect(run,
                      after->capacity == before->capacity && after->elements == before->elements,
                      "there was room for %zu elements and %zu were there, yet there is another "
                      "block now",
                      before->capacity, before->count);
  else if (collection_refusals(run) == 0)
    collection_expect(run, after->capacity >= before->capacity + before->capacity / 2,
                      "the capacity was %zu, and has grown to %zu only", before->capacity,
                      after->capacity);
}

// After a call that was refused: where more than what is needed was asked for first, what is needed
// was asked for as well.
static void expect_modesty(struct collection_run *run, const struct instance *self, size_t more) {
  size_t capacity = self->vector.capacity, ample = capacity + capacity / 2;
  if (ample < 4) ample = 4;
  collection_expect(run,
                    self->impossible || more >= ample || self->count + more >= ample ||
                        collection_refusals(run) >= 2,
                    "it gave up where room for %zu elements was refused, and needs %zu", ample,
                    self->count + more);
}

static void expect_out_of_bounds(struct collection_run *run, enum result result, size_t index,
                                 size_t count) {
  collection_expect(run, result == RESULT_OUT_OF_BOUNDS,
                    "the result is %d for index %zu of %zu elements, which is out of bounds",
                    (int)result, index, count);
}

// Puts in elements that are made of the key, or `own` ones of the vector from `key` on.
static void insert(struct collection_run *run, struct instance *self, unsigned verb, size_t index,
                   uint64_t key, size_t count, bool own) {
  const struct vector before = self->vector;
  // The model's copy of what is put in.
  unsigned char bytes[MOST_COUNT * MOST_SIZE];
  const void *from = bytes;
  if (own) {
    if (self->count == 0) return;
    size_t first = (size_t)(key % self->count);
    if (count > self->count - first) count = self->count - first;
    memcpy(bytes, self->bytes + first * before.size, count * before.size);
    from = vector_get(&self->vector, first);
  } else {
    payload_write(bytes, 0, count * before.size, key);
  }
  enum result result;
  if (verb == PUSH)
    result = vector_push(&self->vector, from);
  else if (verb == INSERT)
    result = vector_insert(&self->vector, index, from);
  else if (verb == PUSH_SLICE || verb == PUSH_OWN)
    result = vector_push_slice(&self->vector, from, count);
  else
    result = vector_insert_slice(&self->vector, index, from, count);
  if (index > self->count) {
    expect_out_of_bounds(run, result, index, self->count);
  } else if (succeeded(run, self, &before, result)) {
    expect_growth(run, self, &before, count);
    model_insert(self, index, bytes, count);
    check(run, self);
  } else {
    expect_modesty(run, self, count);
  }
}

// Takes the element at `index` out, or the last one if `pops`.
static void take(struct collection_run *run, struct instance *self, bool pops, size_t index,
                 bool wanted) {
  unsigned char got[MOST_SIZE];
  void *to = wanted ? got : NULL;
  const struct vector before = self->vector;
  enum result result =
      pops ? vector_pop(&self->vector, to) : vector_remove(&self->vector, index, to);
  if (pops && self->count == 0) {
    collection_expect(run, result == RESULT_NOT_FOUND, "the result is %d, the model is empty",
                      (int)result);
    return;
  }
  if (pops) index = self->count - 1;
  if (index >= self->count) {
    expect_out_of_bounds(run, result, index, self->count);
    return;
  }
  size_t size = self->vector.size;
  collection_expect(run, result == RESULT_OK, "the result is %d, the model has element %zu",
                    (int)result, index);
  collection_expect(run, !wanted || memcmp(got, self->bytes + index * size, size) == 0,
                    "what was taken is not element %zu of the model", index);
  model_remove(self, index);
  expect_growth(run, self, &before, 0);
  check(run, self);
}

// Reads the element at `index`, and writes it if `writes`.
static void get(struct collection_run *run, struct instance *self, size_t index, bool writes) {
  const void *element = vector_get(&self->vector, index);
  void *place = vector_get_mutable(&self->vector, index);
  collection_expect(run, (element != NULL) == (index < self->count) && element == place,
                    "element %zu is %s, the model has %zu elements", index,
                    element != place  ? "at two places"
                    : element != NULL ? "there"
                                      : "not there",
                    self->count);
  if (element == NULL) return;
  size_t size = self->vector.size;
  unsigned char *model = self->bytes + index * size;
  collection_expect(run, memcmp(element, model, size) == 0, "element %zu is not the model's",
                    index);
  if (!writes) return;
  payload_write(model, 0, size, index + self->count);
  memcpy(place, model, size);
}

// And puts nothing in, which comes from nowhere.
static void slice(struct collection_run *run, struct instance *self, size_t from, size_t to) {
  const struct vector before = self->vector;
  enum result none = vector_insert_slice(&self->vector, from, NULL, 0);
  collection_expect(run, none == (from <= self->count ? RESULT_OK : RESULT_OUT_OF_BOUNDS),
                    "the result is %d for no elements put in at %zu of %zu", (int)none, from,
                    self->count);
  collection_expect(run, memcmp(&self->vector, &before, sizeof before) == 0,
                    "no elements put in have changed the vector itself");
  const struct slice untouched = {run, 99};
  struct slice slice = untouched;
  struct mutable_slice mutable_slice = {run, 99};
  enum result result = vector_slice(&self->vector, from, to, &slice);
  enum result mutable_result = vector_slice_mutable(&self->vector, from, to, &mutable_slice);
  bool is_within = from <= to && to <= self->count;
  collection_expect(run, result == (is_within ? RESULT_OK : RESULT_OUT_OF_BOUNDS),
                    "the result is %d for the slice from %zu to %zu of %zu elements", (int)result,
                    from, to, self->count);
  collection_expect(run,
                    mutable_result == result && mutable_slice.first == slice.first &&
                        mutable_slice.count == slice.count,
                    "the mutable slice from %zu to %zu is not the other one", from, to);
  if (!is_within) {
    collection_expect(run, slice.first == untouched.first && slice.count == untouched.count,
                      "a slice out of bounds has a result");
    return;
  }
  size_t size = self->vector.size;
  collection_expect(run, slice.count == to - from, "the slice from %zu to %zu has %zu elements",
                    from, to, slice.count);
  collection_expect(
      run, from == to || memcmp(slice.first, self->bytes + from * size, (to - from) * size) == 0,
      "the slice from %zu to %zu is not the model's", from, to);
}

// A number of elements to have room for: one that the heap may have, or one whose bytes come to
// more than a size_t or a pointer difference can say.
static size_t pick_room(const struct instance *self, uint64_t value, unsigned small) {
  const size_t limits[] = {SIZE_MAX, PTRDIFF_MAX};
  if (small % 4 < 2) return collection_pick(value, 2 * self->count + 64);
  size_t size = self->vector.size > 0 ? self->vector.size : 1;
  return limits[small % 2] / size + (size_t)(value % 8);
}

static bool can_be_said(const struct instance *self, size_t count) {
  size_t bytes;
  if (self->impossible) return count == 0;
  return !__builtin_mul_overflow(count, self->vector.size, &bytes) && bytes <= PTRDIFF_MAX;
}

static void reserve(struct collection_run *run, struct instance *self, size_t more) {
  const struct vector before = self->vector;
  enum result result = vector_reserve(&self->vector, more);
  if (more > SIZE_MAX - self->count || !can_be_said(self, self->count + more)) {
    collection_expect(run, result == RESULT_NO_MEMORY,
                      "the result is %d for room that is more than a size can say", (int)result);
  } else if (succeeded(run, self, &before, result)) {
    if (more > 0) expect_growth(run, self, &before, more);
    collection_expect(run, self->vector.capacity - self->count >= more,
                      "the capacity is %zu after room for %zu more than %zu was had",
                      self->vector.capacity, more, self->count);
    check(run, self);
  } else {
    expect_modesty(run, self, more);
  }
}

static void shrink(struct collection_run *run, struct instance *self) {
  const struct vector before = self->vector;
  if (!succeeded(run, self, &before, vector_shrink(&self->vector))) return;
  unsigned traits = before.handle.strategy->traits;
  bool gives_back =
      traits & (self->count > 0 ? STRATEGY_RELEASES | STRATEGY_RESIZES : STRATEGY_RELEASES);
  size_t wanted = gives_back ? self->count : before.capacity;
  collection_expect(run, self->vector.capacity == wanted, "the capacity is %zu, not %zu",
                    self->vector.capacity, wanted);
  check(run, self);
}

// The other becomes a copy of this one, which may be the same.
static void clone(struct collection_run *run, struct instance *self, struct instance *other) {
  const struct vector before = self->vector;
  struct vector copy, untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  copy = untouched;
  if (!succeeded(run, self, &before, vector_clone(&self->vector, &copy))) {
    collection_expect(run, memcmp(&copy, &untouched, sizeof copy) == 0,
                      "a refused clone has touched the copy");
    return;
  }
  struct instance made = {.vector = copy, .impossible = self->impossible};
  if (self->count > 0) model_insert(&made, 0, self->bytes, self->count);
  vector_drop(&other->vector);
  free(other->bytes);
  *other = made;
  collection_expect(run, copy.capacity == self->count, "the copy has room for %zu, not for %zu",
                    copy.capacity, self->count);
  check(run, other);
}

// Drops all. What begins anew has elements of another layout, and room as with_capacity gives it.
static void restart(struct collection_run *run, struct instance *self, uint64_t value,
                    unsigned small) {
  // The impossible ones stand for the largest numbers.
  unsigned which = small / 4, first_of_last = 64 - IMPOSSIBLE;
  which = which < first_of_last ? which % (LAYOUTS - IMPOSSIBLE) : which - 64 + LAYOUTS;
  const struct layout *layout = &layouts[which];
  const struct handle handle = self->vector.handle;
  struct vector before;
  vector_init(&before, handle, self->vector.size, self->vector.align);
  vector_drop(&self->vector);
  collection_expect(run, memcmp(&self->vector, &before, sizeof before) == 0,
                    "after drop the vector is not as after init");
  free(self->bytes);
  self->bytes = NULL;
  self->count = 0;
  self->impossible = which >= LAYOUTS - IMPOSSIBLE;
  vector_init(&before, handle, layout->size, layout->align);
  self->vector = before;
  size_t capacity = pick_room(self, value, small);
  struct vector untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  self->vector = untouched;
  enum result result =
      vector_with_capacity(&self->vector, handle, layout->size, layout->align, capacity);
  if (result != RESULT_OK) {
    bool touched = memcmp(&self->vector, &untouched, sizeof untouched) != 0;
    self->vector = before;
    collection_expect(run, !touched, "what was refused has touched the vector to be made");
  }
  if (!can_be_said(self, capacity)) {
    collection_expect(run, result == RESULT_NO_MEMORY,
                      "the result is %d for room that is more than a size can say", (int)result);
  } else if (succeeded(run, self, &before, result)) {
    collection_expect(run, self->vector.capacity == capacity, "the capacity is %zu, not %zu",
                      self->vector.capacity, capacity);
    check(run, self);
  }
}

static void create(struct collection_run *run, void *instance, struct handle handle) {
  (void)run;
  struct instance *self = instance;
  vector_init(&self->vector, handle, layouts[0].size, layouts[0].align);
}

static void clear(struct collection_run *run, struct instance *self) {
  size_t capacity = self->vector.capacity;
  vector_clear(&self->vector);
  self->count = 0;
  collection_expect(run, self->vector.capacity == capacity, "the capacity was %zu, and is %zu",
                    capacity, self->vector.capacity);
  check(run, self);
}

static void apply(struct collection_run *run, void *instance, unsigned verb,
                  const struct collection_arguments *arguments) {
  struct instance *self = instance;
  unsigned count = arguments->count, small = arguments->small;
  uint64_t value = arguments->value;
  size_t index = collection_pick(value, self->count);
  switch (verb) {
  case PUSH:
    insert(run, self, verb, self->count, value, 1, false);
    break;
  case PUSH_SLICE:
    insert(run, self, verb, self->count, value, count, false);
    break;
  case PUSH_OWN:
    insert(run, self, verb, self->count, value, count, true);
    break;
  case INSERT:
    insert(run, self, verb, index, small, 1, false);
    break;
  case INSERT_SLICE:
    insert(run, self, verb, index, small, count, false);
    break;
  case INSERT_OWN:
    insert(run, self, verb, index, small, count, true);
    break;
  case POP:
    take(run, self, true, 0, small % 2 == 0);
    break;
  case REMOVE:
    take(run, self, false, index, small % 2 == 0);
    break;
  case GET:
    get(run, self, index, small % 2 == 0);
    break;
  case SLICE:
    slice(run, self, index, collection_pick(small, self->count));
    break;
  case RESERVE:
    reserve(run, self, pick_room(self, value, small));
    break;
  case SHRINK:
    shrink(run, self);
    break;
  case CLONE:
    clone(run, self, arguments->other);
    break;
  case CLEAR:
    clear(run, self);
    break;
  default:
    restart(run, self, value, small);
    break;
  }
}

static void verify(struct collection_run *run, void *instance) {
  const struct instance *self = instance;
  const struct vector *vector = &self->vector;
  check(run, self);
  collection_expect(run, vector->count == self->count, "there are %zu elements, the model has %zu",
                    vector->count, self->count);
  const unsigned char *model = self->bytes;
  for (size_t i = 0; i < self->count; i++, model += vector->size) {
    const void *element = vector_get(vector, i);
    if (element == NULL || memcmp(element, model, vector->size) != 0)
      collection_expect(run, false, "element %zu is not the model's", i);
  }
}

static void destroy(struct collection_run *run, void *instance) {
  (void)run;
  struct instance *self = instance;
  vector_drop(&self->vector);
  free(self->bytes);
  self->bytes = NULL;
}

static size_t length(const void *instance) { return ((const struct instance *)instance)->count; }

static const struct collection_driver driver = {
    .oracle = &collection_oracle,
    .name = "vector",
    .verbs = verbs,
    .verb_count = sizeof verbs / sizeof *verbs,
    .instance_size = sizeof(struct instance),
    .create = create,
    .apply = apply,
    .verify = verify,
    .destroy = destroy,
    .length = length,
};

COLLECTION_STRATEGY(vector, "elements of one size in one block, which grows by half", &driver,
                    vector_invariants);
