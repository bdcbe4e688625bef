// Protection: pages that really fault and come back, refusals that change nothing, and decorators
// that pass it on.
#define _DEFAULT_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"
#include "allocators/source.h"

static size_t machine_page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static bool faults(unsigned char *address, bool writes) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would report it
    signal(SIGBUS, SIG_DFL);
    volatile unsigned char *byte = address, value = 0;
    if (writes)
      *byte = value;
    else
      value = *byte;
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return WIFSIGNALED(status);
}

static bool protect(struct source *source, unsigned char *start, size_t size, bool accessible) {
  return source->protect(source, start, size, accessible);
}

// Of three pages the one in the middle, and nothing beside it.
static void test_middle(struct source *source) {
  size_t page = source->page_size;
  CHECK(source->traits & SOURCE_PROTECTS);
  unsigned char *memory = source->acquire(source, 3 * page);
  CHECK(memory != NULL);
  memset(memory, 1, 3 * page);
  CHECK(protect(source, memory + page, page, false));
  CHECK(faults(memory + page, true) && faults(memory + page, false));
  CHECK(faults(memory + 2 * page - 1, true) && faults(memory + 2 * page - 1, false));
  CHECK(!faults(memory + page - 1, true) && !faults(memory + 2 * page, true));
  CHECK(protect(source, memory + page, page, true));
  memset(memory, 2, 3 * page);
  CHECK(protect(source, memory, 3 * page, false) && faults(memory, false));
  CHECK(protect(source, memory, 3 * page, true));
  memset(memory, 3, 3 * page);
  source->release(source, memory, 3 * page);
}

// Pages smaller than the machine's can not be protected without their neighbours.
static void test_small_pages(void) {
  struct source_pages pages;
  size_t machine = machine_page(), page = machine / 4;
  CHECK(source_pages_init(&pages, page));
  struct source *source = &pages.base;
  unsigned char *memory = source->acquire(source, 8 * page);
  CHECK(memory != NULL);
  CHECK(!protect(source, memory, page, false) && !protect(source, memory + page, 4 * page, false));
  for (size_t i = 0; i < 8; i++) CHECK(!faults(memory + i * page, true));
  CHECK(protect(source, memory, 4 * page, false));
  CHECK(faults(memory, true) && faults(memory + machine - 1, true) &&
        !faults(memory + machine, true));
  CHECK(!protect(source, memory, page, true) && faults(memory, true));
  CHECK(protect(source, memory, 4 * page, true));
  source->release(source, memory, 8 * page);
}

static void test_decorators(void) {
  struct source_pages pages;
  struct source_limit limit;
  struct source_faults injector;
  struct source_account account;
  struct source_stretch table[4];
  CHECK(source_pages_init(&pages, 0));
  source_limit_init(&limit, &pages.base, 16 * pages.base.page_size);
  source_faults_init(&injector, &pages.base);
  source_account_init(&account, &pages.base, table, 4);
  test_middle(&limit.base);
  test_middle(&injector.base);
  test_middle(&account.base);
  // One over the other, in an order that each can be outermost.
  source_faults_init(&injector, &limit.base);
  source_account_init(&account, &injector.base, table, 4);
  test_middle(&account.base);
  CHECK(limit.granted == 0 && account.bytes == 0 && injector.injected == 0);

  // Where there is nothing to pass on, nothing is offered.
  static unsigned char bytes[64];
  struct source_buffer buffer;
  source_buffer_init(&buffer, bytes, sizeof bytes);
  source_limit_init(&limit, &buffer.base, 64);
  source_faults_init(&injector, &limit.base);
  source_account_init(&account, &injector.base, table, 4);
  CHECK((account.base.traits & SOURCE_PROTECTS) == 0 && account.base.protect == NULL);
}

int main(void) {
  struct source_pages pages;
  for (size_t page = machine_page(); page <= 16 * machine_page(); page *= 4) {
    CHECK(source_pages_init(&pages, page));
    test_middle(&pages.base);
  }
  test_small_pages();
  test_decorators();
  return 0;
}
