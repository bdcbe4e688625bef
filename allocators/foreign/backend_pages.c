// Pages for a foreign heap that asks for them by calls of its own: first fit from the high end.
#define _DEFAULT_SOURCE
#include <errno.h>
#include <sys/mman.h>

#include "allocators/arithmetic.h"
#include "allocators/foreign/backends.h"
#include "allocators/memory.h"

enum { PAGES = FOREIGN_LIMIT / BACKEND_PAGE, GONE = 0xA5 };

// Page 0 is the highest. None is taken below `backends.pages`.
static unsigned char taken[PAGES + 1];

static size_t pages_of(size_t size) { return size / BACKEND_PAGE + (size % BACKEND_PAGE != 0); }

static unsigned char *start_of(size_t page) { return backends.top - (page + 1) * BACKEND_PAGE; }

// How many there can be, as the break is now.
static size_t room(void) {
  size_t pages = (size_t)(backends.top - backends.end) / BACKEND_PAGE;
  return pages < PAGES ? pages : PAGES;
}

// A heap that has just begun has no pages.
static void begin_if_new(void) {
  if (backends.top != NULL) return;
  backends.top = backends.pages;
  memset(taken, 0, sizeof taken);
}

void *foreign_pages(size_t size) {
  begin_if_new();
  size_t wanted = pages_of(size), free_pages = 0;
  if (size == 0 || backends.top < backends.end) return NULL;
  for (size_t page = 0; page < room(); page++) {
    free_pages = taken[page] ? 0 : free_pages + 1;
    if (free_pages < wanted) continue;
    memset(taken + page + 1 - wanted, 1, wanted);
    unsigned char *start = start_of(page);
    if (start < backends.pages) backends.pages = start;
    return start;
  }
  return NULL;
}

bool foreign_pages_free(void *start, size_t size) {
  begin_if_new();
  size_t pages = pages_of(size);
  uintptr_t end = address_of(start) + pages * BACKEND_PAGE;
  if (size == 0 || size > FOREIGN_LIMIT || address_of(start) % BACKEND_PAGE != 0 ||
      address_of(start) < address_of(backends.pages) || end > address_of(backends.top) ||
      end < address_of(start))
    return false;
  size_t first = (address_of(backends.top) - end) / BACKEND_PAGE;
  for (size_t i = 0; i < pages; i++)
    if (!taken[first + i]) return false;
  memset(taken + first, 0, pages);
  memset(start, GONE, pages * BACKEND_PAGE);  // whoever still uses it shall notice
  size_t lowest = (size_t)(backends.top - backends.pages) / BACKEND_PAGE;
  while (lowest > 0 && !taken[lowest - 1]) lowest--;
  backends.pages = backends.top - lowest * BACKEND_PAGE;
  return true;
}

void *foreign_mmap(void *wish, size_t size, int protection, int flags, int file, long offset) {
  (void)wish, (void)protection, (void)file, (void)offset;
  bool sensible = flags & MAP_ANONYMOUS && !(flags & MAP_FIXED) && size != 0;
  void *start = sensible ? foreign_pages(size) : NULL;
  if (start != NULL) return memset(start, 0, pages_of(size) * BACKEND_PAGE);
  errno = sensible ? ENOMEM : EINVAL;
  return MAP_FAILED;
}

int foreign_munmap(void *start, size_t size) {
  if (foreign_pages_free(start, size)) return 0;
  errno = EINVAL;
  return -1;
}
