#include "freestanding/board/semihosting.h"

enum {
  SYS_OPEN = 0x01,
  SYS_READ = 0x06,
  SYS_SEEK = 0x0A,
  SYS_GET_CMDLINE = 0x15,
  SYS_EXIT_EXTENDED = 0x20,
};

#define ADP_STOPPED_APPLICATION_EXIT 0x20026u
#define OPEN_READ_BINARY 1u
#define FAILED UINT32_MAX

#define COMMAND_LINE_SIZE 512

static uint32_t word(const void *pointer) { return (uint32_t)(uintptr_t)pointer; }

_Noreturn void semihosting_exit(int code) {
  const uint32_t arguments[] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)code};
  for (;;) semihosting_call(SYS_EXIT_EXTENDED, arguments);
}

// The file's handle, or FAILED. The command line is `program FILE`, and blanks may be in the name.
static uint32_t open_argument(void) {
  char line[COMMAND_LINE_SIZE];
  uint32_t query[] = {word(line), sizeof line};
  if (semihosting_call(SYS_GET_CMDLINE, query) != 0) return FAILED;
  const char *name = line;
  while (*name && *name != ' ') name++;
  if (!*name) return FAILED;
  name++;
  uint32_t length = 0;
  while (name[length]) length++;
  const uint32_t open[] = {word(name), OPEN_READ_BINARY, length};
  return semihosting_call(SYS_OPEN, open);
}

size_t semihosting_read(uint32_t offset, void *buffer, size_t size) {
  static uint32_t handle;
  if (!handle) handle = open_argument();
  if (handle == FAILED) return 0;
  const uint32_t seek[] = {handle, offset};
  if (semihosting_call(SYS_SEEK, seek) != 0) return 0;
  const uint32_t read[] = {handle, word(buffer), (uint32_t)size};
  const uint32_t left = semihosting_call(SYS_READ, read);
  return left > size ? 0 : size - left;
}
