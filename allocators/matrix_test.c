// Any strategy over any source: every pair that fits, and a clean refusal of every other.
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/registry.h"
#include "allocators/scratch.h"
#include "allocators/source.h"
#include "allocators/tracked.h"

enum { HEAP = 1 << 16, BLOCKS = 40, STRETCHES = 256 };

// Fills and checks blocks of many sizes, gives half of them back where that is offered, and all of
// it at the end.
static void exercise(const struct strategy *strategy, struct source *source) {
  struct allocator *heap = strategy->create(source, &(struct strategy_options){0});
  CHECK(heap != NULL);
  unsigned char *blocks[BLOCKS];
  size_t sizes[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) {
    size_t align = (size_t)1 << i % 8;
    sizes[i] = 1 + i * 13;
    blocks[i] = strategy->allocate(heap, sizes[i], align);
    CHECK(blocks[i] != NULL || i > 0);
    if (blocks[i] == NULL) sizes[i] = 0;  // not every strategy takes every size
    if (blocks[i] == NULL) continue;
    CHECK(address_of(blocks[i]) % align == 0);
    memset(blocks[i], (int)i, sizes[i]);
    if (i % 2 == 1 && strategy->traits & STRATEGY_RELEASES) {
      CHECK(strategy->release(heap, blocks[i]) == RELEASED);
      sizes[i] = 0;
    }
    CHECK(strategy->check(heap).number == 0);
  }
  for (size_t i = 0; i < BLOCKS; i++)
    for (size_t j = 0; j < sizes[i]; j++) CHECK(blocks[i][j] == i);
  strategy->destroy(heap);
}

// Over the source itself, and behind a limit and an accountant: both must see everything come back.
static void pair(const struct strategy *strategy, struct source *source, const char *name) {
  struct source_stretch table[STRETCHES];
  struct source_limit limit;
  struct source_account account;
  source_limit_init(&limit, source, HEAP);
  source_account_init(&account, &limit.base, table, STRETCHES);
  if ((source->traits & strategy->needs) != strategy->needs) {
    CHECK(strategy->create(&account.base, &(struct strategy_options){0}) == NULL);
    CHECK(account.bytes == 0);
    return;
  }
  size_t before = source->available(source);
  exercise(strategy, source);
  exercise(strategy, &account.base);
  CHECK(account.bytes == 0 && account.errors == 0 && limit.granted == 0);
  CHECK(source->available(source) == before);
  printf("%s over %s\n", strategy->name, name);
}

static void over_memory(const struct strategy *strategy) {
  static unsigned char memory[HEAP];
  for (size_t offset = 0; offset < 3; offset++) {
    struct source_buffer buffer;
    source_buffer_init(&buffer, memory + offset, HEAP - offset);
    pair(strategy, &buffer.base, "a caller's buffer");
  }
  static SOURCE_ARRAY(in_static, HEAP);
  source_array_init(&in_static);
  pair(strategy, &in_static.source.base, "a static array");
  SOURCE_ARRAY(on_stack, HEAP);
  source_array_init(&on_stack);
  pair(strategy, &on_stack.source.base, "a stack array");
}

static void over_pages(const struct strategy *strategy) {
  for (size_t page_size = 1024; page_size <= HEAP / 4; page_size *= 4) {
    struct source_pages pages;
    CHECK(source_pages_init(&pages, page_size));
    pair(strategy, &pages.base, "pages");
  }
}

static void over_file(const struct strategy *strategy) {
  struct scratch scratch;
  char error[256];
  scratch_make(&scratch);
  struct source_file file;
  CHECK(source_file_open(&file, scratch.path, 0, HEAP / 4096 + 4, error, sizeof error));
  pair(strategy, &file.base, "a mapped file");
  CHECK(source_file_pages(&file) == 0);
  // What an allocator left in the file is there when it is opened again.
  struct allocator *heap = strategy->create(&file.base, &(struct strategy_options){0});
  CHECK(heap != NULL);
  if (strategy->traits & STRATEGY_FOREIGN) {  // it keeps its blocks elsewhere
    strategy->destroy(heap);
    CHECK(source_file_close(&file));
    scratch_remove(&scratch);
    return;
  }
  char *note = strategy->allocate(heap, 64, 1);
  CHECK(note != NULL);
  strcpy(note, "still here");
  size_t pages = source_file_pages(&file);
  unsigned char *first = source_file_page(&file, 0);
  size_t offset = (size_t)((unsigned char *)note - first);
  CHECK(source_file_close(&file));
  CHECK(source_file_open(&file, scratch.path, 0, 0, error, sizeof error));
  CHECK(source_file_pages(&file) == pages);
  first = source_file_page(&file, 0);
  CHECK(first != NULL);
  CHECK(strcmp((char *)first + offset, "still here") == 0);
  CHECK(source_file_close(&file));
  scratch_remove(&scratch);
}

int main(void) {
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    over_memory(tracked(entry->strategy));
    over_pages(tracked(entry->strategy));
    over_file(tracked(entry->strategy));
  }
  return 0;
}
