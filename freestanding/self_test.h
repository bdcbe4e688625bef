#ifndef FREESTANDING_SELF_TEST_H_
#define FREESTANDING_SELF_TEST_H_

#include <stdbool.h>

// Prints a line for each clean strategy of the registry, and one for all; of a strategy that fails,
// the first program that shows it. Whether all of them passed.
bool self_test(void);

// The same of the registry's planted bugs: to see what the programs are worth.
bool self_test_planted(void);

#endif
