// Replays the pack of programs that the world has (world_read), as make_pack.py wrote it.
//
//   "ASSAYPK1", then entries { u8 length of the name, name of the strategy, u32 size, program },
//   little-endian; a length of 0 ends them
#ifndef FREESTANDING_REPLAY_H_
#define FREESTANDING_REPLAY_H_

#include <stdbool.h>

// Whether the world has one: a file, and something in it.
bool replay_has_pack(void);

// Prints a line for each entry, `judged INDEX STRATEGY VERDICT` or `unfit INDEX STRATEGY REASON`,
// and one for all. False if the pack is damaged or the harness failed; nothing is printed where
// there is no pack. Entries of strategies that the world was not linked with are passed over.
bool replay_pack(void);

#endif
