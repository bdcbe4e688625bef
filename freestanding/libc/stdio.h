// Text into memory: of formats only %s, %u, %zu, %#tx and %%, which are what the harness says its
// verdicts with. Any other one aborts.
#ifndef FREESTANDING_LIBC_STDIO_H_
#define FREESTANDING_LIBC_STDIO_H_

#include <stdarg.h>
#include <stddef.h>

int snprintf(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int vsnprintf(char *text, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
