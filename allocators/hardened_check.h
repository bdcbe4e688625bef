// How the hardened allocator checks itself, and shows itself. Private to hardened.c.
#ifndef ALLOCATORS_HARDENED_CHECK_H_
#define ALLOCATORS_HARDENED_CHECK_H_

#include "allocators/hardened_pages.h"
#include "allocators/span.h"

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static bool check_layout(const struct allocator *self) {
  size_t count;
  unsigned char *data;
  return is_power_of_two(self->page_size) && self->page_size >= MIN_PAGE &&
         lay_out(&self->heap, self->page_size, &count, &data) == self && count == self->count &&
         data == self->data;
}

// Whether a page begins what it should, with all that belongs to it.
static bool check_page(const struct allocator *self, const struct page *page) {
  size_t left = self->count - index_of(self, page);
  if (page->shape >= SHAPES || page->bin >= BINS || page->state >= STATES || page->taken > 1 ||
      page->listed > 1 || page->sealed > 1 ||
      (page->shape == SLAB && slots_in(self->page_size, page->bin) == 0))
    return false;
  if (!page->taken) return page->shape == NOTHING || page->shape == SLAB || page->shape == HEAD;
  if (page->shape == SLAB) return true;
  if (page->shape != GUARD) return false;
  if (left == 1 || !page[1].taken || page[1].shape != HEAD) return true;
  if (page[1].size / self->page_size >= left || extent_of(self, page) > left) return false;
  size_t tails = extent_of(self, page) - 3;
  for (page += 2; tails != 0; tails--, page++)
    if (!page->taken || page->shape != TAIL) return false;
  return page->taken && page->shape == GUARD;
}

static bool check_counts(const struct allocator *self, const struct page *page) {
  struct place at = {(struct page *)page, 0};
  size_t counts[STATES] = {0};
  for (; at.slot < slots_of(self, page); at.slot++) {
    enum state state = state_of(self, at);
    counts[state]++;
    if (state != NEVER && (size_of(self, at) == 0 || size_of(self, at) >= room_of(self, at)))
      return false;
  }
  return page->live == counts[LIVE] && page->quarantined == counts[QUARANTINED] &&
         page->live + page->quarantined != 0;
}

// The list of one bin, whose slabs are counted in *listed.
static bool check_list(const struct allocator *self, size_t bin, size_t *listed) {
  uint32_t previous = NO_PAGE, next = self->slabs[bin];
  for (; next != NO_PAGE; (*listed)++) {
    if (next >= self->count || *listed == self->count) return false;
    const struct page *page = &pages_of(self)[next];
    if (!page->taken || page->shape != SLAB || page->bin != bin || !page->listed ||
        page->previous != previous)
      return false;
    previous = next;
    next = page->next;
  }
  return true;
}

static bool check_quarantine(const struct allocator *self) {
  if (self->oldest >= self->count || self->waiting > self->count) return false;
  for (size_t i = 0; i < self->waiting; i++) {
    const void *block = quarantine_of(self)[(self->oldest + i) % self->count];
    if (find_block(self, block).state != QUARANTINED) return false;
  }
  return true;
}

static bool check_map(const struct allocator *self) {
  for (size_t i = 0; i < map_words(self->count) * MAP_BITS; i++)
    if (is_mapped(self, i) != (i < self->count && !pages_of(self)[i].taken)) return false;
  return true;
}

static struct broken_invariant hard_check(const struct allocator *self) {
  if (!check_layout(self)) return broken(1, self);
  const struct page *pages = pages_of(self);
  size_t live = 0, quarantined = 0, serving = 0, listed = 0, first_free = self->count;
  for (size_t i = 0; i < self->count; i += extent_of(self, &pages[i])) {
    if (!check_page(self, &pages[i])) return broken(2, &pages[i]);
    const struct page *page = &pages[i] + (extent_of(self, &pages[i]) > 1);
    if (!page->taken && first_free == self->count) first_free = i;
    if (!page->taken || page->shape == GUARD) continue;
    if (!check_counts(self, page)) return broken(3, page);
    bool serves = page->shape == SLAB && available_in(self, page) != 0;
    if (serves != page->listed) return broken(4, page);
    serving += serves;
    live += page->live;
    quarantined += page->quarantined;
  }
  for (size_t bin = 0; bin < BINS; bin++)
    if (!check_list(self, bin, &listed)) return broken(4, self);
  if (listed != serving) return broken(4, self);
  if (quarantined != self->waiting || !check_quarantine(self)) return broken(5, self);
  if (live != self->live || self->first_free != first_free) return broken(6, self);
  return check_map(self) ? broken(0, NULL) : broken(7, map_of(self));
}

// A byte of every place serves the canary.
static void walk_free(const unsigned char *start, size_t serves, size_t room, span_visitor *visit,
                      void *context) {
  visit_span(visit, context, start, serves - 1, SPAN_FREE);
  visit_span(visit, context, start + serves - 1, room - serves + 1, SPAN_META);
}

static void walk_slab(const struct allocator *self, const struct page *page, span_visitor *visit,
                      void *context) {
  struct place at = {(struct page *)page, 0};
  size_t room = room_of(self, at);
  for (; at.slot < slots_of(self, page); at.slot++) {
    const unsigned char *start = start_of(self, at);
    size_t size = size_of(self, at);
    if (state_of(self, at) == LIVE) {
      visit_span(visit, context, start, size, SPAN_BLOCK);
      visit_span(visit, context, start + size, room - size, SPAN_META);
    } else {
      walk_free(start, room, room, visit, context);
    }
  }
}

// Pages in a row serve a large block between two guards, or slots if they are too few.
static void walk_vacant(const struct allocator *self, const struct page *page, size_t count,
                        span_visitor *visit, void *context) {
  const unsigned char *start = memory_of(self, page);
  size_t size = self->page_size, guard = count < 3 ? 0 : size;
  visit_span(visit, context, start, guard, SPAN_META);
  walk_free(start + guard, guard != 0 ? (count - 2) * size : most_slot(size), count * size - guard,
            visit, context);
}

static void walk_run(const struct allocator *self, const struct page *head, span_visitor *visit,
                     void *context) {
  const unsigned char *start = memory_of(self, head);
  size_t room = room_of(self, (struct place){(struct page *)head, 0});
  visit_span(visit, context, start - self->page_size, self->page_size, SPAN_META);
  visit_span(visit, context, start, head->size, SPAN_BLOCK);
  visit_span(visit, context, start + head->size, room - head->size + self->page_size, SPAN_META);
}

// How many pages there are before the first that is damaged.
static size_t count_sound(const struct allocator *self) {
  const struct page *pages = pages_of(self);
  size_t i = 0;
  for (; i < self->count && check_page(self, &pages[i]); i += extent_of(self, &pages[i])) {
    const struct page *page = &pages[i] + (extent_of(self, &pages[i]) > 1);
    if (page->taken && page->shape != GUARD && !check_counts(self, page)) break;
  }
  return i;
}

// What waits in quarantine is shown as free: it leaves as soon as a request needs it. A
// damaged heap is shown up to the damage.
static void hard_walk(const struct allocator *self, span_visitor *visit, void *context) {
  const struct page *pages = pages_of(self);
  size_t extent, count;
  if (!check_layout(self)) {
    visit_span(visit, context, self->heap.start, self->heap.size, SPAN_META);
    return;
  }
  visit_span(visit, context, self->heap.start,
             address_of(self->data) - address_of(self->heap.start), SPAN_META);
  count = count_sound(self);
  for (size_t i = 0; i < count; i += extent) {
    const struct page *page = &pages[i];
    for (extent = 0; i + extent < count && is_vacant(self, &pages[i + extent]);)
      extent += extent_of(self, &pages[i + extent]);
    if (extent != 0) {
      walk_vacant(self, page, extent, visit, context);
      continue;
    }
    extent = extent_of(self, page);
    if (page->shape == SLAB)
      walk_slab(self, page, visit, context);
    else if (extent > 1)
      walk_run(self, page + 1, visit, context);
    else
      visit_span(visit, context, memory_of(self, page), self->page_size, SPAN_META);
  }
  const unsigned char *end = memory_of(self, pages + count);
  visit_span(visit, context, end,
             self->heap.size - (address_of(end) - address_of(self->heap.start)), SPAN_META);
}

static struct statistics hard_statistics(const struct allocator *self) {
  return statistics_by_walk(self, hard_walk);
}

#endif
