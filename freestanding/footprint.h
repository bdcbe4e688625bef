#ifndef FREESTANDING_FOOTPRINT_H_
#define FREESTANDING_FOOTPRINT_H_

#include <stdbool.h>

// Measures what `programs` makes the strategies of the registry do; it is run twice, and says
// whether it could run. Then prints a line for each strategy and operation that was called:
//
//   footprint STRATEGY OPERATION calls=N instructions=N stack=N
//
// the most that a call took; `instructions=-` where the world does not count them. False if not all
// of it could be measured, as the last line says too.
bool footprint(bool (*programs)(void));

#endif
