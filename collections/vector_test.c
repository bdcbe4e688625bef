// The vector where its edges are: how it grows, slices of itself, refusals at every request, sizes
// that overflow, alignments; and over real strategies.
#include "collections/vector.h"

#include "allocators/registry.h"
#include "allocators/source.h"
#include "collections/rig.h"

static struct allocator heap;

static void fill(struct vector *v, int32_t count) {
  for (int32_t i = 0; i < count; i++) CHECK(vector_push(v, &i) == RESULT_OK);
}

static void check_values(const struct vector *v, const int32_t *wanted, size_t count) {
  CHECK(vector_check(v).number == 0);
  CHECK(v->count == count);
  for (size_t i = 0; i < count; i++) CHECK(*(const int32_t *)vector_get(v, i) == wanted[i]);
}

#define CHECK_VALUES(vector, ...)                                                                  \
  check_values(vector, (const int32_t[]){__VA_ARGS__},                                             \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static struct vector fresh(void) {
  rig_init(&heap);
  struct vector v;
  VECTOR_INIT(&v, rig_handle(&heap), int32_t);
  CHECK(heap.requests == 0 && vector_check(&v).number == 0);
  return v;
}

static void done(struct vector *v) {
  CHECK(vector_check(v).number == 0);
  vector_drop(v);
  CHECK(heap.live == 0 && v->count == 0 && v->capacity == 0 && vector_check(v).number == 0);
  vector_drop(v);
}

static void test_life(void) {
  struct vector v = fresh();
  int32_t got = 0;
  CHECK(vector_pop(&v, &got) == RESULT_NOT_FOUND && vector_get(&v, 0) == NULL);
  fill(&v, 5);
  CHECK(vector_insert(&v, 0, &(int32_t){10}) == RESULT_OK);
  CHECK(vector_insert(&v, 6, &(int32_t){11}) == RESULT_OK);
  CHECK(vector_insert(&v, 3, &(int32_t){12}) == RESULT_OK);
  CHECK_VALUES(&v, 10, 0, 1, 12, 2, 3, 4, 11);
  CHECK(vector_insert(&v, 9, &(int32_t){13}) == RESULT_OUT_OF_BOUNDS);
  CHECK(vector_remove(&v, 8, &got) == RESULT_OUT_OF_BOUNDS && got == 0);
  CHECK(vector_remove(&v, 3, &got) == RESULT_OK && got == 12);
  CHECK(vector_remove(&v, 0, NULL) == RESULT_OK);
  CHECK(vector_pop(&v, &got) == RESULT_OK && got == 11);
  CHECK(vector_pop(&v, NULL) == RESULT_OK);
  CHECK_VALUES(&v, 0, 1, 2, 3);
  CHECK(vector_get(&v, 3) != NULL && vector_get(&v, 4) == NULL && vector_get(&v, SIZE_MAX) == NULL);
  *(int32_t *)vector_get_mutable(&v, 1) = 21;
  CHECK(vector_get_mutable(&v, 4) == NULL);
  CHECK(vector_push_slice(&v, (int32_t[]){5, 6, 7}, 3) == RESULT_OK);
  CHECK(vector_push_slice(&v, NULL, 0) == RESULT_OK);
  CHECK_VALUES(&v, 0, 21, 2, 3, 5, 6, 7);
  int64_t sum = 0;
  VECTOR_EACH(const int32_t, value, &v) sum += *value;
  CHECK(sum == 44);
  size_t capacity = v.capacity;
  vector_clear(&v);
  CHECK(v.count == 0 && v.capacity == capacity && heap.live == 1);
  VECTOR_EACH(const int32_t, value, &v) CHECK(value == NULL);
  done(&v);
  VECTOR_EACH(const int32_t, value, &v) CHECK(value == NULL);
}

static void test_slices(void) {
  struct vector v = fresh();
  struct slice slice = {&v, 99};
  struct mutable_slice mutable_slice = {&v, 99};
  CHECK(vector_slice(&v, 0, 0, &slice) == RESULT_OK && slice.count == 0);
  fill(&v, 6);
  CHECK(vector_slice(&v, 2, 5, &slice) == RESULT_OK);
  CHECK(slice.count == 3 && slice.first == vector_get(&v, 2));
  CHECK(vector_slice_mutable(&v, 6, 6, &mutable_slice) == RESULT_OK && mutable_slice.count == 0);
  CHECK(vector_slice_mutable(&v, 0, 6, &mutable_slice) == RESULT_OK && mutable_slice.count == 6);
  ((int32_t *)mutable_slice.first)[5] = 50;
  CHECK_VALUES(&v, 0, 1, 2, 3, 4, 50);
  const size_t bad[][2] = {{0, 7}, {3, 2}, {7, 7}, {SIZE_MAX, 0}, {0, SIZE_MAX}, {6, 5}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK(vector_slice(&v, bad[i][0], bad[i][1], &slice) == RESULT_OUT_OF_BOUNDS);
    CHECK(vector_slice_mutable(&v, bad[i][0], bad[i][1], &mutable_slice) == RESULT_OUT_OF_BOUNDS);
  }
  CHECK(slice.count == 3 && mutable_slice.count == 6);
  done(&v);
}

// Every slice of itself, at every place, with room for it and without.
static void test_slices_of_itself(void) {
  enum { COUNT = 6 };
  for (size_t spare = 0; spare <= COUNT; spare += COUNT)
    for (size_t from = 0; from < COUNT; from++)
      for (size_t to = from; to <= COUNT; to++)
        for (size_t at = 0; at <= COUNT; at++) {
          struct vector v = fresh();
          CHECK(vector_with_capacity(&v, v.handle, v.size, v.align, COUNT + spare) == RESULT_OK);
          fill(&v, COUNT);
          int32_t wanted[2 * COUNT];
          size_t n = 0;
          for (size_t i = 0; i < at; i++) wanted[n++] = (int32_t)i;
          for (size_t i = from; i < to; i++) wanted[n++] = (int32_t)i;
          for (size_t i = at; i < COUNT; i++) wanted[n++] = (int32_t)i;
          CHECK(vector_insert_slice(&v, at, vector_get(&v, from), to - from) == RESULT_OK);
          check_values(&v, wanted, n);
          done(&v);
        }
  struct vector v = fresh();
  fill(&v, 4);
  CHECK(v.capacity == 4);
  CHECK(vector_push(&v, vector_get(&v, 2)) == RESULT_OK);
  CHECK(vector_push_slice(&v, v.elements, v.count) == RESULT_OK);
  CHECK(vector_insert(&v, 1, vector_get(&v, 3)) == RESULT_OK);
  CHECK_VALUES(&v, 0, 3, 1, 2, 3, 2, 0, 1, 2, 3, 2);
  done(&v);
}

// Capacities by the stated factor; what is copied stays within the stated bound.
static void test_growth(void) {
  struct vector v = fresh();
  const size_t capacities[] = {4, 6, 9, 13, 19, 28, 42, 63, 94, 141};
  size_t copies = 0;
  for (size_t i = 0, grown = 0; i < 141; i++) {
    if (v.count == v.capacity) copies += v.count, grown++;
    CHECK(vector_push(&v, &(int32_t){(int32_t)i}) == RESULT_OK);
    CHECK(v.capacity == capacities[grown - 1] && heap.requests == grown);
  }
  CHECK(copies <= 2 * 141);
  CHECK(vector_push_slice(&v, (int32_t[20]){0}, 20) == RESULT_OK && v.capacity == 211);
  CHECK(vector_reserve(&v, 1000) == RESULT_OK && v.capacity == v.count + 1000);
  size_t requests = heap.requests, capacity = v.capacity;
  while (v.count < capacity) CHECK(vector_push(&v, &(int32_t){1}) == RESULT_OK);
  CHECK(vector_reserve(&v, 0) == RESULT_OK && heap.requests == requests);
  CHECK(vector_reserve(&v, 1) == RESULT_OK && v.capacity == capacity + capacity / 2);
  while (v.count > 3) CHECK(vector_pop(&v, NULL) == RESULT_OK);
  CHECK(vector_shrink(&v) == RESULT_OK && v.capacity == 3);
  requests = heap.requests;
  CHECK(vector_shrink(&v) == RESULT_OK && heap.requests == requests);
  CHECK_VALUES(&v, 0, 1, 2);
  vector_clear(&v);
  CHECK(vector_shrink(&v) == RESULT_OK && v.capacity == 0 && heap.live == 0);
  done(&v);
}

static void test_clone(void) {
  struct vector v = fresh(), copy;
  CHECK(vector_clone(&v, &copy) == RESULT_OK && copy.capacity == 0);
  fill(&v, 5);
  CHECK(vector_clone(&v, &copy) == RESULT_OK && copy.capacity == 5);
  *(int32_t *)vector_get_mutable(&v, 0) = 9;
  CHECK(vector_pop(&v, NULL) == RESULT_OK);
  CHECK_VALUES(&copy, 0, 1, 2, 3, 4);
  CHECK_VALUES(&v, 9, 1, 2, 3);
  vector_drop(&copy);
  done(&v);
}

// Calls that allocate, on a vector that is full, but for the last one.
enum { PUSH, PUSH_SLICE, INSERT, INSERT_SLICE, RESERVE, WITH_CAPACITY, CLONE, SHRINK, CALLS };

static enum result call(unsigned which, struct vector *v, struct vector *other) {
  switch (which) {
  case PUSH:
    return vector_push(v, vector_get(v, 1));
  case PUSH_SLICE:
    return vector_push_slice(v, v->elements, v->count);
  case INSERT:
    return vector_insert(v, 2, vector_get(v, 4));
  case INSERT_SLICE:
    return vector_insert_slice(v, 0, (int32_t[]){7, 8}, 2);
  case RESERVE:
    return vector_reserve(v, 2);
  case WITH_CAPACITY:
    return vector_with_capacity(other, v->handle, v->size, v->align, 3);
  case CLONE:
    return vector_clone(v, other);
  default:
    return vector_shrink(v);
  }
}

// The nth request of a call is refused, and all after it if `all`. True if there was such a one.
static bool refuse_one(unsigned which, size_t nth, bool all) {
  struct vector v = fresh(), other, untouched;
  memset(&other, 0x5A, sizeof other);
  memcpy(&untouched, &other, sizeof other);
  CHECK(vector_with_capacity(&v, v.handle, v.size, v.align, 6) == RESULT_OK);
  fill(&v, which == SHRINK ? 5 : 6);
  const struct vector before = v;
  rig_refuse(&heap, nth, all);
  enum result result = call(which, &v, &other);
  bool was_refused = heap.requests > nth;
  rig_refuse(&heap, SIZE_MAX, false);
  // Where room for half as much again is refused, no more than is needed is asked for.
  bool asks_again = which == PUSH || which == INSERT || which == INSERT_SLICE || which == RESERVE;
  bool fails = was_refused && (all || nth > 0 || !asks_again);
  CHECK(result == (fails ? RESULT_NO_MEMORY : RESULT_OK));
  if (fails) {
    CHECK(memcmp(&v, &before, sizeof v) == 0 && memcmp(&other, &untouched, sizeof other) == 0);
    check_values(&v, (int32_t[]){0, 1, 2, 3, 4, 5}, before.count);
    CHECK(heap.live == 1 && call(which, &v, &other) == RESULT_OK);
  }
  if (which == WITH_CAPACITY || which == CLONE) vector_drop(&other);
  done(&v);
  return was_refused;
}

static void test_refusals(void) {
  for (unsigned which = 0; which < CALLS; which++)
    for (unsigned all = 0; all < 2; all++) {
      size_t nth = 0;
      while (refuse_one(which, nth, all)) nth++;
      CHECK(nth > 0);
    }
}

// Counts and sizes whose product or sum is more than a size_t or a pointer difference.
static void test_overflow(void) {
  struct vector v = fresh(), other;
  fill(&v, 3);
  const size_t most = PTRDIFF_MAX / sizeof(int32_t);
  const size_t counts[] = {SIZE_MAX,         SIZE_MAX - 2, SIZE_MAX - 3, SIZE_MAX / 2,
                           SIZE_MAX / 4 + 1, most,         most - 2};
  size_t requests = heap.requests;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    CHECK(vector_reserve(&v, counts[i]) == RESULT_NO_MEMORY);
    CHECK(vector_push_slice(&v, v.elements, counts[i]) == RESULT_NO_MEMORY);
    CHECK(vector_insert_slice(&v, 1, v.elements, counts[i]) == RESULT_NO_MEMORY);
    if (counts[i] <= most) continue;
    CHECK(vector_with_capacity(&other, v.handle, 4, 4, counts[i]) == RESULT_NO_MEMORY);
  }
  CHECK(heap.requests == requests);
  CHECK_VALUES(&v, 0, 1, 2);
  done(&v);
  // Layouts that no array has are refused, whatever is asked.
  const size_t layouts[][2] = {{0, 1}, {4, 0}, {12, 3}, {6, 4}, {4, 8}, {SIZE_MAX, 1}};
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    vector_init(&v, rig_handle(&heap), layouts[i][0], layouts[i][1]);
    CHECK(vector_push(&v, "") == RESULT_NO_MEMORY && vector_reserve(&v, 1) == RESULT_NO_MEMORY);
    CHECK(vector_reserve(&v, 0) == RESULT_OK);
    CHECK(vector_with_capacity(&v, v.handle, v.size, v.align, 1) == RESULT_NO_MEMORY);
    done(&v);
  }
}

// Elements of many sizes and alignments, as arrays have them.
static void test_layouts(void) {
  for (size_t align = 1; align <= 4096; align *= 2)
    for (size_t size = align; size <= 3 * align; size += align) {
      struct vector v = fresh();
      vector_init(&v, rig_handle(&heap), size, align);
      unsigned char element[3 * 4096], got[3 * 4096];
      for (unsigned i = 0; i < 9; i++) {
        memset(element, (int)i + 1, size);
        CHECK(vector_insert(&v, i / 2, element) == RESULT_OK && vector_check(&v).number == 0);
        CHECK((uintptr_t)vector_get(&v, i) % align == 0);
      }
      const unsigned char wanted[] = {2, 4, 6, 8, 9, 7, 5, 3, 1};
      for (unsigned i = 0; i < 9; i++) {
        memset(element, wanted[i], size);
        CHECK(vector_remove(&v, 0, got) == RESULT_OK && memcmp(got, element, size) == 0);
      }
      done(&v);
    }
}

// Damage to any field is named by its invariant.
static void test_check(void) {
  for (unsigned broken = 1; broken <= 6; broken++) {
    struct vector v = fresh();
    fill(&v, 3);
    const struct vector sound = v;
    switch (broken) {
    case 1:
      v.elements = NULL;
      break;
    case 2:
      v.count = v.capacity + 1;
      break;
    case 3:
      v.capacity = PTRDIFF_MAX / sizeof(int32_t) + 1;
      break;
    case 4:
      v.elements = (char *)v.elements + 2;
      break;
    case 5:
      v.align = 3;
      break;
    default:
      v.capacity = 0;
      break;
    }
    struct broken_invariant found = vector_check(&v);
    const unsigned numbers[] = {1, 2, 3, 4, 4, 1};
    CHECK(found.number == numbers[broken - 1] && found.where == v.elements);
    CHECK(vector_invariants[found.number - 1] != NULL && vector_invariants[4] == NULL);
    v = sound;
    done(&v);
  }
}

// Over every strategy that needs no file, until its heap is full: nothing is lost then, all can be
// read, and room can be had again by drop where the strategy releases.
static void test_strategies(void) {
  unsigned tried = 0;
  for (const struct registry_entry *entry = registry; entry->strategy != NULL; entry++) {
    const struct strategy *s = entry->strategy;
    if (s->create == NULL || s->needs & SOURCE_PERSISTS) continue;
    struct source_pages pages;
    struct source_limit limit;
    CHECK(source_pages_init(&pages, 0));
    source_limit_init(&limit, &pages.base, (size_t)1 << 20);
    const struct strategy_options options = {.heap_size = (size_t)1 << 19};
    struct allocator *self = s->create(&limit.base, &options);
    CHECK(self != NULL);
    struct vector v, copy;
    VECTOR_INIT(&v, ((struct handle){s, self}), uint32_t);
    uint32_t count = 0;
    // An adapter's heap may have no end.
    while (count < 1 << 18 && vector_push(&v, &count) == RESULT_OK) count++;
    CHECK(count > 20000 && v.count == count && vector_check(&v).number == 0);
    uint32_t next = 0;
    VECTOR_EACH(const uint32_t, value, &v) CHECK(*value == next++);
    CHECK(next == count);
    if (vector_clone(&v, &copy) == RESULT_OK) vector_drop(&copy);
    enum result shrunk = vector_shrink(&v);
    CHECK(shrunk == RESULT_OK || shrunk == RESULT_NO_MEMORY);
    CHECK(*(const uint32_t *)vector_get(&v, count - 1) == count - 1);
    vector_drop(&v);
    if (s->traits & STRATEGY_RELEASES) CHECK(vector_reserve(&v, 1000) == RESULT_OK);
    vector_drop(&v);
    s->destroy(self);
    tried++;
  }
  CHECK(tried > 10);
}

int main(void) {
  test_life();
  test_slices();
  test_slices_of_itself();
  test_growth();
  test_clone();
  test_refusals();
  test_overflow();
  test_layouts();
  test_check();
  test_strategies();
  return 0;
}
