// The demo, then the self-test.
#include "freestanding/demo.h"
#include "freestanding/self_test.h"
#include "freestanding/world.h"

int program_main(void) { return demo() && self_test() ? 0 : 1; }
