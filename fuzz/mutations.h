// The mutations: each changes operations of a draft in one way.
#ifndef FUZZ_MUTATIONS_H_
#define FUZZ_MUTATIONS_H_

#include "fuzz/draft.h"

struct mutation {
  const char *name;
  // At operation `index`, or at the next one that it can be done to. False, and nothing changed: it
  // can be done nowhere. The draft has operations, and `index` is one of them.
  bool (*apply)(struct draft *draft, size_t index);
  unsigned weight;  // how often it is chosen
};

// Ended by a name of NULL.
extern const struct mutation mutations[];

// One of a table that a name of NULL ends, as often as its weight says.
const struct mutation *mutation_choose(const struct mutation *table, struct chance *chance);

// Chooses one that can be done, and does it; after some tries, none. The draft is not empty.
void mutate_by(const struct mutation *table, struct draft *draft);

// Chooses one that can be done, and does it; of collections' programs, as mutations_collection.h
// has it.
void mutate(struct draft *draft);

// Copies `count` operations that begin at `from` and came from elsewhere in front of `index`, as
// far as they fit; with their slots as they are, or all shifted by the same chance amount.
void splice(struct draft *draft, size_t index, const struct record *from, size_t count);

#endif
