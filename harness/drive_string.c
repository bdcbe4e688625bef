// Strings against a model: the code points one by one, and no bytes. Where one begins, what a text
// looks like and what is no text the model works out from their numbers, with arithmetic of its
// own.
#include <stdlib.h>
#include <string.h>

#include "collections/string.h"
#include "harness/collection.h"

// Bytes that push_other makes at most: a string that is pushed to itself doubles each time.
#define LONGEST ((size_t)4 << 10)

enum { BACKWARDS = 224 };   // from here on, small means a range that ends before it begins
enum { MOST_POINTS = 16 };  // of a text that is given

struct instance {
  struct string string;
  // The model.
  uint32_t *points;
  size_t count;
  size_t size;  // bytes that they take
  // Texts that are given end where this block ends, so that sanitizers see who reads on.
  char *given;
  size_t given_size;
};

// ## The model

static size_t width_of(uint32_t point) {
  return 1 + (size_t)(point > 127) + (size_t)(point > 2047) + (size_t)(point > 65535);
}

static size_t width_of_all(const uint32_t *points, size_t count) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += width_of(points[i]);
  return size;
}

static bool is_scalar(uint32_t number) { return number < 0x110000 && number / 2048 != 27; }

// What a call must say of `offset`; the index of the code point that begins there is in *index.
static enum result find_offset(const struct instance *self, size_t offset, size_t *index) {
  if (offset > self->size) return RESULT_OUT_OF_BOUNDS;
  size_t start = 0, i = 0;
  for (; start < offset; i++) start += width_of(self->points[i]);
  if (start != offset) return RESULT_NO_BOUNDARY;
  *index = i;
  return RESULT_OK;
}

static enum result find_range(const struct instance *self, size_t from, size_t to, size_t *first,
                              size_t *last) {
  if (from > to || to > self->size) return RESULT_OUT_OF_BOUNDS;
  enum result result = find_offset(self, from, first);
  return result == RESULT_OK ? find_offset(self, to, last) : result;
}

// `points` may be the model's own, before what is put in.
static void model_insert(struct instance *self, size_t index, const uint32_t *points,
                         size_t count) {
  uint32_t *grown = malloc((self->count + count + 1) * sizeof *grown);
  if (self->count > 0) {
    memcpy(grown, self->points, index * sizeof *grown);
    memcpy(grown + index + count, self->points + index, (self->count - index) * sizeof *grown);
  }
  if (count > 0) memcpy(grown + index, points, count * sizeof *grown);
  self->size += width_of_all(grown + index, count);
  self->count += count;
  free(self->points);
  self->points = grown;
}

static void model_remove(struct instance *self, size_t first, size_t last) {
  if (first == last) return;
  self->size -= width_of_all(self->points + first, last - first);
  memmove(self->points + first, self->points + last, (self->count - last) * sizeof *self->points);
  self->count -= last - first;
}

static void encode(uint32_t point, char *to) {
  static const unsigned char marks[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
  size_t width = width_of(point);
  for (size_t i = width; i-- > 1; point /= 64) to[i] = (char)(0x80 + point % 64);
  to[0] = (char)(marks[width] + point);
}

static char *give(struct instance *self, size_t size) {
  free(self->given);
  self->given = malloc(size > 0 ? size : 1);
  self->given_size = size;
  return self->given;
}

static void give_points(struct instance *self, const uint32_t *points, size_t count) {
  char *to = give(self, width_of_all(points, count));
  for (size_t i = 0; i < count; to += width_of(points[i]), i++) encode(points[i], to);
}

// ## What a program's numbers mean

// Any code point that can be said; small numbers mean what they say.
static uint32_t scalar_of(uint64_t value) {
  uint32_t number = (uint32_t)(value % (0x110000 - 0x800));
  return number < 0xD800 ? number : number + 0x800;
}

// `count` consecutive ones from `value` on.
static void points_from(uint32_t points[MOST_POINTS], uint64_t value, size_t count) {
  for (size_t i = 0; i < count; i++) points[i] = scalar_of(value + i);
}

// ASCII is itself; the other half is spread over all that there is.
static uint64_t widen(unsigned small) {
  return small < 128 ? small : (uint64_t)(small - 128) * 8700;
}

// A code point or, seldom, a number that is none.
static uint32_t number_of(uint64_t value) {
  return value < 0x120000 || UINT64_MAX - value < 16 ? (uint32_t)value
                                                     : (uint32_t)(value % 0x120000);
}

// ## What calls say

static const char *name_of(enum result result) {
  static const char *const names[] = {
      [RESULT_OK] = "OK",
      [RESULT_NO_MEMORY] = "NO_MEMORY",
      [RESULT_OUT_OF_BOUNDS] = "OUT_OF_BOUNDS",
      [RESULT_NOT_FOUND] = "NOT_FOUND",
      [RESULT_NOT_UTF8] = "NOT_UTF8",
      [RESULT_NO_BOUNDARY] = "NO_BOUNDARY",
  };
  size_t index = (size_t)result;
  return index < sizeof names / sizeof *names && names[index] ? names[index] : "something else";
}

// Whether the call did what it was to do.
static bool said(struct collection_run *run, const char *call, enum result result,
                 enum result expected) {
  if (result == RESULT_NO_MEMORY && expected == RESULT_OK) {
    collection_refused(run);
    return false;
  }
  collection_expect(run, result == expected, "%s says %s, and it should be %s", call,
                    name_of(result), name_of(expected));
  return result == RESULT_OK;
}

// ## Verbs

enum verb {
  VERB_PUSH,
  VERB_PUSH_POINT,
  VERB_PUSH_OTHER,
  VERB_INSERT,
  VERB_INSERT_OWN,
  VERB_BAD,
  VERB_REMOVE,
  VERB_POP,
  VERB_SLICE,
  VERB_FIND,
  VERB_COMPARE,
  VERB_CLONE,
  VERB_RESERVE,
  VERB_SHRINK,
  VERB_CLEAR,
  VERBS
};

static const struct collection_verb verbs[VERBS] = {
    // `count` code points from `value` on
    [VERB_PUSH] = {"push", COLLECTION_VALUE | COLLECTION_COUNT},
    // the number `value`, which may be no code point
    [VERB_PUSH_POINT] = {"push_point", COLLECTION_VALUE},
    // all of another string, or of itself
    [VERB_PUSH_OTHER] = {"push_other", COLLECTION_OTHER},
    // at offset `value`; `count` code points from `small` on
    [VERB_INSERT] = {"insert", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    // at offset `value`; `count` of its own code points, from the one with index `small` on
    [VERB_INSERT_OWN] = {"insert_own", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    // bytes that are no text: ill-formed sequence `small` behind value % 64 letters, and before
    // count - 1; value / 64 says where they are to enter
    [VERB_BAD] = {"bad", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    // from offset `value`, `small` bytes
    [VERB_REMOVE] = {"remove", COLLECTION_VALUE | COLLECTION_SMALL},
    [VERB_POP] = {"pop", COLLECTION_SMALL},
    // as remove
    [VERB_SLICE] = {"slice", COLLECTION_VALUE | COLLECTION_SMALL},
    // from offset small / 2 on; if `small` is even `count` of its own code points from index
    // `value` on, else as push
    [VERB_FIND] = {"find", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [VERB_COMPARE] = {"compare", COLLECTION_OTHER},
    // into the other
    [VERB_CLONE] = {"clone", COLLECTION_OTHER},
    // `value` bytes
    [VERB_RESERVE] = {"reserve", COLLECTION_VALUE},
    [VERB_SHRINK] = {"shrink", 0},
    [VERB_CLEAR] = {"clear", 0},
};

// After a call that failed.
static void expect_unchanged(struct collection_run *run, const struct instance *self,
                             const struct string *before) {
  collection_expect(run, memcmp(&self->string, before, sizeof *before) == 0,
                    "a call that failed has changed the string itself");
}

// After a push that was refused, of texts that are right: where more than what is needed was asked
// for first, what is needed was asked for as well.
static void expect_modesty(struct collection_run *run, const struct instance *self, size_t added) {
  size_t capacity = self->string.capacity, ample = capacity + capacity / 2;
  if (ample < STRING_LEAST_CAPACITY) ample = STRING_LEAST_CAPACITY;
  collection_expect(run, self->size + added >= ample || collection_refusals(run) != 1,
                    "it gave up where %zu bytes were refused, and needs %zu", ample,
                    self->size + added);
}

// After a call that takes away.
static void expect_room(struct collection_run *run, const struct instance *self,
                        const struct string *before) {
  collection_expect(
      run, self->string.bytes == before->bytes && self->string.capacity == before->capacity,
      "there was room for %zu bytes, and is for %zu, in another block or fewer", before->capacity,
      self->string.capacity);
}

// Room that there is must be used: no push that fits may ask for memory. One that does not asks for
// as much as the header says.
static void expect_in_place(struct collection_run *run, const struct instance *self,
                            const struct string *before, size_t added) {
  collection_expect(run,
                    before->capacity - before->size < added || self->string.bytes == before->bytes,
                    "%zu bytes fitted into a room of %zu, and yet the block has moved", added,
                    before->capacity - before->size);
  collection_expect(run,
                    before->capacity - before->size >= added || collection_refusals(run) > 0 ||
                        self->string.capacity >= before->capacity + before->capacity / 2,
                    "the capacity was %zu, and has grown to %zu only", before->capacity,
                    self->string.capacity);
}

// The text that was given, in front of the code point with index `index`; `at` is its offset.
static void put_given(struct collection_run *run, struct instance *self, size_t at,
                      const char *text, const uint32_t *points, size_t count) {
  struct string before = self->string;
  size_t index = 0, bad = 12345, size = width_of_all(points, count);
  enum result expected = find_offset(self, at, &index);
  enum result result = at == self->size ? string_push(&self->string, text, size, &bad)
                                        : string_insert(&self->string, at, text, size, &bad);
  collection_expect(run, bad == 12345, "an error at offset %zu of a text that is right", bad);
  if (!said(run, at == self->size ? "push" : "insert", result, expected)) {
    expect_unchanged(run, self, &before);
    if (result == RESULT_NO_MEMORY) expect_modesty(run, self, size);
    return;
  }
  model_insert(self, index, points, count);
  expect_in_place(run, self, &before, size);
}

static void push_point(struct collection_run *run, struct instance *self, uint32_t number) {
  struct string before = self->string;
  enum result result = string_push_code_point(&self->string, number);
  if (!said(run, "push_code_point", result, is_scalar(number) ? RESULT_OK : RESULT_NOT_UTF8)) {
    expect_unchanged(run, self, &before);
    if (result == RESULT_NO_MEMORY) expect_modesty(run, self, width_of(number));
    return;
  }
  model_insert(self, self->count, &number, 1);
  expect_in_place(run, self, &before, width_of(number));
}

static void put_own(struct collection_run *run, struct instance *self, size_t at, size_t first,
                    size_t count) {
  if (count > self->count - first) count = self->count - first;
  size_t from = width_of_all(self->points, first);
  size_t to = from + width_of_all(self->points + first, count);
  struct text slice = {0};
  if (!said(run, "slice", string_slice(&self->string, from, to, &slice), RESULT_OK)) return;
  put_given(run, self, at, slice.bytes, self->points + first, count);
}

static void bad(struct collection_run *run, struct instance *self, uint64_t value, unsigned count,
                unsigned small) {
  static const struct {
    const char *bytes;
    size_t size;
  } sequences[] = {
      {"\x80", 1},              // continues nothing
      {"\xC0\xAF", 2},          // overlong
      {"\xC1\xBF", 2},          // overlong
      {"\xE0\x9F\xBF", 3},      // overlong
      {"\xF0\x8F\xBF\xBF", 4},  // overlong
      {"\xED\xA0\x80", 3},      // the first surrogate
      {"\xED\xBF\xBF", 3},      // the last one
      {"\xF4\x90\x80\x80", 4},  // U+110000
      {"\xF5\x80\x80\x80", 4},  // beyond
      {"\xFF", 1},              // never
      {"\xC3", 1},              // cut short, as are all that follow
      {"\xE2\x82", 2},
      {"\xF0\x9F", 2},
      {"\xF0\x9F\x98", 3},
      {"\xE2\xC3\xA9", 3},
      {"\xF0\x9F\x98\xC3\xA9", 5},
  };
  size_t kind = small % (sizeof sequences / sizeof *sequences);
  size_t prefix = (size_t)(value % 64), size = prefix + sequences[kind].size + (count - 1);
  char *text = give(self, size);
  memset(text, 'a', size);
  memcpy(text + prefix, sequences[kind].bytes, sequences[kind].size);
  size_t at = collection_pick(value / 256, self->size), index = 0, where = SIZE_MAX, found = 0;
  struct string made, untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  made = untouched;
  const struct string before = self->string;
  enum result expected = RESULT_NOT_UTF8;
  // Who does not want to know where it is wrong says so.
  size_t *told = small % 32 < 16 ? &where : NULL;
  switch (value / 64 % 4) {
  case 0:
    said(run, "push", string_push(&self->string, text, size, told), expected);
    break;
  case 1:
    if (find_offset(self, at, &index) != RESULT_OK) expected = find_offset(self, at, &index);
    said(run, "insert", string_insert(&self->string, at, text, size, told), expected);
    break;
  case 2:
    said(run, "from", string_from(&made, self->string.handle, text, size, told), expected);
    collection_expect(run, memcmp(&made, &untouched, sizeof made) == 0,
                      "a failed from has touched what was to be made");
    break;
  default:
    said(run, "find", string_find(&self->string, 0, text, size, &found), expected);
    where = prefix;
  }
  expect_unchanged(run, self, &before);
  if (expected == RESULT_NOT_UTF8 && told)
    collection_expect(run, where == prefix, "the error is at offset %zu of the text, not at %zu",
                      prefix, where);
}

static void remove_bytes(struct collection_run *run, struct instance *self, size_t from,
                         size_t to) {
  size_t first = 0, last = 0;
  enum result expected = find_range(self, from, to, &first, &last);
  const struct string before = self->string;
  if (!said(run, "remove", string_remove(&self->string, from, to), expected)) {
    expect_unchanged(run, self, &before);
    return;
  }
  model_remove(self, first, last);
  expect_room(run, self, &before);
}

static void pop(struct collection_run *run, struct instance *self, bool wanted) {
  const struct string before = self->string;
  uint32_t point = UINT32_MAX;
  enum result result = string_pop_code_point(&self->string, wanted ? &point : NULL);
  if (!said(run, "pop", result, self->count > 0 ? RESULT_OK : RESULT_NOT_FOUND)) return;
  uint32_t expected = self->points[self->count - 1];
  collection_expect(run, !wanted || point == expected,
                    "pop gives U+%04X, and the last one was U+%04X", point, expected);
  model_remove(self, self->count - 1, self->count);
  expect_room(run, self, &before);
}

// And from its beginning one code point forward and one back.
static void slice(struct collection_run *run, struct instance *self, size_t from, size_t to) {
  size_t first = 0, last = 0;
  struct text slice = {NULL, 0};
  enum result expected = find_range(self, from, to, &first, &last);
  if (said(run, "slice", string_slice(&self->string, from, to, &slice), expected)) {
    give_points(self, self->points + first, last - first);
    collection_expect(run, slice.size == to - from, "the slice has %zu bytes, not %zu", slice.size,
                      to - from);
    collection_expect(run, slice.size == 0 || memcmp(slice.bytes, self->given, slice.size) == 0,
                      "the slice has other bytes");
  }
  expected = find_offset(self, from, &first);
  bool inside = expected == RESULT_OK;
  size_t next = from, previous = from;
  uint32_t point = 0;
  enum result result = string_next(&self->string, &next, &point);
  if (said(run, "next", result, inside && from == self->size ? RESULT_NOT_FOUND : expected))
    collection_expect(run, point == self->points[first] && next == from + width_of(point),
                      "next of offset %zu gives U+%04X and offset %zu", from, point, next);
  else
    collection_expect(run, next == from, "next fails, and has changed the offset");
  result = string_previous(&self->string, &previous, &point);
  if (said(run, "previous", result, inside && from == 0 ? RESULT_NOT_FOUND : expected))
    collection_expect(run, point == self->points[first - 1] && previous + width_of(point) == from,
                      "previous of offset %zu gives U+%04X and offset %zu", from, point, previous);
  else
    collection_expect(run, previous == from, "previous fails, and has changed the offset");
}

static void find(struct collection_run *run, struct instance *self, size_t from,
                 const uint32_t *points, size_t count) {
  give_points(self, points, count);
  size_t start = 0, at = SIZE_MAX;
  enum result expected = find_offset(self, from, &start);
  size_t i = start, wanted = SIZE_MAX;
  if (expected == RESULT_OK) {
    while (i + count <= self->count && count > 0 &&
           memcmp(self->points + i, points, count * sizeof *points) != 0)
      i++;
    if (i + count > self->count) expected = RESULT_NOT_FOUND;
    if (expected == RESULT_OK) wanted = width_of_all(self->points, i);
  }
  said(run, "find", string_find(&self->string, from, self->given, self->given_size, &at), expected);
  collection_expect(run, at == wanted, "found at offset %zu, and it should be %zu", at, wanted);
}

static int sign(int x) { return (x > 0) - (x < 0); }

static int model_compare(const struct instance *a, const struct instance *b) {
  for (size_t i = 0; i < a->count && i < b->count; i++)
    if (a->points[i] != b->points[i]) return a->points[i] < b->points[i] ? -1 : 1;
  return (a->count > b->count) - (a->count < b->count);
}

static void compare(struct collection_run *run, const struct instance *self,
                    const struct instance *other) {
  int order = sign(string_compare(&self->string, &other->string));
  collection_expect(run, order == model_compare(self, other), "compare gives %d, and it is %d",
                    order, model_compare(self, other));
}

static void verify(struct collection_run *run, void *instance);

static void clone(struct collection_run *run, struct instance *self, struct instance *other) {
  struct instance made = {.string.capacity = 0};
  struct string untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  made.string = untouched;
  if (!said(run, "clone", string_clone(&self->string, &made.string), RESULT_OK)) {
    collection_expect(run, memcmp(&made.string, &untouched, sizeof untouched) == 0,
                      "a refused clone has touched the copy");
    return;
  }
  model_insert(&made, 0, self->points, self->count);
  collection_expect(run, made.string.capacity == self->size,
                    "the clone has room for %zu bytes, not %zu", made.string.capacity, self->size);
  // A clone of itself takes its place, which shows whether the two share anything.
  string_drop(&other->string);
  free(other->points);
  other->string = made.string;
  other->points = made.points;
  other->count = made.count;
  other->size = made.size;
  verify(run, other);
}

static void reserve(struct collection_run *run, struct instance *self, size_t more) {
  const struct string before = self->string;
  bool sayable = more <= PTRDIFF_MAX - self->size;
  enum result result = string_reserve(&self->string, more);
  if (said(run, "reserve", result, sayable ? RESULT_OK : RESULT_NO_MEMORY))
    collection_expect(run, self->string.capacity >= self->size + more,
                      "%zu bytes were reserved, and there is room for %zu", more,
                      self->string.capacity - self->size);
  else
    expect_unchanged(run, self, &before);
}

static void shrink(struct collection_run *run, struct instance *self) {
  const struct string before = self->string;
  if (!said(run, "shrink", string_shrink(&self->string), RESULT_OK)) {
    expect_unchanged(run, self, &before);
    return;
  }
  unsigned gives_back = self->size > 0 ? STRATEGY_RELEASES | STRATEGY_RESIZES : STRATEGY_RELEASES;
  size_t wanted = before.handle.strategy->traits & gives_back ? self->size : before.capacity;
  collection_expect(run, self->string.capacity == wanted, "the capacity is %zu, not %zu",
                    self->string.capacity, wanted);
}

static void clear(struct collection_run *run, struct instance *self) {
  const struct string before = self->string;
  string_clear(&self->string);
  model_remove(self, 0, self->count);
  expect_room(run, self, &before);
}

static void apply(struct collection_run *run, void *instance, unsigned verb,
                  const struct collection_arguments *arguments) {
  struct instance *self = instance, *other = arguments->other;
  uint32_t points[MOST_POINTS];
  size_t offset = collection_pick(arguments->value, self->size), end = offset + arguments->small;
  if (end < offset) end = SIZE_MAX;
  unsigned count = arguments->count, small = arguments->small;
  // At times the range is said the wrong way round.
  if (small >= BACKWARDS) end = offset > small - BACKWARDS ? offset - (small - BACKWARDS) - 1 : 0;
  switch ((enum verb)verb) {
  case VERB_PUSH:
    points_from(points, arguments->value, count);
    give_points(self, points, count);
    put_given(run, self, self->size, self->given, points, count);
    break;
  case VERB_PUSH_POINT:
    push_point(run, self, number_of(arguments->value));
    break;
  case VERB_PUSH_OTHER:
    if (self->size + other->size <= LONGEST)
      put_given(run, self, self->size, string_text(&other->string).bytes, other->points,
                other->count);
    break;
  case VERB_INSERT:
    points_from(points, widen(small), count);
    give_points(self, points, count);
    put_given(run, self, offset, self->given, points, count);
    break;
  case VERB_INSERT_OWN:
    put_own(run, self, offset, small % (self->count + 1), count);
    break;
  case VERB_BAD:
    bad(run, self, arguments->value, count, small);
    break;
  case VERB_REMOVE:
    remove_bytes(run, self, offset, end);
    break;
  case VERB_POP:
    pop(run, self, small % 2 == 0);
    break;
  case VERB_SLICE:
    slice(run, self, offset, end);
    break;
  case VERB_FIND:
    points_from(points, arguments->value, count);
    if (small % 2 == 0) {
      size_t first = (size_t)(arguments->value % (self->count + 1));
      if (count > self->count - first) count = (unsigned)(self->count - first);
      if (count > 0) memcpy(points, self->points + first, count * sizeof *points);
    }
    find(run, self, small / 2, points, count);
    break;
  case VERB_COMPARE:
    compare(run, self, other);
    break;
  case VERB_CLONE:
    clone(run, self, other);
    break;
  case VERB_RESERVE:
    reserve(run, self, collection_pick(arguments->value, 4096));
    break;
  case VERB_SHRINK:
    shrink(run, self);
    break;
  case VERB_CLEAR:
    clear(run, self);
    break;
  case VERBS:
    break;
  }
}

static void create(struct collection_run *run, void *instance, struct handle handle) {
  (void)run;
  struct instance *self = instance;
  string_init(&self->string, handle);
  // So that there is always a place to count from.
  self->points = malloc(sizeof *self->points);
}

static void verify(struct collection_run *run, void *instance) {
  struct instance *self = instance;
  const struct string *string = &self->string;
  collection_broken(run, string_check(string));
  struct text text = string_text(string);
  collection_expect(run, text.size == self->size, "the string has %zu bytes, the model %zu",
                    text.size, self->size);
  give_points(self, self->points, self->count);
  size_t same = 0;
  while (same < text.size && text.bytes[same] == self->given[same]) same++;
  collection_expect(run, same == text.size, "byte %zu is not the model's", same);
  size_t counted = string_count(string), forward = 0, back = self->size;
  collection_expect(run, counted == self->count, "%zu code points are counted, not %zu", counted,
                    self->count);
  for (size_t i = 0; i < self->count; i++) {
    uint32_t next = UINT32_MAX, last = UINT32_MAX;
    bool right = string_next(string, &forward, &next) == RESULT_OK &&
                 string_previous(string, &back, &last) == RESULT_OK && next == self->points[i] &&
                 last == self->points[self->count - 1 - i];
    if (!right)
      collection_expect(run, false, "code point %zu is U+%04X, and from the end U+%04X", i, next,
                        last);
  }
  uint32_t point;
  collection_expect(run,
                    string_next(string, &forward, &point) == RESULT_NOT_FOUND &&
                        string_previous(string, &back, &point) == RESULT_NOT_FOUND,
                    "there are more code points than %zu", self->count);
}

static void destroy(struct collection_run *run, void *instance) {
  (void)run;
  struct instance *self = instance;
  string_drop(&self->string);
  free(self->points);
  free(self->given);
}

static size_t length(const void *instance) { return ((const struct instance *)instance)->size; }

static const struct collection_driver driver = {
    .oracle = &collection_oracle,
    .name = "string",
    .verbs = verbs,
    .verb_count = VERBS,
    .instance_size = sizeof(struct instance),
    .create = create,
    .apply = apply,
    .verify = verify,
    .destroy = destroy,
    .length = length,
};

COLLECTION_STRATEGY(string, "UTF-8 that is validated as it enters, in a block that grows by half",
                    &driver, string_invariants);
