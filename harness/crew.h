// Threads that wait for work, so that a program need not start its own.
//
// They are those of the process that hired them: a forked child hires anew. Each has a place of its
// own for the watch, and leaves signals that are not its own fault to the main thread.
#ifndef HARNESS_CREW_H_
#define HARNESS_CREW_H_

#include <stdbool.h>

#include "harness/watch.h"

enum { CREW_MAX = WATCH_PLACES };

// Calls work(context, thread) for each thread 0 .. threads - 1, all at once, and waits for them.
// The calling thread is number 0. False, and nothing called, if the system gives no threads.
bool crew_work(unsigned threads, void (*work)(void *context, unsigned thread), void *context);

// Ends the threads, if there are any. Memcheck takes what a thread has for lost when the process
// ends before it.
void crew_dismiss(void);

#endif
