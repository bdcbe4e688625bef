// What was written is undone, whatever the stretch's size and place, and costs what was written.
#define _GNU_SOURCE
#include "allocators/foreign/pristine.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/check.h"

enum { HUGE_SIZE = 20 << 20, STEP = 1 << 20 };

static unsigned char content_at(size_t i) { return (unsigned char)(i * 7 + i / 251); }

static void expect_content(const unsigned char *start, size_t size) {
  for (size_t i = 0; i < size; i++) CHECK(start[i] == content_at(i));
}

// A stretch of each size, with neighbours that are none of its business.
static void test_stretch(size_t offset, size_t size) {
  static unsigned char memory[(1 << 18) + 1];
  CHECK(offset + size < sizeof memory);
  unsigned char *start = memory + offset;
  for (size_t i = 0; i < size; i++) start[i] = content_at(i);
  struct pristine pristine;
  CHECK(pristine_keep(&pristine, start, size));
  expect_content(start, size);
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < sizeof memory; i++) memory[i] = 0xEE;
    pristine_bring_back(&pristine);
    expect_content(start, size);
    CHECK(start[size] == 0xEE && (offset == 0 || start[-1] == 0xEE));
  }
  pristine_forget(&pristine);
  start[0] = 0xEE;
  pristine_bring_back(&pristine);
  CHECK(size == 0 || start[0] == 0xEE);
}

static void test_stretches(void) {
  static const size_t offsets[] = {0, 1, 4095, 4096}, sizes[] = {0, 1, 100, 5000, 80000, 200001};
  for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
    for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) test_stretch(offsets[i], sizes[j]);
}

// How many pages of the stretch differ from what the system can bring back by itself.
static size_t resident_pages(unsigned char *start, size_t size) {
  static unsigned char state[HUGE_SIZE / 4096 + 2];
  size_t page = (size_t)sysconf(_SC_PAGESIZE), resident = 0;
  unsigned char *first = start + ((0 - (uintptr_t)start) & (page - 1));
  size_t count = (size_t)(start + size - first) / page;
  CHECK(mincore(first, count * page, state) == 0);
  for (size_t i = 0; i < count; i++) resident += state[i] & 1;
  return resident;
}

// A heap in a static array, of which a program uses little: no page is touched that it left alone.
static void test_static_heap(void) {
  static unsigned char heap[HUGE_SIZE];
  struct pristine pristine;
  CHECK(pristine_keep(&pristine, heap, sizeof heap));
  for (int round = 0; round < 3; round++) {
    for (size_t i = STEP; i < sizeof heap; i += STEP) heap[i] = 1;
    CHECK(resident_pages(heap, sizeof heap) >= HUGE_SIZE / STEP - 1);
    pristine_bring_back(&pristine);
    CHECK(resident_pages(heap, sizeof heap) <= HUGE_SIZE / STEP + 1);
    for (size_t i = 0; i < sizeof heap; i += STEP) CHECK(heap[i] == 0);
  }
  pristine_forget(&pristine);
}

// ## As the build of a foreign object leaves it

// Volatile: no compiler expects of a call that it changes variables of others.
__attribute__((section("foreign_data"))) static volatile int counter = 41;
__attribute__((section("foreign_data"))) static const char *volatile name = "first";
__attribute__((section("foreign_bss"))) static volatile int list_head;
static int not_foreign;

static void test_sections(void) {
  // Whatever ran before it is kept is part of the first state: constructors did.
  counter++;
  pristine_begin();
  for (int round = 0; round < 2; round++) {
    counter = list_head = 7;
    name = "second";
    not_foreign++;
    pristine_begin();
    CHECK(counter == 42 && list_head == 0 && name[0] == 'f');
  }
  CHECK(not_foreign == 2);
}

int main(void) {
  test_stretches();
  test_static_heap();
  test_sections();
  puts("ok");
  return 0;
}
