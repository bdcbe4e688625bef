// Mutations: each does what its name says, to any program, and what the hints say is heeded.
#include "fuzz/mutator.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "fuzz/generate.h"
#include "fuzz/mutations.h"

enum { LIMIT = 96, ROUNDS = 400, MAX_SIZE = LIMIT * RECORD_SIZE };

static const struct hints none;

// A strategy with everything, but for what a test takes away.
static struct hints all_hints(void) {
  struct hints hints = {
      .offered = (1u << OP_KINDS) - 1, .variants = 3, .concurrent = 1, .align_log2 = 12};
  hints.dying = 1u << OP_ALLOCATE | 1u << OP_ALLOCATE_ZEROED | 1u << OP_RELEASE | 1u << OP_RESIZE;
  return hints;
}

static struct draft draft;  // the one under test
static struct record before[LIMIT];
static size_t before_count;

// A draft of `length` operations that are worth mutating.
static void open_some(size_t length, uint64_t seed, const struct hints *hints) {
  draft_open(&draft, NULL, 0, MAX_SIZE, seed, hints);
  while (draft_length(&draft) < length)
    CHECK(insert_some_operation(&draft, draft_length(&draft)) > 0);
  before_count = draft.program.count;
  memcpy(before, draft.records, before_count * sizeof *before);
}

static bool same(const struct record *a, const struct record *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

// Whether `from` has all of `part`, in that order.
static bool contains(const struct record *from, size_t count, const struct record *part,
                     size_t part_count) {
  size_t found = 0;
  for (size_t i = 0; i < count && found < part_count; i++) found += same(&from[i], &part[found]);
  return found == part_count;
}
static bool has_grown(void) {
  return contains(draft.records, draft.program.count, before, before_count);
}
static bool has_shrunk(void) {
  return contains(before, before_count, draft.records, draft.program.count);
}

// How many records differ; the last of them is `*which`.
static size_t differences(size_t *which) {
  CHECK(draft.program.count == before_count);
  size_t count = 0;
  for (size_t i = 0; i < before_count; i++) {
    if (same(&draft.records[i], &before[i])) continue;
    *which = i;
    count++;
  }
  return count;
}

static bool was_inserted(size_t count) { return draft.program.count == before_count + count; }

static size_t count_kind(enum operation_kind kind, size_t from, size_t to) {
  size_t count = 0;
  for (size_t i = from; i < to; i++) count += record_kind(draft_at(&draft, i)) == kind;
  return count;
}

// ## What each mutation may have done. `index` is where it was asked to.

static void check_grown(size_t index) {
  CHECK(has_grown() && draft.program.count > before_count);
  CHECK(memcmp(draft.records, before, (index + 1) * sizeof *before) == 0);
}

static void check_appended(size_t index) {
  (void)index;
  CHECK(draft.program.count > before_count);
  CHECK(memcmp(draft.records, before, before_count * sizeof *before) == 0);
}

static void check_filled(size_t index) {
  check_grown(index);
  size_t count = draft.program.count - before_count;
  for (size_t i = index; i < index + count; i++) {
    struct operation op = record_operation(draft_at(&draft, i));
    CHECK(op.kind == OP_ALLOCATE && op.size == draft_at(&draft, index)->size);
    CHECK(op.align == align_decode(draft_at(&draft, index)->align));
    // A slot after the other, as long as there are.
    uint64_t named = draft_named(&draft, i);
    CHECK(named == UINT64_MAX || !(named >> op.slot & 1));
  }
}

static void check_dropped(size_t index) {
  CHECK(has_shrunk() && draft.program.count < before_count);
  CHECK(memcmp(draft.records, before, (index + 1) * sizeof *before) == 0);
}

static void check_duplicated(size_t index) {
  CHECK(has_grown() && draft.program.count > before_count);
  // What came first is a copy of the operation there, but for its slot.
  size_t at = 1;
  while (at < before_count && same(&draft.records[at], &before[at])) at++;
  struct record copy = draft.records[at], original = before[index + 1];
  copy.slot = original.slot = 0;
  CHECK(at == before_count || same(&copy, &original) || draft.program.count > before_count + 1);
}

static void check_moved(size_t index) {
  struct record moved = before[index + 1];
  CHECK(draft.program.count == before_count);
  // Without it, here and there, the rest is the same.
  memmove(&before[index + 1], &before[index + 2], (before_count - index - 2) * sizeof *before);
  CHECK(contains(draft.records, draft.program.count, before, before_count - 1));
  size_t found = 0;
  for (size_t i = 1; i < draft.program.count; i++) found += same(&draft.records[i], &moved);
  CHECK(found > 0);
}

static void check_swapped(size_t index) {
  CHECK(draft.program.count == before_count);
  uint32_t first = before[index + 1].slot, second = draft.records[index + 1].slot;
  CHECK(first != second);
  for (size_t i = 0; i < before_count; i++) {
    struct record expected = before[i];
    if (i > index) {
      if (expected.slot == first)
        expected.slot = second;
      else if (expected.slot == second)
        expected.slot = first;
    }
    CHECK(same(&draft.records[i], &expected));
  }
}

static void check_slot(size_t index) {
  struct record expected = before[index + 1];
  expected.slot = draft.records[index + 1].slot;
  CHECK(same(&draft.records[index + 1], &expected));
  size_t which = index + 1;
  CHECK(differences(&which) <= 1 && which == index + 1);
}

static void check_size(size_t index) {
  (void)index;
  size_t which = 0;
  if (differences(&which) == 0) return;
  CHECK(differences(&which) == 1 && kind_has_size(record_kind(&before[which])));
  before[which].size = draft.records[which].size;
  CHECK(differences(&which) == 0);
}

static size_t doubled, halved;  // alignments, in all rounds

static void check_align(size_t index) {
  (void)index;
  size_t which = 0;
  if (differences(&which) == 0) return;
  CHECK(differences(&which) == 1 && kind_has_size(record_kind(&before[which])));
  uint64_t old = align_decode(before[which].align), now = align_decode(draft.records[which].align);
  doubled += now == old * 2;
  halved += now == old / 2;
  before[which].align = draft.records[which].align;
  CHECK(differences(&which) == 0);
}

static void check_replaced(size_t index) {
  size_t which = index + 1;
  CHECK(differences(&which) <= 1 && which == index + 1);
}

static void check_scrambled(size_t index) {
  size_t which = 0;
  CHECK(differences(&which) <= 1 && (which == 0 || which == index + 1));
}

static void check_reused(size_t index) {
  (void)index;
  CHECK(has_grown());
  CHECK(was_inserted(1) || was_inserted(2));
  size_t pairs = 0;
  for (size_t i = 0; i + 1 < draft_length(&draft); i++) {
    struct operation a = record_operation(draft_at(&draft, i));
    struct operation b = record_operation(draft_at(&draft, i + 1));
    pairs += a.kind == OP_RELEASE && b.kind == OP_ALLOCATE && a.slot == b.slot;
  }
  CHECK(pairs > 0);
}

static uint64_t named_before(size_t index) {
  static struct draft old;
  draft_open(&old, (const uint8_t *)before, before_count * sizeof *before, MAX_SIZE, 0, &none);
  return draft_named(&old, index);
}

static void check_released(size_t index, size_t count) {
  CHECK(has_grown());
  CHECK(count_kind(OP_RELEASE, index, index + count) == count);
  uint64_t released = 0, named = named_before(index);
  for (size_t i = index; i < index + count; i++)
    released |= (uint64_t)1 << draft_at(&draft, i)->slot;
  CHECK((size_t)__builtin_popcountll(released) == count);
  CHECK((released & ~named) == 0);
}

static void check_holes(size_t index) {
  size_t count = draft.program.count - before_count;
  check_released(index, count);
  size_t named = (size_t)__builtin_popcountll(named_before(index));
  if (draft.program.count < LIMIT) CHECK(count == named / 2 || count == (named + 1) / 2);
}

static void check_drained(size_t index) {
  size_t count = draft.program.count - before_count;
  check_released(index, count);
  if (draft.program.count < LIMIT) CHECK(draft_named(&draft, index + count) == 0);
}

static void check_crashed(size_t index) {
  CHECK(record_kind(draft_at(&draft, index)) == OP_CRASH);
  CHECK(record_count(draft_at(&draft, index)) >= 1);
  if (was_inserted(0)) {
    check_replaced(index);
    return;
  }
  CHECK(has_grown());
  CHECK(draft.hints->dying >> record_kind(draft_at(&draft, index + 1)) & 1);
}

static void check_heap(size_t index) {
  (void)index;
  size_t which = 0;
  CHECK(differences(&which) <= 1 && which == 0);
}

static void check_threads(size_t index) {
  (void)index;
  unsigned threads = program_heap(&draft.program).threads;
  for (size_t i = 0; i < draft_length(&draft); i++) {
    CHECK(draft_at(&draft, i)->thread < threads);
    before[i + 1].thread = draft_at(&draft, i)->thread;
  }
  check_heap(0);
}

static const struct {
  const char *name;
  void (*check)(size_t index);
} expectations[] = {
    {"insert", check_grown},     {"append", check_appended},
    {"burst", check_grown},      {"fill", check_filled},
    {"drop", check_dropped},     {"duplicate", check_duplicated},
    {"move", check_moved},       {"swap slots", check_swapped},
    {"change slot", check_slot}, {"nudge size", check_size},
    {"walk align", check_align}, {"change kind", check_replaced},
    {"replace", check_replaced}, {"scramble", check_scrambled},
    {"reuse", check_reused},     {"make holes", check_holes},
    {"drain", check_drained},    {"crash", check_crashed},
    {"change heap", check_heap}, {"deal out threads", check_threads},
};
enum { EXPECTATIONS = sizeof expectations / sizeof *expectations };

static size_t expectation_of(const struct mutation *mutation) {
  for (size_t i = 0; i < EXPECTATIONS; i++)
    if (strcmp(expectations[i].name, mutation->name) == 0) return i;
  fprintf(stderr, "no expectation of mutation '%s'\n", mutation->name);
  exit(1);
}

// The bytes of a draft are those of the program that they decode to.
static void check_decodable(const struct draft *of) {
  static uint8_t bytes[MAX_SIZE], again[MAX_SIZE];
  static struct record records[LIMIT];
  struct program program;
  size_t size = program_encoded_size(&of->program);
  CHECK(size <= MAX_SIZE && size % RECORD_SIZE == 0);
  program_encode(&of->program, bytes);
  program_decode_into(&program, records, bytes, size);
  CHECK(program_encoded_size(&program) == size);
  program_encode(&program, again);
  CHECK(memcmp(bytes, again, size) == 0);
  struct heap heap = program_heap(&program);
  CHECK(heap.capacity > 0 && heap.slots >= 1);
}

static void each_mutation_does_what_its_name_says(void) {
  struct hints hints = all_hints();
  for (const struct mutation *m = mutations; m->name; m++) {
    size_t which = expectation_of(m), done = 0, changed = 0;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
      open_some(1 + seed % (LIMIT - 2), seed, &hints);
      size_t index = index_below(&draft.chance, draft_length(&draft));
      bool applied = m->apply(&draft, index);
      check_decodable(&draft);
      bool differs = draft.program.count != before_count ||
                     memcmp(draft.records, before, before_count * sizeof *before) != 0;
      CHECK(applied || !differs);
      if (!applied) continue;
      done++;
      changed += differs;
      expectations[which].check(index);
    }
    if (done < ROUNDS / 4 || changed < done / 2) {
      fprintf(stderr, "%s: done %zu times, changed %zu\n", m->name, done, changed);
      exit(1);
    }
  }
  CHECK(doubled > ROUNDS / 8 && halved > ROUNDS / 8);
}

static void a_full_draft_stays_within_its_limit(void) {
  struct hints hints = all_hints();
  for (uint64_t seed = 0; seed < ROUNDS; seed++) {
    draft_open(&draft, NULL, 0, MAX_SIZE, seed, &hints);
    while (insert_some_operation(&draft, draft_length(&draft)) > 0) continue;
    CHECK(draft.program.count == LIMIT);
    for (const struct mutation *m = mutations; m->name; m++) {
      m->apply(&draft, index_below(&draft.chance, draft_length(&draft)));
      check_decodable(&draft);
      CHECK(draft.program.count <= LIMIT);
      if (draft_length(&draft) == 0) break;
    }
  }
}

static void every_mutation_is_chosen(void) {
  struct chance chance = {1};
  size_t chosen[EXPECTATIONS] = {0};
  for (int i = 0; i < 20000; i++) chosen[mutation_choose(mutations, &chance) - mutations]++;
  for (size_t i = 0; i < EXPECTATIONS; i++) CHECK(chosen[i] > 0);
  CHECK(!mutations[EXPECTATIONS].name);
}

static void a_splice_keeps_slots_apart_alike(void) {
  struct hints hints = all_hints();
  bool shifted = false;
  for (uint64_t seed = 0; seed < ROUNDS; seed++) {
    struct record piece[3];
    for (uint32_t i = 0; i < 3; i++)
      piece[i] = operation_record(&(struct operation){
          .kind = OP_ALLOCATE, .count = 1, .slot = 5 * i, .size = 7, .align = 1});
    open_some(4, seed, &hints);
    splice(&draft, 2, piece, 3);
    CHECK(was_inserted(3) && has_grown());
    uint32_t by = draft_at(&draft, 2)->slot;
    shifted |= by != 0;
    for (uint32_t i = 0; i < 3; i++) CHECK(draft_at(&draft, 2 + i)->slot == (by + 5 * i) % 64);
  }
  CHECK(shifted);
}

// ## The mutator as engines use it

// `rounds` mutations on end; notes which kinds of operations, and which sizes, occurred.
static uint32_t grow(const struct hints *hints, uint64_t seed, size_t rounds, const uint64_t *sizes,
                     size_t sizes_count, uint32_t *sizes_seen) {
  static uint8_t bytes[MAX_SIZE];
  static struct record records[LIMIT];
  uint32_t kinds = 0;
  size_t size = 0;
  for (size_t i = 0; i < rounds; i++) {
    if (i % 64 == 0) size = 0;
    size = mutator_mutate(hints, bytes, size, MAX_SIZE, (uint32_t)(seed * rounds + i));
    CHECK(size <= MAX_SIZE && size % RECORD_SIZE == 0 && size > 0);
    struct program program;
    program_decode_into(&program, records, bytes, size);
    for (size_t j = 0; j < program_length(&program); j++) {
      struct operation op = record_operation(program_at(&program, j));
      kinds |= 1u << op.kind;
      for (size_t k = 0; k < sizes_count; k++)
        if (op.size == sizes[k]) *sizes_seen |= 1u << k;
    }
  }
  return kinds;
}

static void only_what_is_offered_is_made(void) {
  struct hints hints = all_hints();
  uint32_t ignored = 0;
  CHECK(grow(&hints, 1, 4000, NULL, 0, &ignored) == hints.offered);
  // Like bump: it neither releases nor resizes.
  hints.offered = 1u << OP_ALLOCATE | 1u << OP_ALLOCATE_ZEROED | 1u << OP_RESET | 1u << OP_FAULT;
  hints.dying = 0;
  CHECK(grow(&hints, 2, 4000, NULL, 0, &ignored) == hints.offered);
  for (unsigned kind = 0; kind < OP_KINDS; kind++) {
    hints.offered = 1u << OP_ALLOCATE | 1u << kind;
    hints.dying = kind == OP_CRASH ? 1u << OP_ALLOCATE : 0;
    CHECK(grow(&hints, 3, 500, NULL, 0, &ignored) == hints.offered);
  }
}

static void without_hints_everything_occurs(void) {
  uint32_t ignored = 0;
  CHECK(grow(&none, 4, 20000, NULL, 0, &ignored) == (1u << OP_KINDS) - 1);
}

static void sizes_come_from_hints(void) {
  static const uint64_t sizes[] = {7776, 7777, 7778, 23456, 23457, 65536 - 23457};
  uint32_t without = 0, with = 0;
  struct hints hints = all_hints();
  grow(&hints, 5, 2000, sizes, 6, &without);
  hints.sizes[hints.sizes_count++] = 7777;
  hints_answer(&hints, 23457);
  grow(&hints, 5, 2000, sizes, 6, &with);
  CHECK(with == 0x3f && without != 0x3f);
}

// Of a collection with a single verb and of one with many: all verbs and refusals, and all that
// their arguments can be, in programs that become short and long.
static void programs_of_collections_are_of_their_verbs(void) {
  static uint8_t bytes[MAX_SIZE];
  static struct record records[LIMIT];
  for (uint32_t verbs = 1; verbs <= OP_CODES - 1; verbs += 7) {
    struct hints hints = {.offered = (1u << OP_CODES) - 1, .variants = 64, .verbs = verbs};
    memset(hints.verb_fields, 0xFF, sizeof hints.verb_fields);
    uint32_t codes = 0, counts = 0, slots = 0, others = 0;
    size_t size = 0, longest = 0, shortened = 0, huge = 0, largest_small = 0;
    unsigned last_variant = 0;
    for (uint32_t seed = 0; seed < 6000; seed++) {
      if (seed % 512 == 0) size = 0;
      size_t former = size;
      size = mutator_mutate(&hints, bytes, size, MAX_SIZE, seed);
      CHECK(size <= MAX_SIZE && size % RECORD_SIZE == 0 && size > 0);
      shortened += size < former;
      if (size > longest) longest = size;
      struct program program;
      program_decode_into(&program, records, bytes, size);
      if (program_heap(&program).variant > last_variant)
        last_variant = program_heap(&program).variant;
      for (size_t i = 0; i < program_length(&program); i++) {
        const struct record *record = program_at(&program, i);
        codes |= 1u << record->code % OP_CODES;
        counts |= 1u << record->code / OP_CODES;
        slots |= 1u << record->slot % 4;  // a copied piece may be shifted
        others |= 1u << record->thread;
        huge += record->size > UINT64_MAX - 20;
        if (record->align > largest_small) largest_small = record->align;
      }
    }
    uint32_t offered = 1u << OP_FAULT;
    for (unsigned verb = 0; verb < verbs; verb++) offered |= 1u << (verb + (verb >= OP_FAULT));
    CHECK(codes == offered && counts == 0xFFFF && slots == 0xF && others == 0xF);
    CHECK(longest == MAX_SIZE && shortened > 0 && huge > 0 && largest_small == 255);
    CHECK(last_variant == 63);
  }
}

static void the_same_seed_gives_the_same(void) {
  struct hints hints = all_hints();
  for (uint32_t seed = 0; seed < ROUNDS; seed++) {
    uint8_t a[512], b[512];
    struct chance chance = {seed};
    size_t size = index_below(&chance, sizeof a + 1),
           max_size = size + index_below(&chance, sizeof a - size + 1);
    for (size_t i = 0; i < sizeof a; i++) a[i] = b[i] = (uint8_t)draw(&chance);
    size_t first = mutator_mutate(&hints, a, size, max_size, seed);
    size_t second = mutator_mutate(&hints, b, size, max_size, seed);
    CHECK(first == second && first <= max_size && memcmp(a, b, sizeof a) == 0);
    uint8_t c[512], d[512];
    first = mutator_cross(&hints, a, size, b, sizeof b, c, max_size, seed);
    second = mutator_cross(&hints, a, size, b, sizeof b, d, max_size, seed);
    CHECK(first == second && first <= max_size && memcmp(c, d, first) == 0);
  }
}

static void a_crossing_has_parts_of_both(void) {
  uint8_t first[10 * RECORD_SIZE] = {0}, second[10 * RECORD_SIZE] = {0}, out[24 * RECORD_SIZE];
  for (size_t i = 0; i < 10; i++) {
    first[i * RECORD_SIZE + 8] = 100;  // sizes
    second[i * RECORD_SIZE + 8] = 200;
  }
  for (uint32_t seed = 0; seed < ROUNDS; seed++) {
    size_t size =
        mutator_cross(&none, first, sizeof first, second, sizeof second, out, sizeof out, seed);
    size_t of_second = 0;
    CHECK(size > RECORD_SIZE && size % RECORD_SIZE == 0);
    CHECK(memcmp(out, first, RECORD_SIZE) == 0);  // the heap
    for (size_t at = RECORD_SIZE; at < size; at += RECORD_SIZE) of_second += out[at + 8] == 200;
    CHECK(of_second > 0);
  }
  // Nothing to cross with: the first as it is.
  CHECK(mutator_cross(&none, first, sizeof first, second, 5, out, sizeof out, 1) == sizeof first);
  CHECK(memcmp(out, first, sizeof first) == 0);
}

int main(void) {
  each_mutation_does_what_its_name_says();
  a_full_draft_stays_within_its_limit();
  every_mutation_is_chosen();
  a_splice_keeps_slots_apart_alike();
  only_what_is_offered_is_made();
  without_hints_everything_occurs();
  sizes_come_from_hints();
  programs_of_collections_are_of_their_verbs();
  the_same_seed_gives_the_same();
  a_crossing_has_parts_of_both();
  return 0;
}
