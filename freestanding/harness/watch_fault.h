// Tells the watch's handler of a fault that ended world_guarded while the allocator ran.
#ifndef FREESTANDING_HARNESS_WATCH_FAULT_H_
#define FREESTANDING_HARNESS_WATCH_FAULT_H_

#include "freestanding/world.h"

// To be called inside world_guarded again: the handler leaves by abort.
void watch_fault(enum world_fault fault);

#endif
