// How much of a machine the harness takes: numbers that a build for a small one chooses itself.
//
// Here are those of a process, which has addresses to waste and memory that costs nothing until it
// is written. A build that defines HARNESS_LIMITS names a header with its own; programs that need
// more than that are refused or abort, and none is judged by less.
#ifndef HARNESS_LIMITS_H_
#define HARNESS_LIMITS_H_

#ifdef HARNESS_LIMITS
#include HARNESS_LIMITS
#else

enum {
  ARENA_ALIGN = 1 << 21,          // of a heap; its guards are beside that
  ARENA_SHIFT = ARENA_ALIGN / 2,  // that a heap is moved by, to lie at other addresses; may be 0
  ARENA_AHEAD = 4096,             // bytes behind the canary of a break that are made dirty
  ARENA_LEAST = 1 << 20,          // bytes that an arena has room for at least
  SHADOW_SLOTS = 1 << 24,         // that a program may have; a power of two
  SHADOW_BLOCKS = 256,            // live ones, to begin with
  OCCUPANCY_PARTIALS = 256,       // granules that are taken in part, to begin with; a power of two
  ORACLE_FRESH_HEAPS = 4096,      // that are remembered
  ORACLE_STRETCHES = 1024,        // of the source, to begin with
  ORACLE_SPARE_ANSWERS = 2,       // as many times those that a program needs
};

#endif

#endif
