// The accountant: sums, errors, and the search among neighbours.
#include <stdint.h>

#include "allocators/check.h"
#include "allocators/source.h"

enum { TABLE = 8 };
static unsigned char bytes[1000];
static struct source_buffer buffer;
static struct source_stretch table[TABLE];
static struct source_account account;

static void start_over(void) {
  source_buffer_init(&buffer, bytes, sizeof bytes);
  source_account_init(&account, &buffer.base, table, TABLE);
}

static unsigned char *acquire(size_t size) { return account.base.acquire(&account.base, size); }

static void release(void *memory, size_t size) {
  account.base.release(&account.base, memory, size);
}

static void test_sums(void) {
  start_over();
  CHECK(account.base.page_size == 1 && account.base.traits == buffer.base.traits);
  CHECK(account.bytes == 0 && account.peak == 0 && account.count == 0 && account.errors == 0);
  unsigned char *a = acquire(100), *b = acquire(50);
  CHECK(a == bytes && b == bytes + 100);
  CHECK(account.bytes == 150 && account.peak == 150 && account.count == 2);
  CHECK(acquire(0) == NULL && acquire(SIZE_MAX) == NULL && acquire(851) == NULL);
  CHECK(account.bytes == 150 && account.peak == 150 && account.count == 2);
  release(b, 50);
  CHECK(account.bytes == 100 && account.peak == 150 && account.count == 1);
  CHECK(acquire(20) != NULL && account.bytes == 120 && account.peak == 150);
  CHECK(acquire(31) != NULL && account.bytes == 151 && account.peak == 151);
  release(bytes + 120, 31);
  release(bytes + 100, 20);
  release(a, 100);
  CHECK(account.bytes == 0 && account.count == 0 && account.errors == 0 && account.peak == 151);
}

// Whatever matches no stretch exactly changes nothing, here or within.
static void test_errors(void) {
  start_over();
  release(bytes, 1);
  release(NULL, 0);
  CHECK(account.errors == 2);
  unsigned char *a = acquire(100), *b = acquire(100);
  release(a, 99);
  release(a, 101);
  release(a, 200);
  release(a + 1, 99);
  release(b + 100, 100);
  release(NULL, 100);
  release((void *)UINTPTR_MAX, 100);
  CHECK(account.errors == 9);
  CHECK(account.bytes == 200 && account.count == 2 && buffer.held == 200);
  release(b, 100);
  release(b, 100);
  CHECK(account.errors == 10);
  CHECK(account.bytes == 100 && account.count == 1 && buffer.held == 100);
  release(a, 100);
  CHECK(account.errors == 10 && account.bytes == 0 && buffer.held == 0);
}

// For whoever takes stretches that adjoin for one.
static void test_growing(void) {
  start_over();
  account.grows = true;
  CHECK(acquire(100) == bytes && acquire(50) == bytes + 100);
  CHECK(account.count == 1 && account.bytes == 150 && account.changes == 2);
  CHECK(source_account_find(&account, bytes, 150) && !source_account_find(&account, bytes, 151));
  release(bytes, 149);
  release(bytes, 100);
  release(bytes + 100, 51);
  release(bytes + 150, 0);
  CHECK(account.errors == 4 && account.bytes == 150 && buffer.held == 150);
  release(bytes + 120, 30);
  CHECK(account.errors == 4 && account.bytes == 120 && buffer.held == 120);
  CHECK(acquire(10) == bytes + 120);
  release(bytes, 130);
  CHECK(account.errors == 4 && account.bytes == 0 && account.count == 0 && buffer.held == 0);
}

static void test_full_table(void) {
  start_over();
  for (size_t i = 0; i < TABLE; i++) CHECK(acquire(10) != NULL);
  CHECK(account.base.available(&account.base) == 0);
  CHECK(acquire(10) == NULL);
  CHECK(buffer.held == 80 && account.bytes == 80);
  release(bytes + 30, 10);
  CHECK(account.base.available(&account.base) == 920);
  CHECK(acquire(10) == bytes + 80);
  CHECK(account.count == TABLE && account.errors == 0);
  for (size_t i = 1; i < TABLE; i++) CHECK(table[i - 1].start < table[i].start);

  source_account_init(&account, &buffer.base, NULL, 0);
  CHECK(acquire(1) == NULL && account.base.available(&account.base) == 0);
  CHECK(source_account_find(&account, bytes, 1) == NULL);
}

static void test_find(void) {
  start_over();
  const struct source_stretch *empty = source_account_find(&account, bytes, 1);
  CHECK(empty == NULL);

  // Three neighbours; the middle one goes.
  unsigned char *a = acquire(100), *b = acquire(100), *c = acquire(100);
  for (size_t i = 0; i < 300; i++) {
    const struct source_stretch *found = source_account_find(&account, bytes + i, 1);
    CHECK(found != NULL && found->start == bytes + i / 100 * 100 && found->size == 100);
  }
  CHECK(source_account_find(&account, a, 100)->start == a);
  CHECK(source_account_find(&account, a, 101) == NULL);  // goes over into b
  CHECK(source_account_find(&account, b + 99, 2) == NULL);
  CHECK(source_account_find(&account, c + 99, 2) == NULL);
  CHECK(source_account_find(&account, c + 100, 1) == NULL);
  CHECK(source_account_find(&account, (void *)((uintptr_t)a - 1), 1) == NULL);
  CHECK(source_account_find(&account, NULL, 1) == NULL);
  CHECK(source_account_find(&account, a, SIZE_MAX) == NULL);
  CHECK(source_account_find(&account, b, 0 - (size_t)(uintptr_t)b) == NULL);
  CHECK(source_account_find(&account, (void *)UINTPTR_MAX, SIZE_MAX) == NULL);

  release(b, 100);
  for (size_t i = 0; i < 300; i++)
    CHECK((source_account_find(&account, bytes + i, 1) == NULL) == (i / 100 == 1));
}

// A source that grants downwards, so that stretches are inserted in front.
static unsigned char *lowest;
static void *acquire_downwards(struct source *self, size_t size) {
  (void)self;
  return lowest -= size;
}
static size_t available_downwards(const struct source *self) {
  (void)self;
  return (size_t)(lowest - bytes);
}

static void test_table_stays_sorted(void) {
  struct source downwards = {.name = "downwards",
                             .page_size = 1,
                             .acquire = acquire_downwards,
                             .available = available_downwards};
  lowest = bytes + sizeof bytes;
  source_account_init(&account, &downwards, table, TABLE);
  for (size_t i = 1; i <= TABLE; i++) CHECK(acquire(i) != NULL);
  for (size_t i = 0; i < TABLE; i++)
    CHECK(table[i].size == TABLE - i &&
          source_account_find(&account, table[i].start, 1) == table + i);
}

int main(void) {
  test_sums();
  test_errors();
  test_growing();
  test_full_table();
  test_find();
  test_table_stays_sorted();
  return 0;
}
