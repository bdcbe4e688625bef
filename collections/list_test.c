#include "collections/list.h"

#include "collections/rig.h"

static struct allocator rig;

static void begin(struct list *list) {
  rig_init(&rig);
  list_init(list, rig_handle(&rig), sizeof(int), _Alignof(int));
}

static void end(struct list *list) {
  list_drop(list);
  CHECK(rig.live == 0);
  CHECK(list->count == 0 && list_first(list) == NULL && list_check(list).number == 0);
}

// What is in the list, both ways, and that nothing is broken.
static void expect(const struct list *list, const int *values, size_t count) {
  CHECK(list_check(list).number == 0);
  CHECK(list_count(list) == count);
  size_t i = 0;
  LIST_EACH(const int, value, list) CHECK(i < count && *value == values[i++]);
  CHECK(i == count);
  for (const int *value = list_last(list); value; value = list_previous(list, value))
    CHECK(i > 0 && *value == values[--i]);
  CHECK(i == 0);
}

#define EXPECT(list, ...)                                                                          \
  expect(list, (const int[]){__VA_ARGS__}, sizeof(int[]){__VA_ARGS__} / sizeof(int))

static void fill(struct list *list, int from, int to) {
  for (int i = from; i < to; i++) CHECK(list_push_back(list, &i) == RESULT_OK);
}

static int *at(const struct list *list, size_t index) {
  int *value = list_first(list);
  while (index-- > 0) value = list_next(list, value);
  return value;
}

static void test_ends(void) {
  struct list list;
  begin(&list);
  expect(&list, NULL, 0);
  int value = 7;
  CHECK(list_pop_front(&list, &value) == RESULT_NOT_FOUND && value == 7);
  CHECK(list_pop_back(&list, &value) == RESULT_NOT_FOUND && value == 7);
  fill(&list, 1, 3);
  value = 0;
  CHECK(list_push_front(&list, &value) == RESULT_OK);
  EXPECT(&list, 0, 1, 2);
  CHECK(list_pop_back(&list, &value) == RESULT_OK && value == 2);
  CHECK(list_pop_front(&list, &value) == RESULT_OK && value == 0);
  CHECK(list_push_front(&list, list_first(&list)) == RESULT_OK);
  EXPECT(&list, 1, 1);
  CHECK(list_pop_front(&list, NULL) == RESULT_OK && list_pop_back(&list, NULL) == RESULT_OK);
  CHECK(rig.live == 0);
  CHECK(list_push_back(&list, NULL) == RESULT_OK);  // arbitrary bytes, to be written
  *(int *)list_first(&list) = 4;
  EXPECT(&list, 4);
  end(&list);
}

static void test_beside(void) {
  struct list list;
  begin(&list);
  CHECK(list_insert_before(&list, NULL, &(int){5}) == RESULT_OK);
  CHECK(list_insert_before(&list, at(&list, 0), &(int){3}) == RESULT_OK);
  CHECK(list_insert_after(&list, at(&list, 0), &(int){4}) == RESULT_OK);
  CHECK(list_insert_after(&list, at(&list, 2), &(int){6}) == RESULT_OK);
  CHECK(list_insert_after(&list, NULL, &(int){2}) == RESULT_OK);
  CHECK(list_insert_before(&list, NULL, &(int){7}) == RESULT_OK);
  EXPECT(&list, 2, 3, 4, 5, 6, 7);
  int *removed = at(&list, 2), *next = at(&list, 3);
  CHECK(list_remove(&list, removed) == next);
  CHECK(list_remove(&list, at(&list, 4)) == NULL);
  CHECK(list_remove(&list, at(&list, 0)) == at(&list, 0));
  EXPECT(&list, 3, 5, 6);
  end(&list);
}

static void test_removal_in_a_loop(void) {
  struct list list;
  begin(&list);
  fill(&list, 0, 12);
  for (int *value = list_first(&list); value;)
    value = *value % 3 == 1 ? list_next(&list, value) : list_remove(&list, value);
  EXPECT(&list, 1, 4, 7, 10);
  end(&list);
}

static void test_splice(void) {
  struct list a, b;
  begin(&a);
  list_init(&b, a.handle, sizeof(int), _Alignof(int));
  fill(&a, 0, 4);
  fill(&b, 10, 15);
  size_t requests = rig.requests;
  CHECK(list_splice(&a, at(&a, 1), &b, at(&b, 1), at(&b, 3)) == RESULT_OK);
  EXPECT(&a, 0, 11, 12, 13, 1, 2, 3);
  EXPECT(&b, 10, 14);
  CHECK(list_splice(&a, NULL, &b, list_first(&b), list_last(&b)) == RESULT_OK);
  EXPECT(&a, 0, 11, 12, 13, 1, 2, 3, 10, 14);
  expect(&b, NULL, 0);
  CHECK(list_splice(&b, NULL, &a, at(&a, 0), at(&a, 0)) == RESULT_OK);
  CHECK(list_splice(&b, at(&b, 0), &a, at(&a, 7), at(&a, 7)) == RESULT_OK);
  EXPECT(&b, 14, 0);
  // Within one list: to the front, to the back, to where they are.
  CHECK(list_splice(&a, at(&a, 0), &a, at(&a, 3), at(&a, 6)) == RESULT_OK);
  EXPECT(&a, 1, 2, 3, 10, 11, 12, 13);
  CHECK(list_splice(&a, NULL, &a, at(&a, 0), at(&a, 2)) == RESULT_OK);
  EXPECT(&a, 10, 11, 12, 13, 1, 2, 3);
  CHECK(list_splice(&a, at(&a, 3), &a, at(&a, 1), at(&a, 2)) == RESULT_OK);
  CHECK(list_splice(&a, NULL, &a, at(&a, 6), at(&a, 6)) == RESULT_OK);
  CHECK(list_splice(&a, NULL, &a, at(&a, 0), at(&a, 6)) == RESULT_OK);
  EXPECT(&a, 10, 11, 12, 13, 1, 2, 3);
  // Refused, and nothing changed.
  for (size_t i = 1; i <= 3; i++)
    CHECK(list_splice(&a, at(&a, i), &a, at(&a, 1), at(&a, 3)) == RESULT_OUT_OF_BOUNDS);
  CHECK(list_splice(&b, NULL, &a, at(&a, 3), at(&a, 2)) == RESULT_OUT_OF_BOUNDS);
  CHECK(list_splice(&a, NULL, &b, at(&b, 0), at(&a, 0)) == RESULT_OUT_OF_BOUNDS);
  struct allocator other_rig;
  rig_init(&other_rig);
  struct list foreign[3];
  list_init(&foreign[0], rig_handle(&other_rig), sizeof(int), _Alignof(int));
  list_init(&foreign[1], a.handle, 2 * sizeof(int), _Alignof(int));
  list_init(&foreign[2], a.handle, sizeof(int), 2 * _Alignof(int));
  for (size_t i = 0; i < 3; i++) {
    CHECK(list_splice(&foreign[i], NULL, &a, at(&a, 0), at(&a, 0)) == RESULT_FOREIGN);
    expect(&foreign[i], NULL, 0);
  }
  EXPECT(&a, 10, 11, 12, 13, 1, 2, 3);
  EXPECT(&b, 14, 0);
  CHECK(rig.requests == requests);
  list_drop(&b);
  end(&a);
}

// ## Order

static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned below(unsigned limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)(random_state >> 33) % limit;
}

static int by_tens(void *context, const void *a, const void *b) {
  ++*(size_t *)context;
  return *(const int *)a / 10 - *(const int *)b / 10;
}

static int by_chance(void *context, const void *a, const void *b) {
  (void)context, (void)a, (void)b;
  return (int)below(3) - 1;
}

static void test_reverse(void) {
  struct list list;
  begin(&list);
  list_reverse(&list);
  fill(&list, 0, 1);
  list_reverse(&list);
  EXPECT(&list, 0);
  fill(&list, 1, 4);
  list_reverse(&list);
  EXPECT(&list, 3, 2, 1, 0);
  end(&list);
}

// Each value once: the tens are what counts, the ones tell who came first.
static void test_sort(void) {
  for (unsigned count = 0; count < 70; count++) {
    struct list list;
    begin(&list);
    int next[10], values[70];
    for (int i = 0; i < 10; i++) next[i] = 0;
    for (unsigned i = 0; i < count; i++) {
      unsigned ten = below(count / 10 + 1);
      int value = next[ten] < 10 ? (int)ten * 10 + next[ten]++ : 1000 + (int)i * 10;
      CHECK(list_push_back(&list, &value) == RESULT_OK);
      values[i] = value;
    }
    for (unsigned i = 1; i < count; i++)
      for (unsigned j = i; j > 0 && values[j - 1] > values[j]; j--) {
        int swapped = values[j];
        values[j] = values[j - 1];
        values[j - 1] = swapped;
      }
    size_t comparisons = 0;
    list_sort(&list, by_tens, &comparisons);
    expect(&list, values, count);
    CHECK(comparisons <= count * 7);  // log2 of 70, rounded up
    list_sort(&list, by_tens, &comparisons);
    expect(&list, values, count);
    // An order that is none: no element is lost.
    list_sort(&list, by_chance, NULL);
    CHECK(list_check(&list).number == 0 && list_count(&list) == count);
    list_sort(&list, by_tens, &comparisons);
    long sum = 0;
    LIST_EACH(const int, value, &list) sum += *value;
    for (unsigned i = 0; i < count; i++) sum -= values[i];
    CHECK(sum == 0);
    end(&list);
  }
}

// ## Memory

static void test_clone(void) {
  struct list list, copy;
  begin(&list);
  CHECK(list_clone(&list, &copy) == RESULT_OK);
  expect(&copy, NULL, 0);
  fill(&list, 0, 5);
  CHECK(list_clone(&list, &copy) == RESULT_OK);
  *at(&copy, 2) = 20;
  list_remove(&copy, at(&copy, 0));
  EXPECT(&list, 0, 1, 2, 3, 4);
  list_drop(&list);
  EXPECT(&copy, 1, 20, 3, 4);
  end(&copy);
}

static void test_refusals(void) {
  struct list list, copy;
  begin(&list);
  fill(&list, 0, 5);
  rig_refuse(&rig, 0, true);
  CHECK(list_push_front(&list, at(&list, 1)) == RESULT_NO_MEMORY);
  CHECK(list_push_back(&list, NULL) == RESULT_NO_MEMORY);
  CHECK(list_insert_before(&list, at(&list, 1), &(int){9}) == RESULT_NO_MEMORY);
  CHECK(list_insert_after(&list, at(&list, 1), &(int){9}) == RESULT_NO_MEMORY);
  EXPECT(&list, 0, 1, 2, 3, 4);
  for (size_t nth = 0; nth < 5; nth++) {
    struct list before;
    memset(&copy, 0x5A, sizeof copy);
    before = copy;
    rig_refuse(&rig, nth, false);
    CHECK(list_clone(&list, &copy) == RESULT_NO_MEMORY);
    CHECK(memcmp(&copy, &before, sizeof copy) == 0 && rig.live == 5);
    EXPECT(&list, 0, 1, 2, 3, 4);
  }
  rig_refuse(&rig, 5, false);
  CHECK(list_clone(&list, &copy) == RESULT_OK);
  // What needs no memory is not refused any.
  rig_refuse(&rig, 0, true);
  CHECK(list_splice(&list, NULL, &copy, list_first(&copy), list_last(&copy)) == RESULT_OK);
  list_reverse(&list);
  size_t comparisons = 0;
  list_sort(&list, by_tens, &comparisons);
  EXPECT(&list, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0);
  CHECK(rig.requests == 0);
  end(&list);
}

static void test_elements(void) {
  static unsigned char bytes[300];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 7 + 1);
  for (size_t align = 1; align <= 4096; align *= 2)
    for (size_t size = 0; size < sizeof bytes; size = size * 2 + 1) {
      struct list list;
      rig_init(&rig);
      list_init(&list, rig_handle(&rig), size, align);
      for (int i = 0; i < 3; i++) CHECK(list_push_back(&list, bytes) == RESULT_OK);
      CHECK(rig.largest >= size + 2 * sizeof(void *) && rig.largest < size + 2 * align + 32);
      LIST_EACH(const void, element, &list) {
        CHECK(address_of(element) % align == 0 && memcmp(element, bytes, size) == 0);
      }
      unsigned char popped[sizeof bytes + 1];
      popped[size] = 0x77;
      CHECK(list_pop_back(&list, popped) == RESULT_OK && popped[size] == 0x77);
      CHECK(memcmp(popped, bytes, size) == 0);
      end(&list);
    }
}

static void test_sizes_that_overflow(void) {
  const size_t wrong[][2] = {{SIZE_MAX, 1},
                             {SIZE_MAX - 2 * sizeof(void *) + 1, 1},
                             {SIZE_MAX / 2, 8},
                             {SIZE_MAX / 2 + 2, SIZE_MAX / 2 + 1},
                             {1, 0},
                             {1, 3},
                             {4, 12},
                             {1, SIZE_MAX}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct list list, copy;
    rig_init(&rig);
    list_init(&list, rig_handle(&rig), wrong[i][0], wrong[i][1]);
    CHECK(list_check(&list).number == 0);
    CHECK(list_push_back(&list, NULL) == RESULT_NO_MEMORY);
    CHECK(list_insert_after(&list, NULL, NULL) == RESULT_NO_MEMORY);
    CHECK(list_pop_front(&list, NULL) == RESULT_NOT_FOUND);
    CHECK(list_clone(&list, &copy) == RESULT_OK && list_check(&copy).number == 0);
    end(&list);
  }
}

// A strategy that never releases: elements stay behind, and the list works all the same.
static void test_without_release(void) {
  struct strategy bare = rig_strategy;
  bare.traits = 0;
  bare.release = NULL;
  bare.resize = NULL;
  struct list list;
  rig_init(&rig);
  list_init(&list, (struct handle){&bare, &rig}, sizeof(int), _Alignof(int));
  fill(&list, 0, 3);
  int *blocks[3] = {at(&list, 0), at(&list, 1), at(&list, 2)};
  list_remove(&list, at(&list, 1));
  EXPECT(&list, 0, 2);
  list_drop(&list);
  expect(&list, NULL, 0);
  CHECK(rig.live == 3);
  for (size_t i = 0; i < 3; i++) rig_release(&rig, (unsigned char *)blocks[i] - list.offset);
}

// ## Check notices damage

struct links {
  struct links *next, *previous;
};

static struct links *links_at(const struct list *list, size_t index) {
  return (struct links *)((unsigned char *)at(list, index) - list->offset);
}

static void test_check(void) {
  struct list list;
  begin(&list);
  fill(&list, 0, 4);
  struct list whole = list;
#define BREAKS(damage, heal, n)                                                                    \
  damage;                                                                                          \
  CHECK(list_check(&list).number == n);                                                            \
  heal;                                                                                            \
  CHECK(list_check(&list).number == 0)
  BREAKS(list.offset++, list = whole, 1);
  BREAKS(list.block_size--, list = whole, 1);
  BREAKS(list.align *= 64, list = whole, 1);
  BREAKS(list.last = NULL, list = whole, 2);
  BREAKS(list.first = NULL, list = whole, 2);
  BREAKS(list.last = (void *)links_at(&list, 2), list = whole, 2);
  BREAKS(list.first = (void *)links_at(&list, 1), list = whole, 2);
  BREAKS(list.count--, list = whole, 4);
  BREAKS(list.count++, list = whole, 4);
  struct links *first = links_at(&list, 0), *second = first->next, *third = second->next,
               *last = third->next;
  BREAKS(first->previous = last, first->previous = NULL, 2);
  BREAKS(third->previous = first, third->previous = second, 3);
  BREAKS(second->next = last, second->next = third, 3);
  BREAKS(last->next = first, last->next = NULL, 3);
  BREAKS(third->next = NULL, third->next = last, 2);
  BREAKS(second->next = (void *)((char *)third + 1), second->next = third, 3);
  end(&list);
}

int main(void) {
  test_ends();
  test_beside();
  test_removal_in_a_loop();
  test_splice();
  test_reverse();
  test_sort();
  test_clone();
  test_refusals();
  test_elements();
  test_sizes_that_overflow();
  test_without_release();
  test_check();
  return 0;
}
