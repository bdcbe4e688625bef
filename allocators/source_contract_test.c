// What every source promises, on every source: long random histories against a list of what is
// held.
#define _DEFAULT_SOURCE
#include <stdint.h>

#include "allocators/scratch.h"
#include "allocators/source.h"

enum { SLOTS = 24, STEPS = 3000, MOST_PAGES = 6 };

struct holding {
  unsigned char *start;
  size_t size;
  unsigned char stamp;
};

static uint64_t state;

// xorshift64* (Vigna 2016)
static size_t random_below(size_t bound) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (size_t)((state * 0x2545F4914F6CDD1D) >> 33) % bound;
}

static void check_grant(const struct source *source, const struct holding *holdings,
                        const struct holding *fresh) {
  CHECK((uintptr_t)fresh->start % source->page_size == 0);
  for (size_t i = 0; i < SLOTS; i++) {
    const struct holding *other = holdings + i;
    CHECK(other == fresh || other->size == 0 || fresh->start + fresh->size <= other->start ||
          other->start + other->size <= fresh->start);
  }
  for (size_t i = 0; i < fresh->size && source->traits & SOURCE_ZEROED; i++)
    CHECK(fresh->start[i] == 0);
}

static void release_holding(struct source *source, struct holding *holding) {
  for (size_t i = 0; i < holding->size; i++) CHECK(holding->start[i] == holding->stamp);
  source->release(source, holding->start, holding->size);
  holding->size = 0;
}

static void acquire_holding(struct source *source, struct holding *holdings,
                            struct holding *holding) {
  size_t available = source->available(source);
  size_t size = (1 + random_below(MOST_PAGES)) * source->page_size;
  CHECK(available == SIZE_MAX || available % source->page_size == 0);
  holding->start = source->acquire(source, size);
  CHECK((holding->start != NULL) == (size <= available));
  if (holding->start == NULL) {
    CHECK(source->available(source) == available);
    return;
  }
  holding->size = size;
  holding->stamp = (unsigned char)random_below(256);
  check_grant(source, holdings, holding);
  memset(holding->start, holding->stamp, size);
}

// What is available can be had, and one page more can not.
static void check_available(struct source *source) {
  size_t available = source->available(source);
  if (available == SIZE_MAX) return;
  CHECK(source->acquire(source, available + source->page_size) == NULL);
  CHECK(source->available(source) == available);
  if (available == 0) return;
  void *memory = source->acquire(source, available);
  CHECK(memory != NULL);
  source->release(source, memory, available);
  CHECK(source->available(source) == available);
}

static void check_source(struct source *source) {
  struct holding holdings[SLOTS] = {{0}};
  size_t pristine = source->available(source);
  state = 88172645463325252u;
  for (size_t step = 0; step < STEPS; step++) {
    struct holding *holding = holdings + random_below(SLOTS);
    if (holding->size != 0)
      release_holding(source, holding);
    else
      acquire_holding(source, holdings, holding);
    if (step % 64 == 0) check_available(source);
    CHECK(source->acquire(source, 0) == NULL);
    CHECK(source->acquire(source, 0 - source->page_size) == NULL);
    CHECK(source->page_size == 1 || source->acquire(source, source->page_size + 1) == NULL);
  }
  for (size_t i = 0; i < SLOTS; i++)
    if (holdings[i].size != 0) release_holding(source, holdings + i);
  CHECK(source->available(source) == pristine);
}

// Bare, and behind all decorators.
static void check_decorated(struct source *source) {
  check_source(source);
  struct source_limit limit;
  struct source_faults faults;
  struct source_account account;
  struct source_stretch table[SLOTS - 4];
  source_limit_init(&limit, source, 40 * source->page_size + source->page_size / 2);
  source_faults_init(&faults, &limit.base);
  source_account_init(&account, &faults.base, table, SLOTS - 4);
  check_source(&account.base);
  CHECK(account.bytes == 0 && account.count == 0 && account.errors == 0 && faults.injected == 0);
  CHECK(account.peak <= limit.limit && limit.granted == 0);
}

int main(void) {
  struct source_buffer buffer;
  static unsigned char small[50], large[1000];
  source_buffer_init(&buffer, small + 1, sizeof small - 1);
  check_decorated(&buffer.base);
  source_buffer_init(&buffer, large + 3, sizeof large - 3);
  check_decorated(&buffer.base);

  struct source_pages pages;
  const size_t page_sizes[] = {1, 512, 4096, 16384};
  for (size_t i = 0; i < sizeof page_sizes / sizeof *page_sizes; i++) {
    CHECK(source_pages_init(&pages, page_sizes[i]));
    check_decorated(&pages.base);
  }

  struct scratch scratch;
  struct source_file file;
  char error[1024];
  scratch_make(&scratch);
  CHECK(source_file_open(&file, scratch.path, 0, 50, error, sizeof error));
  check_decorated(&file.base);
  CHECK(source_file_pages(&file) == 0);
  CHECK(source_file_close(&file));
  scratch_remove(&scratch);
  return 0;
}
