// What the preloaded allocator says, on standard error, from inside any call: no memory, no stdio.
#ifndef HARNESS_PRELOAD_TELL_H_
#define HARNESS_PRELOAD_TELL_H_

// One line, which begins with `assay run: ` and must not end with a newline.
__attribute__((format(printf, 1, 2))) void preload_tell(const char *format, ...);

// The callers, innermost first, one line each: address, nearest exported name, file and offset.
void preload_tell_stack(void);

// An exit code for what cannot go on; for a violation under the shadow model.
enum { PRELOAD_CANNOT_RUN = 2, PRELOAD_VIOLATION = 99 };

#endif
