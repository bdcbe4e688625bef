// The hash map against its model: an array with a place for each key that there can be.
#include <string.h>

#include "collections/hash_map.h"
#include "harness/collection.h"
#include "harness/payload.h"

enum {
  INSERT,
  PUT,
  REPLACE,
  REMOVE,
  PUT_OWN,
  INSERT_OWN,
  SWEEP,
  RESERVE,
  SHRINK,
  CLONE,
  CLEAR,
  DROP,
  COLLIDE,
  RESTART,
};

static const struct collection_verb verbs[] = {
    [INSERT] = {"insert", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [PUT] = {"put", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [REPLACE] = {"replace", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [REMOVE] = {"remove", COLLECTION_VALUE | COLLECTION_COUNT | COLLECTION_SMALL},
    [PUT_OWN] = {"put_own", COLLECTION_VALUE | COLLECTION_SMALL},
    [INSERT_OWN] = {"insert_own", COLLECTION_VALUE | COLLECTION_SMALL},
    [SWEEP] = {"sweep", COLLECTION_VALUE},
    [RESERVE] = {"reserve", COLLECTION_VALUE},
    [SHRINK] = {"shrink", 0},
    [CLONE] = {"clone", COLLECTION_OTHER},
    [CLEAR] = {"clear", 0},
    [DROP] = {"drop", 0},
    [COLLIDE] = {"collide", COLLECTION_VALUE | COLLECTION_SMALL},
    [RESTART] = {"restart", COLLECTION_VALUE | COLLECTION_SMALL},
};

// Sizes and alignments of key and value: the first one at first, any of them after `restart`. The
// last ones cannot be.
static const struct layout {
  size_t key_size, key_align, value_size, value_align;
} layouts[] = {
    {4, 4, 4, 4},
    {2, 1, 0, 1},
    {2, 2, 1, 1},
    {3, 1, 8, 8},
    {8, 8, 8, 8},
    {8, 8, 2, 2},
    {13, 1, 40, 16},
    {40, 32, 3, 1},
    {4, 4, 64, 64},
    {8, 3, 8, 8},
    {8, 8, 8, 0},
    {SIZE_MAX, 1, 8, 8},
    {8, 8, SIZE_MAX - 15, 1},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, IMPOSSIBLE = 4, MOST_SIZE = 64, KEYS = 160 };
enum { GUISES = 8 };

struct instance {
  struct hash_map map;
  struct collision {
    uint64_t first;  // hash
    unsigned group;  // so many keys have one hash; 0: it is the map's own
  } collision;
  unsigned layout;
  size_t count;  // of keys that are there
  struct key {
    bool there;
    unsigned char guise;  // of the key's bytes
    uint64_t value;       // key of the value's bytes
  } model[KEYS];
};

static bool impossible(const struct instance *self) { return self->layout >= LAYOUTS - IMPOSSIBLE; }

static void check(struct collection_run *run, const struct instance *self) {
  collection_broken(run, hash_map_check(&self->map));
}

// ## Keys and values as bytes

// A key begins with its number. Where a function of ours compares, what follows may differ: the
// same key comes in several guises.
static const void *key_in_guise(const struct instance *self, size_t key, unsigned guise,
                                unsigned char *bytes) {
  if (impossible(self)) return memset(bytes, 0, MOST_SIZE);
  if (!self->map.options.equal) guise = 0;
  payload_write(bytes, 0, self->map.options.key_size, key + guise * KEYS);
  bytes[0] = (unsigned char)key;
  bytes[1] = (unsigned char)(key >> 8);
  return bytes;
}

static const void *key_bytes(const struct instance *self, size_t key, unsigned char *bytes) {
  return key_in_guise(self, key, GUISES, bytes);
}

static size_t key_number(const void *key) {
  const unsigned char *bytes = key;
  return bytes[0] | (size_t)bytes[1] << 8;
}

static const void *value_bytes(const struct instance *self, uint64_t value, unsigned char *bytes) {
  if (!impossible(self)) payload_write(bytes, 0, self->map.options.value_size, value);
  return bytes;
}

static bool value_is(const struct instance *self, const void *at, uint64_t value) {
  unsigned char bytes[MOST_SIZE];
  return memcmp(at, value_bytes(self, value, bytes), self->map.options.value_size) == 0;
}

// Keys that stand side by side have one hash, and the next ones the next.
static uint64_t collide(const struct hash_map_options *options, const void *key) {
  const struct collision *collision = options->context;
  return collision->first + key_number(key) / collision->group;
}

static bool equal_numbers(const struct hash_map_options *options, const void *a, const void *b) {
  (void)options;
  return key_number(a) == key_number(b);
}

// ## The model

static void model_set(struct instance *self, size_t key, bool there, unsigned guise,
                      uint64_t value) {
  self->count += there;
  self->count -= self->model[key].there;
  self->model[key] = (struct key){there, (unsigned char)guise, value};
}

static void model_clear(struct instance *self) {
  memset(self->model, 0, sizeof self->model);
  self->count = 0;
}

// Whether the fewest slots for so many entries come to a block that has a size.
static bool can_be_said(const struct instance *self, size_t count) {
  if (impossible(self)) return count == 0;
  uint64_t slots = 8;
  for (; slots / 8 * 7 < count; slots *= 2)
    if (slots >= (uint64_t)1 << 31) return false;
  return self->map.entry_size * (slots + 1) + slots * 4 + self->map.entry_align <= SIZE_MAX;
}

// What a call said that needs memory for `count` entries if `grows`. True if it did what it should;
// what was refused has changed nothing.
static bool succeeded(struct collection_run *run, const struct instance *self,
                      const struct hash_map *before, enum result result, bool grows, size_t count) {
  if (result == RESULT_OK) {
    collection_expect(run, !grows || can_be_said(self, count),
                      "there is room for %zu entries, whose size cannot be said", count);
    return true;
  }
  collection_expect(run, result == RESULT_NO_MEMORY && grows,
                    "the result is %d of a call that %s memory", (int)result,
                    grows ? "may be refused" : "needs no");
  if (can_be_said(self, count)) collection_refused(run);
  collection_expect(run, memcmp(&self->map, before, sizeof *before) == 0,
                    "a refused call has changed the map itself");
  return false;
}

// ## Entries

static void expect_growth(struct collection_run *run, const struct instance *self,
                          const struct hash_map *before, bool grows) {
  size_t had = before->count + hash_map_room(before);
  size_t has = hash_map_count(&self->map) + hash_map_room(&self->map);
  size_t wanted = !grows ? had : had == 0 ? 7 : 2 * had;
  collection_expect(run, has == wanted, "there is room for %zu entries, and was for %zu", has, had);
}

// Adds the key, or gives it another value, as the verb may: none is said if bit 6 of it is set.
// False: memory ended it.
static bool set(struct collection_run *run, struct instance *self, unsigned verb, size_t key,
                uint64_t value, const void *from) {
  unsigned char bytes[MOST_SIZE], more_bytes[MOST_SIZE];
  unsigned guise = (unsigned)value % GUISES;
  const void *at = key_in_guise(self, key, guise, bytes);
  bool bare = !from && !impossible(self) && value >> 6 & 1;
  if (!from && !bare) from = value_bytes(self, value, more_bytes);
  const struct hash_map before = self->map;
  bool there = self->model[key].there, grows = !there && hash_map_room(&self->map) == 0;
  enum result expected = RESULT_OK, result;
  if (verb == PUT || verb == PUT_OWN) {
    result = hash_map_put(&self->map, at, from);
  } else if (verb == REPLACE) {
    result = hash_map_replace(&self->map, at, from);
    if (!there) expected = RESULT_NOT_FOUND;
  } else {
    result = hash_map_insert(&self->map, at, from);
    if (there) expected = RESULT_EXISTS;
  }
  if (expected != RESULT_OK) {
    collection_expect(run, result == expected, "the result is %d, not %d, for key %zu", (int)result,
                      (int)expected, key);
    return true;
  }
  if (!succeeded(run, self, &before, result, grows, self->count + 1)) return false;
  expect_growth(run, self, &before, grows);
  if (there) guise = self->model[key].guise;
  if (there && bare) value = self->model[key].value;
  model_set(self, key, true, guise, value);
  if (there || !bare) return true;
  // The value that is to be written yet.
  void *place = hash_map_get(&self->map, at);
  collection_expect(run, place != NULL, "key %zu is not there", key);
  memcpy(place, value_bytes(self, value, more_bytes), self->map.options.value_size);
  return true;
}

static void set_all(struct collection_run *run, struct instance *self, unsigned verb,
                    const struct collection_arguments *arguments) {
  for (unsigned i = 0; i < arguments->count; i++) {
    size_t key = (size_t)((arguments->value + i) % KEYS);
    if (!set(run, self, verb, key, arguments->small + i, NULL)) break;
  }
  check(run, self);
}

// The value is that of another key, where it lies: of the next one that is there.
static void set_own(struct collection_run *run, struct instance *self, unsigned verb,
                    const struct collection_arguments *arguments) {
  if (self->count == 0) return;
  size_t other = arguments->small % KEYS;
  while (!self->model[other].there) other = (other + 1) % KEYS;
  unsigned char bytes[MOST_SIZE];
  const void *from = hash_map_get(&self->map, key_bytes(self, other, bytes));
  collection_expect(run, from != NULL, "key %zu is not there", other);
  set(run, self, verb, (size_t)(arguments->value % KEYS), self->model[other].value, from);
  check(run, self);
}

static void remove_all(struct collection_run *run, struct instance *self,
                       const struct collection_arguments *arguments) {
  for (unsigned i = 0; i < arguments->count; i++) {
    size_t key = (size_t)((arguments->value + i) % KEYS);
    unsigned char bytes[MOST_SIZE], got[MOST_SIZE];
    bool wanted = arguments->small % 2 == 0, there = self->model[key].there;
    const void *at = key_bytes(self, key, bytes);
    // The key may lie in the map: before its value.
    unsigned char *own = arguments->small & 2 ? hash_map_get(&self->map, at) : NULL;
    if (own) at = own - self->map.value_offset;
    enum result result = hash_map_remove(&self->map, at, wanted ? got : NULL);
    enum result expected = there ? RESULT_OK : RESULT_NOT_FOUND;
    collection_expect(run, result == expected, "the result is %d, not %d, for key %zu", (int)result,
                      (int)expected, key);
    if (!there) continue;
    collection_expect(run, !wanted || value_is(self, got, self->model[key].value),
                      "the value removed with key %zu is not the model's", key);
    model_set(self, key, false, 0, 0);
  }
  check(run, self);
}

// Meets each entry once, and removes those that a bit of the pattern stands for.
static void sweep(struct collection_run *run, struct instance *self, uint64_t pattern) {
  bool met[KEYS] = {false};
  size_t count = 0, all = self->count;
  struct hash_map_cursor at = {0};
  while (hash_map_next(&self->map, &at)) {
    size_t key = key_number(at.key);
    collection_expect(run, key < KEYS && self->model[key].there && !met[key],
                      "key %zu is met, which is not there or was met before", key);
    unsigned char bytes[MOST_SIZE];
    key_in_guise(self, key, self->model[key].guise, bytes);
    collection_expect(run, memcmp(at.key, bytes, self->map.options.key_size) == 0,
                      "key %zu is not the one that came first", key);
    collection_expect(run, value_is(self, at.value, self->model[key].value),
                      "the value met with key %zu is not the model's", key);
    met[key] = true;
    count++;
    if ((pattern >> key % 64 & 1) == 0) continue;
    enum result result = hash_map_remove_at(&self->map, &at);
    enum result again = hash_map_remove_at(&self->map, &at);
    collection_expect(run, result == RESULT_OK && again == RESULT_NOT_FOUND,
                      "the results are %d and %d for the removal of key %zu where it was met",
                      (int)result, (int)again, key);
    model_set(self, key, false, 0, 0);
  }
  collection_expect(run, count == all, "%zu entries were met, the model has %zu", count, all);
  check(run, self);
}

// ## Room

static void reserve(struct collection_run *run, struct instance *self, uint64_t value) {
  const struct hash_map before = self->map;
  size_t count = collection_pick(value, 4 * KEYS);
  // The largest ones that slots can be for, too.
  if (value >> 63 && value >> 62 & 1) count = SIZE_MAX >> (value % 8) << (value / 8 % 8);
  bool grows = count > hash_map_count(&self->map) + hash_map_room(&self->map);
  enum result result = hash_map_reserve(&self->map, count);
  if (!succeeded(run, self, &before, result, grows, count)) return;
  collection_expect(run, hash_map_room(&self->map) + self->count >= count,
                    "there is room for %zu more than %zu entries, and %zu were reserved",
                    hash_map_room(&self->map), self->count, count);
  check(run, self);
}

// What shrink and clone promise.
static void expect_fewest_slots(struct collection_run *run, const struct hash_map *map,
                                size_t count) {
  size_t room = hash_map_room(map) + count;
  collection_expect(run, count == 0 ? room == 0 : room <= 7 || room / 2 < count,
                    "there is room for %zu entries where there are %zu", room, count);
}

static void shrink(struct collection_run *run, struct instance *self) {
  const struct hash_map before = self->map;
  enum result result = hash_map_shrink(&self->map);
  if (!succeeded(run, self, &before, result, self->count > 0, self->count)) return;
  check(run, self);
  if (before.handle.strategy->traits & STRATEGY_RELEASES)
    expect_fewest_slots(run, &self->map, self->count);
  else
    collection_expect(run, self->map.tags == before.tags,
                      "there is another table, and the former one is lost");
}

// ## Whole maps

// The other becomes a copy of this one, which may be the same.
static void clone(struct collection_run *run, struct instance *self, struct instance *other) {
  const struct hash_map before = self->map;
  struct hash_map copy, untouched;
  memset(&untouched, 0x5A, sizeof untouched);
  copy = untouched;
  enum result result = hash_map_clone(&self->map, &copy);
  if (!succeeded(run, self, &before, result, self->count > 0, self->count)) {
    collection_expect(run, memcmp(&copy, &untouched, sizeof copy) == 0,
                      "a refused clone has touched the copy");
    return;
  }
  check(run, self);
  expect_fewest_slots(run, &copy, self->count);
  for (size_t key = 0; key < KEYS; key++) {
    unsigned char bytes[MOST_SIZE];
    if (!self->model[key].there) continue;
    const void *at = key_bytes(self, key, bytes);
    const void *value = hash_map_get(&copy, at);
    collection_expect(run, value && value != hash_map_get(&self->map, at),
                      "the copy has no value of key %zu, or shares the map's", key);
  }
  hash_map_drop(&other->map);
  if (self != other) *other = *self;
  other->map = copy;
  other->map.options.context = &other->collision;
  check(run, other);
}

static void clear(struct collection_run *run, struct instance *self) {
  size_t room = hash_map_room(&self->map) + self->count;
  hash_map_clear(&self->map);
  model_clear(self);
  collection_expect(run, hash_map_room(&self->map) == room,
                    "there was room for %zu entries, and is for %zu", room,
                    hash_map_room(&self->map));
  check(run, self);
}

static void drop(struct collection_run *run, struct instance *self) {
  hash_map_drop(&self->map);
  model_clear(self);
  check(run, self);
}

// Begins anew, with the seed and layout that are said, and hashes as self->collision has them.
static void begin(struct collection_run *run, struct instance *self, struct handle handle,
                  uint64_t seed) {
  const struct layout *layout = &layouts[self->layout];
  hash_map_init(&self->map, handle,
                &(struct hash_map_options){
                    .key_size = layout->key_size,
                    .key_align = layout->key_align,
                    .value_size = layout->value_size,
                    .value_align = layout->value_align,
                    .seed = {seed, ~seed},
                    .hash = self->collision.group > 0 ? collide : NULL,
                    .equal = self->collision.group > 0 ? equal_numbers : NULL,
                    .context = &self->collision,
                });
  check(run, self);
}

// ## The driver

static void create(struct collection_run *run, void *instance, struct handle handle) {
  begin(run, instance, handle, 0);
}

static void apply(struct collection_run *run, void *instance, unsigned verb,
                  const struct collection_arguments *arguments) {
  struct instance *self = instance;
  switch (verb) {
  case INSERT:
  case PUT:
  case REPLACE:
    set_all(run, self, verb, arguments);
    break;
  case PUT_OWN:
  case INSERT_OWN:
    set_own(run, self, verb, arguments);
    break;
  case REMOVE:
    remove_all(run, self, arguments);
    break;
  case SWEEP:
    sweep(run, self, arguments->value);
    break;
  case RESERVE:
    reserve(run, self, arguments->value);
    break;
  case SHRINK:
    shrink(run, self);
    break;
  case CLONE:
    clone(run, self, arguments->other);
    break;
  case CLEAR:
    clear(run, self);
    break;
  case DROP:
    drop(run, self);
    break;
  case COLLIDE:
    drop(run, self);
    self->collision = (struct collision){arguments->value, arguments->small % 64 + 1};
    begin(run, self, self->map.handle, 0);
    break;
  default:
    drop(run, self);
    self->collision.group = 0;
    self->layout = arguments->small % LAYOUTS;
    begin(run, self, self->map.handle, arguments->value);
    break;
  }
}

static void verify(struct collection_run *run, void *instance) {
  const struct instance *self = instance;
  check(run, self);
  size_t count = hash_map_count(&self->map);
  collection_expect(run, count == self->count, "there are %zu keys, the model has %zu", count,
                    self->count);
  unsigned char bytes[MOST_SIZE];
  for (size_t key = 0; key < KEYS; key++) {
    const struct key *model = &self->model[key];
    const void *value = hash_map_get(&self->map, key_bytes(self, key, bytes));
    collection_expect(run, (value != NULL) == model->there, "key %zu is %s", key,
                      value ? "there, and not in the model" : "not there");
    if (!value) continue;
    collection_expect(run, ((uintptr_t)value & (self->map.options.value_align - 1)) == 0,
                      "the value of key %zu is not aligned", key);
    collection_expect(run, value_is(self, value, model->value),
                      "the value of key %zu is not the model's", key);
  }
}

static void destroy(struct collection_run *run, void *instance) {
  (void)run;
  struct instance *self = instance;
  hash_map_drop(&self->map);
}

static size_t length(const void *instance) {
  const struct instance *self = instance;
  return hash_map_count(&self->map);
}

static const struct collection_driver driver = {
    .oracle = &collection_oracle,
    .name = "hash_map",
    .verbs = verbs,
    .verb_count = sizeof verbs / sizeof *verbs,
    .instance_size = sizeof(struct instance),
    .create = create,
    .apply = apply,
    .verify = verify,
    .destroy = destroy,
    .length = length,
};

COLLECTION_STRATEGY(hash_map, "a hash map with Robin Hood probing and without tombstones", &driver,
                    hash_map_invariants);
