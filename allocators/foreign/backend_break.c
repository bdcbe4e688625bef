// The break of a foreign heap, and the buffer of one that has no break.
#include <errno.h>

#include "allocators/arithmetic.h"
#include "allocators/foreign/backends.h"
#include "allocators/memory.h"

struct backends backends;

static size_t gap_before(const unsigned char *address, size_t align) {
  return (0 - address_of(address)) & (align - 1);
}

static void give_back(size_t size) {
  struct source *source = backends.source;
  backends.held -= size;
  if (size > 0) source->release(source, backends.memory + backends.held, size);
}

// What a heap grows by must adjoin what it has.
static bool take(size_t size) {
  if (size > backends.limit - backends.held) return false;
  unsigned char *more = backends.source->acquire(backends.source, size);
  if (more == NULL) return false;
  if (backends.memory == NULL) backends.memory = more;
  if (more != backends.memory + backends.held) {
    backends.source->release(backends.source, more, size);
    return false;
  }
  backends.held += size;
  return true;
}

bool backends_begin(struct source *source, size_t limit) {
  size_t available = source->available(source);
  if (available < limit) limit = available;
  limit = align_down(limit, source->page_size);
  backends = (struct backends){.source = source, .limit = limit};
#ifdef FOREIGN_BREAK
  // Where the break is before anything was taken is known only to who has taken something.
  if (!take(source->page_size)) return false;
  size_t gap = gap_before(backends.memory, BACKEND_PAGE);
  give_back(backends.held);
  if (gap > 0 && !take(gap)) return false;
  backends.pages = backends.memory + limit;
#else
  if (limit == 0 || !take(limit)) return false;
  size_t gap = gap_before(backends.memory, BACKEND_ALIGN);
  backends.pages = backends.memory + align_down(address_of(backends.memory) + limit, BACKEND_PAGE) -
                   address_of(backends.memory);
  if (gap > limit) gap = limit;
#endif
  backends.start = backends.end = backends.memory + gap;
  return true;
}

void backends_end(void) { give_back(backends.held); }

unsigned char *backends_buffer(size_t *size) {
  *size = (size_t)(backends.memory + backends.held - backends.end);
  return backends.end;
}

static void *refuse(void) {
  errno = ENOMEM;
  return (void *)-1;
}

void *foreign_sbrk(intptr_t step) {
  unsigned char *before = backends.end;
  size_t size = step < 0 ? 0 - (size_t)step : (size_t)step;
  if (step < 0) {
    if (size > (size_t)(before - backends.start)) return refuse();
#ifdef FOREIGN_BREAK
    give_back(size);
#endif
    backends.end = before - size;
  } else if (step > 0) {
#ifdef FOREIGN_BREAK
    if (!take(size)) return refuse();
#else
    if (before > backends.pages || size > (size_t)(backends.pages - before)) return refuse();
#endif
#ifdef FOREIGN_ZEROED
    memset(before, 0, size);
#endif
    backends.end = before + size;
  }
  return before;
}

int foreign_brk(void *end) {
  intptr_t step = (intptr_t)(address_of(end) - address_of(backends.end));
  return foreign_sbrk(step) == (void *)-1 ? -1 : 0;
}
