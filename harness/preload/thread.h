// Variables of a thread that are there as long as it runs, and cost no call: the loader sets room
// aside for them, as it does for an object that is loaded at the start.
#ifndef HARNESS_PRELOAD_THREAD_H_
#define HARNESS_PRELOAD_THREAD_H_

#define PER_THREAD static _Thread_local __attribute__((tls_model("initial-exec")))

#endif
