// The break and the pages that foreign heaps are given, and the table of their blocks' sizes.
#define _DEFAULT_SOURCE
#include "allocators/foreign/backends.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "allocators/check.h"
#include "allocators/foreign/block_sizes.h"

enum { LIMIT = FOREIGN_LIMIT, PAGE = BACKEND_PAGE };

static _Alignas(PAGE) unsigned char memory[LIMIT + PAGE];
static struct source_buffer buffer;
static void *const failed = (void *)-1;

// Off the alignment of anything, as a program's heap may be.
static void begin(size_t limit) {
  source_buffer_init(&buffer, memory + 1, limit);
  CHECK(backends_begin(&buffer.base, limit));
}

static void end(void) {
  backends_end();
  CHECK(buffer.held == 0);
}

static void test_buffer(void) {
  begin(1000);
  size_t size;
  unsigned char *start = backends_buffer(&size);
  CHECK(address_of(start) % BACKEND_ALIGN == 0);
  CHECK(start == memory + 16 && size == 1000 - 15);
  end();
  source_buffer_init(&buffer, memory, 0);
  CHECK(!backends_begin(&buffer.base, 100) && buffer.held == 0);
}

static void test_break_moves_both_ways(void) {
  begin(LIMIT);
  unsigned char *start = foreign_sbrk(0);
  CHECK(foreign_sbrk(100) == start && foreign_sbrk(0) == start + 100);
  CHECK(foreign_sbrk(-40) == start + 100 && foreign_sbrk(0) == start + 60);
  errno = 0;
  CHECK(foreign_sbrk(-61) == failed && errno == ENOMEM && foreign_sbrk(0) == start + 60);
  CHECK(foreign_sbrk(LIMIT) == failed && foreign_sbrk(INTPTR_MAX) == failed);
  CHECK(foreign_sbrk(INTPTR_MIN) == failed && foreign_sbrk(0) == start + 60);
  CHECK(foreign_sbrk(-60) == start + 60 && foreign_sbrk(0) == start);
  CHECK(foreign_brk(start + 5000) == 0 && foreign_sbrk(0) == start + 5000);
  CHECK(foreign_brk(start - 1) == -1 && foreign_brk(NULL) == -1);
  CHECK(foreign_brk(start) == 0 && foreign_sbrk(0) == start);
  end();
}

static void test_pages(void) {
  begin(LIMIT);
  unsigned char *pages[LIMIT / PAGE];
  size_t count = 0;
  while ((pages[count] = foreign_pages(1)) != NULL) {
    CHECK(address_of(pages[count]) % PAGE == 0);
    CHECK(range_within(pages[count], PAGE, memory + 1, LIMIT));
    memset(pages[count], (int)count, PAGE);
    count++;
  }
  // The first and the last are not whole.
  CHECK(count == LIMIT / PAGE - 1);
  for (size_t i = 0; i < count; i++)
    CHECK(pages[i][0] == (unsigned char)i && pages[i][PAGE - 1] == (unsigned char)i);
  CHECK(foreign_sbrk(PAGE) == failed);
  CHECK(foreign_pages_free(pages[7], PAGE) && !foreign_pages_free(pages[7], PAGE));
  CHECK(!foreign_pages(PAGE + 1) && foreign_pages(PAGE) == pages[7]);
  CHECK(foreign_pages_free(pages[3], PAGE) && foreign_pages_free(pages[4], 1));
  CHECK(foreign_pages(2 * PAGE) == pages[4]);
  CHECK(!foreign_pages_free(pages[5] + 1, 1) && !foreign_pages_free(memory, PAGE));
  CHECK(!foreign_pages_free(pages[5], 0) && !foreign_pages_free(pages[5], SIZE_MAX));
  CHECK(!foreign_pages(0) && !foreign_pages(SIZE_MAX));
  end();
  // The next heap has none taken.
  begin(LIMIT);
  CHECK(foreign_pages(1) == pages[0]);
  end();
}

static void test_break_and_pages_meet(void) {
  begin(LIMIT);
  unsigned char *low = foreign_sbrk(LIMIT / 2), *page = foreign_pages(PAGE);
  CHECK(low != failed && page != NULL);
  CHECK(foreign_sbrk(page - (low + LIMIT / 2) + 1) == failed);
  CHECK(foreign_sbrk(page - (low + LIMIT / 2)) == low + LIMIT / 2);
  CHECK(!foreign_pages(1) && foreign_pages_free(page, PAGE));
  CHECK(foreign_sbrk(PAGE) == page);
  end();
}

static void test_mmap(void) {
  begin(LIMIT);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  unsigned char *start = foreign_mmap(NULL, 3 * PAGE - 5, PROT_READ | PROT_WRITE, flags, -1, 0);
  CHECK(start != MAP_FAILED);
  for (size_t i = 0; i < 3 * (size_t)PAGE; i++) CHECK(start[i] == 0);
  // A part may be unmapped.
  CHECK(foreign_munmap(start + PAGE, PAGE) == 0 && foreign_munmap(start, 3 * PAGE) == -1);
  CHECK(foreign_mmap(start, PAGE, PROT_READ, flags, -1, 0) == start + PAGE && start[PAGE] == 0);
  errno = 0;
  CHECK(foreign_mmap(start, PAGE, PROT_READ, flags | MAP_FIXED, -1, 0) == MAP_FAILED);
  CHECK(errno == EINVAL);
  CHECK(foreign_mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 3, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(foreign_mmap(NULL, LIMIT, PROT_READ, flags, -1, 0) == MAP_FAILED && errno == ENOMEM);
  end();
}

// Against an array by number of the block.
static void test_block_sizes(void) {
  enum { BLOCKS = 3000, STEPS = 200000 };
  static size_t sizes[BLOCKS];
  static struct block_sizes table;
  uint32_t random = 1;
  for (unsigned step = 0; step < STEPS; step++) {
    random = random * 1664525u + 1013904223u;
    size_t i = (random >> 8) % BLOCKS;
    const void *block = (const void *)(uintptr_t)(0x1000 + 16 * i);
    CHECK(block_sizes_take(&table, block) == sizes[i]);
    sizes[i] = random % 3 == 0 ? 0 : step + 1;
    if (sizes[i] != 0) block_sizes_put(&table, block, sizes[i]);
  }
  CHECK(table.count > 0);
  block_sizes_clear(&table);
  CHECK(table.count == 0 && block_sizes_take(&table, (const void *)0x1000) == 0);
}

int main(void) {
  test_buffer();
  test_break_moves_both_ways();
  test_pages();
  test_break_and_pages_meet();
  test_mmap();
  test_block_sizes();
  return 0;
}
