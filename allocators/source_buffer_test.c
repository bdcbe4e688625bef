// The buffer source: its edges, and which released stretches can be had again when.
#include <stdint.h>
#include <string.h>

#include "allocators/check.h"
#include "allocators/source.h"

static void *acquire(struct source_buffer *buffer, size_t size) {
  return buffer->base.acquire(&buffer->base, size);
}

static void release(struct source_buffer *buffer, void *memory, size_t size) {
  buffer->base.release(&buffer->base, memory, size);
}

static size_t available(const struct source_buffer *buffer) {
  return buffer->base.available(&buffer->base);
}

static void test_any_address_and_size(void) {
  static unsigned char bytes[64];
  for (size_t offset = 0; offset < 16; offset++) {
    for (size_t size = 1; size <= 48; size++) {
      memset(bytes, 0xEE, sizeof bytes);
      struct source_buffer buffer;
      source_buffer_init(&buffer, bytes + offset, size);
      CHECK(buffer.base.page_size == 1);
      CHECK(buffer.base.traits == SOURCE_CONTIGUOUS);
      CHECK(available(&buffer) == size);
      CHECK(acquire(&buffer, 0) == NULL);
      CHECK(acquire(&buffer, size + 1) == NULL);
      CHECK(acquire(&buffer, SIZE_MAX) == NULL);
      CHECK(acquire(&buffer, size) == bytes + offset);
      CHECK(available(&buffer) == 0);
      CHECK(acquire(&buffer, 1) == NULL);
      CHECK(acquire(&buffer, SIZE_MAX) == NULL);
      release(&buffer, bytes + offset, size);
      CHECK(available(&buffer) == size);
      for (size_t i = 0; i < sizeof bytes; i++) CHECK(bytes[i] == 0xEE);
    }
  }
}

static void test_empty_buffer(void) {
  struct source_buffer buffer;
  source_buffer_init(&buffer, NULL, 0);
  CHECK(available(&buffer) == 0);
  CHECK(acquire(&buffer, 0) == NULL);
  CHECK(acquire(&buffer, 1) == NULL);
  CHECK(acquire(&buffer, SIZE_MAX) == NULL);
}

static void test_arrays(void) {
  static SOURCE_ARRAY(heap, 4096);
  source_array_init(&heap);
  CHECK(available(&heap.source) == 4096);
  void *first = heap.source.base.acquire(&heap.source.base, 100);
  CHECK(first == heap.array);
  CHECK((uintptr_t)first % _Alignof(max_align_t) == 0);

  SOURCE_ARRAY(stack, 100);
  source_array_init(&stack);
  CHECK(acquire(&stack.source, 100) == stack.array);
}

static void test_last_in_first_out(void) {
  static unsigned char bytes[100];
  struct source_buffer buffer;
  source_buffer_init(&buffer, bytes, sizeof bytes);
  unsigned char *a = acquire(&buffer, 10), *b = acquire(&buffer, 1), *c = acquire(&buffer, 40);
  CHECK(a == bytes && b == a + 10 && c == b + 1);
  release(&buffer, c, 40);
  CHECK(available(&buffer) == 89);
  release(&buffer, b, 1);
  CHECK(available(&buffer) == 90);
  CHECK(acquire(&buffer, 90) == bytes + 10);
  release(&buffer, bytes + 10, 90);
  release(&buffer, a, 10);
  CHECK(available(&buffer) == 100);
}

// Every order in which five stretches can be released, over a sixth that stays.
static void release_in_order(const size_t *order, size_t size) {
  static unsigned char bytes[1024];
  struct source_buffer buffer;
  source_buffer_init(&buffer, bytes + 1, sizeof bytes - 1);
  CHECK(acquire(&buffer, 3) != NULL);
  unsigned char *stretches[5];
  for (size_t i = 0; i < 5; i++) {
    CHECK((stretches[i] = acquire(&buffer, size + i)) != NULL);
    memset(stretches[i], 'h', size + i);
  }

  bool released[5] = {false};
  for (size_t step = 0; step < 5; step++) {
    memset(stretches[order[step]], 0xA5, size + order[step]);
    release(&buffer, stretches[order[step]], size + order[step]);
    released[order[step]] = true;
    // The break is above the highest stretch that is still held.
    size_t expected = sizeof bytes - 1 - 3;
    for (size_t i = 0; i < 5; i++)
      if (!released[i]) expected = (size_t)(bytes + sizeof bytes - (stretches[i] + size + i));
    CHECK(available(&buffer) == expected);
    for (size_t i = 0; i < 5; i++)
      for (size_t byte = 0; !released[i] && byte < size + i; byte++)
        CHECK(stretches[i][byte] == 'h');
  }
  CHECK(acquire(&buffer, sizeof bytes - 4) == bytes + 4);
}

static void test_every_order_of_release(void) {
  for (size_t code = 0; code < 5 * 5 * 5 * 5 * 5; code++) {
    size_t order[5];
    unsigned seen = 0;
    for (size_t i = 0, rest = code; i < 5; i++, rest /= 5) {
      order[i] = rest % 5;
      seen |= 1u << order[i];
    }
    if (seen == 31) {
      release_in_order(order, 2 * sizeof(size_t));
      release_in_order(order, 100);
    }
  }
}

static void test_holes_too_short_for_a_note(void) {
  static unsigned char bytes[100];
  struct source_buffer buffer;
  source_buffer_init(&buffer, bytes, sizeof bytes);
  unsigned char *a = acquire(&buffer, 20), *b = acquire(&buffer, 1), *c = acquire(&buffer, 20);
  release(&buffer, b, 1);
  release(&buffer, c, 20);
  CHECK(available(&buffer) == 79);  // b is lost ...
  CHECK(acquire(&buffer, 79) == c);
  release(&buffer, a, 20);
  release(&buffer, c, 79);
  CHECK(available(&buffer) == 100);  // ... until everything is released

  a = acquire(&buffer, 20), b = acquire(&buffer, 1), c = acquire(&buffer, 20);
  release(&buffer, a, 20);
  release(&buffer, b, 1);  // beside a hole there is no loss
  unsigned char *d = acquire(&buffer, 59);
  CHECK(d == bytes + 41);
  release(&buffer, c, 20);
  CHECK(available(&buffer) == 0);
  release(&buffer, d, 59);
  CHECK(available(&buffer) == 100);
}

// An allocator that writes to what it released must not take the source with it.
static void test_damaged_notes(void) {
  static unsigned char bytes[400];
  for (int byte = 0; byte < 256; byte++) {
    struct source_buffer buffer;
    source_buffer_init(&buffer, bytes, sizeof bytes);
    unsigned char *stretches[4];
    for (size_t i = 0; i < 4; i++) stretches[i] = acquire(&buffer, 100);
    release(&buffer, stretches[2], 100);
    memset(stretches[2], byte, 100);
    release(&buffer, stretches[0], 100);
    memset(stretches[0], byte, 100);
    release(&buffer, stretches[3], 100);
    CHECK(available(&buffer) >= 100 && available(&buffer) <= 400);
    release(&buffer, stretches[1], 100);
    CHECK(available(&buffer) == 400);
  }
}

// Notes that could be true, but for the next hole: it must lie below, or the chain would be a
// circle.
static void test_circular_notes(void) {
  static unsigned char bytes[400];
  for (size_t next = 0; next <= 400; next += 50) {
    struct source_buffer buffer;
    source_buffer_init(&buffer, bytes, sizeof bytes);
    unsigned char *stretches[4];
    for (size_t i = 0; i < 4; i++) stretches[i] = acquire(&buffer, 100);
    release(&buffer, stretches[2], 100);
    const size_t note[2] = {100, next};
    memcpy(stretches[3] - sizeof note, note, sizeof note);
    release(&buffer, stretches[0], 100);
    release(&buffer, stretches[1], 100);
    CHECK(available(&buffer) == 0);
    release(&buffer, stretches[3], 100);
    CHECK(available(&buffer) == 400);
  }
}

int main(void) {
  test_any_address_and_size();
  test_empty_buffer();
  test_arrays();
  test_last_in_first_out();
  test_every_order_of_release();
  test_holes_too_short_for_a_note();
  test_damaged_notes();
  test_circular_notes();
  return 0;
}
