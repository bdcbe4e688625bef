// The self-test of planted bugs.
#include "freestanding/self_test.h"
#include "freestanding/world.h"

int program_main(void) { return self_test_planted() ? 0 : 1; }
