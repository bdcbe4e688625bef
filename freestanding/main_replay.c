// The replay of a pack of programs. What it finds is told, not judged: who has the other verdicts
// compares.
#include "freestanding/replay.h"
#include "freestanding/world.h"

int program_main(void) { return replay_pack() ? 0 : 2; }
