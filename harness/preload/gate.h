// Who may be inside the allocator: each thread once, and, where the strategy serves one at a time,
// one thread.
//
// A thread that is inside and comes again, as a signal handler does, is not let in: it would find
// the strategy amidst its work.
#ifndef HARNESS_PRELOAD_GATE_H_
#define HARNESS_PRELOAD_GATE_H_

#include <stdbool.h>

// Before the first thread enters.
void gate_init(bool several);

// False: this thread is inside already, and must not leave for this.
bool gate_enter(void);
void gate_leave(void);
bool gate_is_inside(void);

// Waits until no other thread is inside, and keeps them out. This one, which must not be inside,
// may enter and leave meanwhile. False: others did not leave within `milliseconds`, or this thread
// is inside. Negative: wait as long as it takes.
bool gate_close(int milliseconds);
void gate_open(void);

// Whether no other thread exists.
bool gate_is_alone(void);

#endif
