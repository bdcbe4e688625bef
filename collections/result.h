// What a call of a collection says. Whatever it is but RESULT_OK, the collection is as it was.
#ifndef COLLECTIONS_RESULT_H_
#define COLLECTIONS_RESULT_H_

enum result {
  RESULT_OK = 0,
  RESULT_NO_MEMORY,      // the allocator refused, or a size is more than can be said
  RESULT_OUT_OF_BOUNDS,  // an index or a range is not within the collection
  RESULT_NOT_FOUND,      // no such element
  RESULT_NOT_UTF8,       // bytes that are no UTF-8, or a code point that it cannot say
  RESULT_NO_BOUNDARY,    // an offset inside a code point
  RESULT_NOT_WRITTEN,    // a writer's end takes no more
  RESULT_EXISTS,         // the key is there already
  RESULT_FOREIGN,        // the other collection has another allocator, or other elements
};

#endif
