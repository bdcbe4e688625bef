// Turns all raw logs that a recorded command and its children left into traces.
#ifndef HARNESS_RECORD_COLLECT_H_
#define HARNESS_RECORD_COLLECT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

// Converts each raw log in `from` to `to`/PROGRAM.PROCESS[.N].trace, never over an existing file,
// and removes it. Reports one line a trace; errors are lines too, and the other logs are still
// converted. False if there were errors; *traces is how many were written.
bool record_collect(const char *from, const char *to, FILE *report, size_t *traces);

#endif
