// A heap as systems with addresses of 32 bits have it: it keeps them in integers, and a block is
// aligned to a word of 4 bytes. ci/check finds that it does not work with longer ones, and checks
// it at 32 bits.
//
//   ci/check --heap heap_32_bit.c --init ram_init --alloc ram_alloc --free ram_free
#include <stddef.h>
#include <stdint.h>

// Blocks lie side by side from `begin` to `end`: a header, and its bytes.
struct header {
  uint32_t size;  // bytes behind it
  uint32_t used;
};

static uint32_t begin, end;

static struct header *at(uint32_t address) { return (struct header *)address; }

static uint32_t after(uint32_t header) { return header + sizeof(struct header) + at(header)->size; }

void ram_init(void *buffer, uint32_t size) {
  begin = ((uint32_t)buffer + 3) & ~3u;
  end = ((uint32_t)buffer + size) & ~3u;
  at(begin)->size = end - begin - sizeof(struct header);
  at(begin)->used = 0;
}

void *ram_alloc(uint32_t size) {
  if (size == 0 || size > end - begin) return NULL;
  size = (size + 3) & ~3u;
  for (uint32_t header = begin; header < end; header = after(header)) {
    if (at(header)->used) continue;
    // What was released side by side becomes one here.
    while (after(header) < end && !at(after(header))->used)
      at(header)->size += sizeof(struct header) + at(after(header))->size;
    if (at(header)->size < size) continue;
    if (at(header)->size >= size + sizeof(struct header) + 4) {
      uint32_t rest = header + sizeof(struct header) + size;
      at(rest)->size = at(header)->size - size - sizeof(struct header);
      at(rest)->used = 0;
      at(header)->size = size;
    }
    at(header)->used = 1;
    return (void *)(header + sizeof(struct header));
  }
  return NULL;
}

void ram_free(void *block) {
  if (block) at((uint32_t)block - sizeof(struct header))->used = 0;
}
