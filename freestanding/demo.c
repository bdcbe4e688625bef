// What a program can do without a libc, over an allocator of its own: text and numbers, and
// collections element by element.
#include "freestanding/demo.h"

#include <stdint.h>

#include "allocators/source.h"
#include "collections/print.h"
#include "collections/string.h"
#include "collections/vector.h"
#include "freestanding/world.h"

extern const struct strategy free_list_strategy;

static enum result print_code_point(struct writer *to, const void *element, void *context) {
  (void)context;
  print_text(to, "U+");
  return print_integer(
      to, false, *(const uint32_t *)element,
      (struct print_layout){.width = 4, .hexadecimal = true, .upper = true, .zeros = true});
}

static enum result print_number(struct writer *to, const void *element, void *context) {
  (void)context;
  return print_signed(to, *(const int64_t *)element);
}

static bool numbers(struct handle handle, struct writer *console) {
  struct vector vector;
  VECTOR_INIT(&vector, handle, int64_t);
  bool done = true;
  for (int64_t number = 1; number > 0 && done; number = (int64_t)((uint64_t)number << 9))
    done = vector_push(&vector, &number) == RESULT_OK;
  print_array(console, "[]", vector.elements, vector.count, vector.size, print_number, NULL);
  print_char(console, '\n');
  vector_drop(&vector);
  return done;
}

// A string, and a vector of what it is made of.
static bool letters(struct handle handle, struct writer *console) {
  static const char text[] = "Grüße, 世界";
  struct string string;
  struct vector points;
  string_init(&string, handle);
  VECTOR_INIT(&points, handle, uint32_t);
  size_t bad, offset = 0;
  bool done = string_push(&string, text, sizeof text - 1, &bad) == RESULT_OK &&
              string_push_code_point(&string, '!') == RESULT_OK;
  uint32_t point;
  while (done && string_next(&string, &offset, &point) == RESULT_OK)
    done = vector_push(&points, &point) == RESULT_OK;
  struct text all = string_text(&string);
  print_bytes(console, all.bytes, all.size);
  print_char(console, ' ');
  print_array(console, "[]", points.elements, points.count, points.size, print_code_point, NULL);
  print_char(console, '\n');
  vector_drop(&points);
  string_drop(&string);
  return done;
}

bool demo(void) {
  struct writer *console = world_console();
  print_text(console, "Hello world!\n");
  print_signed(console, INT64_MIN);
  print_char(console, '\n');

  size_t size;
  struct source_buffer source;
  source_buffer_init(&source, world_heap(&size), WORLD_HEAP_SIZE);
  const struct strategy *strategy = &free_list_strategy;
  struct allocator *allocator = strategy->create(&source.base, &(struct strategy_options){0});
  if (!allocator) return false;
  struct handle handle = {strategy, allocator};
  bool done = numbers(handle, console);
  done &= letters(handle, console);
  strategy->destroy(allocator);
  return done && writer_result(console) == RESULT_OK;
}
