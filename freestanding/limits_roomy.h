// The harness where there are some MiB: heaps lie at two addresses, and three of them side by side.
#ifndef FREESTANDING_LIMITS_ROOMY_H_
#define FREESTANDING_LIMITS_ROOMY_H_

enum {
  ARENA_ALIGN = 1 << 17,
  ARENA_SHIFT = ARENA_ALIGN / 2,
  ARENA_AHEAD = 4096,
  ARENA_LEAST = 1 << 16,
  ARENA_COPIES = 4,  // as many times a heap's bytes, for gaps and fragmentation
  SHADOW_SLOTS = 1 << 16,
  SHADOW_BLOCKS = 256,
  OCCUPANCY_PARTIALS = 256,
  ORACLE_FRESH_HEAPS = 64,
  ORACLE_STRETCHES = 1024,
  ORACLE_SPARE_ANSWERS = 2,
};

#endif
