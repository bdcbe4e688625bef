// A call that can be left from any depth, a signal handler's too: setjmp and longjmp in one,
// without a libc.
#ifndef FREESTANDING_LINUX_CONTEXT_H_
#define FREESTANDING_LINUX_CONTEXT_H_

// Calls body(context), with where to come back to in *stack. 1: it returned; 0: it was left.
int context_call(void **stack, void (*body)(void *), void *context);

// Comes back from the call that left `stack`.
_Noreturn void context_leave(void *stack);

#endif
