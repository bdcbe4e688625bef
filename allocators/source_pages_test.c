// The page source: alignment above and below the machine's page, zeroes, and exact release.
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/address_space.h"
#include "allocators/check.h"
#include "allocators/source.h"

static void *acquire(struct source_pages *pages, size_t size) {
  return pages->base.acquire(&pages->base, size);
}

static void release(struct source_pages *pages, void *memory, size_t size) {
  pages->base.release(&pages->base, memory, size);
}

static size_t machine_page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void test_page_sizes(void) {
  struct source_pages pages;
  CHECK(source_pages_init(&pages, 0));
  CHECK(pages.base.page_size == machine_page());
  CHECK(pages.base.traits == (SOURCE_RECLAIMS | SOURCE_ZEROED | SOURCE_PROTECTS));
  CHECK(pages.base.available(&pages.base) == SIZE_MAX);
  CHECK(!source_pages_init(&pages, 3));
  CHECK(!source_pages_init(&pages, 4095));
  CHECK(!source_pages_init(&pages, SIZE_MAX));
}

static void test_alignment_and_zeroes(void) {
  for (size_t page_size = 1; page_size <= (size_t)4 << 20; page_size *= 2) {
    struct source_pages pages;
    CHECK(source_pages_init(&pages, page_size));
    unsigned char *stretches[4];
    for (size_t i = 0; i < 4; i++) {
      size_t size = page_size * (i + 1);
      CHECK((stretches[i] = acquire(&pages, size)) != NULL);
      CHECK((uintptr_t)stretches[i] % page_size == 0);
      CHECK(stretches[i][0] == 0 && stretches[i][size / 2] == 0 && stretches[i][size - 1] == 0);
      memset(stretches[i], 0xA5, size);
    }
    // In no particular order, and zero again when they come back.
    release(&pages, stretches[1], page_size * 2);
    release(&pages, stretches[3], page_size * 4);
    unsigned char *again = acquire(&pages, page_size * 2);
    CHECK(again != NULL);
    for (size_t i = 0; i < page_size * 2; i += 16) CHECK(again[i] == 0);
    for (size_t i = 0; i < page_size; i += 16) CHECK(stretches[0][i] == 0xA5);
    release(&pages, again, page_size * 2);
    release(&pages, stretches[0], page_size);
    release(&pages, stretches[2], page_size * 3);
  }
}

static void test_refusals(void) {
  const size_t page_sizes[] = {1, 64, machine_page(), (size_t)1 << 20, SIZE_MAX / 2 + 1};
  for (size_t i = 0; i < sizeof page_sizes / sizeof *page_sizes; i++) {
    struct source_pages pages;
    size_t page_size = page_sizes[i];
    CHECK(source_pages_init(&pages, page_size));
    CHECK(acquire(&pages, 0) == NULL);
    CHECK(acquire(&pages, SIZE_MAX) == NULL);
    CHECK(acquire(&pages, 0 - page_size) == NULL);
    CHECK(acquire(&pages, SIZE_MAX / 2 + 1) == NULL);
    if (page_size > 1) {
      CHECK(acquire(&pages, page_size - 1) == NULL);
      CHECK(acquire(&pages, page_size + 1) == NULL);
    }
  }
}

// Nothing of what was trimmed or released stays, wherever the system puts the mapping.
static void test_exact_release(void) {
  enum { ROUNDS = 64 };
  struct source_pages pages;
  const size_t page_size = (size_t)1 << 20;
  void *held[ROUNDS], *spacers[ROUNDS];
  CHECK(source_pages_init(&pages, page_size));
  size_t before = address_space();
  for (size_t i = 0; i < ROUNDS; i++) {
    spacers[i] = mmap(NULL, 37 * machine_page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(spacers[i] != MAP_FAILED);
    CHECK((held[i] = acquire(&pages, 2 * page_size)) != NULL);
  }
  size_t between = address_space();
  CHECK(between >= before + ROUNDS * 2 * page_size);
  CHECK(between < before + ROUNDS * (2 * page_size + 37 * machine_page()) + 8 * page_size);
  for (size_t i = 0; i < ROUNDS; i++) release(&pages, held[i], 2 * page_size);
  for (size_t i = 0; i < ROUNDS; i++) munmap(spacers[i], 37 * machine_page());
  CHECK(address_space() < before + 8 * page_size);
}

int main(void) {
  test_page_sizes();
  test_alignment_and_zeroes();
  test_refusals();
  test_exact_release();
  return 0;
}
