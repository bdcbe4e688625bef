// A hash map: keys of one size, each with a value of one size.
//
// Open addressing with linear probing, in Robin Hood order: an entry that has come further from
// where its hash would have it goes before one that has come less far. (G. M. Amble and D. E.
// Knuth, "Ordered hash tables", 1974; P. Celis, "Robin Hood Hashing", 1986; Knuth, "The Art of
// Computer Programming", vol. 3, 6.4.) So entries stand in the order of where they want to be, and
// that is worth three things. A key that is not there is missed as soon as an entry shows that
// wants to be further on, rather than at the next empty slot, which in a table as full as this is
// far away. Distances are short and much alike. And it is one order, which a check can check.
//
// Removal shifts the entries behind it back by one (6.4, algorithm R): no tombstones, so a table
// through which many keys have come and gone is as good as a new one.
//
// ## Memory
//
// One block: a tag of 32 bits for each slot, then the entries, and one more entry as a place to put
// things down. Slots are a power of two, at least 8, of which at most 7/8 are taken. To grow is to
// take a block of twice the slots, and to release the old one once all entries are in the new.
//
// What may allocate, one block at most:
//   insert, put   if the key is new and there is no room (hash_map_room is 0)
//   reserve       if there is less room than asked for
//   shrink        if fewer slots would do, and any entry is there
//   clone         if any entry is there
// No other call does. A call that says RESULT_NO_MEMORY has changed nothing.
//
// ## Hashes
//
// Without functions of your own keys are compared byte by byte: right for integers of any width and
// for arrays of bytes, not for structures with padding, floating-point numbers or pointers to what
// is meant. They are hashed with SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
// short-input PRF", 2012), so that who does not know the seed cannot choose keys that collide. Seed
// it with chance where keys come from strangers. The tag is what the hash becomes by mixing: a weak
// hash of your own, even an integer itself, need not spread well over its low bits.
#ifndef COLLECTIONS_HASH_MAP_H_
#define COLLECTIONS_HASH_MAP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collections/handle.h"
#include "collections/result.h"

// What a map is of. All zero but the sizes and alignments of key and value is a fine choice.
struct hash_map_options {
  size_t key_size, key_align;      // in bytes; alignments are powers of two
  size_t value_size, value_align;  // in bytes; value_size 0 makes a set
  uint64_t seed[2];                // of hashes
  // Whether keys are equal, and a hash that is the same for equal keys as long as the map lives.
  // Neither may call the map. NULL: byte by byte.
  uint64_t (*hash)(const struct hash_map_options *options, const void *key);
  bool (*equal)(const struct hash_map_options *options, const void *a, const void *b);
  void *context;  // of yours
};

// May be moved to another place as a whole, since nothing points to it.
struct hash_map {
  struct handle handle;
  struct hash_map_options options;
  // I1: an entry is a key, then a value, each aligned; as many bytes as keep the next one aligned
  size_t value_offset;  // of the value in its entry
  size_t entry_size;    // SIZE_MAX: there is no such entry
  size_t entry_align;
  // I2: without slots there is no block; else slots are a power of two, at least 8, and the entries
  //     come behind the tags, aligned
  size_t slots;
  uint32_t *tags;  // of each slot; 0: it is empty
  unsigned char *entries;
  // I3: count is the number of slots taken, which is at most 7/8 of all
  size_t count;
  // I4: a slot's tag is the one that the hash of its key makes
  // I5: an entry has come at most one slot further from where it wants to be than the one before
  //     it has; behind an empty slot, it has not come at all
  // I6: no two keys are equal
};

// An empty map. If an alignment is no power of two, or an entry's size more than a size_t, every
// call that would allocate is refused.
void hash_map_init(struct hash_map *self, struct handle handle,
                   const struct hash_map_options *options);

// Releases all. The map is as after init.
void hash_map_drop(struct hash_map *self);

// Removes all entries, and keeps the block.
void hash_map_clear(struct hash_map *self);

static inline size_t hash_map_count(const struct hash_map *self) { return self->count; }

// How many new keys will not need memory.
size_t hash_map_room(const struct hash_map *self);

// ## Entries
//
// Addresses of keys and values hold until the next call that may add or remove an entry, or moves
// the table: insert, put, remove, reserve, shrink, clear, drop. `key` and `value` may lie in the
// map itself, wherever they are arguments.

// The value of the key, or NULL if it is not there. In a set: some address, not to be read.
void *hash_map_get(const struct hash_map *self, const void *key);

// Adds the key, with the value; if `value` is NULL it is arbitrary bytes, to be written through
// get. RESULT_EXISTS: the key is there, and keeps its value. RESULT_NO_MEMORY.
enum result hash_map_insert(struct hash_map *self, const void *key, const void *value);

// Gives the key another value, unless `value` is NULL, and keeps the key. RESULT_NOT_FOUND: it is
// not there.
enum result hash_map_replace(struct hash_map *self, const void *key, const void *value);

// As the one of the two that can. RESULT_NO_MEMORY, only if the key is not there.
enum result hash_map_put(struct hash_map *self, const void *key, const void *value);

// Removes the key, with its value, which goes to `value` unless that is NULL. RESULT_NOT_FOUND.
enum result hash_map_remove(struct hash_map *self, const void *key, void *value);

// ## Room

// Makes room for `count` entries in all, those that are there included. RESULT_NO_MEMORY.
enum result hash_map_reserve(struct hash_map *self, size_t count);

// Keeps as few slots as hold what is there; without entries, no block. Of a strategy that does not
// release nothing is to be had, and nothing happens. RESULT_NO_MEMORY.
enum result hash_map_shrink(struct hash_map *self);

// A map of its own over the same allocator, with copies of all entries, and as few slots as hold
// them. `copy` needs no init. RESULT_NO_MEMORY: `copy` was not touched.
enum result hash_map_clone(const struct hash_map *self, struct hash_map *copy);

// ## All entries, each once, in no order
//
//   struct hash_map_cursor at = {0};
//   while (hash_map_next(&map, &at)) ... at.key, at.value ...
//
// Meanwhile values may be changed, and entries removed by hash_map_remove_at, which does not
// disturb the rest. Whatever else adds or removes an entry ends the cursor.
struct hash_map_cursor {
  const void *key;
  void *value;
  size_t start;    // an empty slot
  size_t visited;  // slots below it so far; below the first is the last
};

// Goes on to the next entry; at first, to any. False: there are no more.
bool hash_map_next(const struct hash_map *self, struct hash_map_cursor *cursor);

// Removes the entry that the cursor is at. RESULT_NOT_FOUND: it is at none, or that is removed.
enum result hash_map_remove_at(struct hash_map *self, struct hash_map_cursor *cursor);

// ## For whoever builds on it

// SipHash-1-3 of `size` bytes: for a `hash` of your own, say of the text that a key points to.
uint64_t hash_map_hash_bytes(const uint64_t seed[2], const void *bytes, size_t size);

// The first invariant that does not hold, I1 to I6 above. Reads only the map and its block, as it
// should be; calls your functions, with keys of the map.
struct broken_invariant hash_map_check(const struct hash_map *self);

// Their texts: hash_map_invariants[n - 1] is that of I<n>. Ended by NULL.
extern const char *const hash_map_invariants[];

#endif
