#include "collections/hash_map.h"

#include "collections/rig.h"

static struct allocator rig;

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t below(uint32_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 33) % limit;
}

#define OF(key_type, value_type)                                                                   \
  .key_size = sizeof(key_type), .key_align = _Alignof(key_type), .value_size = sizeof(value_type), \
  .value_align = _Alignof(value_type)

static void begin(struct hash_map *map, const struct hash_map_options *options) {
  rig_init(&rig);
  hash_map_init(map, rig_handle(&rig), options);
}

static const struct hash_map_options numbers = {OF(uint32_t, uint32_t)};

static void end(struct hash_map *map) {
  hash_map_drop(map);
  CHECK(rig.live == 0);
  CHECK(hash_map_count(map) == 0 && map->slots == 0 && hash_map_check(map).number == 0);
}

static void put(struct hash_map *map, uint32_t key, uint32_t value) {
  CHECK(hash_map_put(map, &key, &value) == RESULT_OK);
}

static uint32_t get(const struct hash_map *map, uint32_t key) {
  const uint32_t *value = hash_map_get(map, &key);
  return value ? *value : UINT32_MAX;
}

// ## Hashes

static const struct {
  size_t size;
  uint64_t hash;
} vectors[] = {
    {0, 0xabac0158050fc4dc},   {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
    {8, 0x369095118d299a8e},   {9, 0x25a48eb36c063de4},  {15, 0xd320d86d2a519956},
    {16, 0xcc4fdd1a7d908b66},  {63, 0x9d199062b7bbb3a8}, {255, 0xf76214e3153c4a15},
    {256, 0x75b3e64e167de370},
};

// The key and the texts are those of the authors' vectors: bytes 0, 1, 2 ...
static void test_siphash(void) {
  static const uint64_t seed[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  unsigned char bytes[257];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)i;
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
    CHECK(hash_map_hash_bytes(seed, bytes, vectors[i].size) == vectors[i].hash);
  memmove(bytes + 1, bytes, 256);  // of no alignment
  CHECK(hash_map_hash_bytes(seed, bytes + 1, 256) == vectors[9].hash);
  static const uint64_t none[2] = {0, 0};  // as Python has it: PYTHONHASHSEED=0, hash(b"hash map")
  CHECK(hash_map_hash_bytes(none, "hash map", 8) == 8840173845049130136u);
}

static uint64_t identity(const struct hash_map_options *options, const void *key) {
  (void)options;
  return *(const uint32_t *)key;
}

// Few hashes: as many keys collide as `context` says.
static uint64_t colliding(const struct hash_map_options *options, const void *key) {
  return *(const uint32_t *)key / *(const uint32_t *)options->context;
}

static double mean_distance(const struct hash_map *map, size_t *longest) {
  size_t sum = 0;
  *longest = 0;
  for (size_t i = 0; i < map->slots; i++) {
    if (!map->tags[i]) continue;
    size_t distance = (i - map->tags[i]) & (map->slots - 1);
    sum += distance;
    if (distance > *longest) *longest = distance;
  }
  return (double)sum / (double)map->count;
}

// Knuth, 6.4: with chance for a hash, in a table of which 7/8 are taken, the mean is 3.5.
static void test_distances(void) {
  const struct hash_map_options of[] = {{OF(uint32_t, uint32_t)},
                                        {OF(uint32_t, uint32_t), .seed = {1, 2}},
                                        {OF(uint32_t, uint32_t), .hash = identity}};
  for (size_t i = 0; i < sizeof of / sizeof *of; i++)
    for (unsigned shift = 0; shift <= 18; shift += 6) {
      struct hash_map map;
      begin(&map, &of[i]);
      const uint32_t count = 7 << 8;
      for (uint32_t k = 0; k < count; k++) put(&map, k << shift, k);
      CHECK(map.slots == 1 << 11 && hash_map_room(&map) == 0);
      size_t longest;
      CHECK(mean_distance(&map, &longest) < 5 && longest < 64);
      // No tombstones: keys that come and go leave it as good.
      for (uint32_t k = 0; k < 5 * count; k++) {
        CHECK(hash_map_remove(&map, &(uint32_t){k << shift}, NULL) == RESULT_OK);
        put(&map, (k + count) << shift, k);
      }
      CHECK(map.slots == 1 << 11);
      CHECK(mean_distance(&map, &longest) < 5 && longest < 64);
      CHECK(hash_map_check(&map).number == 0);
      end(&map);
    }
}

// ## Against a model

enum { KEYS = 60 };

struct model {
  bool there[KEYS];
  uint32_t values[KEYS];
  size_t count;
};

static void model_set(struct model *model, uint32_t key, bool there, uint32_t value) {
  model->count += there;
  model->count -= model->there[key];
  model->there[key] = there;
  model->values[key] = value;
}

static void compare(const struct hash_map *map, const struct model *model) {
  CHECK(hash_map_check(map).number == 0);
  CHECK(hash_map_count(map) == model->count);
  for (uint32_t key = 0; key < KEYS; key++)
    CHECK(get(map, key) == (model->there[key] ? model->values[key] : UINT32_MAX));
  bool met[KEYS] = {false};
  size_t count = 0;
  struct hash_map_cursor at = {0};
  for (; hash_map_next(map, &at); count++) {
    uint32_t key = *(const uint32_t *)at.key;
    CHECK(key < KEYS && !met[key] && *(const uint32_t *)at.value == model->values[key]);
    met[key] = true;
  }
  CHECK(count == model->count && !hash_map_next(map, &at));
}

// One operation of any kind, and what it must say. `refused`: every request for memory is.
static void step(struct hash_map *map, struct model *model, bool refused) {
  uint32_t key = below(KEYS), value = below(1000), old = 0;
  bool there = model->there[key], must_grow = hash_map_room(map) == 0;
  rig_refuse(&rig, refused ? 0 : SIZE_MAX, true);
  enum result no_memory = refused ? RESULT_NO_MEMORY : RESULT_OK;
  enum result added = must_grow ? no_memory : RESULT_OK, got;
  bool may_allocate = false;
  switch (below(8)) {
  case 0:
  case 1:
    got = hash_map_insert(map, &key, &value);
    CHECK(got == (there ? RESULT_EXISTS : added));
    if (got == RESULT_OK) model_set(model, key, true, value);
    may_allocate = !there && must_grow;
    break;
  case 2:
    got = hash_map_put(map, &key, &value);
    CHECK(got == (there ? RESULT_OK : added));
    if (got == RESULT_OK) model_set(model, key, true, value);
    may_allocate = !there && must_grow;
    break;
  case 3:
    CHECK(hash_map_replace(map, &key, &value) == (there ? RESULT_OK : RESULT_NOT_FOUND));
    if (there) model_set(model, key, true, value);
    break;
  case 4:
  case 5:
    CHECK(hash_map_remove(map, &key, &old) == (there ? RESULT_OK : RESULT_NOT_FOUND));
    if (there) CHECK(old == model->values[key]);
    model_set(model, key, false, 0);
    break;
  case 6:
    may_allocate = below(2) == 0;
    if (may_allocate) {
      got = hash_map_reserve(map, key);
      CHECK(got == RESULT_OK || got == no_memory);
      CHECK(got != RESULT_OK || hash_map_room(map) + hash_map_count(map) >= key);
    } else if (below(8) == 0) {
      hash_map_clear(map);
      *model = (struct model){0};
    }
    break;
  default: {
    size_t slots = map->slots;
    may_allocate = model->count > 0;
    got = hash_map_shrink(map);
    CHECK(got == RESULT_OK || (may_allocate && got == no_memory));
    if (got == RESULT_OK && map->slots > 8) CHECK(model->count * 16 > map->slots * 7);
    if (got != RESULT_OK) CHECK(map->slots == slots);
  }
  }
  CHECK(rig.requests <= may_allocate);
  CHECK(rig.live == (map->slots > 0));
}

static void test_against_model(void) {
  for (uint32_t collisions = 1; collisions <= KEYS; collisions *= 3)
    for (uint32_t round = 0; round < 10; round++) {
      struct hash_map map;
      struct model model = {0};
      begin(&map, &(struct hash_map_options){OF(uint32_t, uint32_t), .seed = {round, 0},
                                             .hash = collisions > 1 ? colliding : NULL,
                                             .context = &collisions});
      for (int i = 0; i < 120; i++) {
        step(&map, &model, below(4) == 0);
        compare(&map, &model);
      }
      end(&map);
    }
}

// ## Memory

// Whatever may allocate refuses for want of memory, and has changed nothing.
static void test_refusals(void) {
  struct hash_map map, copy, before;
  begin(&map, &numbers);
  rig_refuse(&rig, 0, true);
  uint32_t key = 1, value = 2;
  CHECK(hash_map_insert(&map, &key, &value) == RESULT_NO_MEMORY);
  CHECK(hash_map_put(&map, &key, &value) == RESULT_NO_MEMORY);
  CHECK(hash_map_reserve(&map, 1) == RESULT_NO_MEMORY);
  CHECK(hash_map_reserve(&map, 0) == RESULT_OK && hash_map_shrink(&map) == RESULT_OK);
  CHECK(hash_map_clone(&map, &copy) == RESULT_OK && copy.slots == 0);
  CHECK(rig.requests == 3);
  rig_refuse(&rig, SIZE_MAX, true);
  for (uint32_t i = 0; i < 14; i++) put(&map, i, 100 + i);
  CHECK(map.slots == 16 && hash_map_room(&map) == 0);
  rig_refuse(&rig, 0, true);
  before = map;
  key = 14;
  CHECK(hash_map_insert(&map, &key, &value) == RESULT_NO_MEMORY);
  CHECK(hash_map_put(&map, &key, &value) == RESULT_NO_MEMORY);
  CHECK(hash_map_reserve(&map, 15) == RESULT_NO_MEMORY);
  CHECK(hash_map_reserve(&map, SIZE_MAX) == RESULT_NO_MEMORY);
  CHECK(memcmp(&map, &before, sizeof map) == 0);
  memset(&copy, 0x5A, sizeof copy);
  before = copy;
  CHECK(hash_map_clone(&map, &copy) == RESULT_NO_MEMORY);
  CHECK(memcmp(&copy, &before, sizeof copy) == 0);
  // What needs no memory asks for none.
  size_t requests = rig.requests;
  key = 3;
  CHECK(hash_map_insert(&map, &key, &value) == RESULT_EXISTS);
  put(&map, 3, 33);
  CHECK(hash_map_reserve(&map, 14) == RESULT_OK && hash_map_shrink(&map) == RESULT_OK);
  for (uint32_t i = 0; i < 14; i++) CHECK(get(&map, i) == (i == 3 ? 33 : 100 + i));
  for (uint32_t i = 0; i < 8; i++) CHECK(hash_map_remove(&map, &i, NULL) == RESULT_OK);
  CHECK(rig.requests == requests);
  before = map;
  CHECK(hash_map_shrink(&map) == RESULT_NO_MEMORY && rig.requests == requests + 1);
  CHECK(memcmp(&map, &before, sizeof map) == 0);
  for (uint32_t i = 0; i < 14; i++) CHECK(get(&map, i) == (i < 8 ? UINT32_MAX : 100 + i));
  hash_map_clear(&map);
  CHECK(map.slots == 16 && hash_map_room(&map) == 14);
  CHECK(hash_map_shrink(&map) == RESULT_OK && map.slots == 0 && rig.live == 0);
  end(&map);
}

static void test_clone(void) {
  struct hash_map map, copy;
  begin(&map, &numbers);
  for (uint32_t i = 0; i < 100; i++) put(&map, i, i);
  for (uint32_t i = 10; i < 100; i++) CHECK(hash_map_remove(&map, &i, NULL) == RESULT_OK);
  CHECK(hash_map_clone(&map, &copy) == RESULT_OK);
  CHECK(copy.slots == 16 && hash_map_check(&copy).number == 0);
  put(&copy, 3, 33);
  CHECK(hash_map_remove(&map, &(uint32_t){5}, NULL) == RESULT_OK);
  for (uint32_t i = 0; i < 10; i++) {
    CHECK(get(&copy, i) == (i == 3 ? 33 : i));
    CHECK(get(&map, i) == (i == 5 ? UINT32_MAX : i));
  }
  hash_map_drop(&map);
  CHECK(get(&copy, 5) == 5);
  end(&copy);
}

static void test_sizes_that_overflow(void) {
  const struct hash_map_options wrong[] = {
      {1, 0, 1, 1, {0}, NULL, NULL, NULL},
      {1, 1, 1, 3, {0}, NULL, NULL, NULL},
      {1, 24, 1, 8, {0}, NULL, NULL, NULL},
      {SIZE_MAX, 1, 1, 1, {0}, NULL, NULL, NULL},
      {SIZE_MAX - 2, 1, 1, 8, {0}, NULL, NULL, NULL},
      {SIZE_MAX - 9, 1, 3, 8, {0}, NULL, NULL, NULL},
      {SIZE_MAX, 1, 0, 1, {0}, NULL, NULL, NULL},
      {SIZE_MAX / 9, 1, 8, 8, {0}, NULL, NULL, NULL},
      {SIZE_MAX / 16, 1, SIZE_MAX / 16, 1, {0}, NULL, NULL, NULL},
  };
  uint32_t key = 0;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct hash_map map, copy;
    begin(&map, &wrong[i]);
    CHECK(hash_map_check(&map).number == 0);
    CHECK(hash_map_reserve(&map, 1) == RESULT_NO_MEMORY);
    if (map.entry_size == SIZE_MAX) {  // else the key would have to be there
      CHECK(hash_map_insert(&map, &key, &key) == RESULT_NO_MEMORY && !hash_map_get(&map, &key));
      CHECK(hash_map_remove(&map, &key, NULL) == RESULT_NOT_FOUND);
    }
    CHECK(hash_map_count(&map) == 0 && hash_map_room(&map) == 0);
    CHECK(hash_map_clone(&map, &copy) == RESULT_OK && hash_map_shrink(&map) == RESULT_OK);
    CHECK(rig.requests == 0 || rig.largest == 0);
    end(&map);
  }
  struct hash_map map;
  begin(&map, &numbers);
  const size_t counts[] = {SIZE_MAX,         SIZE_MAX - 1, SIZE_MAX / 2,
                           SIZE_MAX / 4 * 3, SIZE_MAX / 8, SIZE_MAX / 12 + 1};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    CHECK(hash_map_reserve(&map, counts[i]) == RESULT_NO_MEMORY);
  CHECK(rig.largest == 0);
  CHECK(hash_map_put(&map, &key, &key) == RESULT_OK && get(&map, 0) == 0);
  end(&map);
}

// ## Entries of all shapes

static void test_shapes(void) {
  unsigned char key[70], value[70];
  for (size_t key_size = 1; key_size <= sizeof key; key_size = key_size * 2 + 1)
    for (size_t value_size = 0; value_size <= sizeof value; value_size = value_size * 2 + 1)
      for (size_t a = 0; a < 9; a++) {
        size_t key_align = (size_t)1 << a / 3 * 3, value_align = (size_t)1 << a % 3 * 3;
        struct hash_map map;
        begin(&map, &(struct hash_map_options){.key_size = key_size,
                                               .key_align = key_align,
                                               .value_size = value_size,
                                               .value_align = value_align});
        memset(key, 0x11, sizeof key);
        for (unsigned char i = 0; i < 20; i++) {
          key[key_size - 1] = i;
          memset(value, i, sizeof value);
          // Of an empty value no byte is looked at.
          CHECK(hash_map_insert(&map, key, value_size ? value : NULL) == RESULT_OK);
        }
        CHECK(hash_map_check(&map).number == 0 && hash_map_count(&map) == 20);
        for (unsigned char i = 0; i < 20; i++) {
          key[key_size - 1] = i;
          memset(value, i, sizeof value);
          const void *got = hash_map_get(&map, key);
          CHECK(got && memcmp(got, value, value_size) == 0);
          CHECK(value_size == 0 || address_of(got) % value_align == 0);
        }
        struct hash_map_cursor at = {0};
        while (hash_map_next(&map, &at)) CHECK(address_of(at.key) % key_align == 0);
        unsigned char old[sizeof value + 1];
        old[value_size] = 0x77;
        key[key_size - 1] = 9;
        memset(value, 9, sizeof value);
        CHECK(hash_map_remove(&map, key, old) == RESULT_OK && old[value_size] == 0x77);
        CHECK(memcmp(old, value, value_size) == 0 && !hash_map_get(&map, key));
        end(&map);
      }
}

// Keys and values that lie in the map, which moves them while they are read.
static void test_own_entries_as_arguments(void) {
  for (uint32_t collisions = 1; collisions < 100; collisions *= 5) {
    struct hash_map map;
    begin(&map, &(struct hash_map_options){OF(uint32_t, uint32_t), .hash = colliding,
                                           .context = &collisions});
    put(&map, 0, 1000);
    for (uint32_t i = 1; i < 60; i++) {
      // The value is the one of another key, the key a value.
      put(&map, 1000 + i, i);
      const uint32_t *key = hash_map_get(&map, &(uint32_t){1000 + i});
      const uint32_t *value = hash_map_get(&map, &(uint32_t){i - 1});
      uint32_t expected = *value;
      CHECK(hash_map_insert(&map, key, value) == RESULT_OK);
      CHECK(get(&map, i) == expected && hash_map_check(&map).number == 0);
    }
    CHECK(hash_map_count(&map) == 119);
    struct hash_map_cursor at = {0};
    while (hash_map_next(&map, &at)) {
      CHECK(hash_map_replace(&map, at.key, at.value) == RESULT_OK);
      CHECK(hash_map_put(&map, at.key, at.value) == RESULT_OK);
    }
    while (hash_map_next(&map, memset(&at, 0, sizeof at)))
      CHECK(hash_map_remove(&map, at.key, NULL) == RESULT_OK);
    end(&map);
  }
}

// ## Cursors

// Whatever is removed on the way, and wherever runs of entries lie, each entry is met once.
static void test_cursor(void) {
  for (uint32_t collisions = 1; collisions <= 64; collisions *= 4)
    for (uint32_t seed = 0; seed < 16; seed++)
      for (uint32_t removed = 0; removed < 4; removed++) {
        struct hash_map map;
        begin(&map, &(struct hash_map_options){OF(uint32_t, uint32_t),
                                               .hash = seed % 2 ? colliding : identity,
                                               .context = &collisions});
        for (uint32_t i = 0; i < 28; i++) put(&map, seed * 28 + i, 0);
        struct hash_map_cursor at = {0};
        CHECK(hash_map_remove_at(&map, &at) == RESULT_NOT_FOUND);
        uint32_t met = 0, left = 28;
        for (; hash_map_next(&map, &at); met++) {
          CHECK(++*(uint32_t *)at.value == 1);
          if (below(4) >= removed) continue;
          CHECK(hash_map_remove_at(&map, &at) == RESULT_OK);
          CHECK(hash_map_remove_at(&map, &at) == RESULT_NOT_FOUND);
          CHECK(hash_map_check(&map).number == 0 && hash_map_count(&map) == --left);
        }
        CHECK(met == 28 && hash_map_count(&map) == left);
        CHECK(hash_map_remove_at(&map, &at) == RESULT_NOT_FOUND);
        at = (struct hash_map_cursor){0};
        for (; hash_map_next(&map, &at); left--) CHECK(*(uint32_t *)at.value == 1);
        CHECK(left == 0);
        end(&map);
      }
}

// ## Functions of one's own

static uint64_t text_hash(const struct hash_map_options *options, const void *key) {
  const char *text = *(const char *const *)key;
  return hash_map_hash_bytes(options->seed, text, strlen(text));
}

static bool text_equal(const struct hash_map_options *options, const void *a, const void *b) {
  ++*(size_t *)options->context;
  return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
}

static void test_texts(void) {
  static char texts[200][8], others[200][8];
  size_t comparisons = 0;
  struct hash_map set;
  begin(&set, &(struct hash_map_options){.key_size = sizeof(char *),
                                         .key_align = _Alignof(char *),
                                         .value_align = 1,
                                         .seed = {3, 4},
                                         .hash = text_hash,
                                         .equal = text_equal,
                                         .context = &comparisons});
  for (int i = 0; i < 200; i++) {
    snprintf(texts[i], sizeof texts[i], "%d", i);
    snprintf(others[i], sizeof others[i], "%d", i);
    const char *text = texts[i], *other = others[i];
    CHECK(hash_map_insert(&set, &text, NULL) == RESULT_OK);
    CHECK(hash_map_insert(&set, &other, NULL) == RESULT_EXISTS);
    CHECK(hash_map_put(&set, &other, NULL) == RESULT_OK);
  }
  // The key that came first stays.
  struct hash_map_cursor at = {0};
  while (hash_map_next(&set, &at)) {
    const char *text = *(const char *const *)at.key;
    CHECK(text >= texts[0] && text < texts[199] + sizeof texts[0]);
  }
  CHECK(comparisons == 400);  // tags differ where keys do
  CHECK(hash_map_check(&set).number == 0);
  end(&set);
}

// ## Check notices damage

static void test_check(void) {
  struct hash_map map;
  uint32_t collisions = 4;
  begin(&map, &(struct hash_map_options){OF(uint32_t, uint32_t), .hash = colliding,
                                         .context = &collisions});
  for (uint32_t i = 0; i < 12; i++) put(&map, i, i);
  struct hash_map whole = map;
#define BREAKS(damage, heal, n)                                                                    \
  damage;                                                                                          \
  CHECK(hash_map_check(&map).number == n);                                                         \
  heal;                                                                                            \
  CHECK(hash_map_check(&map).number == 0)
  BREAKS(map.value_offset++, map = whole, 1);
  BREAKS(map.entry_size--, map = whole, 1);
  BREAKS(map.entry_align *= 2, map = whole, 1);
  BREAKS(map.options.value_size += 4, map = whole, 1);
  BREAKS(map.slots--, map = whole, 2);
  BREAKS(map.slots = 4, map = whole, 2);
  BREAKS(map.slots = 0, map = whole, 2);
  BREAKS(map.entries++, map = whole, 2);
  BREAKS(map.tags = NULL, map = whole, 2);
  BREAKS(map.count++, map = whole, 3);
  BREAKS(map.count--, map = whole, 3);
  // Three runs of four, and four empty slots.
  size_t begins = 0;
  while (map.tags[begins] || !map.tags[(begins + 1) & 15]) begins = (begins + 1) & 15;
  size_t first = (begins + 1) & 15, second = (first + 1) & 15;
  uint32_t tag = map.tags[first];
  BREAKS(map.tags[first] = 0, map.tags[first] = tag, 3);
  BREAKS(map.tags[first] ^= 16, map.tags[first] = tag, 4);
  BREAKS(map.tags[first] ^= 1u << 31, map.tags[first] = tag, 4);
  uint32_t *keys = (uint32_t *)(void *)map.entries;
  uint32_t key = keys[2 * first], other = keys[2 * second];
  CHECK(map.tags[second] == tag);
  BREAKS(keys[2 * first] = 77, keys[2 * first] = key, 4);
  BREAKS(keys[2 * second] = key, keys[2 * second] = other, 6);
  // An entry away from its run: it could not be found.
  BREAKS((map.tags[begins] = tag, map.tags[first] = 0, keys[2 * begins] = key),
         (map.tags[begins] = 0, map.tags[first] = tag), 5);
  // A whole table, and no empty slot to stop at.
  for (uint32_t i = 12; i < 14; i++) put(&map, i, i);
  whole = map;
  uint32_t tags[16];
  memcpy(tags, map.tags, sizeof tags);
  for (size_t i = 0; i < 16; i++) map.tags[i] = tag;
  map.count = 16;
  CHECK(hash_map_check(&map).number == 3);
  memcpy(map.tags, tags, sizeof tags);
  map = whole;
  end(&map);
}

int main(void) {
  test_siphash();
  test_distances();
  test_against_model();
  test_refusals();
  test_clone();
  test_sizes_that_overflow();
  test_shapes();
  test_own_entries_as_arguments();
  test_cursor();
  test_texts();
  test_check();
  return 0;
}
