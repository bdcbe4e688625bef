// What strategies take, over the programs of the self-test and those of the pack.
#include "freestanding/footprint.h"
#include "freestanding/replay.h"
#include "freestanding/self_test.h"
#include "freestanding/world.h"

static bool programs(void) { return self_test() && replay_pack(); }

int program_main(void) { return footprint(programs) ? 0 : 2; }
