// The harness beside a heap of 32 KiB in 64 KiB of memory. A heap lies at one place only, and where
// it gives out pages there may be no addresses left for the gaps behind them.
#ifndef FREESTANDING_LIMITS_TIGHT_H_
#define FREESTANDING_LIMITS_TIGHT_H_

enum {
  ARENA_ALIGN = 1 << 16,
  ARENA_SHIFT = 0,
  ARENA_AHEAD = 128,
  ARENA_LEAST = 1,
  ARENA_COPIES = 1,  // as many times a heap's bytes, for gaps and fragmentation
  SHADOW_SLOTS = 256,
  SHADOW_BLOCKS = 32,
  OCCUPANCY_PARTIALS = 16,
  ORACLE_FRESH_HEAPS = 2,
  ORACLE_STRETCHES = 1,
  ORACLE_SPARE_ANSWERS = 1,
};

#endif
