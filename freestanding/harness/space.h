// Where arenas lie in a world: in the memory that it has for heaps, one behind the other.
#ifndef FREESTANDING_HARNESS_SPACE_H_
#define FREESTANDING_HARNESS_SPACE_H_

#include <stdbool.h>

// All of it is free again, whatever a run that was left had of it.
void space_begin(void);

// Whether there was no room for an arena since then.
bool space_refused(void);

#endif
