// Which properties a strategy can be judged by, from what it promises.
#ifndef HARNESS_APPLIES_H_
#define HARNESS_APPLIES_H_

#include <stdbool.h>

#include "allocators/strategy.h"
#include "harness/property.h"

// False: no program exercises the property on that strategy. True says no more than that the
// strategy's traits speak of it.
bool property_applies(enum property property, const struct strategy *strategy);

#endif
