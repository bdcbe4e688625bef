// What a program can do without a libc, over an allocator of its own: it prints text and numbers,
// and collections element by element.
#include "freestanding/demo.h"

#include <stdint.h>

#include "collections/print.h"
#include "freestanding/world.h"

bool demo(void) {
  struct writer *console = world_console();
  print_text(console, "Hello world!\n");
  print_signed(console, INT64_MIN);
  return print_char(console, '\n') == RESULT_OK;
}
