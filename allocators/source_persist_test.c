// persist and held: of a mapped file, and passed on by whatever decorates it.
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <sys/wait.h>

#include "allocators/scratch.h"
#include "allocators/source.h"

enum { PAGE = 4096, STRETCHES = 8 };

static char error[512];

static void open_or_die(struct source_file *file, const char *path) {
  CHECK(source_file_open(file, path, PAGE, 8, error, sizeof error));
}

static void *held(struct source *source, size_t *size) { return source->held(source, size); }

// One stretch, as long as what was acquired lies together.
static void test_held(const char *path) {
  struct source_file file;
  struct source *source = &file.base;
  size_t size = 0;
  open_or_die(&file, path);
  CHECK(held(source, &size) == NULL);
  void *a = source->acquire(source, PAGE), *b = source->acquire(source, 3 * PAGE);
  source->release(source, a, PAGE);
  CHECK(held(source, &size) == b && size == 3 * PAGE);
  CHECK(source_file_close(&file));
  open_or_die(&file, path);
  b = held(source, &size);
  CHECK(b == source_file_page(&file, 1) && size == 3 * PAGE);
  source->release(source, b, size);
  CHECK(source_file_pages(&file) == 0 && held(source, &size) == NULL);
  CHECK(source_file_close(&file));
}

// What was persisted is there for the next process, however this one ends.
static void test_persist(const char *path) {
  for (int synchronous = 0; synchronous < 2; synchronous++) {
    pid_t child = fork();
    CHECK(child >= 0);
    struct source_file file;
    if (child == 0) {
      open_or_die(&file, path);
      CHECK(!file.synchronous);
      file.synchronous = synchronous != 0;
      char *memory = file.base.acquire(&file.base, 5 * PAGE);
      file.base.persist(&file.base, memory, 0);
      file.base.persist(&file.base, memory + 5 * PAGE, 0);
      strcpy(memory + PAGE - 3, "across pages");
      file.base.persist(&file.base, memory + PAGE - 3, 13);
      memory[5 * PAGE - 1] = '!';
      file.base.persist(&file.base, memory + 5 * PAGE - 1, 1);
      abort();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    open_or_die(&file, path);
    size_t size;
    char *memory = held(&file.base, &size);
    CHECK(memory != NULL && size == 5 * PAGE);
    CHECK(strcmp(memory + PAGE - 3, "across pages") == 0 && memory[size - 1] == '!');
    file.base.release(&file.base, memory, size);
    CHECK(source_file_close(&file));
  }
}

// ## Decorators

struct barrier {
  const void *start;
  size_t size;
  size_t count;
};
static struct barrier last;

static void note_barrier(struct source *self, const void *start, size_t size) {
  (void)self;
  last = (struct barrier){start, size, last.count + 1};
}

// Over a file that holds `pages` pages of an earlier life.
static void leave_pages(const char *path, size_t pages) {
  struct source_file file;
  open_or_die(&file, path);
  CHECK(file.base.acquire(&file.base, pages * PAGE) != NULL);
  CHECK(source_file_close(&file));
}

static void test_decorators(const char *path) {
  leave_pages(path, 3);
  struct source_file file;
  struct source_limit limit;
  struct source_account account;
  struct source_faults faults;
  struct source_stretch table[STRETCHES];
  open_or_die(&file, path);
  file.base.persist = note_barrier;
  source_limit_init(&limit, &file.base, 5 * PAGE);
  source_account_init(&account, &limit.base, table, STRETCHES);
  source_faults_init(&faults, &account.base);
  struct source *source = &faults.base;
  CHECK(source->traits == (SOURCE_RECLAIMS | SOURCE_PERSISTS));
  CHECK(source->available(source) == 5 * PAGE && account.bytes == 0);

  // It counts, once, from when it was asked for.
  size_t size;
  void *memory = NULL;
  for (int i = 0; i < 3; i++) {
    memory = held(source, &size);
    CHECK(memory == source_file_page(&file, 0) && size == 3 * PAGE);
    CHECK(account.bytes == 3 * PAGE && limit.granted == 3 * PAGE);
    CHECK(account.peak == 3 * PAGE && account.count == 1);
    CHECK(source->available(source) == 2 * PAGE);
  }
  CHECK(faults.acquisitions == 0);
  source->persist(source, (char *)memory + 5, 7);
  CHECK(last.start == (char *)memory + 5 && last.size == 7 && last.count == 1);

  source->release(source, memory, size);
  CHECK(account.bytes == 0 && account.errors == 0 && limit.granted == 0);
  CHECK(held(source, &size) == NULL && source->available(source) == 5 * PAGE);

  // What was acquired in this life counts already.
  memory = source->acquire(source, 2 * PAGE);
  CHECK(held(source, &size) == memory && size == 2 * PAGE);
  CHECK(account.bytes == 2 * PAGE && limit.granted == 2 * PAGE);
  source->release(source, memory, size);
  CHECK(limit.granted == 0 && account.bytes == 0 && source_file_pages(&file) == 0);
  CHECK(source_file_close(&file));
}

// What is held may be more than a limit of this life, and more than a table has room for.
static void test_too_much(const char *path) {
  leave_pages(path, 3);
  struct source_file file;
  struct source_limit limit;
  struct source_account account;
  size_t size;
  open_or_die(&file, path);
  source_limit_init(&limit, &file.base, 3 * PAGE - 1);
  CHECK(held(&limit.base, &size) == NULL && limit.granted == 0);
  CHECK(limit.base.available(&limit.base) == 2 * PAGE);
  source_limit_init(&limit, &file.base, 3 * PAGE);
  CHECK(held(&limit.base, &size) != NULL && limit.base.available(&limit.base) == 0);
  source_account_init(&account, &file.base, NULL, 0);
  CHECK(held(&account.base, &size) == NULL && account.bytes == 0);
  CHECK(source_file_close(&file));
}

// Over a source that does not persist, no decorator does.
static void test_volatile(const char *path) {
  (void)path;
  static unsigned char memory[256];
  struct source_buffer buffer;
  struct source_limit limit;
  struct source_account account;
  struct source_faults faults;
  source_buffer_init(&buffer, memory, sizeof memory);
  source_limit_init(&limit, &buffer.base, SIZE_MAX);
  source_account_init(&account, &limit.base, NULL, 0);
  source_faults_init(&faults, &account.base);
  const struct source *sources[] = {&buffer.base, &limit.base, &account.base, &faults.base};
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    CHECK((sources[i]->traits & SOURCE_PERSISTS) == 0);
    CHECK(sources[i]->persist == NULL && sources[i]->held == NULL);
  }
}

int main(void) {
  void (*const tests[])(const char *) = {test_held, test_persist, test_decorators, test_too_much,
                                         test_volatile};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    struct scratch scratch;
    scratch_make(&scratch);
    tests[i](scratch.path);
    scratch_remove(&scratch);
  }
  return 0;
}
