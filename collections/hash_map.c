#include "collections/hash_map.h"

#include "allocators/arithmetic.h"

#define LEAST_SLOTS ((size_t)8)
// So many as a tag's lower bits can tell apart.
#define MOST_SLOTS ((size_t)1 << 31)
#define TAKEN ((uint32_t)1 << 31)

const char *const hash_map_invariants[] = {
    "an entry is a key, then a value, each aligned; as many bytes as keep the next one aligned",
    "without slots there is no block; else slots are a power of two, at least 8, and the entries "
    "come behind the tags, aligned",
    "count is the number of slots taken, which is at most 7/8 of all",
    "a slot's tag is the one that the hash of its key makes",
    "an entry has come at most one slot further from where it wants to be than the one before it "
    "has; behind an empty slot, it has not come at all",
    "no two keys are equal",
    NULL,
};

// ## SipHash-1-3

static uint64_t rotate(uint64_t x, unsigned bits) { return x << bits | x >> (64 - bits); }

static void sip_round(uint64_t v[4]) {
  v[0] += v[1], v[1] = rotate(v[1], 13), v[1] ^= v[0], v[0] = rotate(v[0], 32);
  v[2] += v[3], v[3] = rotate(v[3], 16), v[3] ^= v[2];
  v[0] += v[3], v[3] = rotate(v[3], 21), v[3] ^= v[0];
  v[2] += v[1], v[1] = rotate(v[1], 17), v[1] ^= v[2], v[2] = rotate(v[2], 32);
}

static void sip_compress(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  sip_round(v);
  v[0] ^= word;
}

// Up to 8 bytes, the first one lowest, with `high` above them.
static uint64_t little_endian(const unsigned char *bytes, size_t count, uint64_t high) {
  while (count-- > 0) high = high << 8 | bytes[count];
  return high;
}

uint64_t hash_map_hash_bytes(const uint64_t seed[2], const void *bytes, size_t size) {
  uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                   seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
  const unsigned char *at = bytes, *whole = at + (size & ~(size_t)7);
  for (; at != whole; at += 8) sip_compress(v, little_endian(at, 8, 0));
  // The last word: what is left, zeros, and the size in the highest byte.
  uint64_t last = little_endian(at, size & 7, 0);
  sip_compress(v, last | (uint64_t)(size & 0xff) << 56);
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// ## Keys

static uint32_t tag_of(const struct hash_map *self, const void *key) {
  const struct hash_map_options *options = &self->options;
  if (self->entry_size == SIZE_MAX) return TAKEN;  // no such key can be there, nor be read
  uint64_t hash = options->hash ? options->hash(options, key)
                                : hash_map_hash_bytes(options->seed, key, options->key_size);
  // A product's high bits depend on all bits; the low ones choose the slot.
  uint32_t mixed = ((uint32_t)hash ^ (uint32_t)(hash >> 32)) * 0x9e3779b1u;  // 2^32 / golden ratio
  return (mixed ^ mixed >> 16) | TAKEN;
}

static bool equal_keys(const struct hash_map_options *options, const void *a, const void *b) {
  return options->equal ? options->equal(options, a, b) : memcmp(a, b, options->key_size) == 0;
}

// ## Slots: no other function adds to an address

static unsigned char *entry_at(const struct hash_map *self, size_t slot) {
  return self->entries + slot * self->entry_size;
}

static unsigned char *value_at(const struct hash_map *self, size_t slot) {
  return entry_at(self, slot) + self->value_offset;
}

// Where an entry is made that is to go into a slot yet.
static unsigned char *spare_entry(const struct hash_map *self) {
  return entry_at(self, self->slots);
}

static size_t slot_after(const struct hash_map *self, size_t slot) {
  return (slot + 1) & (self->slots - 1);
}

static size_t slot_before(const struct hash_map *self, size_t slot) {
  return (slot - 1) & (self->slots - 1);
}

static size_t home_of(const struct hash_map *self, uint32_t tag) { return tag & (self->slots - 1); }

// How far the entry in a slot has come from where it wants to be.
static size_t distance_of(const struct hash_map *self, size_t slot) {
  return (slot - home_of(self, self->tags[slot])) & (self->slots - 1);
}

// ## Layout

static size_t most_entries(size_t slots) { return slots - slots / 8; }

// The fewest slots that will do; SIZE_MAX: none will, and there is no such table.
static size_t slots_for(size_t count) {
  if (count == 0) return 0;
  for (size_t slots = LEAST_SLOTS; slots <= MOST_SLOTS; slots *= 2) {
    if (most_entries(slots) >= count) return slots;
    if (slots > SIZE_MAX / 2) break;
  }
  return SIZE_MAX;
}

static void lay_out(struct hash_map *self) {
  const struct hash_map_options *o = &self->options;
  size_t end;
  self->entry_align = o->key_align > o->value_align ? o->key_align : o->value_align;
  if (!is_power_of_two(o->key_align) || !is_power_of_two(o->value_align) ||
      !align_up(o->key_size, o->value_align, &self->value_offset) ||
      !add_sizes(self->value_offset, o->value_size, &end) ||
      !align_up(end, self->entry_align, &self->entry_size)) {
    self->entry_align = 1;
    self->value_offset = 0;
    self->entry_size = SIZE_MAX;
  }
}

// Where entries begin in a block, and its size. False if there can be no such block.
static bool lay_out_block(const struct hash_map *self, size_t slots, size_t *entries,
                          size_t *size) {
  size_t tags_size, entries_size;
  return slots <= MOST_SLOTS && multiply_sizes(slots, sizeof(uint32_t), &tags_size) &&
         align_up(tags_size, self->entry_align, entries) &&
         multiply_sizes(slots + 1, self->entry_size, &entries_size) &&
         add_sizes(*entries, entries_size, size);
}

// A table like that of `self`, with so many empty slots. False: no memory.
static bool make_table(const struct hash_map *self, size_t slots, struct hash_map *fresh) {
  size_t entries = 0, size, align = _Alignof(uint32_t);
  if (align < self->entry_align) align = self->entry_align;
  unsigned char *block = NULL;
  if (slots > 0) {
    if (!lay_out_block(self, slots, &entries, &size)) return false;
    block = handle_allocate(self->handle, size, align);
    if (!block) return false;
    memset(block, 0, slots * sizeof(uint32_t));
  }
  *fresh = *self;
  fresh->slots = slots;
  fresh->tags = (uint32_t *)(void *)block;
  fresh->entries = slots > 0 ? block + entries : NULL;
  fresh->count = 0;
  return true;
}

// ## To find, to place, to shift

struct place {
  bool found;
  size_t slot;
};

// Where the key is, or where it would have to go. NULL is a key that is known not to be there.
static struct place find(const struct hash_map *self, uint32_t tag, const void *key) {
  if (self->slots == 0) return (struct place){false, 0};
  size_t slot = home_of(self, tag);
  // Each step is one slot further. Whoever stands there and has come less far wants to be further
  // on than the key: that would stand before it.
  for (size_t distance = 0; self->tags[slot] && distance_of(self, slot) >= distance; distance++) {
    if (key && self->tags[slot] == tag && equal_keys(&self->options, entry_at(self, slot), key))
      return (struct place){true, slot};
    slot = slot_after(self, slot);
  }
  return (struct place){false, slot};
}

static void move_entry(struct hash_map *self, size_t to, size_t from) {
  self->tags[to] = self->tags[from];
  memcpy(entry_at(self, to), entry_at(self, from), self->entry_size);
}

// Shifts what stands in the slot and behind it, up to the next empty slot, by one; so none of them
// gets before one that has come further.
static void make_way(struct hash_map *self, size_t slot) {
  size_t empty = slot;
  while (self->tags[empty]) empty = slot_after(self, empty);
  while (empty != slot) {
    size_t before = slot_before(self, empty);
    move_entry(self, empty, before);
    empty = before;
  }
}

// The key is not there, and there is room.
static void add_at(struct hash_map *self, size_t slot, uint32_t tag, const void *entry) {
  make_way(self, slot);
  self->tags[slot] = tag;
  memcpy(entry_at(self, slot), entry, self->entry_size);
  self->count++;
}

static void add(struct hash_map *self, uint32_t tag, const void *entry) {
  add_at(self, find(self, tag, NULL).slot, tag, entry);
}

// Shifts back what has come from the slots before, up to where nothing is or nothing has come.
static void remove_slot(struct hash_map *self, size_t slot) {
  size_t next = slot_after(self, slot);
  while (self->tags[next] && distance_of(self, next) > 0) {
    move_entry(self, slot, next);
    slot = next;
    next = slot_after(self, slot);
  }
  self->tags[slot] = 0;
  self->count--;
}

// All of the map in a table of its own, with so many slots. False: no memory.
static bool rebuild(const struct hash_map *self, size_t slots, struct hash_map *fresh) {
  if (!make_table(self, slots, fresh)) return false;
  for (size_t i = 0; i < self->slots; i++)
    if (self->tags[i]) add(fresh, self->tags[i], entry_at(self, i));
  return true;
}

static void adopt(struct hash_map *self, const struct hash_map *fresh) {
  handle_release(self->handle, self->tags);
  *self = *fresh;
}

// ## The interface

void hash_map_init(struct hash_map *self, struct handle handle,
                   const struct hash_map_options *options) {
  *self = (struct hash_map){.handle = handle, .options = *options};
  lay_out(self);
}

void hash_map_drop(struct hash_map *self) {
  handle_release(self->handle, self->tags);
  self->slots = self->count = 0;
  self->tags = NULL;
  self->entries = NULL;
}

void hash_map_clear(struct hash_map *self) {
  if (self->slots > 0) memset(self->tags, 0, self->slots * sizeof(uint32_t));
  self->count = 0;
}

size_t hash_map_room(const struct hash_map *self) {
  return most_entries(self->slots) - self->count;
}

void *hash_map_get(const struct hash_map *self, const void *key) {
  if (self->count == 0) return NULL;
  struct place place = find(self, tag_of(self, key), key);
  return place.found ? value_at(self, place.slot) : NULL;
}

static void fill_spare(const struct hash_map *self, const void *key, const void *value) {
  unsigned char *entry = spare_entry(self);
  memcpy(entry, key, self->options.key_size);
  if (value) memcpy(entry + self->value_offset, value, self->options.value_size);
}

// A key that is not there, and would have to go to `slot`. Its entry is made before any other one
// moves or goes, since key and value may lie in one of them.
static enum result insert_at(struct hash_map *self, size_t slot, uint32_t tag, const void *key,
                             const void *value) {
  if (hash_map_room(self) > 0) {
    fill_spare(self, key, value);
    add_at(self, slot, tag, spare_entry(self));
    return RESULT_OK;
  }
  struct hash_map fresh;
  if (!rebuild(self, slots_for(self->count + 1), &fresh)) return RESULT_NO_MEMORY;
  fill_spare(&fresh, key, value);
  adopt(self, &fresh);
  add(self, tag, spare_entry(self));
  return RESULT_OK;
}

static void set_value(struct hash_map *self, size_t slot, const void *value) {
  if (value) memmove(value_at(self, slot), value, self->options.value_size);
}

enum result hash_map_insert(struct hash_map *self, const void *key, const void *value) {
  uint32_t tag = tag_of(self, key);
  struct place place = find(self, tag, key);
  return place.found ? RESULT_EXISTS : insert_at(self, place.slot, tag, key, value);
}

enum result hash_map_replace(struct hash_map *self, const void *key, const void *value) {
  struct place place = find(self, tag_of(self, key), key);
  if (!place.found) return RESULT_NOT_FOUND;
  set_value(self, place.slot, value);
  return RESULT_OK;
}

enum result hash_map_put(struct hash_map *self, const void *key, const void *value) {
  uint32_t tag = tag_of(self, key);
  struct place place = find(self, tag, key);
  if (!place.found) return insert_at(self, place.slot, tag, key, value);
  set_value(self, place.slot, value);
  return RESULT_OK;
}

enum result hash_map_remove(struct hash_map *self, const void *key, void *value) {
  struct place place = find(self, tag_of(self, key), key);
  if (!place.found) return RESULT_NOT_FOUND;
  if (value) memmove(value, value_at(self, place.slot), self->options.value_size);
  remove_slot(self, place.slot);
  return RESULT_OK;
}

enum result hash_map_reserve(struct hash_map *self, size_t count) {
  if (count <= most_entries(self->slots)) return RESULT_OK;
  struct hash_map fresh;
  if (!rebuild(self, slots_for(count), &fresh)) return RESULT_NO_MEMORY;
  adopt(self, &fresh);
  return RESULT_OK;
}

enum result hash_map_shrink(struct hash_map *self) {
  struct hash_map fresh;
  size_t slots = slots_for(self->count);
  bool can_give_back = self->handle.strategy->traits & STRATEGY_RELEASES;
  if (slots == self->slots || !can_give_back) return RESULT_OK;
  if (!rebuild(self, slots, &fresh)) return RESULT_NO_MEMORY;
  adopt(self, &fresh);
  return RESULT_OK;
}

enum result hash_map_clone(const struct hash_map *self, struct hash_map *copy) {
  struct hash_map fresh;
  if (!rebuild(self, slots_for(self->count), &fresh)) return RESULT_NO_MEMORY;
  *copy = fresh;
  return RESULT_OK;
}

// Downwards from an empty slot: a removal shifts only entries of slots that were visited already,
// and none across that one. Upwards, or from anywhere else, entries would be missed or met twice.
bool hash_map_next(const struct hash_map *self, struct hash_map_cursor *cursor) {
  cursor->key = cursor->value = NULL;
  if (self->count == 0) return false;
  if (cursor->visited == 0)
    for (cursor->start = 0; self->tags[cursor->start];) cursor->start++;
  while (cursor->visited < self->slots - 1) {
    size_t slot = (cursor->start - ++cursor->visited) & (self->slots - 1);
    if (!self->tags[slot]) continue;
    cursor->key = entry_at(self, slot);
    cursor->value = value_at(self, slot);
    return true;
  }
  return false;
}

enum result hash_map_remove_at(struct hash_map *self, struct hash_map_cursor *cursor) {
  if (!cursor->key) return RESULT_NOT_FOUND;
  remove_slot(self, (cursor->start - cursor->visited) & (self->slots - 1));
  cursor->key = cursor->value = NULL;
  return RESULT_OK;
}

// ## Check

static struct broken_invariant broken(unsigned number, const void *where) {
  return (struct broken_invariant){number, where};
}

static bool block_is_sound(const struct hash_map *self) {
  if (self->slots == 0) return !self->tags && !self->entries;
  size_t entries, size;
  return is_power_of_two(self->slots) && self->slots >= LEAST_SLOTS &&
         lay_out_block(self, self->slots, &entries, &size) && self->tags &&
         address_of(self->entries) == address_of(self->tags) + entries &&
         (address_of(self->entries) & (self->entry_align - 1)) == 0;
}

// Equal keys have equal tags, and therefore stand among those that want to be where they want to.
static bool key_comes_again(const struct hash_map *self, size_t slot) {
  uint32_t tag = self->tags[slot];
  for (size_t next = slot_after(self, slot);
       self->tags[next] && home_of(self, self->tags[next]) == home_of(self, tag);
       next = slot_after(self, next))
    if (self->tags[next] == tag &&
        equal_keys(&self->options, entry_at(self, slot), entry_at(self, next)))
      return true;
  return false;
}

struct broken_invariant hash_map_check(const struct hash_map *self) {
  struct hash_map right = *self;
  lay_out(&right);
  if (self->value_offset != right.value_offset || self->entry_size != right.entry_size ||
      self->entry_align != right.entry_align)
    return broken(1, NULL);
  if (!block_is_sound(self)) return broken(2, NULL);
  size_t taken = 0;
  for (size_t i = 0; i < self->slots; i++) taken += self->tags[i] != 0;
  if (self->count != taken || taken > most_entries(self->slots)) return broken(3, self->tags);
  for (size_t i = 0; i < self->slots; i++) {
    if (!self->tags[i]) continue;
    size_t before = slot_before(self, i);
    if (self->tags[i] != tag_of(self, entry_at(self, i))) return broken(4, entry_at(self, i));
    if (distance_of(self, i) > (self->tags[before] ? distance_of(self, before) + 1 : 0))
      return broken(5, entry_at(self, i));
    if (key_comes_again(self, i)) return broken(6, entry_at(self, i));
  }
  return broken(0, NULL);
}
