// A heap that asks somebody for pages, and gives each back when its last block is gone: small
// blocks share a page, whose first bytes tell which slots are in use; larger ones have pages of
// their own.
//
//   ci/check --adapter heap_pages.adapter
#include <stddef.h>
#include <stdint.h>

// Whoever uses this heap has these.
void *board_get_pages(unsigned count);
void board_put_pages(void *start, unsigned count);

enum { PAGE = 4096, HEADER = 32, SLOT = 128, SLOTS = (PAGE - HEADER) / SLOT };

// At the start of a page.
struct page {
  struct page *next;  // with slots that are free
  uint32_t used;      // one bit a slot
  unsigned pages;     // of one block alone; 0: a page of slots
};

static struct page *partial;

static void *own_pages(size_t size) {
  if (size > (size_t)1 << 30) return NULL;
  unsigned count = (unsigned)((size + HEADER + PAGE - 1) / PAGE);
  struct page *page = board_get_pages(count);
  if (!page) return NULL;
  page->pages = count;
  return (char *)page + HEADER;
}

void *page_alloc(size_t size) {
  if (size == 0) return NULL;
  if (size > SLOT) return own_pages(size);
  struct page *page = partial;
  if (!page) {
    page = board_get_pages(1);
    if (!page) return NULL;
    *page = (struct page){NULL, 0, 0};
    partial = page;
  }
  unsigned slot = 0;
  while (page->used >> slot & 1) slot++;
  page->used |= (uint32_t)1 << slot;
  if (page->used == ((uint64_t)1 << SLOTS) - 1) partial = page->next;
  return (char *)page + HEADER + slot * SLOT;
}

static void leave_list(const struct page *page) {
  struct page **link = &partial;
  while (*link != page) link = &(*link)->next;
  *link = page->next;
}

void page_free(void *block) {
  if (!block) return;
  struct page *page = (struct page *)((uintptr_t)block / PAGE * PAGE);
  if (page->pages) {
    board_put_pages(page, page->pages);
    return;
  }
  if (page->used == ((uint64_t)1 << SLOTS) - 1) {
    page->next = partial;
    partial = page;
  }
  page->used &= ~((uint32_t)1 << ((uintptr_t)block % PAGE - HEADER) / SLOT);
  if (page->used) return;
  leave_list(page);
  board_put_pages(page, 1);
}
