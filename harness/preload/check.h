// The shadow model of a real program's heap: every call that it makes is checked (--shadow).
//
// It knows what was asked for and what was returned, and asks the strategy nothing but what the
// program asks it too. The program owns the bytes of its blocks, so a change of them is the
// allocator's doing only while it runs, and while the process has one thread: then bytes of some
// live blocks are compared around each call. With several threads that is left out; all the rest
// holds for them too.
//
// A violation is told as the oracle tells it, with the stack, is noted in the directory that the
// environment names, and ends the process with PRELOAD_VIOLATION. What the program does wrong is
// told as that, and ends it with SIGABRT unless it is to go on.
//
// Calls are made by a thread that is inside the gate, but for check_start and check_structures.
#ifndef HARNESS_PRELOAD_CHECK_H_
#define HARNESS_PRELOAD_CHECK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/source.h"

// Begins. The source that the strategy is to have, which notes what it gives. NULL: no memory.
struct source *check_start(const char *strategy_name, struct source *inner);
bool check_is_on(void);

// The strategy's turn begins and ends. `block` is what it is about, no longer live, or NULL.
void check_enter(const char *call, size_t size, const void *block, size_t block_size);
void check_leave(void);

// The strategy has given a block, or NULL.
void check_allocated(const void *block, size_t size, size_t align, bool zeroed);

// What was live up to now, and a hash of its bytes.
struct check_former {
  size_t size;
  size_t kept;  // bytes that a resize keeps
  uint64_t hash;
};

// The program gives the block up. False: it must not, which was told, and the call does nothing.
bool check_released(const void *block, struct check_former *former);
void check_release_result(const void *block, bool released);

// The program has a block resized that check_released was told of. First before, then after.
void check_resizing(const void *block, size_t size, struct check_former *former);
void check_resized(const void *moved, const void *block, size_t size,
                   const struct check_former *former);

// False: no live block, which was told.
bool check_is_live(const void *block);
// What a program may write is what it is told; *usable becomes the size that was asked for.
void check_usable_size(const void *block, size_t *usable);

// Walks the strategy's structures, if that is due. No thread may be inside by this one's doing.
void check_structures(bool at_exit);

#endif
