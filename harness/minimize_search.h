// What the parts of the minimiser share. Private to minimize.c and minimize_values.c.
#ifndef HARNESS_MINIMIZE_SEARCH_H_
#define HARNESS_MINIMIZE_SEARCH_H_

#include "harness/collection.h"
#include "harness/minimize.h"

enum { SEARCH_FAILED = 1 << 14 };

struct search {
  struct minimization *task;
  struct isolated_row row;
  struct program *best;
  struct record *scratch;  // a candidate's records; as many fit as the first best had
  struct record *before;   // where a way that may turn out to be none began; likewise
  size_t *unit;            // of each operation, for removal by units; as many fit
  char id[VERDICT_ID_SIZE];
  bool stopped;
  bool careful;                    // each run alone, and patient
  uint64_t failed[SEARCH_FAILED];  // hashes of candidates that lost the bug; 0: none
};

// Whether the candidate in `scratch`, of `count` records, still violates the property. If so, it is
// the best.
bool search_improves(struct search *search, size_t count);

// The plainest heap, the smallest sizes, the plainest alignments and slots that still show it. True
// if any changed.
bool search_simplify_heap(struct search *search);
bool search_shrink_equal_sizes(struct search *search);
bool search_simplify_operation(struct search *search, size_t index);
bool search_rename_slots(struct search *search);

// The same two of a collection's operation.
bool search_simplify_verb(struct search *search, size_t index);
bool search_rename_instances(struct search *search);

// ## What they are made of (minimize_values.c)

// Whether the best with another record at that place, counted with the heap's, still shows it.
bool search_try_record(struct search *search, size_t index, struct record record);
// Whether it does with the smallest value that does, if smaller ones do not either: halving from
// both ends.
bool search_shrink_value(struct search *search, size_t index);

// The driver of the collection that the program is for; NULL: it is for an allocator.
static inline const struct collection_driver *search_driver(const struct search *search) {
  const struct strategy *strategy = search->task->strategy;
  return strategy->traits & STRATEGY_COLLECTION ? strategy->driver : NULL;
}
// Which fields of it mean something.
static inline unsigned search_fields(const struct search *search, const struct record *record) {
  const struct collection_driver *driver = search_driver(search);
  int verb = verb_of(record, driver->verb_count);
  return verb < 0 ? 0 : driver->verbs[verb].fields;
}

#endif
