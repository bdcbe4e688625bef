// The size classes of size_class.c: what a slot may measure.
//
// Up to 128 bytes there is a class for every 16. From there on each doubling has eight classes, and
// from 1 KiB on four, so that a slot is at most a quarter larger than what was asked for, an eighth
// up to 1 KiB. Such geometric classes are those of J. Evans, "A Scalable Concurrent malloc(3)
// Implementation for FreeBSD" (BSDCan 2006), in finer steps where blocks are many.
//
//   class   0 ..  7     16, 32 .. 128
//           8 .. 31     144 .. 256, 288 .. 512, 576 .. 1024
//          32 .. 51     1280, 1536, 1792, 2048 .. 32768
#ifndef ALLOCATORS_SIZE_CLASS_SIZES_H_
#define ALLOCATORS_SIZE_CLASS_SIZES_H_

#include <stddef.h>
#include <stdint.h>

#define GRAIN ((size_t)16)
#define LINEAR_END ((size_t)128)
#define EIGHTHS_END ((size_t)1024)
#define SLOT_END ((size_t)32768)  // no slot is larger

enum { LINEAR = 8, EIGHTHS = 24, QUARTERS = 20, CLASSES = LINEAR + EIGHTHS + QUARTERS };

// log2, rounded down; x > 0.
static inline unsigned floor_log2(size_t x) { return 63 - (unsigned)__builtin_clzll(x); }

// By (size - 1) / GRAIN, for the sizes that are asked for most: a look is cheaper than a branch
// that is taken at random.
static const uint8_t class_of_grains[EIGHTHS_END / GRAIN] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 16, 17, 17, 18, 18,
    19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 24, 24, 25, 25, 25, 25, 26, 26, 26, 26,
    27, 27, 27, 27, 28, 28, 28, 28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31,
};

// The smallest class with slots of at least `size` bytes, 1 .. SLOT_END.
static inline unsigned class_of(size_t size) {
  size_t last = size - 1;  // two sizes have one class if these agree in their leading bits
  if (last < EIGHTHS_END) return class_of_grains[last / GRAIN];
  unsigned log = floor_log2(last);
  return LINEAR + EIGHTHS + (log - 10) * 4 + (unsigned)(last >> (log - 2) & 3);
}

static inline size_t slot_of(unsigned class) {
  if (class < LINEAR) return (class + 1) * GRAIN;
  if (class < LINEAR + EIGHTHS) {
    unsigned step = class - LINEAR;
    return (LINEAR_END + (step % 8 + 1) * (LINEAR_END / 8)) << step / 8;
  }
  unsigned step = class - LINEAR - EIGHTHS;
  return (EIGHTHS_END + (step % 4 + 1) * (EIGHTHS_END / 4)) << step / 4;
}

// The smallest class with slots of at least `size` bytes, each a multiple of `align`: there is one
// within a doubling, as long as align <= SLOT_END and size <= SLOT_END.
static inline unsigned class_of_aligned(size_t size, size_t align) {
  unsigned class = class_of(size < align ? align : size);
  while (slot_of(class) % align != 0) class ++;
  return class;
}

enum { MAX_SLOTS = 1024 };

// How many units of `unit` bytes a slab of such slots takes, of a chunk of `units`: the fewest that
// give as many slots as the chunk has units and lose no more than a sixteenth behind the last one;
// or else, of a few, those that lose least.
static inline unsigned units_for_slots(size_t slot, size_t unit, unsigned units) {
  unsigned best = 0;
  size_t best_lost = 0;
  for (unsigned count = 1; count <= units / 16 + 4; count++) {
    size_t lost = count * unit % slot;
    if (count * unit / slot >= units && lost <= count * unit / 16) return count;
    if (count * unit < slot) continue;
    if (best == 0 || lost * best <= best_lost * count) best = count, best_lost = lost;
  }
  return best;
}

#endif
