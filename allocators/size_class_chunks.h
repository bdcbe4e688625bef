// Chunks, and runs of units in them: where size_class.c gets memory for slabs, and gives it back.
//
// A chunk is aligned to its size, so that a mask leads from any address in it to its header; the
// header's map leads on to the slab. That is the chunk of J. Evans, "A Scalable Concurrent
// malloc(3) Implementation for FreeBSD" (BSDCan 2006): 64 units (16 in small chunks), of which the
// first ones hold the header.
//
//   memory   chunk              unit                              chunk + chunk_size
//   |        |                  |                                 |
//   +--------+------------------+--------+--------+-----+---------+-------+
//   | slack  | header: map,     | slab                  | free    | slack |
//   |        | slab structures  | of three units        | unit    |       |
//   +--------+------------------+--------+--------+-----+---------+-------+
//
// A block too large for a run lies in a chunk of its own, which has one slab, a map that leads to
// nothing else, and any size.
//
//   memory   chunk                     payload, at most chunk + chunk_size       memory + size
//   |        |                         |                                         |
//   +--------+--------------+----------+-----------------------------------------+
//   | slack  | header, slab | padding  | block                                   |
//   +--------+--------------+----------+-----------------------------------------+
#ifndef ALLOCATORS_SIZE_CLASS_CHUNKS_H_
#define ALLOCATORS_SIZE_CLASS_CHUNKS_H_

#include <stdatomic.h>

#include "allocators/arithmetic.h"
#include "allocators/lock.h"
#include "allocators/size_class_sizes.h"
#include "allocators/strategy.h"

enum { MAX_UNITS = 64, FEW_UNITS = 16 };
// What is not a class of slots.
enum { CLASS_RUN = CLASSES, CLASS_DIRECT, CLASS_HEADER };

#define MIN_CHUNK_SIZE ((size_t)4096)
#define MAX_CHUNK_SIZE ((size_t)1 << 20)
#define MANY_UNITS_FROM ((size_t)1 << 17)

struct heap;

// A free slot.
struct slot {
  struct slot *next;
};

// The first lines of it are all that an owner's allocate and release touch.
struct slab {
  _Alignas(64) struct slot *free;  // the owner's
  struct heap *heap;               // whose owner alone touches it; of a run: the shared one
  size_t slot_size;                // of a run: of its one block
  // I5: a slab has as many slots as fit, no more are in use than it ever handed out
  uint16_t used;   // not in `free`, and once handed out: the remote ones among them
  uint16_t fresh;  // slots below this were handed out once
  uint16_t slots;
  uint8_t class;
  uint8_t units;
  // I7: a slab is in its heap's ring of its class, linked both ways, unless it has no slot left
  struct slab *next, *previous;
  // I6: free and remote slots are distinct, were handed out, and make up those not used by blocks
  _Atomic(struct slot *) remote;  // released by others
  // I8: a slab with remote slots is in its heap's list of such, and no other is
  struct slab *pending;
};

// Chunks lie wherever the source has put them, so a damaged link can not be told by its value. The
// seal can: next, memory and size are stored once more, as a complemented sum (D. J. Taylor, D. E.
// Morgan and J. P. Black, "Redundancy in Data Structures", IEEE TSE 6(6), 1980), and followed only
// if it agrees. The weights are odd and differ: no change of one word keeps it, and no swap of two.
struct chunk {
  // I1: a chunk's seal agrees with its next, memory and size
  _Alignas(64) struct chunk *next;
  unsigned char *memory;  // as the source gave it
  size_t size;            // of that
  uintptr_t seal;
  // I2: the chunks form a ring through the allocator's own, linked both ways, as long as counted
  struct chunk *previous;
  // I4: units are free, or in one slab to which the map leads from all of them
  uint64_t free_units;
  // I9: the chunks with free units are in a list, linked both ways, and counted; at most one has no
  // other
  struct chunk *next_open, *previous_open;
  uint8_t map[MAX_UNITS + 1];  // the index of the slab that has this unit: of its first unit
  // One slab for each unit follows, of which those of first units are in use.
};

struct pool {
  struct chunk own;  // the stretch in which the allocator lies, and the head of the ring
  struct source *source;
  struct lock lock;    // for all that is in here, and for the source
  uint8_t unit_shift;  // log2
  uint8_t units;       // of a chunk
  uint8_t header_units;
  size_t chunk_size;
  size_t chunks;         // in the ring, without the own
  size_t shared_chunks;  // of these, how many have units
  size_t empty_chunks;   // of these, how many have free units only: 0 or 1
  size_t free_units;     // in all of them
  struct chunk *first_open, *last_open;
};

// ## Accessors

// There are no other functions that add to an address.
static inline void *at(const void *start, size_t offset) { return (unsigned char *)start + offset; }

static inline size_t unit_of(const struct pool *self) { return (size_t)1 << self->unit_shift; }

// No block begins where a chunk does, but a direct one may where the next chunk would.
static inline struct chunk *chunk_of(const struct pool *self, const void *address) {
  return (struct chunk *)((address_of(address) - 1) & ~(self->chunk_size - 1));
}

static inline struct slab *slab_at(const struct chunk *chunk, size_t unit) {
  return at(chunk, sizeof(struct chunk) + unit * sizeof(struct slab));
}

static inline struct slab *slab_of(const struct pool *self, const void *block) {
  struct chunk *chunk = chunk_of(self, block);
  return slab_at(chunk, chunk->map[(address_of(block) - address_of(chunk)) >> self->unit_shift]);
}

static inline size_t index_of(const struct chunk *chunk, const struct slab *slab) {
  return (address_of(slab) - address_of(slab_at(chunk, 0))) / sizeof(struct slab);
}

static inline unsigned char *start_of(const struct pool *self, const struct slab *slab) {
  struct chunk *chunk = chunk_of(self, slab);
  return at(chunk, index_of(chunk, slab) << self->unit_shift);
}

static inline size_t header_size(size_t slabs) {
  return sizeof(struct chunk) + slabs * sizeof(struct slab);
}

static inline bool is_direct(const struct chunk *chunk) {
  return slab_at(chunk, 0)->class == CLASS_DIRECT;
}

static inline uint64_t units_mask(size_t first, size_t count) {
  return ((count == 64 ? 0 : (uint64_t)1 << count) - 1) << first;
}

// All that a chunk without slabs has.
static inline uint64_t all_units(const struct pool *self) {
  return units_mask(self->header_units, (size_t)self->units - self->header_units);
}

// What a block of its own chunk may use: all that follows.
static inline size_t direct_size(const struct chunk *chunk, const void *block) {
  return chunk->size - (address_of(block) - address_of(chunk->memory));
}

// ## The ring of all chunks, and the list of open ones

static inline uintptr_t seal_for(const struct chunk *chunk) {
  return ~(address_of(chunk->next) + 3 * address_of(chunk->memory) + 5 * chunk->size);
}

static inline bool is_sealed(const struct chunk *chunk) { return chunk->seal == seal_for(chunk); }

static inline void link_chunks(struct chunk *left, struct chunk *right) {
  left->next = right;
  right->previous = left;
  left->seal = seal_for(left);
}

static inline void enlist(struct pool *self, struct chunk *chunk) {
  link_chunks(self->own.previous, chunk);
  link_chunks(chunk, &self->own);
  self->chunks++;
}

static inline void open_chunk(struct pool *self, struct chunk *chunk) {
  chunk->next_open = NULL;
  chunk->previous_open = self->last_open;
  *(self->last_open == NULL ? &self->first_open : &self->last_open->next_open) = chunk;
  self->last_open = chunk;
}

static inline void shut_chunk(struct pool *self, struct chunk *chunk) {
  struct chunk *left = chunk->previous_open, *right = chunk->next_open;
  *(left == NULL ? &self->first_open : &left->next_open) = right;
  *(right == NULL ? &self->last_open : &right->previous_open) = left;
}

static inline void give_back(struct pool *self, struct chunk *chunk) {
  link_chunks(chunk->previous, chunk->next);
  self->chunks--;
  self->source->release(self->source, chunk->memory, chunk->size);
}

// ## From the source

// A stretch with room for a chunk at `base`, which is `phase` modulo `modulus`.
struct place {
  unsigned char *memory;
  size_t size;
  struct chunk *base;
};

// `modulus` is a power of two. Mostly a source places memory next to what it gave last, so that
// stretches of one size and alignment follow each other without slack: exactly what is needed is
// tried first, then what begins right if it ends where the first try did, and the worst case last.
static inline bool acquire_place(struct source *source, size_t room, size_t modulus, size_t phase,
                                 struct place *place) {
  size_t slack = 0;
  for (int try = 0; try < 3; try++) {
    size_t size;
    if (!add_sizes(room, slack, &size) || !align_up(size, source->page_size, &size)) return false;
    unsigned char *memory = source->acquire(source, size);
    if (memory == NULL) return false;
    size_t gap = (phase - address_of(memory)) & (modulus - 1);
    if (gap <= size && room <= size - gap) {
      *place = (struct place){memory, size, at(memory, gap)};
      return true;
    }
    source->release(source, memory, size);
    slack = try == 0 ? (address_of(memory) - phase) & (modulus - 1) : modulus;
  }
  return false;
}

// The most that acquire_place takes; SIZE_MAX: more than there is.
static inline size_t place_size(const struct source *source, size_t room, size_t modulus) {
  size_t size;
  if (!add_sizes(room, modulus, &size) || !align_up(size, source->page_size, &size))
    return SIZE_MAX;
  return size;
}

static inline void occupy(struct chunk *chunk, const struct place *place, size_t slabs) {
  *chunk = (struct chunk){.memory = place->memory, .size = place->size};
  for (size_t i = 0; i < slabs; i++) *slab_at(chunk, i) = (struct slab){0};
}

// An empty chunk, or false: the source refused.
static inline bool add_chunk(struct pool *self) {
  struct place place;
  if (!acquire_place(self->source, self->chunk_size, self->chunk_size, 0, &place)) return false;
  struct chunk *chunk = place.base;
  occupy(chunk, &place, self->units);
  slab_at(chunk, 0)->class = CLASS_HEADER;
  slab_at(chunk, 0)->units = self->header_units;
  chunk->free_units = all_units(self);
  enlist(self, chunk);
  open_chunk(self, chunk);
  self->shared_chunks++;
  self->empty_chunks++;
  self->free_units += (size_t)self->units - self->header_units;
  return true;
}

// Where in a chunk of its own a block lies.
static inline size_t direct_offset(const struct pool *self, size_t align) {
  size_t header = (header_size(1) + align - 1) & ~(align - 1);
  return header > self->chunk_size ? self->chunk_size : header;
}

// An alignment above a chunk's is that of the payload. The chunk lies so that it comes out.
static inline size_t direct_modulus(const struct pool *self, size_t align) {
  return align > self->chunk_size ? align : self->chunk_size;
}

static inline void *acquire_direct(struct pool *self, size_t size, size_t align) {
  struct place place;
  size_t room, offset = direct_offset(self, align), modulus = direct_modulus(self, align);
  size_t phase = align > self->chunk_size ? align - self->chunk_size : 0;
  if (!add_sizes(size, offset, &room) || !acquire_place(self->source, room, modulus, phase, &place))
    return NULL;
  occupy(place.base, &place, 1);
  struct slab *slab = slab_at(place.base, 0);
  slab->class = CLASS_DIRECT;
  enlist(self, place.base);
  void *block = at(place.base, offset);
  slab->free = block;  // where its block begins
  slab->slot_size = direct_size(place.base, block);
  return block;
}

// ## Runs

// The units that are multiples of a power of two.
static inline uint64_t multiples_of(size_t step) {
  uint64_t set = 1;
  for (; step < MAX_UNITS; step *= 2) set |= set << step;
  return set;
}

// The first of so many adjacent units in the set that is one of `steps`, or MAX_UNITS.
static inline size_t find_units(uint64_t set, size_t count, uint64_t steps) {
  for (size_t have = 1; have < count;) {
    size_t more = have < count - have ? have : count - have;
    set &= set >> more;
    have += more;
  }
  set &= steps;
  return set == 0 ? MAX_UNITS : (size_t)__builtin_ctzll(set);
}

// First fit among the open chunks, at a multiple of `step` units, a power of two. A slab of which
// only its extent is set, or NULL.
static inline struct slab *take_run(struct pool *self, size_t units, size_t step) {
  const uint64_t steps = multiples_of(step);
  for (struct chunk *chunk = self->first_open; chunk != NULL; chunk = chunk->next_open) {
    size_t first = find_units(chunk->free_units, units, steps);
    if (first == MAX_UNITS) continue;
    if (chunk->free_units == all_units(self)) self->empty_chunks--;
    chunk->free_units &= ~units_mask(first, units);
    self->free_units -= units;
    if (chunk->free_units == 0) shut_chunk(self, chunk);
    for (size_t i = 0; i < units; i++) chunk->map[first + i] = (uint8_t)first;
    slab_at(chunk, first)->units = (uint8_t)units;
    return slab_at(chunk, first);
  }
  return NULL;
}

static inline void return_empty_chunk(struct pool *self, struct chunk *chunk) {
  shut_chunk(self, chunk);
  give_back(self, chunk);
  self->shared_chunks--;
  self->empty_chunks--;
  self->free_units -= (size_t)self->units - self->header_units;
}

// Of chunks without slabs one is kept.
static inline void return_run(struct pool *self, struct slab *slab) {
  struct chunk *chunk = chunk_of(self, slab);
  if (chunk->free_units == 0) open_chunk(self, chunk);
  chunk->free_units |= units_mask(index_of(chunk, slab), slab->units);
  self->free_units += slab->units;
  if (chunk->free_units != all_units(self)) return;
  if (self->empty_chunks++ != 0) return_empty_chunk(self, chunk);
}

static inline void return_empty_chunks(struct pool *self) {
  for (struct chunk *chunk = self->first_open, *next; chunk != NULL; chunk = next) {
    next = chunk->next_open;
    if (chunk->free_units != all_units(self)) continue;
    return_empty_chunk(self, chunk);
  }
}

// Whether chunks are more than a few, and slabs have less than a quarter of them: then a slab that
// is kept without blocks may well be all that a chunk is held for.
static inline bool is_sparse(const struct pool *self) {
  return self->shared_chunks > 2 && self->free_units > self->shared_chunks * self->units * 3 / 4;
}

static inline void return_all_chunks(struct pool *self) {
  while (self->chunks != 0) give_back(self, self->own.previous);
  self->first_open = self->last_open = NULL;
  self->shared_chunks = self->empty_chunks = self->free_units = 0;
}

// ## Its shape

// However much there is.
static inline size_t largest_chunk_size(size_t page_size) {
  size_t size = MAX_CHUNK_SIZE;
  while (size > MIN_CHUNK_SIZE && size / 256 > page_size) size /= 2;
  return size < page_size ? page_size : size;
}

// A sixteenth of what there is at most: many small chunks can hold more kinds of slabs.
static inline size_t chunk_size_for(const struct source *source) {
  size_t size = largest_chunk_size(source->page_size);
  size_t least = MIN_CHUNK_SIZE < source->page_size ? source->page_size : MIN_CHUNK_SIZE;
  while (size > least && size > source->available(source) / 16) size /= 2;
  return size;
}

static inline unsigned units_in(size_t chunk_size) {
  return chunk_size < MANY_UNITS_FROM ? FEW_UNITS : MAX_UNITS;
}

static inline void pool_init(struct pool *self, struct source *source, size_t chunk_size) {
  self->source = source;
  self->chunk_size = chunk_size;
  lock_init(&self->lock);
  self->units = (uint8_t)units_in(chunk_size);
  self->unit_shift = (uint8_t)floor_log2(chunk_size / self->units);
  self->header_units = (uint8_t)(((header_size(self->units) - 1) >> self->unit_shift) + 1);
}

#endif
