// Brings the global state of foreign code back to what it was: each program finds the same, without
// a process of its own.
//
// The build renames the writable sections of the foreign object to foreign_data and foreign_bss,
// whose bounds the linker then tells. What lies elsewhere is not brought back: variables of
// threads, and what the C library keeps on behalf of that code.
#ifndef ALLOCATORS_FOREIGN_PRISTINE_H_
#define ALLOCATORS_FOREIGN_PRISTINE_H_

#include <stdbool.h>
#include <stddef.h>

// Of a stretch of memory from now on. Large ones cost what was written to since, not their size.
struct pristine {
  unsigned char *start;
  size_t size;
  // Whole pages that the system keeps; the rest is copied.
  unsigned char *pages;
  size_t pages_size;
  unsigned char *copies;  // of what lies before the pages, then behind them; NULL: nothing kept
};

// Keeps what the stretch holds. False, and nothing changed, if memory is out.
bool pristine_keep(struct pristine *self, void *start, size_t size);
void pristine_bring_back(const struct pristine *self);
// It can no longer be brought back. Its contents stay as they are.
void pristine_forget(struct pristine *self);

// Keeps the foreign object's state the first time it is called, and brings it back each time after.
// Ends the process if memory is out.
void pristine_begin(void);

#endif
