#ifndef FREESTANDING_DEMO_H_
#define FREESTANDING_DEMO_H_

#include <stdbool.h>

// The demo of the seeds. Whether all of it was done.
bool demo(void);

#endif
