// How walks report, and what statistics make of it.
#ifndef ALLOCATORS_SPAN_H_
#define ALLOCATORS_SPAN_H_

#include <stddef.h>

#include "allocators/strategy.h"

// A stretch of no bytes is no stretch.
static inline void visit_span(span_visitor *visit, void *context, const void *start, size_t size,
                              enum span_kind kind) {
  if (size > 0) visit(context, &(struct span){start, size, kind});
}

static inline void tally_span(void *context, const struct span *span) {
  struct statistics *statistics = context;
  statistics->acquired += span->size;
  if (span->kind == SPAN_BLOCK) statistics->blocks++;
  if (span->kind != SPAN_FREE)
    statistics->used += span->size;
  else if (span->size > statistics->largest_free)
    statistics->largest_free = span->size;
}

// Of a strategy whose free spans each serve a request of their size.
static inline struct statistics statistics_by_walk(const struct allocator *self,
                                                   void (*walk)(const struct allocator *,
                                                                span_visitor *, void *)) {
  struct statistics statistics = {0};
  walk(self, tally_span, &statistics);
  return statistics;
}

#endif
