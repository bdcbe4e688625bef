// The ORDER_ hooks of lock.h as client requests to Valgrind's drd: for a build with
// -DALLOCATORS_ORDER_HOOKS='"allocators/order_valgrind.h"'. Without drd each is a few instructions
// that do nothing.
#ifndef ALLOCATORS_ORDER_VALGRIND_H_
#define ALLOCATORS_ORDER_VALGRIND_H_

#include <valgrind/drd.h>

#define ORDER_BEFORE(address) ANNOTATE_HAPPENS_BEFORE(address)
#define ORDER_AFTER(address) ANNOTATE_HAPPENS_AFTER(address)
#define ORDER_ATOMIC(object) DRD_IGNORE_VAR(object)

#endif
