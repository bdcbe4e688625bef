// Strings: what is refused and leaves no trace, texts that lie in the string itself, and allocators
// that refuse.
#include "collections/string.h"

#include "allocators/source.h"
#include "collections/rig.h"

extern const struct strategy bump_strategy, free_list_strategy;

static struct allocator heap;

// One code point of each length, and all boundaries of it: 0, 1, 3, 6, 10.
static const char mixed[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
#define MIXED_SIZE (sizeof mixed - 1)

static struct string string_of(const char *text) {
  struct string self;
  CHECK(string_from(&self, rig_handle(&heap), text, strlen(text), NULL) == RESULT_OK);
  return self;
}

static void check_is(const struct string *self, const char *text, size_t size) {
  CHECK(string_check(self).number == 0);
  struct text all = string_text(self);
  CHECK(all.size == size && (size == 0 || memcmp(all.bytes, text, size) == 0));
}

static void drop(struct string *self) {
  string_drop(self);
  check_is(self, "", 0);
  CHECK(self->capacity == 0);
}

// ## What enters

static const struct {
  const char *text;
  size_t bad;
} ill_formed[] = {
    {"ab\x80", 2},           {"\xC3", 0},           {"ab\xC0\xAF", 2},
    {"\xE2\x82", 0},         {"a\xED\xA0\x80z", 1}, {"\xE0\x80\xAF", 0},
    {"\xF4\x90\x80\x80", 0}, {"eight ch\xFF", 8},   {"\xC3\xA9\xA9", 2},
};

static void test_refused_texts(void) {
  for (size_t i = 0; i < sizeof ill_formed / sizeof *ill_formed; i++) {
    const char *text = ill_formed[i].text;
    size_t size = strlen(text), bad = 99, at = 99;
    struct string self;
    memset(&self, 0x5A, sizeof self);
    struct string before = self;
    CHECK(string_from(&self, rig_handle(&heap), text, size, &bad) == RESULT_NOT_UTF8);
    CHECK(bad == ill_formed[i].bad && memcmp(&self, &before, sizeof self) == 0);
    CHECK(string_from(&self, rig_handle(&heap), text, size, NULL) == RESULT_NOT_UTF8);

    self = string_of(mixed);
    bad = 99;
    CHECK(string_push(&self, text, size, &bad) == RESULT_NOT_UTF8 && bad == ill_formed[i].bad);
    bad = 99;
    CHECK(string_insert(&self, 3, text, size, &bad) == RESULT_NOT_UTF8 && bad == ill_formed[i].bad);
    CHECK(string_insert(&self, 2, text, size, &bad) == RESULT_NO_BOUNDARY);
    CHECK(string_insert(&self, 11, text, size, &bad) == RESULT_OUT_OF_BOUNDS);
    CHECK(string_find(&self, 0, text, size, &at) == RESULT_NOT_UTF8 && at == 99);
    check_is(&self, mixed, MIXED_SIZE);
    CHECK(self.capacity == MIXED_SIZE);
    drop(&self);
  }
  CHECK(heap.live == 0);
}

static void test_code_points(void) {
  struct string self;
  string_init(&self, rig_handle(&heap));
  uint32_t points[] = {'a', 0xE9, 0x20AC, 0x1F600}, last = 7;
  CHECK(string_pop_code_point(&self, &last) == RESULT_NOT_FOUND && last == 7);
  for (size_t i = 0; i < 4; i++)
    CHECK(string_push_code_point(&self, points[i]) == RESULT_OK && string_count(&self) == i + 1);
  check_is(&self, mixed, MIXED_SIZE);
  CHECK(string_push_code_point(&self, 0xD800) == RESULT_NOT_UTF8);
  CHECK(string_push_code_point(&self, 0xDFFF) == RESULT_NOT_UTF8);
  CHECK(string_push_code_point(&self, 0x110000) == RESULT_NOT_UTF8);
  check_is(&self, mixed, MIXED_SIZE);

  size_t offset = 0;
  for (size_t i = 0; i < 4; i++)
    CHECK(string_next(&self, &offset, &last) == RESULT_OK && last == points[i]);
  CHECK(string_next(&self, &offset, &last) == RESULT_NOT_FOUND && offset == MIXED_SIZE);
  for (size_t i = 4; i-- > 0;)
    CHECK(string_previous(&self, &offset, &last) == RESULT_OK && last == points[i]);
  CHECK(string_previous(&self, &offset, &last) == RESULT_NOT_FOUND && offset == 0);

  for (size_t i = 4; i-- > 0;)
    CHECK(string_pop_code_point(&self, i % 2 ? &last : NULL) == RESULT_OK && last == points[i | 1]);
  CHECK(string_count(&self) == 0);
  drop(&self);
}

// ## Where it may be cut

static bool mixed_boundary(size_t offset) {
  return offset == 0 || offset == 1 || offset == 3 || offset == 6 || offset == MIXED_SIZE;
}

static void test_cuts(void) {
  struct string self = string_of(mixed);
  for (size_t i = 0; i <= MIXED_SIZE + 2; i++) {
    size_t from = i <= MIXED_SIZE + 1 ? i : SIZE_MAX;
    enum result expected = from > MIXED_SIZE      ? RESULT_OUT_OF_BOUNDS
                           : mixed_boundary(from) ? RESULT_OK
                                                  : RESULT_NO_BOUNDARY;
    size_t next = from, previous = from, at = 99;
    uint32_t point;
    enum result of_next = string_next(&self, &next, &point);
    enum result of_previous = string_previous(&self, &previous, &point);
    CHECK(of_next == (from == MIXED_SIZE ? RESULT_NOT_FOUND : expected));
    CHECK(of_previous == (from == 0 ? RESULT_NOT_FOUND : expected));
    CHECK(of_next == RESULT_OK ? next > from : next == from);
    CHECK(of_previous == RESULT_OK ? previous < from : previous == from);
    CHECK(string_insert(&self, from, NULL, 0, NULL) == expected);
    CHECK(string_find(&self, from, NULL, 0, &at) == expected);
    CHECK(at == (expected == RESULT_OK ? from : 99));

    for (size_t to = 0; to <= MIXED_SIZE + 1; to++) {
      struct text slice = {NULL, 99};
      enum result of_range = from > to || to > MIXED_SIZE                 ? RESULT_OUT_OF_BOUNDS
                             : mixed_boundary(from) && mixed_boundary(to) ? RESULT_OK
                                                                          : RESULT_NO_BOUNDARY;
      CHECK(string_slice(&self, from, to, &slice) == of_range);
      if (of_range == RESULT_OK)
        CHECK(slice.bytes == self.bytes + from && slice.size == to - from);
      else
        CHECK(slice.bytes == NULL && slice.size == 99);

      struct string rest;
      CHECK(string_clone(&self, &rest) == RESULT_OK);
      CHECK(string_remove(&rest, from, to) == of_range);
      char expected_rest[MIXED_SIZE];
      size_t kept = of_range == RESULT_OK ? from : MIXED_SIZE;
      memcpy(expected_rest, mixed, kept);
      if (of_range == RESULT_OK) {
        memcpy(expected_rest + from, mixed + to, MIXED_SIZE - to);
        kept += MIXED_SIZE - to;
      }
      check_is(&rest, expected_rest, kept);
      CHECK(rest.capacity == MIXED_SIZE);
      drop(&rest);
    }
  }
  drop(&self);
}

static void test_empty(void) {
  struct string self, copy;
  string_init(&self, rig_handle(&heap));
  struct text slice;
  size_t at = 99;
  CHECK(string_push(&self, NULL, 0, NULL) == RESULT_OK);
  CHECK(string_slice(&self, 0, 0, &slice) == RESULT_OK && slice.size == 0);
  CHECK(string_slice(&self, 0, 1, &slice) == RESULT_OUT_OF_BOUNDS);
  CHECK(string_remove(&self, 0, 0) == RESULT_OK);
  CHECK(string_find(&self, 0, "a", 1, &at) == RESULT_NOT_FOUND && at == 99);
  CHECK(string_clone(&self, &copy) == RESULT_OK && string_compare(&self, &copy) == 0);
  CHECK(string_shrink(&self) == RESULT_OK && string_reserve(&self, 0) == RESULT_OK);
  string_clear(&self);
  CHECK(heap.live == 0 && heap.requests == 0);
  drop(&self);
  drop(&copy);
}

// ## Compare and find

static void test_compare(void) {
  // Ascending by code points; of UTF-16 the last two would be the other way round.
  static const char *const ascending[] = {"",  "a",        "a\x01",        "ab",
                                          "b", "\xC3\xA9", "\xEF\xBF\xBF", "\xF0\x90\x80\x80"};
  size_t count = sizeof ascending / sizeof *ascending;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < count; k++) {
      struct string a = string_of(ascending[i]), b = string_of(ascending[k]);
      int order = string_compare(&a, &b);
      CHECK(i < k ? order < 0 : i > k ? order > 0 : order == 0);
      drop(&a);
      drop(&b);
    }
  // A 0 byte ends nothing.
  CHECK(text_compare((struct text){"a\0b", 3}, (struct text){"a\0c", 3}) < 0);
  CHECK(text_compare((struct text){"a\0", 2}, (struct text){"a", 1}) > 0);
}

static size_t find(const struct string *self, size_t from, const char *text) {
  size_t at = SIZE_MAX;
  enum result result = string_find(self, from, text, strlen(text), &at);
  CHECK(result == (at == SIZE_MAX ? RESULT_NOT_FOUND : RESULT_OK));
  return at;
}

static void test_find(void) {
  struct string self = string_of("aabaaab\xC3\xA9"
                                 "aab");
  CHECK(find(&self, 0, "aab") == 0 && find(&self, 1, "aab") == 4 && find(&self, 5, "aab") == 9);
  CHECK(find(&self, 10, "aab") == SIZE_MAX && find(&self, 0, "aaaa") == SIZE_MAX);
  CHECK(find(&self, 0, "\xC3\xA9") == 7 && find(&self, 9, "\xC3\xA9") == SIZE_MAX);
  CHECK(find(&self, 12, "") == 12 && find(&self, 12, "b") == SIZE_MAX &&
        find(&self, 11, "b") == 11);
  CHECK(find(&self, 0,
             "aabaaab\xC3\xA9"
             "aab") == 0);
  CHECK(find(&self, 0,
             "aabaaab\xC3\xA9"
             "aabb") == SIZE_MAX);
  drop(&self);
}

// ## Texts that lie in the string itself

// Every slice of it put in at every place, with and without room for it.
static void test_own_text(void) {
  for (size_t from = 0; from <= MIXED_SIZE; from++)
    for (size_t to = from; to <= MIXED_SIZE; to++)
      for (size_t at = 0; at <= MIXED_SIZE; at++)
        for (size_t room = 0; room <= MIXED_SIZE; room += MIXED_SIZE) {
          struct string self = string_of(mixed);
          struct text slice;
          if (string_slice(&self, from, to, &slice) == RESULT_OK && mixed_boundary(at)) {
            CHECK(string_reserve(&self, room) == RESULT_OK);
            CHECK(string_slice(&self, from, to, &slice) == RESULT_OK);
            char expected[2 * MIXED_SIZE];
            memcpy(expected, mixed, at);
            memcpy(expected + at, mixed + from, to - from);
            memcpy(expected + at + (to - from), mixed + at, MIXED_SIZE - at);
            enum result result = at == MIXED_SIZE
                                     ? string_push(&self, slice.bytes, slice.size, NULL)
                                     : string_insert(&self, at, slice.bytes, slice.size, NULL);
            CHECK(result == RESULT_OK);
            check_is(&self, expected, MIXED_SIZE + (to - from));
          }
          drop(&self);
        }
  CHECK(heap.live == 0);
}

// ## Room

static void test_growth(void) {
  struct string self;
  string_init(&self, rig_handle(&heap));
  CHECK(string_reserve(&self, 100) == RESULT_OK && self.capacity == 100);
  rig_refuse(&heap, 0, true);
  for (int i = 0; i < 100; i++) CHECK(string_push_code_point(&self, 'x') == RESULT_OK);
  CHECK(string_push_code_point(&self, 'x') == RESULT_NO_MEMORY && self.size == 100);
  CHECK(string_reserve(&self, SIZE_MAX) == RESULT_NO_MEMORY);
  CHECK(string_reserve(&self, SIZE_MAX - 100) == RESULT_NO_MEMORY);
  rig_refuse(&heap, SIZE_MAX, false);
  CHECK(string_push_code_point(&self, 'x') == RESULT_OK && self.capacity == 150);
  CHECK(string_shrink(&self) == RESULT_OK && self.capacity == 101 && self.size == 101);
  rig_refuse(&heap, SIZE_MAX, false);
  CHECK(string_shrink(&self) == RESULT_OK && heap.requests == 0);
  string_clear(&self);
  CHECK(self.capacity == 101 && string_shrink(&self) == RESULT_OK && self.capacity == 0);
  CHECK(heap.live == 0);

  // What is refused ample room takes what it needs.
  self = string_of(mixed);
  rig_refuse(&heap, 0, false);
  CHECK(string_push_code_point(&self, 'x') == RESULT_OK && self.capacity == MIXED_SIZE + 1);
  CHECK(heap.requests == 2);
  drop(&self);

  // Of twenty thousand pushes a few dozen ask for a block.
  for (int i = 0; i < 20000; i++) CHECK(string_push_code_point(&self, 0x20AC) == RESULT_OK);
  CHECK(self.size == 60000 && string_count(&self) == 20000 && heap.requests < 40);
  drop(&self);
}

// ## Allocators that refuse

enum change { PUSH, PUSH_OWN, PUSH_CODE_POINT, INSERT, RESERVE, SHRINK, CLONE, FROM, CHANGES };

static enum result apply(struct string *self, enum change change, struct string *made) {
  switch (change) {
  case PUSH:
    return string_push(self, mixed, MIXED_SIZE, NULL);
  case PUSH_OWN:
    return string_push(self, self->bytes, self->size, NULL);
  case PUSH_CODE_POINT:
    return string_push_code_point(self, 0x1F600);
  case INSERT:
    return string_insert(self, 3, mixed, MIXED_SIZE, NULL);
  case RESERVE:
    return string_reserve(self, 1000);
  case SHRINK:
    return string_shrink(self);
  case CLONE:
    return string_clone(self, made);
  default:
    return string_from(made, self->handle, mixed, MIXED_SIZE, NULL);
  }
}

static void check_refusals(enum change change, bool all_after, size_t *refusals) {
  for (size_t nth = 0;; nth++) {
    struct string self = string_of(mixed), made;
    CHECK(string_reserve(&self, change == SHRINK ? 5 : 0) == RESULT_OK);
    memset(&made, 0x5A, sizeof made);
    struct string before = self, made_before = made;
    rig_refuse(&heap, nth, all_after);
    enum result result = apply(&self, change, &made);
    bool refused = heap.requests > nth;
    rig_refuse(&heap, SIZE_MAX, false);
    if (result != RESULT_OK) {
      CHECK(result == RESULT_NO_MEMORY && refused);
      CHECK(memcmp(&self, &before, sizeof self) == 0);
      CHECK(memcmp(&made, &made_before, sizeof made) == 0);
      check_is(&self, mixed, MIXED_SIZE);
      (*refusals)++;
    } else if (change == CLONE || change == FROM) {
      check_is(&made, mixed, MIXED_SIZE);
      string_drop(&made);
    }
    drop(&self);
    CHECK(heap.live == 0);
    if (!refused) return;
  }
}

static void test_refusals(void) {
  for (enum change change = 0; change < CHANGES; change++) {
    size_t alone = 0, all = 0;
    check_refusals(change, false, &alone);
    check_refusals(change, true, &all);
    CHECK(all > 0 && alone <= all);
  }
}

// In a heap of few bytes, over strategies that offer more and less, until nothing more fits.
static void test_small_heap(const struct strategy *strategy, size_t size) {
  static _Alignas(max_align_t) unsigned char memory[4096];
  struct source_buffer source;
  source_buffer_init(&source, memory, size);
  struct allocator *allocator = strategy->create(&source.base, &(struct strategy_options){0});
  CHECK(allocator != NULL);
  struct string self;
  string_init(&self, (struct handle){strategy, allocator});
  size_t pushed = 0;
  while (string_push(&self, mixed, MIXED_SIZE, NULL) == RESULT_OK) pushed++;
  CHECK(pushed > 2 && self.size == pushed * MIXED_SIZE && string_check(&self).number == 0);
  for (size_t i = 0; i < pushed; i++)
    CHECK(memcmp(self.bytes + i * MIXED_SIZE, mixed, MIXED_SIZE) == 0);
  // A code point may still fit, or else changes nothing either.
  while (string_push_code_point(&self, 'x') == RESULT_OK) CHECK(string_check(&self).number == 0);
  CHECK(string_count(&self) == pushed * 4 + (self.size - pushed * MIXED_SIZE));
  string_drop(&self);
  CHECK(strategy->check(allocator).number == 0);
  strategy->destroy(allocator);
}

// What check notices.
static void test_damage(void) {
  struct string self = string_of(mixed), damaged = self;
  CHECK(string_check(&damaged).number == 0);
  damaged.bytes = NULL;
  CHECK(string_check(&damaged).number == 1);
  damaged = self;
  damaged.capacity = 0;
  CHECK(string_check(&damaged).number == 1);
  damaged = self;
  damaged.size = damaged.capacity + 1;
  CHECK(string_check(&damaged).number == 2);
  damaged = self;
  damaged.capacity = SIZE_MAX / 2 + 1;
  CHECK(string_check(&damaged).number == 2);
  damaged = self;
  damaged.size--;
  struct broken_invariant broken = string_check(&damaged);
  CHECK(broken.number == 3 && broken.where == self.bytes + 6);
  for (unsigned n = 1; n <= 3; n++) CHECK(string_invariants[n - 1] != NULL);
  CHECK(string_invariants[3] == NULL);
  drop(&self);
}

int main(void) {
  rig_init(&heap);
  test_refused_texts();
  test_code_points();
  test_cuts();
  rig_init(&heap);
  test_empty();
  test_compare();
  test_find();
  test_own_text();
  test_growth();
  test_refusals();
  for (size_t size = 1024; size <= 4096; size += 1024) {
    test_small_heap(&bump_strategy, size);
    test_small_heap(&free_list_strategy, size);
  }
  test_damage();
  CHECK(heap.live == 0);
  return 0;
}
