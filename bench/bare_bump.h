// The bump allocator that one would write by hand behind a table of its own: what the vtable's is
// compared with.
#ifndef BENCH_BARE_BUMP_H_
#define BENCH_BARE_BUMP_H_

#include <stddef.h>

struct bare_bump {
  unsigned char *start, *at, *end;
};

struct bare_bump_table {
  void (*init)(struct bare_bump *self, void *buffer, size_t size);
  void *(*allocate)(struct bare_bump *self, size_t size, size_t align);
  void (*reset)(struct bare_bump *self);
};

struct bare_bump_table *bare_bump_table(void);

#endif
