#ifndef FREESTANDING_SELF_TEST_H_
#define FREESTANDING_SELF_TEST_H_

#include <stdbool.h>

// Prints a line for each clean strategy of the registry, and one for all. Whether all of them
// passed.
bool self_test(void);

#endif
