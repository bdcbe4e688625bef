// The limit: exactly at its edge, and in concert with what is within.
#include <stdint.h>

#include "allocators/check.h"
#include "allocators/source.h"

static void *acquire(struct source_limit *limit, size_t size) {
  return limit->base.acquire(&limit->base, size);
}

static void release(struct source_limit *limit, void *memory, size_t size) {
  limit->base.release(&limit->base, memory, size);
}

static size_t available(const struct source_limit *limit) {
  return limit->base.available(&limit->base);
}

static void test_edge(void) {
  static unsigned char bytes[1000];
  struct source_buffer buffer;
  struct source_limit limit;
  source_buffer_init(&buffer, bytes, sizeof bytes);
  source_limit_init(&limit, &buffer.base, 100);
  CHECK(limit.base.page_size == 1 && limit.base.traits == SOURCE_CONTIGUOUS);
  CHECK(available(&limit) == 100);
  CHECK(acquire(&limit, 0) == NULL);
  CHECK(acquire(&limit, 101) == NULL);
  CHECK(acquire(&limit, SIZE_MAX) == NULL);
  CHECK(limit.granted == 0 && available(&limit) == 100 && buffer.used == 0);
  void *first = acquire(&limit, 99);
  CHECK(first == bytes && available(&limit) == 1);
  CHECK(acquire(&limit, 2) == NULL);
  void *second = acquire(&limit, 1);
  CHECK(second == bytes + 99 && available(&limit) == 0 && limit.granted == 100);
  CHECK(acquire(&limit, 1) == NULL);
  CHECK(acquire(&limit, SIZE_MAX) == NULL);
  release(&limit, second, 1);
  CHECK(available(&limit) == 1);
  release(&limit, first, 99);
  CHECK(limit.granted == 0 && buffer.held == 0);
  CHECK(acquire(&limit, 100) == bytes);
}

static void test_inner_is_smaller(void) {
  static unsigned char bytes[10];
  struct source_buffer buffer;
  struct source_limit limit;
  source_buffer_init(&buffer, bytes, sizeof bytes);
  source_limit_init(&limit, &buffer.base, 100);
  CHECK(available(&limit) == 10);
  CHECK(acquire(&limit, 11) == NULL);
  CHECK(limit.granted == 0);
  CHECK(acquire(&limit, 10) == bytes);
  CHECK(limit.granted == 10 && available(&limit) == 0);
}

// A limit between two multiples of the page size grants what fits below it.
static void test_pages(void) {
  struct source_pages pages;
  struct source_limit limit;
  CHECK(source_pages_init(&pages, 4096));
  source_limit_init(&limit, &pages.base, 3 * 4096 - 1);
  CHECK(limit.base.page_size == 4096);
  CHECK(limit.base.traits == (SOURCE_RECLAIMS | SOURCE_ZEROED | SOURCE_PROTECTS));
  CHECK(available(&limit) == 2 * 4096);
  CHECK(acquire(&limit, 3 * 4096 - 1) == NULL);
  CHECK(acquire(&limit, 3 * 4096) == NULL);
  void *memory = acquire(&limit, 2 * 4096);
  CHECK(memory != NULL && available(&limit) == 0);
  release(&limit, memory, 2 * 4096);

  source_limit_init(&limit, &pages.base, 0);
  CHECK(available(&limit) == 0 && acquire(&limit, 4096) == NULL);

  source_limit_init(&limit, &pages.base, SIZE_MAX);
  CHECK(available(&limit) == SIZE_MAX);
  CHECK((memory = acquire(&limit, 4096)) != NULL);
  CHECK(available(&limit) == SIZE_MAX);
  CHECK(acquire(&limit, SIZE_MAX - 4095) == NULL);
  release(&limit, memory, 4096);
  CHECK(limit.granted == 0);
}

int main(void) {
  test_edge();
  test_inner_is_smaller();
  test_pages();
  return 0;
}
