// Pages of anonymous memory from the operating system.
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/source.h"

static size_t machine_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static bool unmap(unsigned char *start, size_t size) {
  return size == 0 || munmap(start, size) == 0;
}

// mmap aligns to the machine's page. For more, take as much again as the address can be off, and
// give back what is before and behind.
//
//   mapping      start, a multiple of page_size
//   |   head   |          length          |   tail   |
static void *acquire_pages(struct source *self, size_t size) {
  size_t machine = machine_page_size();
  size_t slack = self->page_size > machine ? self->page_size - machine : 0;
  size_t length, mapped;
  if (size == 0 || size % self->page_size != 0 || !align_up(size, machine, &length) ||
      !add_sizes(length, slack, &mapped) || mapped > PTRDIFF_MAX)
    return NULL;
  unsigned char *mapping =
      mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return NULL;
  if (slack == 0) return mapping;

  size_t head = (0 - address_of(mapping)) & (self->page_size - 1);
  size_t tail = slack - head;
  unsigned char *start = mapping + head;
  // To unmap a part is to split a mapping, which the system may refuse; then give it back whole.
  if (!unmap(mapping, head)) {
    munmap(mapping, mapped);
    return NULL;
  }
  if (!unmap(start + length, tail)) {
    munmap(start, length + tail);
    return NULL;
  }
  return start;
}

static void release_pages(struct source *self, void *memory, size_t size) {
  (void)self;
  size_t length;
  if (!align_up(size, machine_page_size(), &length)) return;
  // The system merges neighbouring mappings, and refuses to split one when it has too many. The
  // addresses are lost then, but not the memory behind them.
  if (!unmap(memory, length)) madvise(memory, length, MADV_DONTNEED);
}

static size_t available_pages(const struct source *self) {
  (void)self;
  return SIZE_MAX;
}

static bool protect_pages(struct source *self, void *start, size_t size, bool accessible) {
  (void)self;
  // Of pages smaller than the machine's, the system would protect the neighbours as well.
  if (((address_of(start) | size) & (machine_page_size() - 1)) != 0) return false;
  return mprotect(start, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;
}

bool source_pages_init(struct source_pages *self, size_t page_size) {
  if (page_size == 0) page_size = machine_page_size();
  if (!is_power_of_two(page_size)) return false;
  *self = (struct source_pages){
      .base = {.name = "pages",
               .traits = SOURCE_RECLAIMS | SOURCE_ZEROED | SOURCE_PROTECTS,
               .page_size = page_size,
               .acquire = acquire_pages,
               .release = release_pages,
               .available = available_pages,
               .protect = protect_pages},
  };
  return true;
}
