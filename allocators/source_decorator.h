// What decorators of sources share: each is a source, and then the source that it decorates.
#ifndef ALLOCATORS_SOURCE_DECORATOR_H_
#define ALLOCATORS_SOURCE_DECORATOR_H_

#include "allocators/source.h"

struct source_decorator {
  struct source base;
  struct source *inner;
};

static inline struct source *source_inner(const struct source *decorator) {
  return ((const struct source_decorator *)decorator)->inner;
}

static inline void source_forward_persist(struct source *self, const void *start, size_t size) {
  source_inner(self)->persist(source_inner(self), start, size);
}

static inline void *source_forward_held(struct source *self, size_t *size) {
  return source_inner(self)->held(source_inner(self), size);
}

static inline bool source_forward_protect(struct source *self, void *start, size_t size,
                                          bool accessible) {
  return source_inner(self)->protect(source_inner(self), start, size, accessible);
}

// A source that does all as `inner` does; the decorator sets what it does otherwise.
static inline struct source source_like(const char *name, const struct source *inner) {
  return (struct source){
      .name = name,
      .traits = inner->traits,
      .page_size = inner->page_size,
      .persist = inner->persist ? source_forward_persist : NULL,
      .held = inner->held ? source_forward_held : NULL,
      .protect = inner->protect ? source_forward_protect : NULL,
  };
}

#endif
