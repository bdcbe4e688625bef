// A strategy of the registry under test: what the contract's tests share.
#ifndef ALLOCATORS_CONTRACT_H_
#define ALLOCATORS_CONTRACT_H_

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "allocators/arithmetic.h"
#include "allocators/check.h"
#include "allocators/registry.h"
#include "allocators/rig.h"
#include "allocators/tracked.h"

static const struct rig_layout layouts[] = {
    {"buffer", 0, 0, 300000},           {"misaligned buffer", 0, 4097, 300001},
    {"small buffer", 0, 3, 5000},       {"pages", 4096, 0, 400000},
    {"large pages", 65536, 0, 8 << 16}, {"pages smaller than a word", 4, 0, 300000},
};
#define LAYOUTS (sizeof layouts / sizeof *layouts)

// One allocator over one layout.
struct subject {
  struct rig rig;
  struct source *source;
  const struct strategy *strategy;
  struct strategy_options options;
  struct allocator *allocator;
  size_t capacity;  // what the source could give before create
};

static struct subject subject;
static struct picture before, now;

static inline bool has(unsigned trait) { return (subject.strategy->traits & trait) != 0; }

static inline bool open_subject(const struct rig_layout *layout) {
  subject.source = rig_init(&subject.rig, layout);
  subject.capacity = subject.source->available(subject.source);
  subject.allocator = subject.strategy->create(subject.source, &subject.options);
  return subject.allocator != NULL;
}

static inline void close_subject(void) {
  subject.strategy->destroy(subject.allocator);
  rig_check_empty(&subject.rig);
}

static inline void *allocate(size_t size, size_t align) {
  return subject.strategy->allocate(subject.allocator, size, align);
}

static inline void check_clean(void) {
  struct broken_invariant broken = subject.strategy->check(subject.allocator);
  if (broken.number != 0) fprintf(stderr, "%s.I%u\n", subject.strategy->name, broken.number);
  CHECK(broken.number == 0);
}

static inline void take(struct picture *picture) {
  picture_take(picture, subject.strategy, subject.allocator);
}

// ## Walks

// Spans lie in acquired stretches, ascend in each, and leave nothing out.
static inline void check_picture(const struct picture *picture) {
  static uintptr_t ends[RIG_STRETCHES];
  memset(ends, 0, sizeof ends);
  size_t total = 0;
  for (size_t i = 0; i < picture->count; i++) {
    const struct span *span = &picture->spans[i];
    const struct source_stretch *stretch =
        source_account_find(&subject.rig.account, span->start, span->size);
    CHECK(stretch != NULL);
    uintptr_t *end = &ends[stretch - subject.rig.stretches];
    CHECK(address_of(span->start) >= *end);
    *end = address_of(span->start) + span->size;
    total += span->size;
  }
  CHECK(total == subject.rig.account.bytes);

  struct statistics statistics = subject.strategy->statistics(subject.allocator);
  CHECK(statistics.acquired == total);
  CHECK(statistics.used == total - picture->bytes[SPAN_FREE]);
  CHECK(statistics.largest_free <= picture->bytes[SPAN_FREE]);
  if (has(STRATEGY_WALKS_BLOCKS)) CHECK(picture->bytes[SPAN_USED] == 0);
}

// `before` was taken before a refusal, which may have returned memory that served nobody.
static inline void check_unchanged(void) {
  take(&now);
  picture_drop_spare(&before, &subject.rig.account);
  picture_drop_spare(&now, &subject.rig.account);
  CHECK(pictures_equal(&before, &now));
  check_clean();
}

// Runs `test` on every clean strategy, in each variant, over every layout that meets its needs.
static inline void for_each_subject(void (*test)(const struct rig_layout *layout)) {
  for (const struct registry_entry *entry = registry; entry->name != NULL; entry++) {
    if (entry->bug != NULL) continue;
    subject.strategy = tracked(entry->strategy);
    unsigned variant = 0;
    do {
      subject.options = (struct strategy_options){.variant = variant};
      for (size_t i = 0; i < LAYOUTS; i++) {
        const struct source *source = rig_init(&subject.rig, &layouts[i]);
        if ((source->traits & subject.strategy->needs) != subject.strategy->needs) {
          CHECK(!open_subject(&layouts[i]));
          continue;
        }
        // What a failure that follows is about.
        fprintf(stderr, "%s, variant %u, over %s\n", entry->name, variant, layouts[i].name);
        test(&layouts[i]);
      }
    } while (subject.strategy->variants != NULL && subject.strategy->variants[++variant] != NULL);
  }
}

#endif
