// The one allocator of this process, made of what its strategy offers.
//
// What C asks of a heap beyond a strategy's promises is made here: a strategy that cannot say how
// large a block is gets a header in front of each that can; one that does not resize has blocks
// copied; one that does not release loses them; alignments beyond its largest are cut from larger
// blocks.
//
// All calls but heap_start need the gate (gate.h) to be passed.
#ifndef HARNESS_PRELOAD_HEAP_H_
#define HARNESS_PRELOAD_HEAP_H_

#include <stdbool.h>
#include <stddef.h>

#include "allocators/strategy.h"
#include "harness/preload/settings.h"

// What every block is aligned to at least: C's max_align_t.
enum { HEAP_ALIGN = 16 };

// NULL until heap_start.
extern const struct strategy *heap_strategy;

// Creates the allocator over `source`, whose memory it is from now on. A fixed heap that the system
// refuses is tried with half the size, and so on. False: it cannot be had.
bool heap_start(const struct strategy *strategy, unsigned variant, struct source *source,
                const struct preload_settings *settings);

// Of a fixed heap, or 0 before it is had.
extern size_t heap_size;

// Whether several threads may be inside.
bool heap_serves_several(void);

// `size` > 0, `align` a power of two. NULL: refused.
void *heap_allocate(size_t size, size_t align);
void *heap_allocate_zeroed(size_t count, size_t size);
// False: it was misused, which was told, and nothing was released.
bool heap_release(void *block);
void *heap_resize(void *block, size_t size);
size_t heap_usable_size(const void *block);

// The stated bound (strategy.h) of what the strategy is asked for such a block, and without blocks.
size_t heap_footprint(size_t size, size_t align);
size_t heap_overhead(void);

// All threads must be out.
struct statistics heap_statistics(void);
struct broken_invariant heap_check(void);

#endif
