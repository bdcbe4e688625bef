// The arena: what it hands out, what it says it holds, and that it notices each byte written
// outside.
#define _GNU_SOURCE
#include "harness/arena.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"
#include "harness/forbid.h"

enum { CAPACITY = 1 << 16 };

static struct arena arena;

static struct source *open_heap(struct heap heap, unsigned char dirt) {
  CHECK(arena_fits(&arena, &heap));
  return arena_open(&arena, &heap, 0, dirt);
}

static struct source *open_buffer(size_t capacity, unsigned skew) {
  return open_heap(
      (struct heap){.source = HEAP_FIXED, .page_size = 1, .capacity = capacity, .skew = skew},
      ARENA_DIRT);
}

static struct source *open_pages(size_t page_size) {
  return open_heap(
      (struct heap){.source = HEAP_PAGES, .page_size = page_size, .capacity = CAPACITY},
      ARENA_DIRT);
}

// ## Access to what is forbidden

static SEES_FORBIDDEN __attribute__((noinline)) unsigned char swap(unsigned char *at,
                                                                   unsigned char byte) {
  unsigned char was = *at;
  *at = byte;
  return was;
}

static void flip(unsigned char *at) {
  memory_open(at, 1);
  swap(at, (unsigned char)(swap(at, 0) ^ 1));
  memory_close(at, 1);
}

// Damage at this byte is found, and only as long as it is there.
static void check_watched(unsigned char *at) {
  CHECK(!arena_damage(&arena));
  flip(at);
  CHECK(arena_damage(&arena) == at);
  flip(at);
  CHECK(!arena_damage(&arena));
}

static void check_dirty(const unsigned char *start, size_t size, unsigned char dirt) {
  memory_grant_contents((void *)(uintptr_t)start, size);
  for (size_t i = 0; i < size; i++) CHECK(start[i] == dirt);
}

// What lies in [start, end) is held, and nothing that touches a byte beside it.
static void check_edges(const unsigned char *start, const unsigned char *end) {
  size_t size = (size_t)(end - start);
  CHECK(arena_holds(&arena, start, size) && arena_holds(&arena, start, 1));
  CHECK(arena_holds(&arena, end - 1, 1) && !arena_holds(&arena, end - 1, 2));
  CHECK(!arena_holds(&arena, end, 1) && !arena_holds(&arena, start, size + 1));
  CHECK(!arena_holds(&arena, start - 1, 1) && !arena_holds(&arena, start - 1, size));
  CHECK(!arena_holds(&arena, start - 1, size + 2));
  CHECK(!arena_holds(&arena, start, SIZE_MAX) && !arena_holds(&arena, end - 1, SIZE_MAX));
  CHECK(!arena_holds(&arena, NULL, 1) && !arena_holds(&arena, NULL, SIZE_MAX));
}

// ## One buffer

static void test_buffer(void) {
  static const size_t sizes[] = {1, 7, 64, 100, 4096, CAPACITY};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (unsigned skew = 0; skew < 64; skew += 13) {
      size_t size = sizes[i];
      struct source *source = open_buffer(size, skew);
      CHECK(source->page_size == 1 && source->available(source) == size);
      CHECK(!source->acquire(source, 0) && !source->acquire(source, size + 1));
      CHECK(!arena.exhausted && !arena_holds(&arena, arena_buffer(&arena), 1));
      unsigned char *memory = source->acquire(source, size);
      CHECK(memory == arena.base + skew && memory == arena_buffer(&arena));
      CHECK(arena_offset(&arena, memory) == (intptr_t)skew);
      CHECK(source->available(source) == 0);
      CHECK(!source->acquire(source, 1) && arena.exhausted);
      check_dirty(memory, size, ARENA_DIRT);
      check_edges(memory, memory + size);
      for (size_t j = 0; j < ARENA_CANARY_SIZE; j++) check_watched(memory + size + j);
      for (size_t j = 1; j <= skew; j++) check_watched(memory - j);
      source->release(source, memory, size);
      CHECK(source->available(source) == size && !arena_holds(&arena, memory, 1));
      arena_close(&arena);
    }
}

// Part of the buffer has its canary right behind, and leaves the whole for later.
static void test_part_of_buffer(void) {
  struct source *source = open_buffer(4096, 0);
  unsigned char *memory = source->acquire(source, 100);
  check_edges(memory, memory + 100);
  check_watched(memory + 100);
  source->release(source, memory, 100);
  CHECK(source->acquire(source, 4096) == memory);
  check_edges(memory, memory + 4096);
  check_dirty(memory, 4096, ARENA_DIRT);
  arena_close(&arena);
}

static void test_damage_outlives_buffer(void) {
  struct source *source = open_buffer(100, 0);
  unsigned char *memory = source->acquire(source, 100);
  flip(memory + 100);
  source->release(source, memory, 100);
  CHECK(arena_damage(&arena) == memory + 100);
  CHECK(source->acquire(source, 100) == memory && arena_damage(&arena) == memory + 100);
  arena_close(&arena);
  open_buffer(100, 0);
  CHECK(!arena_damage(&arena));
  arena_close(&arena);
}

// ## A buffer that grows

static struct source *open_growing(size_t capacity) {
  return open_heap(
      (struct heap){.source = HEAP_FIXED, .page_size = 1, .capacity = capacity, .grows = true},
      ARENA_DIRT);
}

// The canary moves with the break, up and down, and behind it all is dirty.
static void test_growing(void) {
  struct source *source = open_growing(CAPACITY);
  CHECK(source->traits & SOURCE_CONTIGUOUS && source->page_size == 1);
  CHECK(!source->acquire(source, 0) && !source->acquire(source, CAPACITY + 1));
  static const size_t steps[] = {1, 7, 64, 63, 65, 100, 4096, 9000};
  size_t held = 0;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    CHECK(source->available(source) == CAPACITY - held);
    unsigned char *memory = source->acquire(source, steps[i]);
    CHECK(memory == arena.base + held);
    check_dirty(memory, steps[i], ARENA_DIRT);
    held += steps[i];
    check_edges(arena.base, arena.base + held);
    for (size_t j = 0; j < ARENA_CANARY_SIZE; j++) check_watched(arena.base + held + j);
    memory_open(arena.base + held + ARENA_CANARY_SIZE, 1);
    CHECK(swap(arena.base + held + ARENA_CANARY_SIZE, ARENA_DIRT) == ARENA_DIRT);
    memory_close(arena.base + held + ARENA_CANARY_SIZE, 1);
  }
  CHECK(!arena.exhausted);
  for (size_t i = 0; i < 2; i++) {
    size_t less = i ? 30 : 9000;
    held -= less;
    source->release(source, arena.base + held, less);
    check_edges(arena.base, arena.base + held);
    for (size_t j = 0; j < ARENA_CANARY_SIZE; j++) check_watched(arena.base + held + j);
  }
  CHECK(source->acquire(source, 500) == arena.base + held);
  check_dirty(arena.base + held, 500, ARENA_DIRT);
  held += 500;
  CHECK(source->acquire(source, CAPACITY - held) && source->available(source) == 0);
  CHECK(!source->acquire(source, 1) && !arena_damage(&arena));
  source->release(source, arena.base, CAPACITY);
  CHECK(!arena_holds(&arena, arena.base, 1) && source->available(source) == CAPACITY);
  CHECK(source->acquire(source, 100) == arena.base);
  check_dirty(arena.base, 100, ARENA_DIRT);
  arena_close(&arena);
}

// What was written past a break shows, also if the break has moved on since.
static void test_damage_before_growth(void) {
  for (int grows = 0; grows < 2; grows++) {
    struct source *source = open_growing(CAPACITY);
    unsigned char *memory = source->acquire(source, 200);
    flip(memory + 210);
    if (grows)
      source->acquire(source, 200);
    else
      source->release(source, memory + 100, 100);
    CHECK(arena_damage(&arena) == memory + 210);
    arena_close(&arena);
  }
}

// ## Pages

static void test_pages(void) {
  for (size_t page = 64; page <= 65536; page *= 2) {
    struct source *source = open_pages(page);
    CHECK(source->traits & SOURCE_RECLAIMS && source->page_size == page);
    CHECK(!source->acquire(source, 0) && !source->acquire(source, page + 1));
    CHECK(!source->acquire(source, page / 2) && !source->acquire(source, SIZE_MAX - page + 1));
    unsigned char *first = source->acquire(source, 2 * page);
    unsigned char *second = source->acquire(source, page);
    CHECK(first == arena.base && second == first + 3 * page);
    check_dirty(first, 2 * page, ARENA_DIRT);
    check_edges(first, first + 2 * page);
    check_edges(second, second + page);
    CHECK(!arena_holds(&arena, first, 4 * page));  // two stretches are not one
    for (size_t i = 0; i < ARENA_CANARY_SIZE; i += 21) {
      check_watched(first + 2 * page + i);
      check_watched(second + page + i);
    }

    // What comes back is watched where it begins, page by page, and can be had again.
    source->release(source, first, 2 * page);
    CHECK(!arena_holds(&arena, first, 1) && arena_holds(&arena, second, page));
    check_watched(first);
    check_watched(first + page + ARENA_CANARY_SIZE - 1);
    CHECK(source->acquire(source, page) == first);
    check_dirty(first, page, ARENA_DIRT);
    check_edges(first, first + page);
    CHECK(!arena_damage(&arena));
    arena_close(&arena);
  }
}

static void test_damage_outlives_pages(void) {
  for (int again = 0; again < 3; again++) {
    struct source *source = open_pages(256);
    unsigned char *memory = source->acquire(source, 512);
    unsigned char *damaged = again ? memory + 256 : memory + 512;
    if (!again) flip(damaged);  // past the end, then released
    source->release(source, memory, 512);
    if (again) flip(damaged);  // written after release
    if (again == 2) CHECK(source->acquire(source, 512) == memory);
    CHECK(arena_damage(&arena) == damaged);
    arena_close(&arena);
    open_pages(256);
    CHECK(!arena_damage(&arena));
    arena_close(&arena);
  }
}

// Gaps are counted in, so addresses run out before pages would; that is told apart from other
// refusals.
static void test_exhaustion(void) {
  enum { STRETCH = 1 << 20 };
  struct source *source = open_pages(65536);
  size_t stretches = 0;
  unsigned char *last = NULL, *memory;
  while ((memory = source->acquire(source, STRETCH))) {
    CHECK(memory > last && !arena.exhausted);
    last = memory;
    stretches++;
  }
  CHECK(arena.exhausted && stretches >= (4 * CAPACITY + 2 * ARENA_ALIGN) / (STRETCH + 65536));
  CHECK(last + STRETCH <= arena.base + arena.size);
  CHECK(!arena_damage(&arena));
  source->release(source, last, STRETCH);
  CHECK(source->acquire(source, STRETCH) == last);
  arena_close(&arena);
  source = open_pages(65536);
  CHECK(!arena.exhausted && source->acquire(source, STRETCH) == arena.base);
  arena_close(&arena);
}

// ## Pages at random, against a map of them

enum { PAGES = 4096, PAGE = 64, STRETCHES = 96 };

static uint64_t random_state = 0x9e3779b97f4a7c15;

static size_t below(size_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (size_t)(random_state >> 11) % limit;
}

static void test_random_pages(void) {
  static bool owned[PAGES];
  struct {
    unsigned char *start;
    size_t pages;
  } stretches[STRETCHES];
  size_t count = 0;
  struct source *source = open_pages(PAGE);
  for (int i = 0; i < 5000; i++) {
    if (count < STRETCHES && below(100) < (i / 500 % 2 ? 30 : 70)) {
      size_t pages = 1 + below(below(8) ? 4 : 130);
      unsigned char *start = source->acquire(source, pages * PAGE);
      CHECK(start);
      size_t first = (size_t)(start - arena.base) / PAGE;
      CHECK(first + pages < PAGES);
      CHECK((first == 0 || !owned[first - 1]) && !owned[first + pages]);  // gaps on both sides
      for (size_t p = first; p < first + pages; p++) {
        CHECK(!owned[p]);
        owned[p] = true;
      }
      check_dirty(start, 1, ARENA_DIRT);
      check_dirty(start + pages * PAGE - 1, 1, ARENA_DIRT);
      stretches[count].start = start;
      stretches[count++].pages = pages;
    } else if (count > 0) {
      size_t victim = below(count);
      size_t first = (size_t)(stretches[victim].start - arena.base) / PAGE;
      source->release(source, stretches[victim].start, stretches[victim].pages * PAGE);
      for (size_t p = first; p < first + stretches[victim].pages; p++) owned[p] = false;
      stretches[victim] = stretches[--count];
    }
    size_t from = below(PAGES * PAGE - 1), size = 1 + below(below(2) ? 200 : 9000);
    if (size > PAGES * PAGE - from) size = PAGES * PAGE - from;
    bool held = true;
    for (size_t p = from / PAGE; p <= (from + size - 1) / PAGE; p++) held &= owned[p];
    CHECK(arena_holds(&arena, arena.base + from, size) == held);
  }
  CHECK(!arena_damage(&arena));
  arena_close(&arena);
  CHECK(!arena_holds(&arena, arena.base, 1));
}

// What one heap had is nothing to the next.
static void test_close(void) {
  struct source *source = open_pages(PAGE);
  CHECK(source->acquire(source, 8 * PAGE) == arena.base);
  arena_close(&arena);
  CHECK(!arena_holds(&arena, arena.base, 1));
  source = open_pages(PAGE);
  CHECK(source->acquire(source, PAGE) == arena.base);
  check_edges(arena.base, arena.base + PAGE);
  arena_close(&arena);
}

// ## The arena as a whole

static void test_shift_and_dirt(void) {
  struct heap heap = {.source = HEAP_FIXED, .page_size = 1, .capacity = 1000, .skew = 5};
  struct source *source = arena_open(&arena, &heap, 1, 0x5A);
  unsigned char *memory = source->acquire(source, 1000);
  CHECK(memory == arena.base + ARENA_ALIGN / 2 + 5 && arena_offset(&arena, memory) == 5);
  check_dirty(memory, 1000, 0x5A);
  arena_close(&arena);
  CHECK((uintptr_t)arena.base % ARENA_ALIGN == 0);
}

static void test_room(void) {
  struct heap heap = {.source = HEAP_PAGES, .page_size = 4096, .capacity = CAPACITY};
  CHECK(arena_fits(&arena, &heap));
  heap.capacity = (size_t)1 << 30;
  CHECK(!arena_fits(&arena, &heap));
  struct arena none = {0};
  CHECK(!arena_fits(&none, &heap));
  arena_free(&none);
  CHECK(!arena_init(&none, (uint64_t)1 << 50));  // more than any machine has addresses for
}

// In each process heaps begin at the same address; a second arena is elsewhere.
static void test_place(void) {
#if UINTPTR_MAX > UINT32_MAX
  uintptr_t place = 0x800000000;
#ifdef BUILT_WITH_ASAN
  place = 0x200800000000;
#endif
  CHECK((uintptr_t)arena.base == place);
  struct arena second;
  CHECK(arena_init(&second, CAPACITY) && second.base != arena.base);
  arena_free(&second);
#endif
}

// Just below the heap nothing can be read or written, by anyone.
static void test_guards(void) {
  for (int side = 0; side < 2; side++) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
      close(STDERR_FILENO);
      flip(side ? arena.base + arena.size : arena.base - 1);
      _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
  }
}

int main(void) {
  CHECK(arena_init(&arena, CAPACITY));
  test_buffer();
  test_part_of_buffer();
  test_damage_outlives_buffer();
  test_growing();
  test_damage_before_growth();
  test_pages();
  test_damage_outlives_pages();
  test_exhaustion();
  test_random_pages();
  test_close();
  test_shift_and_dirt();
  test_guards();
  test_room();
  test_place();
  arena_free(&arena);
  CHECK(!arena.mapping);
  return 0;
}
