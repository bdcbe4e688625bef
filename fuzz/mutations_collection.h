// Mutations of programs of a collection, whose records are verbs (harness/collection.h).
#ifndef FUZZ_MUTATIONS_COLLECTION_H_
#define FUZZ_MUTATIONS_COLLECTION_H_

#include "fuzz/draft.h"

// Changes operations of a draft whose hints say how many verbs there are.
void mutate_collection(struct draft *draft);

#endif
