// What foreign heaps get their memory by: one buffer, a break that moves both ways, pages.
//
// All of it is one stretch of the source. The break starts at its low end and moves up; pages are
// taken from its high end, as in the address space of a process. Where only a break is wanted
// (FOREIGN_BREAK) the stretch ends at the break, so that who touches what lies past it is caught;
// else it is all of the heap from the beginning.
//
// The build says FOREIGN_LIMIT, in bytes: there are pages for no more than that; and FOREIGN_ZEROED
// if a break is to move over zeros, as on Unix, and not over what happens to be there.
#ifndef ALLOCATORS_FOREIGN_BACKENDS_H_
#define ALLOCATORS_FOREIGN_BACKENDS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/source.h"

enum {
  BACKEND_PAGE = 4096,  // bytes; also of the first break, where no buffer is there
  BACKEND_ALIGN = 16,   // of a buffer
};

struct backends {
  struct source *source;
  unsigned char *memory;  // what is held of the source
  size_t held;            // bytes
  size_t limit;           // the most that may be held
  unsigned char *start;   // the first break
  unsigned char *end;     // the break
  unsigned char *pages;   // the lowest page that is taken, or where pages end
  unsigned char *top;     // where pages end; NULL: nobody has asked for pages yet
};

extern struct backends backends;

// False, with nothing held, if the source fails.
bool backends_begin(struct source *source, size_t limit);
// Gives back all of the source.
void backends_end(void);
// Between the break and the pages: what a heap over one buffer gets, aligned to BACKEND_ALIGN.
unsigned char *backends_buffer(size_t *size);

// ## As foreign code calls them, under these names or any that the build gives them

// Moves the break by `step` bytes, and returns where it was: all of [break, break + step) is the
// caller's then, or no longer. `(void *)-1` with ENOMEM, and nothing changed: there is no more, or
// never was as much.
void *foreign_sbrk(intptr_t step);
// Moves the break to `end`. -1 with ENOMEM as above; else 0.
int foreign_brk(void *end);

// `size` bytes, rounded up to whole pages, with contents that are anything. NULL: there are no
// more.
void *foreign_pages(size_t size);
// Takes pages back, however they were taken. False, and nothing changed: these are not all taken.
bool foreign_pages_free(void *start, size_t size);
// Anonymous memory as mmap and munmap give and take it (POSIX), all zero. Anything else is refused,
// with EINVAL or ENOMEM; an address that is asked for counts as a wish.
void *foreign_mmap(void *wish, size_t size, int protection, int flags, int file, long offset);
int foreign_munmap(void *start, size_t size);

#endif
