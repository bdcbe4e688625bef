// The shadow model: slots, blocks without a name, ghosts, and starting over.
#include "harness/shadow.h"

#include <string.h>

#include "allocators/check.h"

enum { SLOTS = 16, SIZE = 1 << 16 };

// Addresses are only numbers to it.
#define BASE ((uintptr_t)0x7f0000000000)

static struct shadow shadow;

static void open_shadow(bool shared_granules) {
  CHECK(shadow_init(&shadow, (const void *)BASE, SIZE));
  shadow_begin(&shadow, SLOTS, shared_granules, false);
}

static void test_slots(void) {
  open_shadow(false);
  CHECK(!shadow_at(&shadow, 3));
  struct shadow_block *block = shadow_add(&shadow, BASE + 64, 100, 3);
  CHECK(block && block->start == BASE + 64 && block->size == 100 && block->slot == 3);
  CHECK(shadow_at(&shadow, 3) == block && shadow_at(&shadow, 3 + 5 * SLOTS) == block);
  CHECK(shadow.count == 1 && shadow.live_bytes == 100);

  // The slot goes to the later block; the earlier one lives on without a name.
  uint64_t key = block->key;
  struct shadow_block *later = shadow_add(&shadow, BASE + 1024, 8, SLOTS + 3);
  CHECK(later && later->slot == 3 && later->key != key);
  CHECK(shadow_at(&shadow, 3) == later);
  CHECK(shadow.count == 2 && shadow.blocks[0].slot == SHADOW_NO_SLOT);

  // Removing one of them moves the other in the table, and its slot follows.
  shadow_remove(&shadow, &shadow.blocks[0]);
  CHECK(shadow.count == 1 && shadow_at(&shadow, 3) == &shadow.blocks[0]);
  CHECK(shadow_at(&shadow, 3)->start == BASE + 1024);
  shadow_remove(&shadow, shadow_at(&shadow, 3));
  CHECK(shadow.count == 0 && shadow.live_bytes == 0 && !shadow_at(&shadow, 3));
  shadow_free(&shadow);
}

static void test_overlap(void) {
  for (int shared = 0; shared < 2; shared++) {
    open_shadow(shared);
    struct shadow_block *block = shadow_add(&shadow, BASE + 64, 64, 0);
    CHECK(block);
    CHECK(!shadow_add(&shadow, BASE + 64, 64, 1) && !shadow_add(&shadow, BASE + 120, 8, 1));
    CHECK(!shadow_add(&shadow, BASE + 56, 16, 1) && !shadow_add(&shadow, BASE, 1000, 1));
    CHECK(shadow.count == 1 && !shadow_at(&shadow, 1));
    CHECK(shadow_add(&shadow, BASE + 128, 8, 1) && shadow_add(&shadow, BASE + 56, 8, 2));
    CHECK(shadow_overlapping(&shadow, BASE + 127, 1, NULL)->start == BASE + 64);
    CHECK(!shadow_overlapping(&shadow, BASE + 64, 64, &shadow.blocks[0]));
    CHECK(!shadow_overlapping(&shadow, BASE + 136, 100, NULL));
    shadow_free(&shadow);
  }
}

static void test_move(void) {
  open_shadow(false);
  CHECK(shadow_add(&shadow, BASE + 64, 64, 0) && shadow_add(&shadow, BASE + 256, 64, 1));
  struct shadow_block *block = shadow_at(&shadow, 0);
  CHECK(!shadow_move(&shadow, block, BASE + 64, 200));  // over the other
  CHECK(block->start == BASE + 64 && block->size == 64 && shadow.live_bytes == 128);
  CHECK(!shadow_add(&shadow, BASE + 64, 8, 2));  // and it still has its bytes
  CHECK(shadow_move(&shadow, block, BASE + 64, 192));
  CHECK(shadow.live_bytes == 256 && !shadow_add(&shadow, BASE + 248, 8, 2));
  CHECK(shadow_move(&shadow, block, BASE + 96, 8));  // over its own old place
  CHECK(shadow.live_bytes == 72 && shadow_add(&shadow, BASE + 64, 32, 2));
  CHECK(shadow_add(&shadow, BASE + 104, 152, 3));
  shadow_free(&shadow);
}

static void test_start_over(void) {
  open_shadow(false);
  uint64_t first_key = 0;
  for (int round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < 1000; i++) CHECK(shadow_add(&shadow, BASE + i * 16, 16, i));
    CHECK(shadow.count == 1000 && shadow.live_bytes == 16000);
    if (round == 0) first_key = shadow.blocks[0].key;
    CHECK(shadow.blocks[0].key == first_key);  // the same program has the same payloads
    for (uint32_t i = 0; i < 1000; i++)
      for (uint32_t j = i % 97; j < i; j += 97) CHECK(shadow.blocks[i].key != shadow.blocks[j].key);
    shadow_remember(&shadow, BASE, 16);
    if (round == 1) {
      shadow_clear(&shadow);
      CHECK(shadow.count == 0 && shadow.live_bytes == 0);
      CHECK(shadow_ghost(&shadow, 0));  // what was released stays remembered
    }
    shadow_begin(&shadow, SLOTS, false, false);
    CHECK(shadow.count == 0 && !shadow_ghost(&shadow, 0));
    for (uint32_t i = 0; i < SLOTS; i++) CHECK(!shadow_at(&shadow, i));
    CHECK(!occupancy_any(&shadow.occupancy, BASE, SIZE, false));
  }
  CHECK(shadow_memory(&shadow, SIZE) > 0);
  shadow_free(&shadow);
}

static void test_ghosts(void) {
  open_shadow(false);
  CHECK(!shadow_ghost(&shadow, 0) && !shadow_ghost(&shadow, 7));
  shadow_remember(&shadow, BASE + 100, 50);
  for (unsigned which = 0; which < 20; which++)
    CHECK(shadow_ghost(&shadow, which) && shadow_ghost(&shadow, which)->start == BASE + 100);
  shadow_forget(&shadow, BASE, BASE + 100);
  shadow_forget(&shadow, BASE + 150, BASE + SIZE);
  CHECK(shadow_ghost(&shadow, 0));  // neither touches it
  shadow_forget(&shadow, BASE + 149, BASE + 150);
  CHECK(!shadow_ghost(&shadow, 0));

  // A ring: the oldest goes first.
  for (unsigned i = 0; i < SHADOW_GHOSTS + 3; i++) shadow_remember(&shadow, BASE + i * 64, 64);
  bool met[SHADOW_GHOSTS + 3] = {0};
  for (unsigned which = 0; which < SHADOW_GHOSTS; which++)
    met[(shadow_ghost(&shadow, which)->start - BASE) / 64] = true;
  for (unsigned i = 0; i < SHADOW_GHOSTS + 3; i++) CHECK(met[i] == (i >= 3));
  shadow_free(&shadow);
}

int main(void) {
  test_slots();
  test_overlap();
  test_move();
  test_start_over();
  test_ghosts();
  return 0;
}
