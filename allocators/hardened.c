// Hardened: what heap bugs and heap exploits rely on is taken away, or said aloud.
//
// After OpenBSD's malloc (O. Moerbeek), E. D. Berger and B. G. Zorn, "DieHard: Probabilistic Memory
// Safety for Unsafe Languages", PLDI 2006, G. Novark and E. D. Berger, "DieHarder: Securing the
// Heap", CCS 2010, and GrapheneOS's hardened_malloc:
//   - No metadata beside user data: descriptors of pages, and two bytes for each slot, lie apart,
//     with a guard page behind them.
//   - Small blocks lie in slabs, at slots drawn at random. The seed makes a heap repeatable.
//   - Large blocks have a guard page on either side; pages of released ones are sealed likewise.
//   - A canary begins right behind the bytes that were asked for. No byte of it is 0: it notices
//     the end of a string one byte too long as well. Hence usable_size is what was asked for.
//   - A block is zeroed when it is released, and waits in a first-in first-out quarantine. A byte
//     that is not zero when it leaves was written after release.
//   - Release and resize take nothing but the start of a live block.
// Guard pages need a source that can protect. Over another one they are padding that nobody uses.
//
// One stretch for life, as in designs that reserve their address range: what a page held last stays
// known until it holds something else, so that a second release is told from a foreign one for as
// long as it can be.
//
// Slabs and runs of pages are placed first fit. So since the heap was last without blocks, no page
// beyond the sum of all that was taken is in use, and that sum is the stated bound: it is why the
// quarantine is left by all when the last block is released.
//
// Layout and metadata: hardened_pages.h.
#include "allocators/hardened_check.h"
#include "allocators/hardened_pages.h"
#include "allocators/memory.h"

// ## Protection

static void seal(const struct allocator *self, struct page *page, size_t count) {
  struct source *source = self->heap.source;
  page->sealed = (source->traits & SOURCE_PROTECTS) != 0 &&
                 source->protect(source, memory_of(self, page), count * self->page_size, false);
}

// False: the system refuses, and nobody can use the pages.
static bool unseal(const struct allocator *self, struct page *page, size_t count) {
  struct source *source = self->heap.source;
  if (page->sealed && source->protect(source, memory_of(self, page), count * self->page_size, true))
    page->sealed = false;
  return !page->sealed;
}

// ## Random choice (G. L. Steele, D. Lea and C. H. Flood, "Fast Splittable Pseudorandom Number
// Generators", OOPSLA 2014)

static uint64_t next_random(struct allocator *self) {
  uint64_t z = self->random += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// ## Lists of slabs

static void unlist(struct allocator *self, struct page *page) {
  struct page *pages = pages_of(self);
  *(page->previous == NO_PAGE ? &self->slabs[page->bin] : &pages[page->previous].next) = page->next;
  if (page->next != NO_PAGE) pages[page->next].previous = page->previous;
  page->listed = false;
}

static void list(struct allocator *self, struct page *page) {
  uint32_t *first = &self->slabs[page->bin];
  page->next = *first;
  page->previous = NO_PAGE;
  if (*first != NO_PAGE) pages_of(self)[*first].previous = index_of(self, page);
  *first = index_of(self, page);
  page->listed = true;
}

static void relist(struct allocator *self, struct page *page) {
  bool serves = page->taken && available_in(self, page) != 0;
  if (serves && !page->listed) list(self, page);
  if (!serves && page->listed) unlist(self, page);
}

// ## Runs of pages

// How many pages there are from `first` to the next one that is aligned.
static size_t gap_before(const struct allocator *self, size_t first, size_t align) {
  uintptr_t address = address_of(self->data) + first * self->page_size;
  return ((0 - address) & (align - 1)) / self->page_size;
}

// The first `count` free pages in a row of which the one after `lead` is aligned, or NULL. It looks
// no further than needed: all the rest of a large heap may be free.
static struct page *find_pages(const struct allocator *self, size_t count, size_t lead,
                               size_t align) {
  size_t i = next_page(self, self->first_free, self->count, true);
  while (i < self->count) {
    size_t first = i + gap_before(self, i + lead, align), end = first + count;
    if (end > self->count) return NULL;
    size_t taken = next_page(self, i, end, false);
    if (taken >= end) return &pages_of(self)[first];
    i = next_page(self, taken, self->count, true);
  }
  return NULL;
}

// Whether there would be such pages if nothing waited in quarantine.
static bool would_find_pages(const struct allocator *self, size_t count, size_t lead,
                             size_t align) {
  const struct page *pages = pages_of(self);
  for (size_t i = 0; i < self->count;) {
    size_t end = i + gap_before(self, i + lead, align) + count;
    while (i < end && i < self->count && is_vacant(self, &pages[i]))
      i += extent_of(self, &pages[i]);
    if (i >= end) return true;
    for (; i < self->count && !is_vacant(self, &pages[i]);) i += extent_of(self, &pages[i]);
  }
  return false;
}

static void note_taken(struct allocator *self, const struct page *first, size_t count) {
  map_pages(self, index_of(self, first), count, false);
  self->first_free = next_page(self, self->first_free, self->count, true);
}

static void free_pages(struct allocator *self, struct page *first, size_t count) {
  for (size_t i = 0; i < count; i++) {
    first[i].taken = false;
    if (first[i].shape == GUARD || first[i].shape == TAIL) first[i].shape = NOTHING;
  }
  map_pages(self, index_of(self, first), count, true);
  if (index_of(self, first) < self->first_free) self->first_free = index_of(self, first);
}

static void open_slab(struct allocator *self, struct page *page, size_t bin) {
  *page = (struct page){.shape = SLAB, .bin = (uint8_t)bin, .taken = true};
  memset(record_of(self, (struct place){page, 0}), 0, slots_of(self, page) * sizeof(uint16_t));
  list(self, page);
  note_taken(self, page, 1);
}

// Makes a run of `first`, and returns its head.
static struct page *open_run(struct allocator *self, struct page *first, size_t size) {
  size_t count = pages_for(self->page_size, size);
  for (size_t i = 0; i < count + 2; i++)
    first[i] = (struct page){.shape = i == 0 || i > count ? GUARD : TAIL, .taken = true};
  first[1].shape = HEAD;
  first[1].size = size;
  seal(self, first, 1);
  seal(self, first + count + 1, 1);
  note_taken(self, first, count + 2);
  return first + 1;
}

// Pages that the system keeps sealed stay what nobody can use: guards.
static void close_run(struct allocator *self, struct page *head) {
  size_t count = pages_for(self->page_size, head->size);
  struct page *first = head - 1, *last = head + count;
  bool usable = unseal(self, first, 1) && unseal(self, head, count) && unseal(self, last, 1);
  if (usable) free_pages(self, first, count + 2);
  for (struct page *page = first; !usable && page <= last; page++) page->shape = GUARD;
}

// ## Canaries: a byte each, at a place behind the bytes asked for

static unsigned char canary_byte(const struct allocator *self, size_t i) {
  return (unsigned char)(self->canary >> 8 * i);
}

static size_t canary_length(const struct allocator *self, struct place at) {
  size_t slack = room_of(self, at) - size_of(self, at);
  return slack < CANARY ? slack : CANARY;
}

static void place_canary(const struct allocator *self, struct place at) {
  unsigned char *end = start_of(self, at) + size_of(self, at);
  for (size_t i = 0; i < canary_length(self, at); i++) end[i] = canary_byte(self, i);
}

// Says whether it is intact.
static bool verify_canary(const struct allocator *self, struct place at) {
  size_t size = size_of(self, at);
  const unsigned char *start = start_of(self, at);
  for (size_t i = 0; i < canary_length(self, at); i++) {
    if (start[size + i] == canary_byte(self, i)) continue;
    misuse_tell(&self->listener,
                &(struct misuse){"overrun", start, "block", size, ", changed at byte ", size + i});
    return false;
  }
  return true;
}

// ## Quarantine

// All bytes are 0 if the first is, and each is what the next one is.
static void verify_zero(const struct allocator *self, struct place at) {
  const unsigned char *start = start_of(self, at);
  size_t room = room_of(self, at), changed = 0;
  if (start[0] == 0 && memcmp(start, start + 1, room - 1) == 0) return;
  while (start[changed] == 0) changed++;
  misuse_tell(&self->listener, &(struct misuse){"write after release", start, "released block",
                                                size_of(self, at), ", changed at byte ", changed});
}

// Releases a slot or a run for good.
static void leave_quarantine(struct allocator *self) {
  void *block = quarantine_of(self)[self->oldest];
  self->oldest = self->oldest + 1 == self->count ? 0 : self->oldest + 1;
  self->waiting--;
  struct place at = {page_at(self, block), 0};
  if (at.page->shape == SLAB)
    at.slot = (address_of(block) - address_of(memory_of(self, at.page))) / room_of(self, at);
  if (!at.page->sealed) verify_zero(self, at);
  at.page->quarantined--;
  if (at.page->shape == HEAD) {
    at.page->state = FORMER;
    close_run(self, at.page);
  } else {
    describe(self, at, size_of(self, at), FORMER);
    if (at.page->live + at.page->quarantined == 0) free_pages(self, at.page, 1);
    relist(self, at.page);
  }
}

static void enter_quarantine(struct allocator *self, struct place at) {
  if (self->waiting == self->count) leave_quarantine(self);
  size_t last = self->oldest + self->waiting++;
  quarantine_of(self)[last < self->count ? last : last - self->count] = start_of(self, at);
  memset(start_of(self, at), 0, room_of(self, at));
  at.page->live--;
  at.page->quarantined++;
  describe(self, at, size_of(self, at), QUARANTINED);
  if (at.page->shape == HEAD) seal(self, at.page, pages_for(self->page_size, at.page->size));
  if (--self->live == 0)
    while (self->waiting != 0) leave_quarantine(self);
}

// Leaves half of the quarantine, the older one.
static void leave_half(struct allocator *self) {
  for (size_t left = self->waiting / 2; self->waiting > left;) leave_quarantine(self);
}

// ## Placing

// Whether leaving the quarantine makes room in this bin.
static bool could_serve(const struct allocator *self, size_t bin) {
  const struct page *pages = pages_of(self);
  for (size_t i = 0; i < self->count; i++)
    if (pages[i].taken && pages[i].shape == SLAB && pages[i].bin == bin &&
        pages[i].quarantined != 0)
      return true;
  return would_find_pages(self, 1, 0, 1);
}

// A slab with an available slot, or NULL, and then nothing changed.
static struct page *obtain_slab(struct allocator *self, size_t bin) {
  uint32_t *slab = &self->slabs[bin];
  struct page *page = NULL;
  bool promised = false;
  while (*slab == NO_PAGE && (page = find_pages(self, 1, 0, 1)) == NULL) {
    if (self->waiting == 0 || (!promised && !could_serve(self, bin))) return NULL;
    promised = true;
    leave_half(self);
  }
  if (*slab == NO_PAGE) open_slab(self, page, bin);
  return &pages_of(self)[*slab];
}

static struct place place_small(struct allocator *self, size_t bin) {
  struct page *page = obtain_slab(self, bin);
  if (page == NULL) return (struct place){0};
  size_t chosen = (size_t)(next_random(self) % available_in(self, page));
  struct place at = {page, 0};
  for (;; at.slot++) {
    enum state state = state_of(self, at);
    if ((state == NEVER || state == FORMER) && chosen-- == 0) break;
  }
  return at;
}

static struct place place_large(struct allocator *self, size_t size, size_t align) {
  size_t count = pages_for(self->page_size, size) + 2;
  struct page *first;
  bool promised = false;
  while ((first = find_pages(self, count, 1, align)) == NULL) {
    if (self->waiting == 0 || (!promised && !would_find_pages(self, count, 1, align)))
      return (struct place){0};
    promised = true;
    leave_half(self);
  }
  return (struct place){open_run(self, first, size), 0};
}

// For what needs a live block there; anything else is a misuse, which is told.
static struct finding find_live(const struct allocator *self, const void *address, bool resizes) {
  struct finding found = find_block(self, address);
  if (found.state == LIVE) return found;
  struct misuse misuse = {
      resizes ? "foreign resize" : "foreign release", address, found.what, 0, NULL, 0};
  if (found.state != NEVER) {
    misuse.name = resizes ? "resize after release" : "double release";
    misuse.what = "released block";
    misuse.size = size_of(self, found.at);
  }
  misuse_tell(&self->listener, &misuse);
  return found;
}

// ## The table

static struct allocator *hard_create(struct source *source,
                                     const struct strategy_options *options) {
  struct fixed_heap heap;
  if (options->variant != 0 || !fixed_heap_acquire(&heap, source, options)) return NULL;
  size_t page_size = our_page_size(source->page_size), count;
  unsigned char *data;
  struct allocator *self = lay_out(&heap, page_size, &count, &data);
  if (self == NULL) {
    fixed_heap_release(heap);
    return NULL;
  }
  *self = (struct allocator){.heap = heap,
                             .page_size = page_size,
                             .count = count,
                             .data = data,
                             .random = options->seed,
                             .listener = {options->misuse, options->misuse_context}};
  self->canary = next_random(self) | 0x0101010101010101u;
  for (size_t bin = 0; bin < BINS; bin++) self->slabs[bin] = NO_PAGE;
  memset(pages_of(self), 0, count * sizeof(struct page));
  memset(map_of(self), 0, map_words(count) * sizeof(size_t));
  map_pages(self, 0, count, true);
  *pages_of(self) = (struct page){.shape = GUARD, .taken = true};
  seal(self, pages_of(self), 1);
  note_taken(self, pages_of(self), 1);
  return self;
}

static void *hard_allocate(struct allocator *self, size_t size, size_t align) {
  if (!is_request(size, align) || size / self->page_size >= self->count) return NULL;
  size_t bin = class_for(self->page_size, size, align);
  struct place at = bin == BINS ? place_large(self, size, align) : place_small(self, bin);
  if (at.page == NULL) return NULL;
  describe(self, at, size, LIVE);
  if (at.page->shape == SLAB) at.page->live++;
  if (at.page->shape == SLAB) relist(self, at.page);
  self->live++;
  place_canary(self, at);
  return start_of(self, at);
}

// Slots are zero since they were released, but only if nobody wrote to them since.
static void *hard_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *block = hard_allocate(self, bytes, align);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

static enum release_result hard_release(struct allocator *self, void *block) {
  if (block == NULL) return RELEASED;
  struct finding found = find_live(self, block, false);
  if (found.state == NEVER) return RELEASE_FOREIGN;
  if (found.state != LIVE) return RELEASE_DOUBLE;
  bool intact = verify_canary(self, found.at);
  enter_quarantine(self, found.at);
  return intact ? RELEASED : RELEASE_OVERRUN;
}

static size_t hard_usable_size(const struct allocator *self, const void *block) {
  if (block == NULL) return 0;
  struct finding found = find_block(self, block);
  return found.state == LIVE ? size_of(self, found.at) : 0;
}

// In place where a fresh block would take as much: a smaller slot would leave more to others.
static bool resize_in_place(struct allocator *self, struct place at, size_t size, size_t align) {
  size_t bin = class_for(self->page_size, size, align), old = size_of(self, at);
  bool fits = at.page->shape == SLAB ? bin == at.page->bin
                                     : bin == BINS && pages_for(self->page_size, size) ==
                                                          pages_for(self->page_size, old);
  if (!fits || address_of(start_of(self, at)) % align != 0) return false;
  if (size < old) memset(start_of(self, at) + size, 0, old - size);
  describe(self, at, size, LIVE);
  place_canary(self, at);
  return true;
}

static void *hard_resize(struct allocator *self, void *block, size_t size, size_t align) {
  if (block == NULL) return hard_allocate(self, size, align);
  struct finding found = find_live(self, block, true);
  if (found.state != LIVE || !is_request(size, align)) return NULL;
  size_t old = size_of(self, found.at);
  if (size / self->page_size >= self->count) return NULL;
  verify_canary(self, found.at);
  if (resize_in_place(self, found.at, size, align)) return block;
  void *moved = hard_allocate(self, size, align);
  if (moved == NULL) return NULL;
  memcpy(moved, block, old < size ? old : size);
  enter_quarantine(self, found.at);
  return moved;
}

// Releases the blocks one by one: to release one of them again is a double release.
static void hard_reset(struct allocator *self) {
  struct page *page = pages_of(self);
  for (size_t i = 0; i < self->count; i++, page++) {
    if (!page->taken || (page->shape != SLAB && page->shape != HEAD)) continue;
    struct place at = {page, 0};
    for (size_t slots = slots_of(self, page); at.slot < slots && page->live != 0; at.slot++) {
      if (state_of(self, at) != LIVE) continue;
      verify_canary(self, at);
      enter_quarantine(self, at);
    }
  }
}

static void hard_destroy(struct allocator *self) {
  const struct source *source = self->heap.source;
  if ((source->traits & SOURCE_PROTECTS) != 0)
    source->protect(self->heap.source, self->data, self->count * self->page_size, true);
  fixed_heap_release(self->heap);
}

// At worst a block takes a slab for itself, or pages with a guard on either side and as many in
// front as alignment skips; each page with its descriptor. Whatever the first one finds, it pays
// for the first guard, and for where pages begin.
static size_t hard_footprint(size_t size, size_t align, size_t page_size) {
  page_size = our_page_size(page_size);
  if (!is_request(size, align)) return SIZE_MAX;
  size_t pages = 1, bytes;
  if (class_for(page_size, size, align) == BINS)
    pages = pages_for(page_size, size) + 2 + (align > page_size ? align / page_size - 1 : 0);
  return multiply_sizes(pages + 1, page_size + metadata_per_page(page_size) + 1, &bytes)
             ? add_saturating(bytes, page_size - 1)
             : SIZE_MAX;
}

const struct strategy hardened_strategy = {
    .name = "hardened",
    .summary = "slabs with random slots, guard pages, canaries, quarantine; all metadata apart",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_COALESCES | STRATEGY_DETECTS_DOUBLE_RELEASE |
              STRATEGY_DETECTS_FOREIGN_RELEASE | STRATEGY_DETECTS_OVERRUN | STRATEGY_WALKS_BLOCKS,
    .min_align = MIN_ALIGN,
    .max_align = MAX_ALIGN,
    .overhead = sizeof(struct allocator) + sizeof(size_t) + MIN_ALIGN - 1,
    .invariants = invariants,
    .create = hard_create,
    .allocate = hard_allocate,
    .allocate_zeroed = hard_allocate_zeroed,
    .release = hard_release,
    .resize = hard_resize,
    .usable_size = hard_usable_size,
    .reset = hard_reset,
    .check = hard_check,
    .walk = hard_walk,
    .statistics = hard_statistics,
    .destroy = hard_destroy,
    .footprint = hard_footprint,
};
