// The replay of a pack of programs. What it finds is told, not judged: who has the other verdicts
// compares.
#include "collections/print.h"
#include "freestanding/replay.h"
#include "freestanding/world.h"

int program_main(void) {
  if (!replay_has_pack()) {
    print_text(world_console(),
               "there is no pack to replay, or it is empty: name one that make_pack.py made\n");
    return 2;
  }
  return replay_pack() ? 0 : 2;
}
