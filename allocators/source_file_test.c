// The mapped file in good health: what is put into it is there when it is opened again.
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "allocators/address_space.h"
#include "allocators/scratch.h"
#include "allocators/source.h"

static char error[1024];

static void open_or_die(struct source_file *file, const char *path, size_t page_size,
                        size_t capacity) {
  if (!source_file_open(file, path, page_size, capacity, error, sizeof error))
    fprintf(stderr, "%s\n", error);
  CHECK(file->mapping != NULL);
}

static unsigned char *acquire(struct source_file *file, size_t pages) {
  return file->base.acquire(&file->base, pages * file->base.page_size);
}

static void release(struct source_file *file, void *memory, size_t pages) {
  file->base.release(&file->base, memory, pages * file->base.page_size);
}

static size_t available_pages(const struct source_file *file) {
  return file->base.available(&file->base) / file->base.page_size;
}

static size_t machine_page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void test_acquire_and_release(const char *path) {
  struct source_file file;
  open_or_die(&file, path, 0, 10);
  size_t page = machine_page();
  CHECK(file.base.page_size == page && file.capacity == 10);
  CHECK(file.base.traits == (SOURCE_RECLAIMS | SOURCE_PERSISTS));
  CHECK(source_file_pages(&file) == 0 && available_pages(&file) == 10);
  for (size_t i = 0; i < 12; i++) CHECK(source_file_page(&file, i) == NULL);

  struct source *source = &file.base;
  CHECK(source->acquire(source, 0) == NULL);
  CHECK(source->acquire(source, page - 1) == NULL && source->acquire(source, page + 1) == NULL);
  CHECK(source->acquire(source, 11 * page) == NULL);
  CHECK(source->acquire(source, SIZE_MAX) == NULL && source->acquire(source, 0 - page) == NULL);
  CHECK(source_file_pages(&file) == 0);

  unsigned char *a = acquire(&file, 3), *b = acquire(&file, 2), *c = acquire(&file, 5);
  CHECK(a != NULL && b == a + 3 * page && c == b + 2 * page);
  CHECK((uintptr_t)a % page == 0);
  CHECK(available_pages(&file) == 0 && acquire(&file, 1) == NULL);
  CHECK(source_file_pages(&file) == 10 && source_file_page(&file, 9) == c + 4 * page);
  CHECK(source_file_page(&file, 10) == NULL && source_file_page(&file, SIZE_MAX) == NULL);

  // In any order; the longest run counts.
  memset(c, 1, 5 * page);
  release(&file, a, 3);
  CHECK(available_pages(&file) == 3 && acquire(&file, 4) == NULL);
  release(&file, c, 5);
  CHECK(available_pages(&file) == 5 && source_file_pages(&file) == 2);
  CHECK(acquire(&file, 5) == c && acquire(&file, 1) == a);
  CHECK(available_pages(&file) == 2);
  release(&file, a, 1);
  release(&file, b, 2);
  CHECK(available_pages(&file) == 5);

  // The map is not for strangers.
  release(&file, file.mapping, 1);
  release(&file, c + 4 * page, 2);
  source->release(source, c + 1, page);
  source->release(source, c, page - 1);
  source->release(source, c, page + 1);
  CHECK(source_file_pages(&file) == 5);
  CHECK(source_file_close(&file));
}

static void test_reopen(const char *path) {
  struct source_file file;
  open_or_die(&file, path, 4 * machine_page(), 10);
  size_t page = file.base.page_size;
  unsigned char *a = acquire(&file, 1), *b = acquire(&file, 2), *c = acquire(&file, 1);
  memset(a, 'a', page);
  memset(b, 'b', 2 * page);
  memset(c, 'c', page);
  release(&file, a, 1);
  CHECK(source_file_close(&file));

  // The same capacity, a larger one, or whatever there is: it keeps its own.
  const size_t capacities[] = {10, 11, 1000000, SIZE_MAX, 0};
  for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
    open_or_die(&file, path, page, capacities[i]);
    CHECK(file.capacity == 10 && source_file_pages(&file) == 3);
    CHECK(source_file_page(&file, 0) == NULL && source_file_page(&file, 4) == NULL);
    b = source_file_page(&file, 1);
    c = source_file_page(&file, 3);
    CHECK(b != NULL && c == b + 2 * page);
    for (size_t byte = 0; byte < page; byte++)
      CHECK(b[byte] == 'b' && b[page + byte] == 'b' && c[byte] == 'c');
    CHECK(source_file_close(&file));
  }

  // A stretch of an earlier life is released like any other.
  open_or_die(&file, path, page, 0);
  release(&file, source_file_page(&file, 1), 2);
  CHECK(source_file_pages(&file) == 1 && available_pages(&file) == 6);
  CHECK(acquire(&file, 3) == (unsigned char *)source_file_page(&file, 3) - 3 * page);
  CHECK(source_file_close(&file));
}

static void test_page_sizes(const char *path) {
  for (size_t page_size = machine_page(); page_size <= (size_t)2 << 20; page_size *= 2) {
    struct source_file file;
    open_or_die(&file, path, page_size, 3);
    unsigned char *memory = acquire(&file, 3);
    CHECK(memory != NULL && (uintptr_t)memory % page_size == 0);
    memory[0] = memory[3 * page_size - 1] = 1;
    struct stat status;
    CHECK(stat(path, &status) == 0 && (size_t)status.st_size == 5 * page_size);
    CHECK(source_file_close(&file));
    CHECK(unlink(path) == 0);
  }
}

// Closing leaves none of the addresses behind that were taken to align the mapping. The spacers see
// to it that the system does not put each mapping where the last one was.
static void test_addresses(const char *path) {
  const size_t page_size = (size_t)1 << 20;
  size_t before = address_space();
  const size_t spacer_size = 37 * machine_page();
  void *spacers[64];
  for (size_t i = 0; i < 64; i++) {
    struct source_file file;
    spacers[i] = mmap(NULL, spacer_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(spacers[i] != MAP_FAILED);
    open_or_die(&file, path, page_size, 1);
    CHECK(source_file_close(&file));
  }
  for (size_t i = 0; i < 64; i++) munmap(spacers[i], spacer_size);
  CHECK(address_space() < before + 8 * page_size);
}

// A map of more than one page, and a capacity that is no multiple of anything.
static void test_long_map(const char *path) {
  struct source_file file;
  size_t page = machine_page(), capacity = page + 3;
  open_or_die(&file, path, page, capacity);
  unsigned char *memory = acquire(&file, capacity);
  CHECK(memory != NULL && acquire(&file, 1) == NULL);
  memory[capacity * page - 1] = 42;
  release(&file, memory, capacity - 1);
  CHECK(source_file_close(&file));
  open_or_die(&file, path, page, capacity);
  CHECK(source_file_pages(&file) == 1);
  memory = source_file_page(&file, capacity - 1);
  CHECK(memory != NULL && memory[page - 1] == 42);
  CHECK(source_file_close(&file));
}

// A process that dies without closing leaves everything as it was at that moment.
static void test_death(const char *path) {
  size_t page = machine_page();
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    struct source_file file;
    open_or_die(&file, path, page, 4);
    memset(acquire(&file, 2), 'x', 2 * page);
    memset(acquire(&file, 1), 'y', page);
    release(&file, source_file_page(&file, 0), 2);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  struct source_file file;
  open_or_die(&file, path, page, 4);
  CHECK(source_file_pages(&file) == 1 && source_file_page(&file, 0) == NULL);
  const unsigned char *memory = source_file_page(&file, 2);
  for (size_t i = 0; i < page; i++) CHECK(memory[i] == 'y');
  CHECK(source_file_close(&file));
}

int main(void) {
  void (*const tests[])(const char *) = {test_acquire_and_release, test_reopen,   test_page_sizes,
                                         test_addresses,           test_long_map, test_death};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    struct scratch scratch;
    scratch_make(&scratch);
    tests[i](scratch.path);
    scratch_remove(&scratch);
  }
  return 0;
}
