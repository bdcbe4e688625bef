// Slab: caches of objects of one size, each in slabs of pages.
//
// J. Bonwick, "The Slab Allocator: An Object-Caching Kernel Memory Allocator", USENIX Summer 1994.
// Magazines: J. Bonwick and J. Adams, "Magazines and Vmem: Extending the Slab Allocator to Many
// CPUs and Arbitrary Resources", USENIX 2001.
//
// A cache serves requests of one class of sizes. Its slabs are cut into objects of this size, so
// that no two sizes ever compete for a place, and no object needs a header of its own:
//
//   header           window: aligned to its size, a power of two                   header + window
//   |                                                                                            |
//   +--------+--------+--------+--------+--------+--------+--------+------------------+----------+
//   | header | colour | object | object | object | ...    | object | rest of colours  |  padding |
//   +--------+--------+--------+--------+--------+--------+--------+------------------+----------+
//
// Colour: what is left over is put in front, one more line of the processor's cache with each slab,
// so that objects at the same place of different slabs do not all compete for the same lines.
//
// ## From an object to its slab
//
// A window is a page or 4 KiB, whichever is more. So the address of an object, rounded down to the
// window, is its slab's header. Sources align memory to their pages only: where these are smaller
// than the window, a slab acquires nearly two windows, and uses the one that lies in them aligned.
//
// What does not fit at least twice into a slab has pages of its own, a large block. Its header lies
// where rounding finds it as well: below the payload, at the start of a window; and for a payload
// that is itself aligned to that, one window below. Which is why header_of subtracts 1.
//
// ## What is kept
//
// Each cache has a magazine: objects that were released, as long as it has room for them. They are
// allocated first, and their slabs need not even be looked at.
//
// A slab none of whose objects is live or in a magazine is idle. It stays with its cache if that
// has nothing else to allocate from. Others go to a common stock, as long as there is one for eight
// that are in use, else to the source. When half of all has gone there, slabs that only magazines
// keep from being idle become so, too. When nothing is live any more, or the source has nothing
// more, magazines are emptied and all idle slabs go to the source. Those in the allocator's own
// stretch can not, and are kept in reserve: as long as little is live, they are all it takes.
//
//   memory        start, aligned to windows                        allocator              memory
//   |             |                                                |                      + size |
//   +-------------+--------+--------+--------+---------------------+-----------------------------+
//   |   padding   |  slab  |  slab  |  slab  | shorter one or rest | allocator, magazines        |
//   +-------------+--------+--------+--------+---------------------+-----------------------------+
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define LEAST_WINDOW ((size_t)4096)
#define MOST_WINDOW ((size_t)1 << 16)
#define LINE ((size_t)64)  // of the processor's cache; objects can be aligned to at most this
#define GRAIN ((size_t)16)
#define PLAIN_ALIGNS 0x10116u  // powers of two up to a grain, as a set
#define CLASSES 28u
#define LARGEST_OBJECT ((size_t)4096)  // of the last class
#define IDLE_FRACTION 8
#define LEAST_OBJECTS 2                   // in a slab, except the allocator's own
#define MOST_ROUNDS ((size_t)128)         // of a magazine
#define MAGAZINE_BYTES ((size_t)1 << 14)  // what the objects in one have at most
#define ALL_ROUNDS 1664
#define HINTS 512u
#define OWN_SIZE (8 * LEAST_WINDOW)  // of the allocator's stretch, if pages are no larger

// Stretches lie wherever the source has put them, so a damaged link can not be told by its value.
// The seal can: it is a complemented sum of what it seals, and a link is followed only if it agrees
// (D. J. Taylor, D. E. Morgan and J. P. Black, "Redundancy in Data Structures", IEEE TSE 6(6),
// 1980). The weights are odd and differ, so that no change of one word keeps it, nor a swap of two.
struct stretch {
  // I1: seals agree: a stretch's with its next, memory and size, a list's with its first
  _Alignas(64) struct stretch *next;
  unsigned char *memory;  // as the source gave it
  size_t size;            // of that
  uintptr_t seal;
  // I2: lists are linked both ways; a slab with free objects is in its cache's list or, if it is
  //     idle, in the stock or in reserve; full slabs and large blocks have lists of their own
  struct stretch *previous;
  // I4: a slab's list links free objects of it, each once, and so many as are not live
  struct object *free;
  // I3: a slab lies where it must in its memory, and so do its objects in its window
  uint16_t class;
  uint16_t start;  // of the first object, or the large block, in grains from the header
  uint16_t capacity;
  uint16_t fresh;  // objects from this one on were never live
  uint16_t live;   // or in a magazine
};

#define LARGE CLASSES  // as a class
#define NO_CLASS (CLASSES + 1)

struct object {
  struct object *next;
};

struct list {
  struct stretch *first;
  uintptr_t seal;
};

// A line of the processor's cache, and the magazine's last rounds another: all that most requests
// need.
struct cache {
  // I5: a magazine holds objects of the cache's slabs that are not free there, each once
  _Alignas(64) struct object **magazine;
  struct object **top;  // behind the last of its rounds
  struct object **end;  // behind the last that it has room for
  uint16_t pitch;       // from object to object
  uint16_t capacity;    // objects in a slab
  struct list partial;  // slabs with free objects
  uint8_t colours;
  uint8_t colour;  // of the next slab
};

struct allocator {
  // I6: live blocks are counted, and stretches except the allocator's own, the idle ones of them,
  //     and no fewer at the peak
  _Alignas(64) size_t live;
  size_t held;
  size_t idle;
  size_t largest;  // size of an object of the last cache
  size_t window;
  unsigned window_log2;
  struct source *source;
  unsigned char *memory;  // the stretch at whose end the allocator lies
  size_t size;
  uintptr_t seal;
  size_t peak;  // of `held`, since magazines were last looked through
  struct list full;
  struct list large;
  struct list stock;
  struct list reserve;  // idle slabs in the own stretch
  uint8_t class_by_grains[LARGEST_OBJECT / GRAIN + 1];
  struct cache caches[CLASSES + 1];  // that of LARGE has no rounds, so that none is kept there
  struct object *rounds[ALL_ROUNDS];
  // I7: hints tell the addresses of slabs and, in their lowest bits, the classes
  uintptr_t hints[HINTS];
};

static const char *const invariants[] = {
    "seals agree: a stretch's with its next, memory and size, a list's with its first",
    "lists are linked both ways; a slab with free objects is in its cache's list or, if it is "
    "idle, in the stock or in reserve; full slabs and large blocks have lists of their own",
    "a slab lies where it must in its memory, and so do its objects in its window",
    "a slab's list links free objects of it, each once, and so many as are not live",
    "a magazine holds objects of the cache's slabs that are not free there, each once",
    "live blocks are counted, and stretches except the allocator's own, the idle ones of them, "
    "and no fewer at the peak",
    "hints tell the addresses of slabs and, in their lowest bits, the classes",
    NULL,
};

_Static_assert(sizeof(struct stretch) == LINE, "objects begin at the line after the header");
_Static_assert(sizeof(struct cache) == LINE, "a cache is found by a shift");
_Static_assert(sizeof(struct allocator) <= 5 * LEAST_WINDOW, "slabs before it have room");

// ## Accessors: no other function adds to an address

static void *at(const void *start, size_t offset) { return (unsigned char *)start + offset; }

static struct stretch *header_of(const struct allocator *self, const void *payload) {
  size_t offset = (address_of(payload) - 1) & (self->window - 1);
  return (struct stretch *)((unsigned char *)payload - 1 - offset);
}

static struct object *object_at(const struct stretch *slab, size_t pitch, size_t index) {
  return at(slab, slab->start * GRAIN + index * pitch);
}

// The first multiple of `align` behind `start`.
static unsigned char *aligned_at(unsigned char *start, size_t align) {
  return start + ((0 - address_of(start)) & (align - 1));
}

static size_t bytes_between(const void *left, const void *right) {
  return address_of(right) - address_of(left);
}

static unsigned char *end_of(const struct stretch *stretch) {
  return at(stretch->memory, stretch->size);
}

static bool is_own(const struct allocator *self, const struct stretch *slab) {
  return bytes_between(self->memory, slab) < self->size;
}

// A slab in the allocator's own stretch, with as much of a window as lies before the allocator.
// NULL: there are not so many.
static struct stretch *own_slab(const struct allocator *self, size_t index, size_t *room) {
  unsigned char *start = aligned_at(self->memory, self->window);
  size_t offset = bytes_between(self->memory, start) + index * self->window;
  size_t end = bytes_between(self->memory, self);
  if (offset + LINE + self->largest > end) return NULL;
  *room = end - offset < self->window ? end - offset : self->window;
  return at(self->memory, offset);
}

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
}

static unsigned rounds_in(const struct cache *cache) {
  return (unsigned)(cache->top - cache->magazine);
}

// ## Classes: eight of a grain's width, then four for each power of two

static unsigned class_of(size_t size) {
  unsigned top = (unsigned)sizeof(unsigned long) * 8 - 1;
  unsigned log2 = top - (unsigned)__builtin_clzl((size - 1) | 64);
  return (log2 - 6) * 4 + (unsigned)((size - 1) >> (log2 - 2));
}

static size_t pitch_of(unsigned class) {
  return class < 8 ? (class + 1) * GRAIN : (size_t)(class % 4 + 5) << (class / 4 + 3);
}

static size_t window_for(size_t page_size) {
  if (page_size < LEAST_WINDOW) return LEAST_WINDOW;
  return page_size > MOST_WINDOW ? MOST_WINDOW : page_size;
}

// What to acquire so that a whole window lies in it, and how much it may start late.
static size_t padding_for(size_t page_size) {
  return page_size < LEAST_WINDOW ? LEAST_WINDOW - page_size : 0;
}

static size_t slab_size(size_t page_size) {
  size_t size = window_for(page_size) + padding_for(page_size);
  return size < page_size ? page_size : size;
}

static size_t own_size(size_t page_size) {
  return OWN_SIZE < page_size ? page_size : (OWN_SIZE + page_size - 1) & ~(page_size - 1);
}

static unsigned class_count(size_t window) {
  unsigned count = 0;
  while (count < CLASSES && (window - LINE) / pitch_of(count) >= LEAST_OBJECTS) count++;
  return count;
}

// A multiple of `align` has a class whose pitch is one too, up to a line.
static bool is_small(size_t size, size_t align, size_t largest) {
  return align <= LINE && size <= largest && ((size + align - 1) & ~(align - 1)) <= largest;
}

// Pages for a block of its own: the header takes at most a window below a payload that is aligned
// to windows, and nothing but a line else. False if that does not fit into a size_t.
static bool large_size(size_t size, size_t align, size_t page_size, size_t *bytes) {
  size_t lead = align < LINE ? LINE : align;
  return add_sizes(size, padding_for(page_size) + lead, bytes) &&
         align_up(*bytes, page_size, bytes);
}

// ## Lists

static uintptr_t seal_for(const struct stretch *stretch) {
  return ~(address_of(stretch->next) + 3 * address_of(stretch->memory) + 5 * stretch->size);
}

static uintptr_t seal_of_own(const struct allocator *self) {
  return ~(address_of(self) + 3 * address_of(self->memory) + 5 * self->size + 7 * self->window +
           9 * (uintptr_t)self->window_log2);
}

static uintptr_t seal_of_list(const struct list *list) {
  return ~(address_of(list->first) + 3 * address_of(list));
}

static void set_first(struct list *list, struct stretch *first) {
  list->first = first;
  list->seal = seal_of_list(list);
}

static void set_next(struct stretch *stretch, struct stretch *next) {
  stretch->next = next;
  stretch->seal = seal_for(stretch);
}

static void link_first(struct list *list, struct stretch *stretch) {
  set_next(stretch, list->first);
  stretch->previous = NULL;
  if (list->first != NULL) list->first->previous = stretch;
  set_first(list, stretch);
}

static void unlink_stretch(struct list *list, struct stretch *stretch) {
  if (stretch->previous == NULL)
    set_first(list, stretch->next);
  else
    set_next(stretch->previous, stretch->next);
  if (stretch->next != NULL) stretch->next->previous = stretch->previous;
}

// ## Hints
//
// All headers lie at the same place of a window, where they compete for a few lines of the
// processor's cache. So the classes of slabs are also told in a table, in which slabs whose
// addresses are far apart may share an entry: that of the one which came last is right.

static size_t hint_index(const struct allocator *self, uintptr_t slab) {
  return slab >> self->window_log2 & (HINTS - 1);
}

static void set_hint(struct allocator *self, const struct stretch *slab) {
  self->hints[hint_index(self, address_of(slab))] = address_of(slab) | slab->class;
}

// True if there is one, of whatever class.
static bool is_hinted(const struct allocator *self, const struct stretch *slab) {
  return (self->hints[hint_index(self, address_of(slab))] ^ address_of(slab)) < LINE;
}

static void forget_hint(struct allocator *self, const struct stretch *slab) {
  if (is_hinted(self, slab)) self->hints[hint_index(self, address_of(slab))] = 0;
}

static unsigned class_hinted(const struct allocator *self, const struct stretch *slab) {
  return (unsigned)(self->hints[hint_index(self, address_of(slab))] ^ address_of(slab));
}

static unsigned class_at(const struct allocator *self, const void *payload) {
  uintptr_t window = (address_of(payload) - 1) >> self->window_log2;
  uintptr_t class = self->hints[window & (HINTS - 1)] ^ window << self->window_log2;
  return class < CLASSES ? (unsigned)class : header_of(self, payload)->class;
}

// ## Stretches

static void give_back(struct allocator *self, struct stretch *stretch) {
  self->held--;
  forget_hint(self, stretch);
  self->source->release(self->source, stretch->memory, stretch->size);
}

static void give_back_stocked(struct allocator *self) {
  struct stretch *slab = self->stock.first;
  unlink_stretch(&self->stock, slab);
  self->idle--;
  give_back(self, slab);
}

// Idle slabs go to the source, wherever they are, own ones into reserve.
static void reap(struct allocator *self) {
  while (self->stock.first != NULL) give_back_stocked(self);
  for (unsigned i = 0; i < CLASSES; i++) {
    struct list *list = &self->caches[i].partial;
    for (struct stretch *slab = list->first, *next; slab != NULL; slab = next) {
      next = slab->next;
      if (slab->live != 0) continue;
      unlink_stretch(list, slab);
      if (is_own(self, slab))
        link_first(&self->reserve, slab);
      else
        give_back(self, slab);
    }
  }
  self->idle = 0;
}

// ## Slabs

static size_t capacity_of(const struct allocator *self, const struct stretch *slab,
                          const struct cache *cache) {
  size_t room = is_own(self, slab) ? slab->size : self->window;
  size_t capacity = (room - slab->start * GRAIN) / cache->pitch;
  return capacity < cache->capacity ? capacity : cache->capacity;
}

// Puts an idle slab to the use of a cache.
static void assign(struct allocator *self, struct stretch *slab, unsigned class) {
  struct cache *cache = &self->caches[class];
  slab->start = LINE / GRAIN;
  if (!is_own(self, slab)) {
    slab->start = (uint16_t)((LINE + cache->colour * LINE) / GRAIN);
    cache->colour = cache->colour + 1 < cache->colours ? (uint8_t)(cache->colour + 1) : 0;
  }
  slab->capacity = (uint16_t)capacity_of(self, slab, cache);
  slab->class = (uint16_t)class;
  slab->free = NULL;
  slab->fresh = 0;
  slab->live = 0;
  set_hint(self, slab);
  link_first(&cache->partial, slab);
}

// True if a slab was idle.
static bool assign_idle(struct allocator *self, unsigned class) {
  struct list *list = self->reserve.first != NULL ? &self->reserve : &self->stock;
  struct stretch *slab = list->first;
  if (slab == NULL) return false;
  unlink_stretch(list, slab);
  assign(self, slab, class);
  return true;
}

static struct object *pop_object(struct allocator *self, struct stretch *slab) {
  struct cache *cache = &self->caches[slab->class];
  struct object *object = slab->free;
  if (object != NULL)
    slab->free = object->next;
  else
    object = object_at(slab, cache->pitch, slab->fresh++);
  if (slab->live++ == 0 && !is_own(self, slab)) self->idle--;
  if (slab->live == slab->capacity) {
    unlink_stretch(&cache->partial, slab);
    link_first(&self->full, slab);
  }
  return object;
}

// It stays if the cache has no other. The stock gives back two slabs for one that comes, so that it
// follows when fewer are in use.
static void retire(struct allocator *self, struct stretch *slab) {
  struct list *partial = &self->caches[slab->class].partial;
  bool own = is_own(self, slab);
  if (!own) self->idle++;
  if (partial->first == slab && slab->next == NULL) return;
  unlink_stretch(partial, slab);
  link_first(own ? &self->reserve : &self->stock, slab);
  size_t enough = 1 + (self->held - self->idle) / IDLE_FRACTION;
  for (int i = 0; i < 2 && self->idle > enough && self->stock.first != NULL; i++)
    give_back_stocked(self);
}

static void push_object(struct allocator *self, struct stretch *slab, struct object *object) {
  object->next = slab->free;
  slab->free = object;
  if (slab->live-- == slab->capacity) {
    unlink_stretch(&self->full, slab);
    link_first(&self->caches[slab->class].partial, slab);
  }
  if (slab->live == 0) retire(self, slab);
}

// ## Caches

// How many objects of a slab a magazine holds, from one of its rounds on.
static unsigned rounds_of(const struct allocator *self, const struct cache *cache, unsigned from,
                          const struct stretch *slab) {
  unsigned count = 0;
  for (unsigned i = from; i < rounds_in(cache); i++)
    count += header_of(self, cache->magazine[i]) == slab;
  return count;
}

// Makes idle what only magazines keep from it: all, if nothing is live. Other slabs stay as they
// are: a request that is refused all the same must not have changed them.
static void empty_magazines(struct allocator *self) {
  for (struct cache *cache = self->caches; cache != self->caches + CLASSES; cache++) {
    uint16_t kept = 0;
    for (unsigned i = 0; i < rounds_in(cache); i++) {
      struct object *object = cache->magazine[i];
      struct stretch *slab = header_of(self, object);
      if (self->live == 0 || rounds_of(self, cache, i, slab) == slab->live)
        push_object(self, slab, object);
      else
        cache->magazine[kept++] = object;
    }
    cache->top = &cache->magazine[kept];
  }
}

static __attribute__((noinline)) void give_back_idle(struct allocator *self) {
  empty_magazines(self);
  reap(self);
}

// Whether the source would get anything: a slab that is idle, or that only magazines keep from it.
static bool can_give_back(const struct allocator *self) {
  if (self->idle != 0) return true;
  for (const struct cache *cache = self->caches; cache != self->caches + CLASSES; cache++)
    for (unsigned i = 0; i < rounds_in(cache); i++) {
      const struct stretch *slab = header_of(self, cache->magazine[i]);
      if (!is_own(self, slab) && rounds_of(self, cache, 0, slab) == slab->live) return true;
    }
  return false;
}

// NULL: the source has nothing more, even after all that is idle went back to it or into reserve. A
// reserve that is of no use to the request stays as it is.
static unsigned char *acquire(struct allocator *self, size_t size, bool reserve_serves) {
  unsigned char *memory = self->source->acquire(self->source, size);
  if (memory == NULL && (reserve_serves || can_give_back(self))) {
    size_t held = self->held;
    give_back_idle(self);
    if (self->held < held) memory = self->source->acquire(self->source, size);
  }
  if (memory != NULL && ++self->held > self->peak) self->peak = self->held;
  return memory;
}

static bool assign_acquired(struct allocator *self, unsigned class) {
  size_t size = slab_size(self->source->page_size);
  unsigned char *memory = acquire(self, size, true);
  if (memory == NULL) return assign_idle(self, class);
  struct stretch *slab = (struct stretch *)aligned_at(memory, self->window);
  *slab = (struct stretch){.memory = memory, .size = size};
  self->idle++;
  assign(self, slab, class);
  return true;
}

// The magazine is empty.
static __attribute__((noinline)) void *allocate_from_slab(struct allocator *self, unsigned class) {
  struct list *partial = &self->caches[class].partial;
  if (partial->first == NULL && self->live == 0) give_back_idle(self);  // own slabs of others
  if (partial->first == NULL && !assign_idle(self, class) && !assign_acquired(self, class))
    return NULL;
  self->live++;
  return pop_object(self, partial->first);
}

static void *allocate_small(struct allocator *self, size_t size) {
  unsigned class = self->class_by_grains[(size + GRAIN - 1) / GRAIN];
  struct cache *cache = &self->caches[class];
  if (cache->top == cache->magazine) return allocate_from_slab(self, class);
  self->live++;
  return *--cache->top;
}

// ## Large blocks

static __attribute__((noinline)) void *allocate_large(struct allocator *self, size_t size,
                                                      size_t align) {
  size_t bytes;
  if (!large_size(size, align, self->source->page_size, &bytes)) return NULL;
  unsigned char *memory = acquire(self, bytes, false);
  if (memory == NULL) return NULL;
  unsigned char *payload = aligned_at(at(aligned_at(memory, self->window), LINE), align);
  struct stretch *large = header_of(self, payload);
  *large = (struct stretch){.memory = memory, .size = bytes, .class = LARGE, .live = 1};
  large->start = (uint16_t)(bytes_between(large, payload) / GRAIN);
  link_first(&self->large, large);
  self->live++;
  return payload;
}

static void release_large(struct allocator *self, struct stretch *large) {
  unlink_stretch(&self->large, large);
  give_back(self, large);
}

// ## The table

// From the last one on, as the list begins with what came last.
static void reserve_own(struct allocator *self) {
  size_t count = 0, room = 0;
  set_first(&self->reserve, NULL);
  memset(self->hints, 0, sizeof self->hints);
  while (own_slab(self, count, &room) != NULL) count++;
  while (count-- != 0) {
    struct stretch *slab = own_slab(self, count, &room);
    *slab = (struct stretch){.memory = at(slab, 0), .size = room, .class = NO_CLASS};
    link_first(&self->reserve, slab);
  }
}

// As after create: all memory but the allocator's own stretch is the source's.
static void clear(struct allocator *self) {
  set_first(&self->full, NULL);
  set_first(&self->large, NULL);
  set_first(&self->stock, NULL);
  self->live = 0;
  self->held = 0;
  self->peak = 0;
  self->idle = 0;
  for (unsigned i = 0; i < CLASSES; i++) {
    set_first(&self->caches[i].partial, NULL);
    self->caches[i].colour = 0;
    self->caches[i].top = self->caches[i].magazine;
  }
  reserve_own(self);
}

static size_t most_rounds(size_t pitch) {
  size_t rounds = MAGAZINE_BYTES / pitch;
  return rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS;
}

static struct cache cache_for(unsigned class, size_t window) {
  size_t pitch = pitch_of(class), room = window - LINE;
  return (struct cache){.pitch = (uint16_t)pitch,
                        .capacity = (uint16_t)(room / pitch),
                        .colours = (uint8_t)(room % pitch / LINE + 1)};
}

static struct allocator *slab_create(struct source *source,
                                     const struct strategy_options *options) {
  if ((source->traits & SOURCE_RECLAIMS) == 0 || options->variant != 0) return NULL;
  size_t size = own_size(source->page_size), window = window_for(source->page_size);
  unsigned char *memory = source->acquire(source, size);
  if (memory == NULL) return NULL;
  struct allocator *self = at(memory, size - sizeof *self);
  // Pages may be smaller than a line.
  self = (struct allocator *)((unsigned char *)self - (address_of(self) & (LINE - 1)));
  *self = (struct allocator){.largest = pitch_of(class_count(window) - 1),
                             .window = window,
                             .window_log2 = (unsigned)__builtin_ctzl(window),
                             .source = source,
                             .memory = memory,
                             .size = size};
  self->seal = seal_of_own(self);
  size_t rounds = 0;
  for (unsigned i = 0; i < CLASSES; i++) {
    self->caches[i] = cache_for(i, window);
    self->caches[i].magazine = &self->rounds[rounds];
    rounds += most_rounds(pitch_of(i));
    self->caches[i].end = &self->rounds[rounds];
  }
  for (unsigned i = 1; i <= LARGEST_OBJECT / GRAIN; i++)
    self->class_by_grains[i] = (uint8_t)class_of(i * GRAIN);
  clear(self);
  return self;
}

static __attribute__((noinline)) void *allocate_slowly(struct allocator *self, size_t size,
                                                       size_t align) {
  if (!is_request(size, align)) return NULL;
  if (!is_small(size, align, self->largest)) return allocate_large(self, size, align);
  return allocate_small(self, (size + align - 1) & ~(align - 1));
}

static void *slab_allocate(struct allocator *self, size_t size, size_t align) {
  bool is_plain = align <= GRAIN && (PLAIN_ALIGNS >> align & 1) != 0;
  if (!is_plain || size - 1 >= self->largest) return allocate_slowly(self, size, align);
  return allocate_small(self, size);
}

static void *slab_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = slab_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static __attribute__((noinline)) enum release_result release_last(struct allocator *self) {
  if (self->held != 0) give_back_idle(self);
  return RELEASED;
}

static __attribute__((noinline)) enum release_result release_slowly(struct allocator *self,
                                                                    void *payload) {
  struct stretch *stretch = header_of(self, payload);
  if (stretch->class == LARGE)
    release_large(self, stretch);
  else
    push_object(self, stretch, payload);
  if (--self->live == 0) return release_last(self);
  if (self->held < self->peak / 2) {
    self->peak = self->held;
    empty_magazines(self);
  }
  return RELEASED;
}

static enum release_result slab_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  struct cache *cache = &self->caches[class_at(self, payload)];
  if (cache->top == cache->end) return release_slowly(self, payload);
  *cache->top++ = payload;
  return --self->live == 0 ? release_last(self) : RELEASED;
}

static size_t slab_usable_size(const struct allocator *self, const void *payload) {
  if (payload == NULL) return 0;
  const struct stretch *stretch = header_of(self, payload);
  return stretch->class == LARGE ? bytes_between(payload, end_of(stretch))
                                 : self->caches[stretch->class].pitch;
}

// Whether a new block for this request would be as large as the one that there is.
static bool is_of_same_size(const struct allocator *self, const struct stretch *stretch,
                            size_t size, size_t align) {
  size_t bytes;
  if (is_small(size, align, self->largest))
    return class_of((size + align - 1) & ~(align - 1)) == stretch->class;
  return stretch->class == LARGE && large_size(size, align, self->source->page_size, &bytes) &&
         bytes >= stretch->size;
}

static void *slab_resize(struct allocator *self, void *payload, size_t size, size_t align) {
  if (payload == NULL) return slab_allocate(self, size, align);
  if (!is_request(size, align)) return NULL;
  size_t usable = slab_usable_size(self, payload);
  bool suffices = size <= usable && (address_of(payload) & (align - 1)) == 0;
  if (suffices && is_of_same_size(self, header_of(self, payload), size, align)) return payload;
  void *moved = slab_allocate(self, size, align);
  if (moved == NULL) return suffices ? payload : NULL;
  memcpy(moved, payload, usable < size ? usable : size);
  slab_release(self, payload);
  return moved;
}

static void give_back_all(struct allocator *self, struct list *list) {
  for (struct stretch *stretch = list->first, *next; stretch != NULL; stretch = next) {
    next = stretch->next;
    if (!is_own(self, stretch)) give_back(self, stretch);
  }
}

static void slab_reset(struct allocator *self) {
  give_back_all(self, &self->full);
  give_back_all(self, &self->large);
  give_back_all(self, &self->stock);
  for (unsigned i = 0; i < CLASSES; i++) give_back_all(self, &self->caches[i].partial);
  clear(self);
}

// ## Check and walk

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

// Which objects of a slab are free, and which are in a magazine.
struct map {
  uint64_t free[MOST_WINDOW / GRAIN / 64];
  uint64_t in_magazine[MOST_WINDOW / GRAIN / 64];
  size_t rounds;
};

static bool is_set(const uint64_t *bits, size_t index) {
  return (bits[index / 64] >> index % 64 & 1) != 0;
}

static void set(uint64_t *bits, size_t index) { bits[index / 64] |= (uint64_t)1 << index % 64; }

// False if it is none of the objects that were ever live.
static bool index_of(const struct stretch *slab, size_t pitch, const struct object *object,
                     size_t *index) {
  size_t offset = bytes_between(object_at(slab, pitch, 0), object);
  *index = offset / pitch;
  return offset % pitch == 0 && *index < slab->fresh;
}

// False if the slab's list is not what it must be; a broken link is not followed.
static bool map_free(const struct allocator *self, const struct stretch *slab, struct map *map) {
  const struct cache *cache = &self->caches[slab->class];
  size_t count = 0, index;
  memset(map, 0, sizeof *map);
  for (size_t i = slab->fresh; i < slab->capacity; i++) set(map->free, i);
  for (const struct object *object = slab->free; object != NULL; object = object->next, count++) {
    if (!index_of(slab, cache->pitch, object, &index) || is_set(map->free, index)) return false;
    set(map->free, index);
  }
  for (unsigned i = 0; i < rounds_in(cache); i++) {
    if (!index_of(slab, cache->pitch, cache->magazine[i], &index) || is_set(map->free, index) ||
        is_set(map->in_magazine, index))
      continue;
    set(map->in_magazine, index);
    map->rounds++;
  }
  return count + slab->live == slab->fresh;
}

static bool is_slab(const struct allocator *self, const struct stretch *slab, unsigned class) {
  const struct cache *cache = &self->caches[class];
  bool own = is_own(self, slab);
  size_t colours = own ? 1 : cache->colours, room = own ? slab->size : self->window;
  return slab->class == class && slab->start >= LINE / GRAIN && slab->start % (LINE / GRAIN) == 0 &&
         slab->start < LINE / GRAIN * (1 + colours) && slab->capacity != 0 &&
         slab->capacity == capacity_of(self, slab, cache) && slab->fresh <= slab->capacity &&
         slab->live <= slab->fresh && (address_of(slab) & (self->window - 1)) == 0 &&
         range_within(slab, room, slab->memory, slab->size);
}

static bool is_large(const struct allocator *self, const struct stretch *large) {
  return large->class == LARGE && large->live == 1 && large->start >= LINE / GRAIN &&
         header_of(self, object_at(large, 0, 0)) == large &&
         range_within(large, large->start * GRAIN + 1, large->memory, large->size);
}

static bool is_sealed(const struct stretch *stretch) { return stretch->seal == seal_for(stretch); }

static bool is_shaped(const struct allocator *self) {
  size_t rounds = 0;
  if (self->largest != pitch_of(class_count(self->window) - 1) ||
      self->caches[LARGE].top != self->caches[LARGE].end)
    return false;
  for (unsigned i = 0; i < CLASSES; i++) {
    struct cache made = cache_for(i, self->window);
    const struct cache *cache = &self->caches[i];
    if (cache->pitch != made.pitch || cache->capacity != made.capacity ||
        cache->colours != made.colours || cache->colour >= made.colours ||
        cache->magazine != &self->rounds[rounds] ||
        cache->end != cache->magazine + most_rounds(made.pitch) ||
        bytes_between(cache->magazine, cache->top) > bytes_between(cache->magazine, cache->end) ||
        bytes_between(cache->top, cache->end) % sizeof *cache->top != 0)
      return false;
    rounds += most_rounds(made.pitch);
  }
  return true;
}

// What a pass over the lists has met.
struct tally {
  size_t live, held, idle, own, hinted;
  size_t rounds[CLASSES];
};

// `class` LARGE: in the list of large blocks; NO_CLASS: in stock or in reserve.
static struct broken_invariant check_stretch(const struct allocator *self,
                                             const struct stretch *stretch, unsigned class,
                                             bool full, struct tally *tally) {
  struct map map = {.rounds = 0};
  if (class == LARGE && !is_large(self, stretch)) return broken(3, stretch);
  if (class == NO_CLASS && stretch->live != 0) return broken(2, stretch);
  if (class < CLASSES) {
    if (!is_slab(self, stretch, class)) return broken(3, stretch);
    if (full != (stretch->live == stretch->capacity)) return broken(2, stretch);
    if (!map_free(self, stretch, &map)) return broken(4, stretch);
    tally->rounds[class] += map.rounds;
  }
  tally->live += stretch->live - map.rounds;
  if (is_hinted(self, stretch)) {
    if (class_hinted(self, stretch) != stretch->class) return broken(7, stretch);
    tally->hinted++;
  }
  bool own = is_own(self, stretch);
  tally->held += !own;
  tally->idle += !own && stretch->live == 0;
  tally->own += own;
  return broken(0, NULL);
}

static struct broken_invariant check_list(const struct allocator *self, const struct list *list,
                                          unsigned class, struct tally *tally) {
  bool full = list == &self->full;
  const struct stretch *left = NULL;
  if (list->seal != seal_of_list(list)) return broken(1, list);
  for (const struct stretch *stretch = list->first; stretch != NULL; stretch = stretch->next) {
    if (!is_sealed(stretch)) return broken(1, stretch);
    if (stretch->previous != left) return broken(2, stretch);
    if (full) class = stretch->class;
    if (full && class >= CLASSES) return broken(3, stretch);
    bool misplaced = is_own(self, stretch) ? list == &self->stock || list == &self->large
                                           : list == &self->reserve;
    if (misplaced) return broken(2, stretch);
    struct broken_invariant found = check_stretch(self, stretch, class, full, tally);
    if (found.number != 0) return found;
    left = stretch;
  }
  return broken(0, NULL);
}

static struct broken_invariant slab_check(const struct allocator *self) {
  struct tally tally = {0};
  size_t own = 0, room;
  if (self->seal != seal_of_own(self)) return broken(1, self);
  if (!is_shaped(self)) return broken(3, self);
  struct broken_invariant found = check_list(self, &self->full, 0, &tally);
  if (found.number == 0) found = check_list(self, &self->large, LARGE, &tally);
  if (found.number == 0) found = check_list(self, &self->stock, NO_CLASS, &tally);
  if (found.number == 0) found = check_list(self, &self->reserve, NO_CLASS, &tally);
  for (unsigned i = 0; i < CLASSES && found.number == 0; i++)
    found = check_list(self, &self->caches[i].partial, i, &tally);
  if (found.number != 0) return found;
  while (own_slab(self, own, &room) != NULL) own++;
  if (tally.own != own) return broken(2, self);
  for (unsigned i = 0; i < HINTS; i++) tally.hinted -= self->hints[i] != 0;
  if (tally.hinted != 0) return broken(7, self->hints);
  for (unsigned i = 0; i < CLASSES; i++)
    if (tally.rounds[i] != rounds_in(&self->caches[i])) return broken(5, &self->caches[i]);
  return tally.live == self->live && tally.held == self->held && tally.idle == self->idle &&
                 self->held <= self->peak
             ? broken(0, NULL)
             : broken(6, self);
}

static bool serves_nobody(const struct map *map, size_t index) {
  return is_set(map->free, index) || is_set(map->in_magazine, index);
}

static void walk_objects(const struct stretch *slab, size_t pitch, const struct map *map,
                         span_visitor *visit, void *context) {
  size_t run = 0;
  for (size_t i = 0; i <= slab->capacity; i++) {
    if (i < slab->capacity && serves_nobody(map, i)) {
      run++;
      continue;
    }
    visit_span(visit, context, object_at(slab, pitch, i - run), run * pitch, SPAN_FREE);
    run = 0;
    if (i < slab->capacity)
      visit_span(visit, context, object_at(slab, pitch, i), pitch, SPAN_BLOCK);
  }
}

// Memory before and behind the two is the allocator's.
static void walk_around(const struct stretch *stretch, const void *first, const void *end,
                        enum span_kind kind, span_visitor *visit, void *context) {
  visit_span(visit, context, stretch->memory, bytes_between(stretch->memory, first), SPAN_META);
  visit_span(visit, context, first, bytes_between(first, end), kind);
  visit_span(visit, context, end, bytes_between(end, end_of(stretch)), SPAN_META);
}

// A slab none of whose objects is live could as well have gone back.
static void walk_stretch(const struct allocator *self, const struct stretch *stretch,
                         span_visitor *visit, void *context) {
  const void *first = object_at(stretch, 0, 0), *start = stretch->memory;
  struct map map = {.rounds = 0};
  if (stretch->class == LARGE && is_large(self, stretch)) {
    walk_around(stretch, first, end_of(stretch), SPAN_BLOCK, visit, context);
    return;
  }
  bool is_cut = stretch->class < CLASSES && is_slab(self, stretch, stretch->class);
  if (is_cut) map_free(self, stretch, &map);
  if (!is_cut && stretch->live != 0) {  // damaged: nothing in it can be believed
    visit_span(visit, context, start, stretch->size, SPAN_META);
    return;
  }
  if (stretch->live != map.rounds) {
    size_t pitch = self->caches[stretch->class].pitch;
    const void *end = object_at(stretch, pitch, stretch->capacity);
    visit_span(visit, context, start, bytes_between(start, first), SPAN_META);
    walk_objects(stretch, pitch, &map, visit, context);
    visit_span(visit, context, end, bytes_between(end, end_of(stretch)), SPAN_META);
  } else {
    walk_around(stretch, start, end_of(stretch), SPAN_FREE, visit, context);
  }
}

static void walk_list(const struct allocator *self, const struct list *list, span_visitor *visit,
                      void *context) {
  if (list->seal != seal_of_list(list)) return;
  for (const struct stretch *stretch = list->first; stretch != NULL && is_sealed(stretch);
       stretch = stretch->next)
    if (!is_own(self, stretch)) walk_stretch(self, stretch, visit, context);
}

// Slabs in the allocator's stretch, whatever lists they are in.
static void walk_own(const struct allocator *self, span_visitor *visit, void *context) {
  const unsigned char *done = self->memory;
  size_t room;
  const struct stretch *slab;
  for (size_t i = 0; (slab = own_slab(self, i, &room)) != NULL; i++) {
    if (!is_sealed(slab)) break;
    visit_span(visit, context, done, bytes_between(done, slab), SPAN_META);
    walk_stretch(self, slab, visit, context);
    done = end_of(slab);
  }
  const void *end = at(self->memory, self->size);
  visit_span(visit, context, done, bytes_between(done, end), SPAN_META);
}

// Shows a damaged allocator as far as its seals hold.
static void slab_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (self->seal != seal_of_own(self) || !is_shaped(self)) return;
  walk_own(self, visit, context);
  walk_list(self, &self->full, visit, context);
  walk_list(self, &self->large, visit, context);
  walk_list(self, &self->stock, visit, context);
  for (unsigned i = 0; i < CLASSES; i++) walk_list(self, &self->caches[i].partial, visit, context);
}

// What one request can have of a free span at most: an object, if it is a run of them in a slab in
// use or the slab is the allocator's own; in place of any other slab, a large block.
static size_t most_for_one(const struct allocator *self, const struct span *span) {
  bool own = is_own(self, span->start);
  if (own && (address_of(span->start) & (self->window - 1)) == 0) return self->largest;
  if (own || span->size < self->window)
    return self->caches[header_of(self, span->start)->class].pitch;
  return span->size - padding_for(self->source->page_size) - LINE;
}

struct count {
  const struct allocator *self;
  struct statistics statistics;
};

static void count_span(void *context, const struct span *span) {
  struct count *count = context;
  struct statistics *statistics = &count->statistics;
  statistics->acquired += span->size;
  if (span->kind == SPAN_BLOCK) statistics->blocks++;
  if (span->kind != SPAN_FREE) {
    statistics->used += span->size;
    return;
  }
  size_t most = most_for_one(count->self, span);
  if (most > statistics->largest_free) statistics->largest_free = most;
}

static struct statistics slab_statistics(const struct allocator *self) {
  struct count count = {.self = self};
  slab_walk(self, count_span, &count);
  return count.statistics;
}

static void slab_destroy(struct allocator *self) {
  slab_reset(self);
  struct source *source = self->source;
  source->release(source, self->memory, self->size);
}

// At worst a block is alone in a new slab: every slab or large block was acquired for one that was
// allocated or resized since the allocator was empty, as it kept none then.
static size_t slab_footprint(size_t size, size_t align, size_t page_size) {
  size_t bytes;
  if (!is_request(size, align)) return SIZE_MAX;
  if (is_small(size, align, pitch_of(class_count(window_for(page_size)) - 1)))
    return slab_size(page_size);
  return large_size(size, align, page_size, &bytes) ? bytes : SIZE_MAX;
}

const struct strategy slab_strategy = {
    .name = "slab",
    .summary = "caches of objects of one size in coloured slabs of pages; larger blocks in pages",
    .traits = STRATEGY_RELEASES | STRATEGY_RESIZES | STRATEGY_RESETS | STRATEGY_ZEROES |
              STRATEGY_SIZES | STRATEGY_RETURNS_MEMORY | STRATEGY_WALKS_BLOCKS,
    .needs = SOURCE_RECLAIMS,
    .min_align = GRAIN,
    .max_align = MAX_ALIGN,
    .overhead = OWN_SIZE,
    .invariants = invariants,
    .create = slab_create,
    .allocate = slab_allocate,
    .allocate_zeroed = slab_allocate_zeroed,
    .release = slab_release,
    .resize = slab_resize,
    .usable_size = slab_usable_size,
    .reset = slab_reset,
    .check = slab_check,
    .walk = slab_walk,
    .statistics = slab_statistics,
    .destroy = slab_destroy,
    .footprint = slab_footprint,
};
