// How walks report: a stretch of no bytes is no stretch.
#ifndef ALLOCATORS_SPAN_H_
#define ALLOCATORS_SPAN_H_

#include <stddef.h>

#include "allocators/strategy.h"

static inline void visit_span(span_visitor *visit, void *context, const void *start, size_t size,
                              enum span_kind kind) {
  if (size > 0) visit(context, &(struct span){start, size, kind});
}

#endif
