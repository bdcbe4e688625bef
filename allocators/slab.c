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
// Each cache has a magazine: the objects that were released last, as long as it has room for them.
// They are allocated first, and their slabs need not even be looked at.
//
// A slab none of whose objects is live or in a magazine is idle. It stays with its cache if that
// has nothing else to allocate from. Others go to a common stock, as long as there is one for eight
// that are in use, else to the source. When nothing is live any more, or the source has nothing
// more, magazines are emptied and all idle slabs go to the source. The slab that lies behind the
// allocator itself can not: it serves whatever cache needs one first.
#include "allocators/arithmetic.h"
#include "allocators/memory.h"
#include "allocators/span.h"
#include "allocators/strategy.h"

#define MAX_ALIGN ((size_t)1 << 16)
#define LEAST_WINDOW ((size_t)4096)
#define MOST_WINDOW ((size_t)1 << 16)
#define LINE ((size_t)64)  // of the processor's cache; objects can be aligned to at most this
#define GRAIN ((size_t)16)
#define CLASSES 28u
#define LARGEST_OBJECT ((size_t)4096)  // of the last class
#define ROUNDS 5u                      // of a magazine: a cache is one line
#define IDLE_FRACTION 8
#define LEAST_OBJECTS 2  // in a slab, except the allocator's own

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
  //     idle, in the stock; full slabs and large blocks have lists of their own
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

#define LARGE UINT16_MAX  // as a class
#define NO_CLASS (UINT16_MAX - 1)

struct object {
  struct object *next;
};

struct list {
  struct stretch *first;
  uintptr_t seal;
};

struct cache {
  _Alignas(64) struct list partial;  // slabs with free objects
  uint16_t pitch;                    // from object to object
  uint16_t capacity;                 // objects in a slab
  uint8_t colours;
  uint8_t colour;  // of the next slab
  // I5: a magazine holds objects of the cache's slabs that are not free there, each once
  uint16_t rounds;
  struct object *magazine[ROUNDS];
};

struct allocator {
  struct stretch own;  // the stretch in which the allocator lies: the slab behind it
  struct source *source;
  size_t window;
  size_t largest;  // size of an object of the last cache
  struct list full;
  struct list large;
  struct list stock;
  // I6: live blocks are counted, and stretches except the allocator's own, and the idle ones of
  // them
  size_t live;
  size_t held;
  size_t idle;
  struct cache caches[CLASSES];
  uint8_t class_by_grains[LARGEST_OBJECT / GRAIN + 1];
};

static const char *const invariants[] = {
    "seals agree: a stretch's with its next, memory and size, a list's with its first",
    "lists are linked both ways; a slab with free objects is in its cache's list or, if it is "
    "idle, in the stock; full slabs and large blocks have lists of their own",
    "a slab lies where it must in its memory, and so do its objects in its window",
    "a slab's list links free objects of it, each once, and so many as are not live",
    "a magazine holds objects of the cache's slabs that are not free there, each once",
    "live blocks are counted, and stretches except the allocator's own, and the idle ones of them",
    NULL,
};

_Static_assert(sizeof(struct stretch) == LINE, "objects begin at the line after the header");
_Static_assert(sizeof(struct allocator) <= LEAST_WINDOW - LINE, "a slab behind it has room");

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

static bool is_request(size_t size, size_t align) {
  return size != 0 && is_power_of_two(align) && align <= MAX_ALIGN;
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

// ## Stretches

static void give_back(struct allocator *self, struct stretch *stretch) {
  self->held--;
  self->source->release(self->source, stretch->memory, stretch->size);
}

static void give_back_stocked(struct allocator *self) {
  struct stretch *slab = self->stock.first;
  unlink_stretch(&self->stock, slab);
  self->idle--;
  give_back(self, slab);
}

// Idle slabs go to the source, wherever they are.
static void reap(struct allocator *self) {
  while (self->stock.first != NULL) give_back_stocked(self);
  for (unsigned i = 0; i < CLASSES; i++) {
    struct list *list = &self->caches[i].partial;
    for (struct stretch *slab = list->first, *next; slab != NULL; slab = next) {
      next = slab->next;
      if (slab->live != 0 || slab == &self->own) continue;
      unlink_stretch(list, slab);
      give_back(self, slab);
    }
  }
  self->idle = 0;
}

// ## Slabs

// Puts an idle slab to the use of a cache.
static void assign(struct allocator *self, struct stretch *slab, unsigned class) {
  struct cache *cache = &self->caches[class];
  if (slab != &self->own) {
    slab->start = (uint16_t)((LINE + cache->colour * LINE) / GRAIN);
    cache->colour = cache->colour + 1 < cache->colours ? (uint8_t)(cache->colour + 1) : 0;
  }
  size_t room = self->window - slab->start * GRAIN;
  slab->capacity = (uint16_t)(room / cache->pitch);
  if (slab->capacity > cache->capacity) slab->capacity = cache->capacity;
  slab->class = (uint16_t)class;
  slab->free = NULL;
  slab->fresh = 0;
  slab->live = 0;
  link_first(&cache->partial, slab);
}

// True if a slab was idle: the allocator's own, which may be another cache's, or one in stock.
static bool assign_idle(struct allocator *self, unsigned class) {
  struct stretch *own = &self->own, *slab = self->stock.first;
  if (own->live == 0 && self->window - own->start * GRAIN >= self->caches[class].pitch) {
    if (own->class != NO_CLASS) unlink_stretch(&self->caches[own->class].partial, own);
    slab = own;
  } else if (slab != NULL) {
    unlink_stretch(&self->stock, slab);
  }
  if (slab != NULL) assign(self, slab, class);
  return slab != NULL;
}

static struct object *pop_object(struct allocator *self, struct stretch *slab) {
  struct cache *cache = &self->caches[slab->class];
  struct object *object = slab->free;
  if (object != NULL)
    slab->free = object->next;
  else
    object = object_at(slab, cache->pitch, slab->fresh++);
  if (slab->live++ == 0 && slab != &self->own) self->idle--;
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
  self->idle++;
  if (partial->first == slab && slab->next == NULL) return;
  unlink_stretch(partial, slab);
  link_first(&self->stock, slab);
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
  if (slab->live == 0 && slab != &self->own) retire(self, slab);
}

// ## Caches

// How many objects of a slab a magazine holds, from one of its rounds on.
static unsigned rounds_of(const struct allocator *self, const struct cache *cache, unsigned from,
                          const struct stretch *slab) {
  unsigned count = 0;
  for (unsigned i = from; i < cache->rounds; i++)
    count += header_of(self, cache->magazine[i]) == slab;
  return count;
}

// Makes idle what only magazines keep from it. Other slabs stay as they are: a request that is
// refused all the same must not have changed them.
static void empty_magazines(struct allocator *self) {
  for (struct cache *cache = self->caches; cache != self->caches + CLASSES; cache++) {
    uint16_t kept = 0;
    for (unsigned i = 0; i < cache->rounds; i++) {
      struct object *object = cache->magazine[i];
      struct stretch *slab = header_of(self, object);
      if (rounds_of(self, cache, i, slab) == slab->live)
        push_object(self, slab, object);
      else
        cache->magazine[kept++] = object;
    }
    cache->rounds = kept;
  }
}

// NULL: the source has nothing more, even after all that is idle went back to it.
static unsigned char *acquire(struct allocator *self, size_t size) {
  unsigned char *memory = self->source->acquire(self->source, size);
  if (memory == NULL && self->held != 0) {
    empty_magazines(self);
    reap(self);
    memory = self->source->acquire(self->source, size);
  }
  if (memory != NULL) self->held++;
  return memory;
}

static bool assign_acquired(struct allocator *self, unsigned class) {
  size_t size = slab_size(self->source->page_size);
  unsigned char *memory = acquire(self, size);
  if (memory == NULL) return false;
  struct stretch *slab = (struct stretch *)aligned_at(memory, self->window);
  *slab = (struct stretch){.memory = memory, .size = size};
  self->idle++;
  assign(self, slab, class);
  return true;
}

// The magazine is empty.
static __attribute__((noinline)) void *allocate_from_slab(struct allocator *self, unsigned class) {
  struct list *partial = &self->caches[class].partial;
  if (partial->first == NULL && self->live == 0) empty_magazines(self);  // for the own slab
  if (partial->first == NULL && !assign_idle(self, class) && !assign_acquired(self, class))
    return NULL;
  self->live++;
  return pop_object(self, partial->first);
}

static void *allocate_small(struct allocator *self, size_t size) {
  unsigned class = self->class_by_grains[(size + GRAIN - 1) / GRAIN];
  struct cache *cache = &self->caches[class];
  if (cache->rounds == 0) return allocate_from_slab(self, class);
  self->live++;
  return cache->magazine[--cache->rounds];
}

static __attribute__((noinline)) void give_back_idle(struct allocator *self) {
  empty_magazines(self);
  reap(self);
}

// ## Large blocks

static __attribute__((noinline)) void *allocate_large(struct allocator *self, size_t size,
                                                      size_t align) {
  size_t bytes;
  if (!large_size(size, align, self->source->page_size, &bytes)) return NULL;
  unsigned char *memory = acquire(self, bytes);
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

// As after create: all memory but the allocator's own stretch is the source's.
static void clear(struct allocator *self) {
  set_first(&self->full, NULL);
  set_first(&self->large, NULL);
  set_first(&self->stock, NULL);
  self->live = 0;
  self->held = 0;
  self->idle = 0;
  self->own.class = NO_CLASS;
  self->own.live = 0;
  set_next(&self->own, NULL);
  for (unsigned i = 0; i < CLASSES; i++) {
    set_first(&self->caches[i].partial, NULL);
    self->caches[i].colour = 0;
    self->caches[i].rounds = 0;
  }
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
  size_t size = slab_size(source->page_size), window = window_for(source->page_size);
  unsigned char *memory = source->acquire(source, size);
  if (memory == NULL) return NULL;
  struct allocator *self = (struct allocator *)aligned_at(memory, window);
  *self = (struct allocator){
      .own = {.memory = memory, .size = size, .start = sizeof(struct allocator) / GRAIN},
      .source = source,
      .window = window,
      .largest = pitch_of(class_count(window) - 1)};
  for (unsigned i = 0; i < CLASSES; i++) self->caches[i] = cache_for(i, window);
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
  bool is_plain = align <= GRAIN && size <= self->largest;
  if (!is_plain || !is_request(size, align)) return allocate_slowly(self, size, align);
  return allocate_small(self, size);
}

static void *slab_allocate_zeroed(struct allocator *self, size_t count, size_t size, size_t align) {
  size_t bytes;
  if (!multiply_sizes(count, size, &bytes)) return NULL;
  void *payload = slab_allocate(self, bytes, align);
  return payload == NULL ? NULL : memset(payload, 0, bytes);
}

static __attribute__((noinline)) void release_slowly(struct allocator *self,
                                                     struct stretch *stretch, void *payload) {
  if (stretch->class == LARGE)
    release_large(self, stretch);
  else
    push_object(self, stretch, payload);
  if (--self->live == 0 && self->held != 0) give_back_idle(self);
}

static enum release_result slab_release(struct allocator *self, void *payload) {
  if (payload == NULL) return RELEASED;
  struct stretch *stretch = header_of(self, payload);
  struct cache *cache = stretch->class == LARGE ? NULL : &self->caches[stretch->class];
  if (cache == NULL || cache->rounds == ROUNDS) {
    release_slowly(self, stretch, payload);
    return RELEASED;
  }
  cache->magazine[cache->rounds++] = payload;
  if (--self->live == 0 && self->held != 0) give_back_idle(self);
  return RELEASED;
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
    if (stretch != &self->own) give_back(self, stretch);
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
  for (unsigned i = 0; i < cache->rounds; i++) {
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
  size_t own_start = sizeof(struct allocator) / GRAIN;
  bool starts = slab == &self->own ? slab->start == own_start
                                   : slab->start >= LINE / GRAIN &&
                                         slab->start < LINE / GRAIN * (1u + cache->colours) &&
                                         slab->capacity == cache->capacity;
  return slab->class == class && starts && slab->capacity != 0 &&
         slab->capacity <= (self->window - slab->start * GRAIN) / cache->pitch &&
         slab->fresh <= slab->capacity && slab->live <= slab->fresh &&
         (address_of(slab) & (self->window - 1)) == 0 &&
         range_within(slab, self->window, slab->memory, slab->size);
}

static bool is_large(const struct allocator *self, const struct stretch *large) {
  return large->class == LARGE && large->live == 1 && large->start >= LINE / GRAIN &&
         (address_of(large) & (self->window - 1)) == 0 &&
         range_within(large, large->start * GRAIN + 1, large->memory, large->size);
}

static bool is_sealed(const struct stretch *stretch) { return stretch->seal == seal_for(stretch); }

static bool is_shaped(const struct allocator *self) {
  const struct stretch *own = &self->own;
  size_t window = self->window;
  if (!is_power_of_two(window) || window < LEAST_WINDOW || window > MOST_WINDOW ||
      (address_of(own) & (window - 1)) != 0 || !range_within(own, window, own->memory, own->size) ||
      self->largest != pitch_of(class_count(window) - 1))
    return false;
  for (unsigned i = 0; i < CLASSES; i++) {
    struct cache made = cache_for(i, window);
    const struct cache *cache = &self->caches[i];
    if (cache->pitch != made.pitch || cache->capacity != made.capacity ||
        cache->colours != made.colours || cache->colour >= made.colours || cache->rounds > ROUNDS)
      return false;
  }
  return own->start * GRAIN == sizeof *self && (own->class < CLASSES || own->class == NO_CLASS) &&
         (own->live == 0 || own->class < CLASSES);
}

// What a pass over the lists has met.
struct tally {
  size_t live, held, idle;
  size_t rounds[CLASSES];
  bool own;
};

// `class` LARGE: in the list of large blocks; NO_CLASS: in stock.
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
  tally->held += stretch != &self->own;
  tally->idle += stretch != &self->own && stretch->live == 0;
  tally->own |= stretch == &self->own;
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
    struct broken_invariant found = check_stretch(self, stretch, class, full, tally);
    if (found.number != 0) return found;
    left = stretch;
  }
  return broken(0, NULL);
}

static struct broken_invariant slab_check(const struct allocator *self) {
  struct tally tally = {0};
  if (!is_sealed(&self->own)) return broken(1, self);
  if (!is_shaped(self)) return broken(3, self);
  struct broken_invariant found = check_list(self, &self->full, 0, &tally);
  if (found.number == 0) found = check_list(self, &self->large, LARGE, &tally);
  if (found.number == 0) found = check_list(self, &self->stock, NO_CLASS, &tally);
  for (unsigned i = 0; i < CLASSES && found.number == 0; i++)
    found = check_list(self, &self->caches[i].partial, i, &tally);
  if (found.number != 0) return found;
  if (tally.own != (self->own.class != NO_CLASS)) return broken(2, self);
  for (unsigned i = 0; i < CLASSES; i++)
    if (tally.rounds[i] != self->caches[i].rounds) return broken(5, &self->caches[i]);
  return tally.live == self->live && tally.held == self->held && tally.idle == self->idle
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

// Memory before, between and behind the two is the allocator's.
static void walk_around(const struct stretch *stretch, const void *first, const void *end,
                        enum span_kind kind, span_visitor *visit, void *context) {
  visit_span(visit, context, stretch->memory, bytes_between(stretch->memory, first), SPAN_META);
  visit_span(visit, context, first, bytes_between(first, end), kind);
  visit_span(visit, context, end, bytes_between(end, end_of(stretch)), SPAN_META);
}

// A slab none of whose objects is live could as well have gone back, unless it is the own one.
static void walk_stretch(const struct allocator *self, const struct stretch *stretch,
                         span_visitor *visit, void *context) {
  const void *first = object_at(stretch, 0, 0), *start = stretch->memory;
  struct map map = {.rounds = 0};
  if (stretch->class == LARGE && is_large(self, stretch)) {
    walk_around(stretch, first, end_of(stretch), SPAN_BLOCK, visit, context);
    return;
  }
  if (stretch->class < CLASSES && is_slab(self, stretch, stretch->class))
    map_free(self, stretch, &map);
  if (stretch->live != map.rounds) {
    size_t pitch = self->caches[stretch->class].pitch;
    const void *end = object_at(stretch, pitch, stretch->capacity);
    visit_span(visit, context, start, bytes_between(start, first), SPAN_META);
    walk_objects(stretch, pitch, &map, visit, context);
    visit_span(visit, context, end, bytes_between(end, end_of(stretch)), SPAN_META);
  } else if (stretch == &self->own) {
    walk_around(stretch, first, at(stretch, self->window), SPAN_FREE, visit, context);
  } else {
    walk_around(stretch, start, end_of(stretch), SPAN_FREE, visit, context);
  }
}

static void walk_list(const struct allocator *self, const struct list *list, span_visitor *visit,
                      void *context) {
  if (list->seal != seal_of_list(list)) return;
  for (const struct stretch *stretch = list->first; stretch != NULL && is_sealed(stretch);
       stretch = stretch->next)
    if (stretch != &self->own) walk_stretch(self, stretch, visit, context);
}

// Shows a damaged allocator as far as its seals hold.
static void slab_walk(const struct allocator *self, span_visitor *visit, void *context) {
  if (!is_sealed(&self->own) || !is_shaped(self)) return;
  walk_stretch(self, &self->own, visit, context);
  walk_list(self, &self->full, visit, context);
  walk_list(self, &self->large, visit, context);
  walk_list(self, &self->stock, visit, context);
  for (unsigned i = 0; i < CLASSES; i++) walk_list(self, &self->caches[i].partial, visit, context);
}

static void count_span(void *context, const struct span *span) {
  struct statistics *statistics = context;
  statistics->acquired += span->size;
  if (span->kind == SPAN_BLOCK) statistics->blocks++;
  if (span->kind != SPAN_FREE) {
    statistics->used += span->size;
  } else if (span->size > statistics->largest_free) {
    statistics->largest_free = span->size;
  }
}

static struct statistics slab_statistics(const struct allocator *self) {
  struct statistics statistics = {0};
  slab_walk(self, count_span, &statistics);
  return statistics;
}

static void slab_destroy(struct allocator *self) {
  slab_reset(self);
  struct source *source = self->source;
  source->release(source, self->own.memory, self->own.size);
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
    // The own slab: a window in pages that may be smaller.
    .overhead = 2 * LEAST_WINDOW - 1,
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
