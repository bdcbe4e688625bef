#include "collections/list.h"

#include "allocators/arithmetic.h"

// The element follows, at list.offset.
struct list_node {
  struct list_node *next;
  struct list_node *previous;
};

const char *const list_invariants[] = {
    "links come first in a block, the element next to them, aligned; all of it has a size",
    "the first has none before it, the last none behind it; one is there if the other is",
    "whom an element has behind it, has that element before it; nodes are aligned",
    "count is how many there are from the first to the last",
    NULL,
};

// ## Accessors: no other function adds to an address

static void *element_of(const struct list *self, const struct list_node *node) {
  return node ? (unsigned char *)node + self->offset : NULL;
}

static struct list_node *node_of(const struct list *self, const void *element) {
  return element ? (struct list_node *)((unsigned char *)element - self->offset) : NULL;
}

static size_t block_align(const struct list *self) {
  return self->align < _Alignof(struct list_node) ? _Alignof(struct list_node) : self->align;
}

// ## Links
//
// The end is a node as any other is, NULL, whose links are the list's own: its next is the first,
// its previous is the last. So there is one case only, wherever a node comes or goes.

static struct list_node **next_of(struct list *self, struct list_node *node) {
  return node ? &node->next : &self->first;
}

static struct list_node **previous_of(struct list *self, struct list_node *node) {
  return node ? &node->previous : &self->last;
}

static void join(struct list *self, struct list_node *left, struct list_node *right) {
  *next_of(self, left) = right;
  *previous_of(self, right) = left;
}

// ## Layout

// Whether blocks of such elements can be said.
static bool lay_out(size_t size, size_t align, size_t *offset, size_t *block_size) {
  return is_power_of_two(align) && align_up(sizeof(struct list_node), align, offset) &&
         add_sizes(*offset, size, block_size);
}

void list_init(struct list *self, struct handle handle, size_t size, size_t align) {
  *self = (struct list){.handle = handle, .size = size, .align = align};
  if (!lay_out(size, align, &self->offset, &self->block_size)) {
    self->offset = 0;
    self->block_size = SIZE_MAX;
  }
}

void list_drop(struct list *self) {
  for (struct list_node *node = self->first; node;) {
    struct list_node *next = node->next;
    handle_release(self->handle, node);
    node = next;
  }
  self->first = self->last = NULL;
  self->count = 0;
}

// ## To find elements

void *list_first(const struct list *self) { return element_of(self, self->first); }

void *list_last(const struct list *self) { return element_of(self, self->last); }

void *list_next(const struct list *self, const void *element) {
  return element_of(self, node_of(self, element)->next);
}

void *list_previous(const struct list *self, const void *element) {
  return element_of(self, node_of(self, element)->previous);
}

// ## To add and to remove elements

// A node that is linked nowhere, or NULL.
static struct list_node *make_node(const struct list *self, const void *from) {
  if (self->block_size == SIZE_MAX) return NULL;
  struct list_node *node = handle_allocate(self->handle, self->block_size, block_align(self));
  if (node && from) memcpy(element_of(self, node), from, self->size);
  return node;
}

static enum result insert_between(struct list *self, struct list_node *left,
                                  struct list_node *right, const void *from) {
  struct list_node *node = make_node(self, from);
  if (!node) return RESULT_NO_MEMORY;
  join(self, left, node);
  join(self, node, right);
  self->count++;
  return RESULT_OK;
}

enum result list_insert_before(struct list *self, void *place, const void *from) {
  struct list_node *right = node_of(self, place);
  return insert_between(self, *previous_of(self, right), right, from);
}

enum result list_insert_after(struct list *self, void *place, const void *from) {
  struct list_node *left = node_of(self, place);
  return insert_between(self, left, *next_of(self, left), from);
}

enum result list_push_front(struct list *self, const void *from) {
  return list_insert_after(self, NULL, from);
}

enum result list_push_back(struct list *self, const void *from) {
  return list_insert_before(self, NULL, from);
}

void *list_remove(struct list *self, void *element) {
  struct list_node *node = node_of(self, element);
  struct list_node *next = node->next;
  join(self, node->previous, next);
  self->count--;
  handle_release(self->handle, node);
  return element_of(self, next);
}

static enum result pop(struct list *self, void *element, void *to) {
  if (!element) return RESULT_NOT_FOUND;
  if (to) memcpy(to, element, self->size);
  list_remove(self, element);
  return RESULT_OK;
}

enum result list_pop_front(struct list *self, void *to) { return pop(self, list_first(self), to); }

enum result list_pop_back(struct list *self, void *to) { return pop(self, list_last(self), to); }

// ## To arrange elements

static bool alike(const struct list *a, const struct list *b) {
  return a->handle.strategy == b->handle.strategy && a->handle.allocator == b->handle.allocator &&
         a->size == b->size && a->align == b->align;
}

// How many nodes there are from `first` to `last`; 0: `last` does not follow, or `not_this` does.
static size_t count_range(const struct list_node *first, const struct list_node *last,
                          const struct list_node *not_this) {
  size_t count = 1;
  for (const struct list_node *node = first; node && node != not_this; node = node->next, count++)
    if (node == last) return count;
  return 0;
}

enum result list_splice(struct list *self, void *place, struct list *other, void *first,
                        void *last) {
  if (!alike(self, other)) return RESULT_FOREIGN;
  struct list_node *head = node_of(other, first), *tail = node_of(other, last);
  struct list_node *right = node_of(self, place);
  size_t count = count_range(head, tail, right);
  if (count == 0) return RESULT_OUT_OF_BOUNDS;
  join(other, head->previous, tail->next);
  other->count -= count;
  join(self, *previous_of(self, right), head);  // the one before `place` may have just changed
  join(self, tail, right);
  self->count += count;
  return RESULT_OK;
}

void list_reverse(struct list *self) {
  struct list_node *node = self->first;
  self->first = self->last;
  self->last = node;
  while (node) {
    struct list_node *next = node->next;
    node->next = node->previous;
    node->previous = next;
    node = next;
  }
}

// ## Sorting
//
// In passes over runs of 1, 2, 4 ... nodes that are in order already. While it goes on only `next`
// of nodes counts; one more walk sets the links back right.

// Cuts the chain behind its first `length` nodes, and returns what comes after them.
static struct list_node *cut(struct list_node *chain, size_t length) {
  while (chain && --length > 0) chain = chain->next;
  if (!chain) return NULL;
  struct list_node *rest = chain->next;
  chain->next = NULL;
  return rest;
}

void list_sort(struct list *self, int (*compare)(void *context, const void *a, const void *b),
               void *context) {
  for (size_t length = 1; length < self->count; length *= 2) {
    struct list_node *rest = self->first, **link = &self->first;
    while (rest) {
      struct list_node *left = rest, *right = cut(left, length);
      rest = cut(right, length);
      while (left && right) {
        // Of two that are equal, the left one came first.
        bool right_first = compare(context, element_of(self, left), element_of(self, right)) > 0;
        struct list_node **least = right_first ? &right : &left;
        *link = *least;
        link = &(*least)->next;
        *least = (*least)->next;
      }
      *link = left ? left : right;
      while (*link) link = &(*link)->next;
    }
    if (length > self->count / 2) break;  // the next length may be more than a size_t
  }
  struct list_node *previous = NULL;
  for (struct list_node *node = self->first; node; previous = node, node = node->next)
    node->previous = previous;
  self->last = previous;
}

enum result list_clone(const struct list *self, struct list *copy) {
  struct list fresh;
  list_init(&fresh, self->handle, self->size, self->align);
  LIST_EACH(const void, element, self) {
    if (list_push_back(&fresh, element) == RESULT_OK) continue;
    list_drop(&fresh);
    return RESULT_NO_MEMORY;
  }
  *copy = fresh;
  return RESULT_OK;
}

// ## Check

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

struct broken_invariant list_check(const struct list *self) {
  size_t offset, block_size;
  if (!lay_out(self->size, self->align, &offset, &block_size)) {
    if (self->block_size != SIZE_MAX || self->count != 0) return broken(1, NULL);
  } else if (self->offset != offset || self->block_size != block_size) {
    return broken(1, NULL);
  }
  if (!self->first != !self->last) return broken(2, NULL);
  if (self->first && self->first->previous) return broken(2, self->first);
  size_t count = 0;
  const struct list_node *previous = NULL;
  for (const struct list_node *node = self->first; node; previous = node, node = node->next) {
    if (address_of(node) & (block_align(self) - 1)) return broken(3, previous);
    if (node->previous != previous) return broken(3, node);
    if (++count > self->count) return broken(4, NULL);
  }
  if (self->last != previous) return broken(2, self->last);
  return count == self->count ? broken(0, NULL) : broken(4, NULL);
}
