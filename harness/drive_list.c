// The list against its model: an array of what each element holds, and where it lies.
#include <string.h>

#include "collections/list.h"
#include "harness/collection.h"
#include "harness/payload.h"

enum {
  PUSH_BACK,
  PUSH_FRONT,
  INSERT_BEFORE,
  INSERT_AFTER,
  INSERT_OWN,
  POP_BACK,
  POP_FRONT,
  REMOVE,
  FILTER,
  SPLICE,
  REVERSE,
  SORT,
  CLONE,
  DROP,
  RESTART,
};

static const struct collection_verb verbs[] = {
    [PUSH_BACK] = {"push_back", COLLECTION_VALUE | COLLECTION_COUNT},
    [PUSH_FRONT] = {"push_front", COLLECTION_VALUE | COLLECTION_COUNT},
    [INSERT_BEFORE] = {"insert_before", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [INSERT_AFTER] = {"insert_after", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [INSERT_OWN] = {"insert_own", COLLECTION_VALUE | COLLECTION_SMALL},
    [POP_BACK] = {"pop_back", COLLECTION_COUNT | COLLECTION_SMALL},
    [POP_FRONT] = {"pop_front", COLLECTION_COUNT | COLLECTION_SMALL},
    [REMOVE] = {"remove", COLLECTION_COUNT | COLLECTION_SMALL},
    [FILTER] = {"filter", COLLECTION_VALUE},
    [SPLICE] = {"splice",
                COLLECTION_OTHER | COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [REVERSE] = {"reverse", 0},
    [SORT] = {"sort", COLLECTION_VALUE},
    [CLONE] = {"clone", COLLECTION_OTHER},
    [DROP] = {"drop", 0},
    [RESTART] = {"restart", COLLECTION_SMALL},
};

// Sizes and alignments of elements: the first one at first, any of them after `restart`. The last
// ones are none.
static const struct layout {
  size_t size, align;
} layouts[] = {
    {4, 4}, {0, 1},   {1, 1},   {3, 2},        {8, 8},        {16, 16},
    {8, 1}, {64, 64}, {24, 32}, {SIZE_MAX, 1}, {SIZE_MAX, 8}, {8, 24},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, IMPOSSIBLE = 3, MOST_SIZE = 64, MOST = 128 };

struct element {
  uint64_t key;  // of its bytes
  void *place;   // where it lies, as long as it lives
};

struct instance {
  struct list list;
  unsigned layout;
  struct element model[MOST];
  size_t count;
};

// ## The model

static void model_insert(struct instance *self, size_t index, struct element element) {
  memmove(self->model + index + 1, self->model + index, (self->count - index) * sizeof element);
  self->model[index] = element;
  self->count++;
}

static void model_remove(struct instance *self, size_t index) {
  self->count--;
  memmove(self->model + index, self->model + index + 1,
          (self->count - index) * sizeof *self->model);
}

// Where the element lies that has the index; past all of them is the end.
static void *place_of(const struct instance *self, size_t index) {
  return index < self->count ? self->model[index].place : NULL;
}

static bool holds(const struct instance *self, const void *place, uint64_t key) {
  unsigned char bytes[MOST_SIZE];
  payload_write(bytes, 0, self->list.size, key);
  return memcmp(place, bytes, self->list.size) == 0;
}

static void check(struct collection_run *run, const struct instance *self) {
  collection_broken(run, list_check(&self->list));
}

static void verify(struct collection_run *run, void *instance) {
  const struct instance *self = instance;
  check(run, self);
  size_t count = list_count(&self->list);
  collection_expect(run, count == self->count, "there are %zu elements, the model has %zu", count,
                    self->count);
  const void *place = list_first(&self->list);
  for (size_t i = 0; i < self->count; i++) {
    collection_expect(run, place == place_of(self, i), "element %zu is at %p, not at %p", i, place,
                      place_of(self, i));
    collection_expect(run, holds(self, place, self->model[i].key), "element %zu is not the model's",
                      i);
    place = list_next(&self->list, place);
  }
  collection_expect(run, !place, "behind the last element there is %p", place);
  place = list_last(&self->list);
  for (size_t i = self->count; i-- > 0; place = list_previous(&self->list, place))
    collection_expect(run, place == place_of(self, i), "backwards, element %zu is at %p, not at %p",
                      i, place, place_of(self, i));
  collection_expect(run, !place, "before the first element there is %p", place);
}

// ## To add

static enum result insert(struct instance *self, unsigned verb, size_t index, const void *from) {
  void *place = place_of(self, index);
  switch (verb) {
  case PUSH_BACK:
    return list_push_back(&self->list, from);
  case PUSH_FRONT:
    return list_push_front(&self->list, from);
  case INSERT_AFTER:
    return list_insert_after(&self->list, place, from);
  default:
    return list_insert_before(&self->list, place, from);
  }
}

// Where a new element comes to be, of those whose verb names `index`.
static size_t new_index(const struct instance *self, unsigned verb, size_t index) {
  if (verb == PUSH_BACK) return self->count;
  if (verb == PUSH_FRONT) return 0;
  if (verb == INSERT_AFTER) return index < self->count ? index + 1 : 0;
  return index;
}

// Puts in an element with the key; its bytes are at `from`, or made here if that is NULL: after it
// is there, if the key is so large that its highest bit is set. False: it could not be had.
static bool add(struct collection_run *run, struct instance *self, unsigned verb, size_t index,
                uint64_t key, const void *from) {
  if (self->count == MOST) return false;
  unsigned char bytes[MOST_SIZE];
  const struct list before = self->list;
  bool impossible = self->layout >= LAYOUTS - IMPOSSIBLE;
  // Of an element that cannot be there are no bytes to copy from.
  bool bare = !from && !impossible && key >> 63;
  if (!from && !impossible) {
    payload_write(bytes, 0, before.size, key);
    if (!bare) from = bytes;
  }
  enum result result = insert(self, verb, index, from);
  if (result != RESULT_OK) {
    collection_expect(run, result == RESULT_NO_MEMORY, "the result is %d", (int)result);
    if (!impossible) collection_refused(run);
    collection_expect(run, memcmp(&self->list, &before, sizeof before) == 0,
                      "a refused call has changed the list itself");
    return false;
  }
  collection_expect(run, !impossible, "there is an element of a size that cannot be");
  size_t at = new_index(self, verb, index);
  void *right = place_of(self, at);
  void *place = right ? list_previous(&self->list, right) : list_last(&self->list);
  collection_expect(run, place != NULL && ((uintptr_t)place & (before.align - 1)) == 0,
                    "the new element is at %p, to be aligned to %zu", place, before.align);
  if (bare) memcpy(place, bytes, before.size);
  model_insert(self, at, (struct element){key, place});
  return true;
}

static void add_all(struct collection_run *run, struct instance *self, unsigned verb,
                    const struct collection_arguments *arguments) {
  size_t index = arguments->small % (self->count + 1);
  for (unsigned i = 0; i < arguments->count; i++)
    if (!add(run, self, verb, index, arguments->value + i, NULL)) break;
  check(run, self);
}

// An element like one that is there.
static void add_own(struct collection_run *run, struct instance *self,
                    const struct collection_arguments *arguments) {
  if (self->count == 0) return;
  struct element *own = &self->model[arguments->value % self->count];
  add(run, self, INSERT_BEFORE, arguments->small % (self->count + 1), own->key, own->place);
  check(run, self);
}

// ## To remove

static void pop(struct collection_run *run, struct instance *self, bool front, bool wanted) {
  unsigned char bytes[MOST_SIZE];
  void *to = wanted ? bytes : NULL;
  enum result result = front ? list_pop_front(&self->list, to) : list_pop_back(&self->list, to);
  enum result expected = self->count > 0 ? RESULT_OK : RESULT_NOT_FOUND;
  collection_expect(run, result == expected, "the result is %d, not %d", (int)result,
                    (int)expected);
  if (result != RESULT_OK) return;
  size_t index = front ? 0 : self->count - 1;
  collection_expect(run, !wanted || holds(self, bytes, self->model[index].key),
                    "what was taken is not element %zu of the model", index);
  model_remove(self, index);
  check(run, self);
}

static void remove_at(struct collection_run *run, struct instance *self, size_t index) {
  void *next = list_remove(&self->list, place_of(self, index));
  model_remove(self, index);
  collection_expect(run, next == place_of(self, index),
                    "behind the removed element %zu there is %p, not %p", index, next,
                    place_of(self, index));
  check(run, self);
}

static void remove_all(struct collection_run *run, struct instance *self,
                       const struct collection_arguments *arguments) {
  for (unsigned i = 0; i < arguments->count && self->count > 0; i++)
    remove_at(run, self, arguments->small % self->count);
}

// Removes, in a loop, every element that a bit of the pattern stands for.
static void filter(struct collection_run *run, struct instance *self, uint64_t pattern) {
  size_t index = 0, met = 0, all = self->count;
  for (void *place = list_first(&self->list); place && met < all; met++) {
    collection_expect(run, place == place_of(self, index), "at %zu there is %p, not %p", index,
                      place, place_of(self, index));
    if (pattern >> met % 64 & 1) {
      place = list_remove(&self->list, place);
      model_remove(self, index);
      check(run, self);
    } else {
      place = list_next(&self->list, place);
      index++;
    }
  }
  collection_expect(run, met == all, "the loop met %zu elements of %zu", met, all);
}

// ## To arrange

// Moves `count` elements of the other list from `from` on to before `index`. At times the range is
// said the wrong way round.
static void splice(struct collection_run *run, struct instance *self, struct instance *other,
                   size_t index, uint64_t value, size_t count) {
  if (other->count == 0) return;
  size_t from = (size_t)(value % other->count);
  if (count > other->count - from) count = other->count - from;
  bool foreign = layouts[self->layout].size != layouts[other->layout].size ||
                 layouts[self->layout].align != layouts[other->layout].align;
  bool reversed = count > 1 && value >> 32 & 1;
  bool inside = self == other && index >= from && index < from + count;
  if (self != other && self->count + count > MOST) return;
  void *first = place_of(other, from), *last = place_of(other, from + count - 1);
  if (value >> 33 & 1) {
    struct list elsewhere = other->list;  // the same, as if it had another allocator
    elsewhere.handle.allocator = (struct allocator *)(void *)run;
    enum result refused = list_splice(&self->list, place_of(self, index), &elsewhere, first, last);
    collection_expect(run, refused == RESULT_FOREIGN, "the result is %d for another allocator's",
                      (int)refused);
  }
  enum result result = list_splice(&self->list, place_of(self, index), &other->list,
                                   reversed ? last : first, reversed ? first : last);
  enum result expected = foreign              ? RESULT_FOREIGN
                         : reversed || inside ? RESULT_OUT_OF_BOUNDS
                                              : RESULT_OK;
  collection_expect(run, result == expected, "the result is %d, not %d", (int)result,
                    (int)expected);
  check(run, self);
  check(run, other);
  if (expected != RESULT_OK) return;
  for (size_t i = 0; i < count; i++) {
    struct element element = other->model[from];
    model_remove(other, from);
    if (self != other) {
      model_insert(self, index + i, element);
    } else if (index <= from) {
      model_insert(self, index + i, element);
      from++;
    } else {
      model_insert(self, index - 1, element);
    }
  }
  verify(run, self);
  verify(run, other);
}

static void reverse(struct collection_run *run, struct instance *self) {
  list_reverse(&self->list);
  for (size_t i = 0; i < self->count / 2; i++) {
    struct element swapped = self->model[i];
    self->model[i] = self->model[self->count - 1 - i];
    self->model[self->count - 1 - i] = swapped;
  }
  verify(run, self);
}

// What an order compares: few bits of an element, so that many are equal.
struct order {
  size_t size;  // of elements
  unsigned mask;
  uint64_t whim;  // what is no order at all: the next answers, two bits each; 0: it is one
};

static int rank(const struct order *order, const unsigned char *bytes) {
  return (int)(order->size > 0 ? bytes[0] & order->mask : 0);
}

static int compare(void *context, const void *a, const void *b) {
  struct order *order = context;
  if (order->whim > 0) {
    order->whim = order->whim << 2 | order->whim >> 62;
    return (int)(order->whim & 3) - 1;
  }
  return rank(context, a) - rank(context, b);
}

// After a sort by what is no order: all elements are there still, wherever.
static void follow(struct collection_run *run, struct instance *self) {
  void *place = list_first(&self->list);
  for (size_t i = 0; i < self->count; i++, place = list_next(&self->list, place)) {
    size_t at = i;
    while (at < self->count && self->model[at].place != place) at++;
    collection_expect(run, place && at < self->count,
                      "element %zu is at %p after a sort, which is new or comes again", i, place);
    struct element swapped = self->model[i];
    self->model[i] = self->model[at];
    self->model[at] = swapped;
  }
}

// The model is sorted by insertion, which is stable.
static void sort(struct collection_run *run, struct instance *self, uint64_t value) {
  struct order order = {self->list.size, (unsigned)value & 0xff, value >> 8};
  list_sort(&self->list, compare, &order);
  check(run, self);
  if (order.whim > 0) {
    follow(run, self);
    verify(run, self);
    return;
  }
  for (size_t i = 1; i < self->count; i++) {
    struct element element = self->model[i];
    size_t j = i;
    for (; j > 0 && compare(&order, self->model[j - 1].place, element.place) > 0; j--)
      self->model[j] = self->model[j - 1];
    self->model[j] = element;
  }
  verify(run, self);
}

// ## Whole lists

static void drop(struct collection_run *run, struct instance *self) {
  list_drop(&self->list);
  self->count = 0;
  check(run, self);
}

// The other becomes a copy of this one, which may be the same.
static void clone(struct collection_run *run, struct instance *self, struct instance *other) {
  struct list copy, untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  copy = untouched;
  enum result result = list_clone(&self->list, &copy);
  if (result != RESULT_OK) {
    collection_expect(run, result == RESULT_NO_MEMORY, "the result is %d", (int)result);
    collection_refused(run);
    collection_expect(run, memcmp(&copy, &untouched, sizeof copy) == 0,
                      "a refused clone has touched the copy");
    return;
  }
  collection_broken(run, list_check(&copy));
  void *place = list_first(&copy);
  for (size_t i = 0; i < self->count; i++, place = list_next(&copy, place)) {
    struct element element = self->model[i];
    collection_expect(run, place && place != element.place,
                      "element %zu of the copy is at %p, that of the list at %p", i, place,
                      element.place);
    other->model[i] = (struct element){element.key, place};
  }
  list_drop(&other->list);
  other->list = copy;
  other->layout = self->layout;
  other->count = self->count;
  check(run, other);
}

static void restart(struct collection_run *run, struct instance *self, unsigned layout) {
  drop(run, self);
  self->layout = layout % LAYOUTS;
  list_init(&self->list, self->list.handle, layouts[self->layout].size,
            layouts[self->layout].align);
  check(run, self);
}

// ## The driver

static void create(struct collection_run *run, void *instance, struct handle handle) {
  (void)run;
  struct instance *self = instance;
  list_init(&self->list, handle, layouts[0].size, layouts[0].align);
}

static void apply(struct collection_run *run, void *instance, unsigned verb,
                  const struct collection_arguments *arguments) {
  struct instance *self = instance;
  switch (verb) {
  case PUSH_BACK:
  case PUSH_FRONT:
  case INSERT_BEFORE:
  case INSERT_AFTER:
    add_all(run, self, verb, arguments);
    break;
  case INSERT_OWN:
    add_own(run, self, arguments);
    break;
  case POP_BACK:
  case POP_FRONT:
    for (unsigned i = 0; i < arguments->count; i++)
      pop(run, self, verb == POP_FRONT, arguments->small % 2 == 0);
    break;
  case REMOVE:
    remove_all(run, self, arguments);
    break;
  case FILTER:
    filter(run, self, arguments->value);
    break;
  case SPLICE:
    splice(run, self, arguments->other, arguments->small % (self->count + 1), arguments->value,
           arguments->count);
    break;
  case REVERSE:
    reverse(run, self);
    break;
  case SORT:
    sort(run, self, arguments->value);
    break;
  case CLONE:
    clone(run, self, arguments->other);
    break;
  case DROP:
    drop(run, self);
    break;
  default:
    restart(run, self, arguments->small);
    break;
  }
}

static void destroy(struct collection_run *run, void *instance) {
  (void)run;
  struct instance *self = instance;
  list_drop(&self->list);
}

static size_t length(const void *instance) {
  const struct instance *self = instance;
  return list_count(&self->list);
}

static const struct collection_driver driver = {
    .oracle = &collection_oracle,
    .name = "list",
    .verbs = verbs,
    .verb_count = sizeof verbs / sizeof *verbs,
    .instance_size = sizeof(struct instance),
    .create = create,
    .apply = apply,
    .verify = verify,
    .destroy = destroy,
    .length = length,
};

COLLECTION_STRATEGY(list, "a doubly linked list that owns its elements", &driver, list_invariants);
