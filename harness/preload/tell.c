#include "harness/preload/tell.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

enum { LINE = 1536, DEPTH = 48 };

static void put(const char *line, int length) {
  if (length >= LINE) length = LINE - 1;
  if (length > 0) syscall(SYS_write, STDERR_FILENO, line, (size_t)length);
}

void preload_tell(const char *format, ...) {
  char text[LINE - 64], line[LINE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  put(line, snprintf(line, sizeof line, "assay run: %s\n", text));
}

struct frames {
  unsigned count;
  const void *own;  // the file that this is in: its frames say nothing about the program
};

static _Unwind_Reason_Code tell_frame(struct _Unwind_Context *context, void *argument) {
  struct frames *frames = argument;
  int before;
  uintptr_t address = _Unwind_GetIPInfo(context, &before);
  Dl_info info;
  char line[LINE];
  if (address == 0 || frames->count >= DEPTH) return _URC_END_OF_STACK;
  if (dladdr((void *)(address - !before), &info) == 0) {
    put(line, snprintf(line, sizeof line, "    #%u %#tx\n", frames->count++, address));
  } else if (info.dli_fbase != frames->own) {
    const char *name = info.dli_sname ? info.dli_sname : "?";
    put(line, snprintf(line, sizeof line, "    #%u %#tx in %s (%s+%#tx)\n", frames->count++,
                       address, name, info.dli_fname, address - (uintptr_t)info.dli_fbase));
  }
  return _URC_NO_REASON;
}

void preload_tell_stack(void) {
  struct frames frames = {0};
  Dl_info info;
  if (dladdr((const void *)(uintptr_t)preload_tell_stack, &info) != 0) frames.own = info.dli_fbase;
  _Unwind_Backtrace(tell_frame, &frames);
}
