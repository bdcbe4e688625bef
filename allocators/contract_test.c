// Every sentence of strategy.h, on every clean strategy of the registry, over several sources.
#include "allocators/contract.h"

// ## The table of strategy.h

static void test_slots(void) {
  const struct strategy *s = subject.strategy;
  CHECK((s->release != NULL) == has(STRATEGY_RELEASES));
  CHECK((s->resize != NULL) == has(STRATEGY_RESIZES));
  CHECK((s->reset != NULL) == has(STRATEGY_RESETS));
  CHECK((s->allocate_zeroed != NULL) == has(STRATEGY_ZEROES));
  CHECK((s->usable_size != NULL) == has(STRATEGY_SIZES));
  CHECK((s->mark != NULL) == has(STRATEGY_MARKS));
  CHECK((s->rollback != NULL) == has(STRATEGY_MARKS));
  CHECK((s->collect != NULL) == has(STRATEGY_COLLECTS));
  CHECK((s->close != NULL) == has(STRATEGY_PERSISTS));
  CHECK((s->open != NULL) == has(STRATEGY_PERSISTS));
  CHECK((s->root != NULL) == has(STRATEGY_PERSISTS));
  CHECK((s->set_root != NULL) == has(STRATEGY_PERSISTS));
  CHECK(s->create != NULL && s->allocate != NULL && s->check != NULL && s->walk != NULL);
  CHECK(s->statistics != NULL && s->destroy != NULL && s->footprint != NULL);
  CHECK(is_power_of_two(s->min_align) && is_power_of_two(s->max_align));
  CHECK(s->min_align <= s->max_align);
  CHECK(s->invariants != NULL && s->invariants[0] != NULL);
  CHECK(s->summary != NULL && strchr(s->summary, '\n') == NULL);
  CHECK(s->name[0] != '\0' && strspn(s->name, "abcdefghijklmnopqrstuvwxyz_") == strlen(s->name));
  CHECK(!has(STRATEGY_COALESCES | STRATEGY_RETURNS_MEMORY | STRATEGY_DETECTS_DOUBLE_RELEASE |
             STRATEGY_DETECTS_FOREIGN_RELEASE) ||
        has(STRATEGY_RELEASES));
}

// Nothing may grant this, by whatever way it is asked for.
static void check_refused(void *live, size_t size, size_t align) {
  const struct strategy *s = subject.strategy;
  CHECK(allocate(size, align) == NULL);
  check_unchanged();
  if (has(STRATEGY_ZEROES)) {
    CHECK(s->allocate_zeroed(subject.allocator, 1, size, align) == NULL);
    CHECK(s->allocate_zeroed(subject.allocator, size, 1, align) == NULL);
    check_unchanged();
  }
  if (has(STRATEGY_RESIZES)) {
    CHECK(s->resize(subject.allocator, NULL, size, align) == NULL);
    CHECK(live == NULL || s->resize(subject.allocator, live, size, align) == NULL);
    check_unchanged();
  }
}

static void check_refusals(void *live) {
  const struct strategy *s = subject.strategy;
  const size_t max = s->max_align;
  const struct {
    size_t size, align;
  } impossible[] = {
      {0, 1},
      {0, 16},
      {0, max},
      {0, 0},
      {1, 0},
      {1, 3},
      {1, max + 1},
      {1, max - 1},
      {1, max * 2},
      {1, SIZE_MAX},
      {1, SIZE_MAX - SIZE_MAX / 2},
      {SIZE_MAX, 0},
  };
  take(&before);
  for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
    size_t size = impossible[i].size, align = impossible[i].align;
    if (max <= 4 && is_power_of_two(align) && align <= max && size != 0) continue;
    CHECK(s->footprint(size, align, subject.source->page_size) == SIZE_MAX);
    check_refused(live, size, align);
  }
  for (size_t align = 1; align != 0 && align <= max; align *= 2) {
    for (size_t less = 0; less < 80; less++) {
      check_refused(live, SIZE_MAX - less, align);
      CHECK(s->footprint(SIZE_MAX - less, align, subject.source->page_size) > subject.capacity);
    }
    check_refused(live, SIZE_MAX - max, align);
    check_refused(live, SIZE_MAX - 2 * max, align);
    check_refused(live, SIZE_MAX / 2, align);
    check_refused(live, SIZE_MAX / 2 + 1, align);
    check_refused(live, subject.capacity, align);
    check_refused(live, subject.capacity + 1, align);
  }
  if (has(STRATEGY_ZEROES)) {
    const size_t half = (size_t)1 << (sizeof(size_t) * 4), top = SIZE_MAX - SIZE_MAX / 2;
    const size_t counts[][2] = {
        {half, half}, {top, 2}, {2, top},      {SIZE_MAX, SIZE_MAX},  {0, 5},
        {5, 0},       {0, 0},   {SIZE_MAX, 2}, {3, SIZE_MAX / 3 + 1}, {half + 1, half},
        {0, SIZE_MAX}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
      CHECK(s->allocate_zeroed(subject.allocator, counts[i][0], counts[i][1], 16) == NULL);
    check_unchanged();
  }
  if (has(STRATEGY_RELEASES)) CHECK(s->release(subject.allocator, NULL) == RELEASED);
  if (has(STRATEGY_SIZES)) CHECK(s->usable_size(subject.allocator, NULL) == 0);
  check_unchanged();
}

static void test_refusals(const struct rig_layout *layout) {
  if (!open_subject(layout)) return;
  check_refusals(NULL);
  unsigned char *a = allocate(100, 16), *b = allocate(33, 1), *c = allocate(64, 64);
  CHECK(a != NULL && b != NULL && c != NULL);
  memset(b, 7, 33);
  if (has(STRATEGY_RELEASES)) CHECK(subject.strategy->release(subject.allocator, a) == RELEASED);
  check_refusals(b);
  for (size_t i = 0; i < 33; i++) CHECK(b[i] == 7);
  close_subject();
}

static void test_alignments(const struct rig_layout *layout) {
  const size_t min = subject.strategy->min_align;
  for (size_t align = 1; align != 0 && align <= subject.strategy->max_align; align *= 2) {
    if (!open_subject(layout)) return;
    size_t footprint = subject.strategy->footprint(1, align, subject.source->page_size);
    CHECK(footprint != 0 && (footprint != SIZE_MAX || has(STRATEGY_FOREIGN)));
    for (int i = 0; i < 5; i++) {
      void *block = allocate((size_t)(1 + i * 3), align);
      CHECK(block != NULL || footprint > subject.capacity / 8);
      CHECK(address_of(block) % (align < min ? min : align) == 0);
    }
    check_clean();
    close_subject();
  }
}

static void test_create(const struct rig_layout *layout) {
  const struct strategy *s = subject.strategy;
  const struct strategy_options fine = subject.options;

  unsigned variants = 1;
  if (s->variants != NULL)
    for (variants = 0; s->variants[variants] != NULL;) variants++;
  CHECK(variants != 0);
  subject.options.variant = variants;
  CHECK(!open_subject(layout));
  rig_check_empty(&subject.rig);
  subject.options.variant = UINT32_MAX;
  CHECK(!open_subject(layout));
  rig_check_empty(&subject.rig);
  subject.options = fine;

  for (unsigned trait = 1; trait <= SOURCE_PERSISTS; trait *= 2) {
    if ((s->needs & trait) == 0) continue;
    struct source *source = rig_init(&subject.rig, layout);
    source->traits &= ~trait;
    CHECK(s->create(source, &subject.options) == NULL);
    rig_check_empty(&subject.rig);
  }

  // Either there is an allocator, which keeps to the bounds, or nothing is held.
  for (size_t size = 0; size < 700; size++) {
    struct rig_layout tiny = *layout;
    tiny.size = layout->page_size == 0 ? size : size / 50 * layout->page_size;
    if (open_subject(&tiny)) {
      CHECK(subject.rig.account.bytes <= tiny.size);
      take(&now);
      check_picture(&now);
      check_clean();
      void *block = allocate(1, 1);
      if (block != NULL) *(unsigned char *)block = 1;
      check_clean();
      close_subject();
    } else {
      rig_check_empty(&subject.rig);
    }
  }

  // A heap of a given size keeps to it; one that can not be had is refused or not taken at once.
  const size_t sizes[] = {1, 4096, 4097, layout->size + 1, SIZE_MAX, SIZE_MAX / 2};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    subject.options.heap_size = sizes[i];
    if (open_subject(layout)) {
      check_clean();
      close_subject();
    }
    rig_check_empty(&subject.rig);
  }
  subject.options = fine;
}

static void test_reset(const struct rig_layout *layout) {
  if (!has(STRATEGY_RESETS) || !open_subject(layout)) return;
  static struct picture fresh;
  void *released_by_reset = NULL;
  take(&fresh);
  for (int round = 0; round < 3; round++) {
    for (size_t i = 1; i < 20; i++) {
      void *block = allocate(i * 7, (size_t)1 << (i % 8));
      if (block != NULL) released_by_reset = block;
    }
    check_clean();
    subject.strategy->reset(subject.allocator);
    check_clean();
    take(&now);
    picture_drop_spare(&now, &subject.rig.account);
    CHECK(pictures_equal(&fresh, &now));
  }
  if (has(STRATEGY_DETECTS_DOUBLE_RELEASE))
    CHECK(subject.strategy->release(subject.allocator, released_by_reset) == RELEASE_DOUBLE);
  close_subject();
}

// Unless it lies in another stretch of the allocator's.
static void check_foreign(unsigned char *address) {
  if (source_account_find(&subject.rig.account, address, 1) != NULL) return;
  CHECK(subject.strategy->release(subject.allocator, address) == RELEASE_FOREIGN);
}

// Marks nest, each can be rolled back to more than once, and what was there before it stays.
static void test_marks(const struct rig_layout *layout) {
  const struct strategy *s = subject.strategy;
  if (!has(STRATEGY_MARKS) || !open_subject(layout)) return;
  enum { DEPTH = 4 };
  static struct picture at[DEPTH];
  struct mark marks[DEPTH];
  unsigned char *first = allocate(50, 1);
  CHECK(first != NULL);
  memset(first, 9, 50);
  for (int depth = 0; depth < DEPTH; depth++) {
    marks[depth] = s->mark(subject.allocator);
    take(&at[depth]);
    for (size_t i = 1; i < 20; i++) allocate(i * 31 << depth, (size_t)1 << (i % 8));
    check_clean();
  }
  for (int i = 2 * DEPTH; i-- > 0;) {
    s->rollback(subject.allocator, marks[i / 2]);
    picture_copy(&before, &at[i / 2]);
    check_unchanged();
    for (size_t j = 1; j < 9; j++) allocate(j * 97, 1);
  }
  for (size_t i = 0; i < 50; i++) CHECK(first[i] == 9);
  if (has(STRATEGY_RESETS)) s->reset(subject.allocator);
  check_clean();
  close_subject();
}

static void test_misuse(const struct rig_layout *layout) {
  const struct strategy *s = subject.strategy;
  if (!has(STRATEGY_RELEASES) || !open_subject(layout)) return;
  void *blocks[12];
  for (size_t i = 0; i < 12; i++) CHECK((blocks[i] = allocate(10 + 9 * i, 1)) != NULL);
  if (has(STRATEGY_DETECTS_FOREIGN_RELEASE)) {
    unsigned char elsewhere[64];
    take(&before);
    for (size_t i = 0; i < 64; i++)
      CHECK(s->release(subject.allocator, elsewhere + i) == RELEASE_FOREIGN);
    for (size_t i = 0; i < subject.rig.account.count; i++) {
      const struct source_stretch *stretch = &subject.rig.account.stretches[i];
      for (size_t j = 0; j < 64; j++) {
        check_foreign(stretch->start - 1 - j);
        check_foreign(stretch->start + stretch->size + j);
      }
    }
    CHECK(s->release(subject.allocator, (void *)UINTPTR_MAX) == RELEASE_FOREIGN);
    CHECK(s->release(subject.allocator, (void *)(uintptr_t)1) == RELEASE_FOREIGN);
    check_unchanged();
  }
  if (has(STRATEGY_DETECTS_DOUBLE_RELEASE)) {
    // In an order that merges to the left, to the right, to both and to none.
    const size_t order[12] = {1, 3, 2, 0, 11, 9, 6, 5, 7, 10, 8, 4};
    for (size_t i = 0; i < 12; i++) {
      CHECK(s->release(subject.allocator, blocks[order[i]]) == RELEASED);
      take(&before);
      for (size_t j = 0; j <= i; j++)
        CHECK(s->release(subject.allocator, blocks[order[j]]) == RELEASE_DOUBLE);
      check_unchanged();
    }
  }
  close_subject();
}

// ## Damage

// More than any heap of this test has: a walk that shows more does not end.
enum { MOST_SPANS = 1 << 16 };

static void count_span(void *context, const struct span *span) {
  size_t *spans = context;
  CHECK(span->size > 0);
  CHECK(++*spans < MOST_SPANS);
}

// Whatever one word of its structures says, check neither crashes nor loops, and names a place of
// its own; nor do walk and statistics. (Which words check must notice is for each strategy's own
// test.)
static void damage_word(uintptr_t *word) {
  const uintptr_t was = *word;
  const uintptr_t wrong[] = {0,        UINTPTR_MAX, was + 1,  was ^ 2,       was + 8,
                             was + 16, was - 32,    was + 64, was + 1048576, (uintptr_t)word,
                             0 - was,  was / 2,     ~was};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    *word = wrong[i];
    struct broken_invariant broken = subject.strategy->check(subject.allocator);
    CHECK(broken.number == 0 || broken.where == NULL ||
          source_account_find(&subject.rig.account, broken.where, 1) != NULL);
    for (unsigned n = 0; n < broken.number; n++) CHECK(subject.strategy->invariants[n] != NULL);
    size_t spans = 0;
    subject.strategy->walk(subject.allocator, count_span, &spans);
    subject.strategy->statistics(subject.allocator);
  }
  *word = was;
}

static void test_damage(const struct rig_layout *layout) {
  subject.source = rig_init(&subject.rig, layout);
  subject.source->traits &= ~(unsigned)SOURCE_PROTECTS;  // what is protected can not be damaged
  subject.allocator = subject.strategy->create(subject.source, &subject.options);
  if (subject.allocator == NULL) return;
  void *blocks[12];
  for (size_t i = 0; i < 12; i++) blocks[i] = allocate(10 + 9 * i, (size_t)1 << (i % 7));
  for (size_t i = 0; i < 12; i += 3)
    if (has(STRATEGY_RELEASES)) subject.strategy->release(subject.allocator, blocks[i]);
  check_clean();
  take(&before);
  for (size_t i = 0; i < before.count; i++) {
    const struct span *span = &before.spans[i];
    // Headers, and the links that free memory may hold at its start.
    size_t size = span->kind == SPAN_META ? span->size : span->kind == SPAN_FREE ? 32 : 0;
    if (size > 256) size = 256;
    uintptr_t start = address_of(span->start), word;
    CHECK(align_up(start, sizeof(uintptr_t), &word));
    for (; word + sizeof word <= start + span->size && word < start + size; word += sizeof word)
      damage_word((uintptr_t *)word);
  }
  check_unchanged();
  close_subject();
}

// ## Persistence

// Closed and opened, a heap is what it was; over anything else there is nothing to open.
static void test_persistence(const struct rig_layout *layout) {
  const struct strategy *s = subject.strategy;
  const struct strategy_options strange = {.variant = UINT32_MAX};
  if (!has(STRATEGY_PERSISTS)) return;
  struct source *source = rig_init(&subject.rig, layout);
  CHECK(s->open(source, &subject.options) == NULL);
  void *nothing = source->acquire(source, align_down(4096, source->page_size));
  CHECK(nothing == NULL || s->open(source, &subject.options) == NULL);
  if (!open_subject(layout)) return;
  CHECK(s->root(subject.allocator) == NULL);
  unsigned char *blocks[12];
  for (size_t i = 0; i < 12; i++) CHECK((blocks[i] = allocate(20 * i + 1, 1)) != NULL);
  for (size_t i = 0; i < 12; i++) memset(blocks[i], (int)i, 20 * i + 1);
  for (size_t i = 0; i < 12; i += 3) CHECK(s->release(subject.allocator, blocks[i]) == RELEASED);
  for (size_t round = 0; round < 3; round++) {
    s->set_root(subject.allocator, round == 1 ? NULL : blocks[4 + round]);
    take(&before);
    s->close(subject.allocator);
    CHECK(s->open(subject.source, &strange) == NULL);
    subject.source->traits &= ~(unsigned)SOURCE_PERSISTS;
    CHECK(s->open(subject.source, &subject.options) == NULL);
    subject.source->traits |= SOURCE_PERSISTS;
    subject.allocator = s->open(subject.source, &subject.options);
    CHECK(subject.allocator != NULL);
    check_unchanged();
    check_picture(&now);
    CHECK(s->root(subject.allocator) == (round == 1 ? NULL : blocks[4 + round]));
    for (size_t i = 0; i < 12; i++)
      for (size_t j = 0; j < 20 * i + 1 && i % 3 != 0; j++) CHECK(blocks[i][j] == i);
  }
  close_subject();
  CHECK(s->open(subject.source, &subject.options) == NULL);
}

// ## Source failures

// A program of requests that must leave things alone whenever it is refused.
static void run_refusable(void) {
  const struct strategy *s = subject.strategy;
  void *blocks[16] = {0};
  for (size_t i = 0; i < 64; i++) {
    void **block = &blocks[i * 7 % 16];
    size_t size = (i * 977 + 1) % 6000 + 1, align = (size_t)1 << (i % 14);
    take(&before);
    void *got;
    if (*block != NULL && has(STRATEGY_RESIZES) && i % 3 == 0) {
      got = s->resize(subject.allocator, *block, size, align);
    } else if (*block != NULL && has(STRATEGY_RELEASES)) {
      CHECK(s->release(subject.allocator, *block) == RELEASED);
      *block = NULL;
      check_clean();
      continue;
    } else if (has(STRATEGY_ZEROES) && i % 4 == 0) {
      got = s->allocate_zeroed(subject.allocator, size, 1, align);
    } else {
      got = allocate(size, align);
    }
    if (got == NULL)
      check_unchanged();
    else
      *block = got;
    check_clean();
    take(&now);
    check_picture(&now);
  }
}

static void test_source_failures(const struct rig_layout *layout) {
  if (!open_subject(layout)) return;
  run_refusable();
  close_subject();
  size_t acquisitions = subject.rig.faults.acquisitions;
  for (size_t i = 0; i < acquisitions; i++)
    for (int once = 0; once < 2; once++) {
      subject.source = rig_init(&subject.rig, layout);
      source_faults_arm(&subject.rig.faults, once && i < 64 ? (uint64_t)1 << i : 0,
                        once ? SIZE_MAX : i);
      subject.allocator = subject.strategy->create(subject.source, &subject.options);
      if (subject.allocator == NULL) {
        CHECK(subject.rig.faults.injected != 0);
        rig_check_empty(&subject.rig);
        continue;
      }
      run_refusable();
      close_subject();
    }
}

static void test_all(const struct rig_layout *layout) {
  test_slots();
  test_create(layout);
  test_refusals(layout);
  test_alignments(layout);
  test_reset(layout);
  test_marks(layout);
  test_misuse(layout);
  test_damage(layout);
  test_persistence(layout);
  test_source_failures(layout);
}

int main(void) {
  for_each_subject(test_all);
  return 0;
}
