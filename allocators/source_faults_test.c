// The fault injector: which acquisitions it refuses, and what it counts.
#include <stdint.h>

#include "allocators/check.h"
#include "allocators/source.h"

static unsigned char bytes[1000];
static struct source_buffer buffer;
static struct source_faults faults;

static void start_over(void) {
  source_buffer_init(&buffer, bytes, sizeof bytes);
  source_faults_init(&faults, &buffer.base);
}

static bool granted(size_t size) {
  size_t used = buffer.used;
  void *memory = faults.base.acquire(&faults.base, size);
  CHECK(buffer.used == (memory == NULL ? used : used + size));
  return memory != NULL;
}

static void test_unarmed(void) {
  start_over();
  CHECK(faults.base.page_size == 1 && faults.base.traits == SOURCE_CONTIGUOUS);
  for (size_t i = 0; i < 100; i++) CHECK(granted(1));
  CHECK(faults.acquisitions == 100 && faults.requests == 100 && faults.injected == 0);
  CHECK(faults.base.available(&faults.base) == 900);
  faults.base.release(&faults.base, bytes + 99, 1);
  CHECK(faults.base.available(&faults.base) == 901);
}

static void test_each_bit_of_the_mask(void) {
  for (size_t bit = 0; bit < 64; bit++) {
    start_over();
    source_faults_arm(&faults, (uint64_t)1 << bit, SIZE_MAX);
    for (size_t i = 0; i < 200; i++) CHECK(granted(1) == (i != bit));
    CHECK(faults.injected == 1 && faults.acquisitions == 200);
  }
  start_over();
  source_faults_arm(&faults, UINT64_MAX, SIZE_MAX);
  for (size_t i = 0; i < 70; i++) CHECK(granted(1) == (i >= 64));
  CHECK(faults.injected == 64);
}

static void test_from(void) {
  for (size_t from = 0; from < 70; from++) {
    start_over();
    source_faults_arm(&faults, 2, from);
    for (size_t i = 0; i < 80; i++) CHECK(granted(1) == (i < from && i != 1));
  }
}

static void test_arming_again(void) {
  start_over();
  source_faults_arm(&faults, 1, SIZE_MAX);
  CHECK(!granted(1) && granted(1) && faults.acquisitions == 2);
  source_faults_arm(&faults, 1, SIZE_MAX);
  CHECK(faults.acquisitions == 0);
  CHECK(!granted(1) && granted(1) && faults.injected == 2);
  source_faults_arm(&faults, 0, 0);
  CHECK(!granted(1) && !granted(1) && faults.injected == 4);
  source_faults_arm(&faults, 0, SIZE_MAX);
  CHECK(granted(1) && faults.injected == 4);
}

// What could not be met anyway is counted as an acquisition, but as nobody's fault.
static void test_refused_anyway(void) {
  start_over();
  source_faults_arm(&faults, 0, 0);
  CHECK(faults.base.available(&faults.base) == sizeof bytes);
  CHECK(!granted(0) && !granted(sizeof bytes + 1) && !granted(SIZE_MAX));
  CHECK(faults.acquisitions == 3 && faults.injected == 0);
  CHECK(!granted(sizeof bytes));
  CHECK(faults.acquisitions == 4 && faults.injected == 1);

  struct source_pages pages;
  CHECK(source_pages_init(&pages, 4096));
  source_faults_init(&faults, &pages.base);
  CHECK(faults.base.page_size == 4096 && faults.base.traits == pages.base.traits);
  source_faults_arm(&faults, 0, 0);
  CHECK(faults.base.acquire(&faults.base, 4095) == NULL && faults.injected == 0);
  CHECK(faults.base.acquire(&faults.base, 4096) == NULL && faults.injected == 1);
}

int main(void) {
  test_unarmed();
  test_each_bit_of_the_mask();
  test_from();
  test_arming_again();
  test_refused_anyway();
  return 0;
}
