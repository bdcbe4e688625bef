#include "harness/differential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/registry.h"
#include "harness/differential_account.h"

// ## The comparison

// What two observations can disagree on.
enum matter { REFUSAL, GIFT, UNUSABLE_GIFT, CONTENTS, LAST_CONTENTS, USABLE_SIZE, RELEASE };

static const char *const matters[] = {
    [REFUSAL] = "refused",
    [GIFT] = "gave",
    [UNUSABLE_GIFT] = "gave unusable",
    [CONTENTS] = "contents",
    [LAST_CONTENTS] = "last contents",
    [USABLE_SIZE] = "usable size",
    [RELEASE] = "release",
};

struct difference {
  enum matter matter;
  bool swapped;  // the second of them is the one to be named first
};

static bool differ(struct difference *difference, enum matter matter, bool swapped) {
  *difference = (struct difference){matter, swapped};
  return true;
}

static bool is_request(enum operation_kind kind) {
  return kind == OP_ALLOCATE || kind == OP_ALLOCATE_ZEROED || kind == OP_RESIZE;
}

static bool is_given(const struct observation *seen) {
  return seen->answer == GIVEN || seen->answer == UNUSABLE;
}

static bool compare_answers(struct comparison_counts *counts, const struct observation *a,
                            const struct observation *b, struct difference *difference) {
  if (is_given(a) == is_given(b)) {
    counts->given += is_given(a);
    counts->refused += !is_given(a);
    return is_given(a) && a->answer != b->answer && a->duty != MUST_REFUSE &&
           b->duty != MUST_REFUSE && differ(difference, UNUSABLE_GIFT, a->answer == GIVEN);
  }
  const struct observation *giver = is_given(a) ? a : b, *refuser = is_given(a) ? b : a;
  if (refuser->duty == MUST_GIVE) return differ(difference, REFUSAL, refuser == b);
  if (giver->duty == MUST_REFUSE) return differ(difference, GIFT, giver == b);
  return false;
}

static bool compare_observations(struct comparison_counts *counts, enum operation_kind kind,
                                 const struct observation *a, const struct observation *b,
                                 struct difference *difference) {
  if (a->answer == NOT_ASKED || b->answer == NOT_ASKED) return false;
  bool same = a->lineage == b->lineage;
  if (is_request(kind)) {
    if (compare_answers(counts, a, b, difference)) return true;
    // Contents: of a zeroed block, or of what was resized, or was not.
    bool both = a->answer == b->answer && a->answer != UNUSABLE &&
                (kind == OP_ALLOCATE_ZEROED ? a->answer == GIVEN : same && a->lineage);
    if (!both) return false;
    counts->contents += kind != OP_ALLOCATE_ZEROED;
    counts->zeroed += kind == OP_ALLOCATE_ZEROED;
    return a->digest != b->digest && differ(difference, CONTENTS, false);
  }
  if (a->answer == SKIPPED || b->answer == SKIPPED) return false;
  counts->releases += kind == OP_RELEASE || kind == OP_RELEASE_AGAIN || kind == OP_RELEASE_FOREIGN;
  if (a->said != b->said) {
    uint8_t right = kind == OP_RELEASE         ? RELEASED
                    : kind == OP_RELEASE_AGAIN ? RELEASE_DOUBLE
                                               : RELEASE_FOREIGN;
    return differ(difference, RELEASE, a->said == right);
  }
  if (!same) return false;
  if (kind == OP_USE) {
    counts->usable++;
    return a->usable != b->usable && differ(difference, USABLE_SIZE, a->usable);
  }
  counts->contents += kind == OP_RELEASE;
  return a->digest != b->digest && differ(difference, CONTENTS, false);
}

static bool compare_last(struct comparison_counts *counts, const struct observation *a,
                         const struct observation *b, struct difference *difference) {
  if (!a->last_lineage || a->last_lineage != b->last_lineage) return false;
  counts->contents++;
  return a->last_digest != b->last_digest && differ(difference, LAST_CONTENTS, false);
}

// How many contenders have the same contents as this one, itself included.
static size_t supporters(const struct differential *self, size_t index, size_t which, bool last) {
  const struct observation *one = &self->accounts[which].observations[index];
  size_t count = 0;
  for (size_t i = 0; i < self->count; i++) {
    const struct observation *other = &self->accounts[i].observations[index];
    count +=
        last ? other->last_lineage == one->last_lineage && other->last_digest == one->last_digest
             : other->answer == one->answer && other->lineage == one->lineage &&
                   other->read == one->read && other->digest == one->digest;
  }
  return count;
}

static const char *said(uint8_t result) {
  static const char *const texts[] = {
      [RELEASED] = "a live block",
      [RELEASE_DOUBLE] = "released before",
      [RELEASE_FOREIGN] = "none of its blocks",
      [RELEASE_OVERRUN] = "overrun",
  };
  return result < sizeof texts / sizeof *texts ? texts[result] : "something else";
}

static void explain_answer(const struct differential *self, const struct observation *first,
                           const struct observation *second, const struct difference *difference,
                           const struct disagreement *found, char *text, size_t size) {
  const char *one = self->contenders[found->first].name;
  const char *other = self->contenders[found->second].name;
  if (difference->matter == REFUSAL)
    snprintf(text, size, "%s refused what %s gave, although %s", one, other,
             second->duty == MUST_GIVE ? "the bounds of both say that it fits"
                                       : "its own bound says that it fits");
  else if (difference->matter == GIFT)
    snprintf(text, size, "%s gave what %s refused, although %s", one, other,
             second->duty == MUST_REFUSE ? "the contract says that both must refuse it"
                                         : "its own contract says that it must refuse it");
  else if (difference->matter == UNUSABLE_GIFT)
    snprintf(text, size,
             "%s gave an address that is not aligned or not inside its heap, %s a good one", one,
             other);
  else if (difference->matter == USABLE_SIZE)
    snprintf(text, size, "on %s the usable size is not the user's to write, on %s it is", one,
             other);
  else
    snprintf(text, size, "%s says that it was %s, %s that it was %s", one, said(first->said), other,
             said(second->said));
}

// Makes the difference at an operation a disagreement of the two.
static void disagree(const struct differential *self, const struct program *program, size_t index,
                     size_t a, size_t b, const struct difference *difference,
                     struct disagreement *found) {
  bool last = difference->matter == LAST_CONTENTS;
  bool contents = last || difference->matter == CONTENTS;
  size_t for_a = 0, for_b = 0;
  if (contents) {
    for_a = supporters(self, index, a, last);
    for_b = supporters(self, index, b, last);
  }
  bool swapped = contents ? for_b < for_a : difference->swapped;
  found->found = true;
  found->first = swapped ? b : a;
  found->second = swapped ? a : b;
  const char *one = self->contenders[found->first].name;
  const char *other = self->contenders[found->second].name;
  const struct observation *first = &self->accounts[found->first].observations[index];
  const struct observation *second = &self->accounts[found->second].observations[index];
  struct operation op = record_operation(program_at(program, index));
  char where[80], text[VERDICT_TEXT_SIZE];
  account_describe(program, index, where, sizeof where);
  if (contents) {
    size_t size = last ? first->last_size : first->read;
    int length = snprintf(text, sizeof text,
                          "the %zu bytes that the user %s are not the same on %s and %s", size,
                          last                            ? "was left with"
                          : op.kind == OP_ALLOCATE_ZEROED ? "finds in the zeroed block"
                                                          : "had in the block",
                          one, other);
    if (self->count > 2)
      snprintf(text + length, sizeof text - (size_t)length, " (as %zu of %zu have them)",
               swapped ? for_a : for_b, self->count);
  } else
    explain_answer(self, first, second, difference, found, text, sizeof text);
  struct verdict *verdict = &found->verdict;
  *verdict = (struct verdict){.property = PROPERTY_differential, .operation = index};
  snprintf(verdict->id, sizeof verdict->id, "%s", property_id(PROPERTY_differential));
  snprintf(verdict->diagnosis, sizeof verdict->diagnosis, "%s: %s", where, text);
  snprintf(found->names, sizeof found->names, "%s,%s", one, other);
  snprintf(verdict->site, sizeof verdict->site, "%s %s: %s", operation_name(op.kind),
           matters[difference->matter], found->names);
}

static void disagree_on_creation(const struct differential *self, const struct program *program,
                                 size_t failed, size_t created, struct disagreement *found) {
  const char *one = self->contenders[failed].name, *other = self->contenders[created].name;
  found->found = true;
  found->first = failed;
  found->second = created;
  struct verdict *verdict = &found->verdict;
  *verdict =
      (struct verdict){.property = PROPERTY_differential, .operation = program_length(program)};
  snprintf(verdict->id, sizeof verdict->id, "%s", property_id(PROPERTY_differential));
  snprintf(found->names, sizeof found->names, "%s,%s", one, other);
  snprintf(verdict->diagnosis, sizeof verdict->diagnosis,
           "create: %s failed on a heap that %s lives on, although its own bound says that it "
           "suffices",
           one, other);
  snprintf(verdict->site, sizeof verdict->site, "create: %s", found->names);
}

// Whether a pair disagrees here: at the operation, or on the last of the block that it gave.
static bool compare_at(struct differential *self, const struct program *program, size_t index,
                       bool last, struct disagreement *found) {
  enum operation_kind kind = record_kind(program_at(program, index));
  for (size_t a = 0; a < self->count; a++)
    for (size_t b = a + 1; b < self->count; b++) {
      const struct observation *of_a = &self->accounts[a].observations[index];
      const struct observation *of_b = &self->accounts[b].observations[index];
      struct difference difference;
      if (last ? !compare_last(&self->counts, of_a, of_b, &difference)
               : !compare_observations(&self->counts, kind, of_a, of_b, &difference))
        continue;
      disagree(self, program, index, a, b, &difference, found);
      return true;
    }
  return false;
}

static void compare(struct differential *self, const struct program *program,
                    struct disagreement *found) {
  for (size_t a = 0; a < self->count; a++)
    for (size_t b = 0; b < self->count; b++)
      if (self->accounts[a].creation.answer == REFUSED &&
          self->accounts[a].creation.duty == MUST_GIVE &&
          self->accounts[b].creation.answer == GIVEN) {
        disagree_on_creation(self, program, a, b, found);
        return;
      }
  for (int last = 0; last <= 1; last++)
    for (size_t i = 0; i < program_length(program); i++)
      if (compare_at(self, program, i, last, found)) return;
}

// ## All of them

static bool choose_one(struct contender *contender, char *name, char *error, size_t size) {
  char *variant = strchr(name, ':');
  if (variant) *variant++ = 0;
  const struct registry_entry *entry = registry_find(name);
  if (!entry) {
    snprintf(error, size, "unknown strategy '%s'; `assay list` shows them", name);
    return false;
  }
  if (entry->strategy->traits & STRATEGY_COLLECTION) {
    snprintf(error, size, "%s is a collection, and only allocators are compared", name);
    return false;
  }
  *contender = (struct contender){entry->name, entry->strategy, -1};
  if (!variant) return true;
  const char *const *variants = entry->strategy->variants;
  for (int i = 0; variants && variants[i]; i++)
    if (strcmp(variants[i], variant) == 0) contender->variant = i;
  if (contender->variant >= 0) {
    variant[-1] = ':';
    contender->name = name;
    return true;
  }
  snprintf(error, size, "%s has no variant '%s'; `assay list` shows them", name, variant);
  return false;
}

bool differential_choose(struct differential *self, const char *names, char *error, size_t size) {
  self->count = 0;
  if (strcmp(names, "all") == 0) {
    for (const struct registry_entry *entry = registry; entry->name; entry++)
      if (!entry->bug && !(entry->strategy->traits & STRATEGY_COLLECTION) &&
          self->count < CONTENDERS_MAX)
        self->contenders[self->count++] = (struct contender){entry->name, entry->strategy, -1};
  } else {
    char *list = self->names = strdup(names);
    if (!list) abort();
    for (char *name; (name = strsep(&list, ","));) {
      if (self->count == CONTENDERS_MAX) {
        snprintf(error, size, "more than %d strategies", CONTENDERS_MAX);
        return false;
      }
      if (!choose_one(&self->contenders[self->count++], name, error, size)) return false;
    }
  }
  if (self->count >= 2) return true;
  snprintf(error, size, "comparing takes two strategies at least");
  return false;
}

bool differential_run(struct differential *self, const struct program *program,
                      struct disagreement *found) {
  *found = (struct disagreement){0};
  if (!self->accounts) {
    self->accounts = calloc(self->count, sizeof *self->accounts);
    if (!self->accounts) return false;
  }
  for (size_t i = 0; i < self->count; i++) {
    if (!account_take(&self->accounts[i], &self->contenders[i], &self->arena, program))
      return false;
    self->counts.operations += program_length(program);
  }
  compare(self, program, found);
  return true;
}

void differential_free(struct differential *self) {
  for (size_t i = 0; self->accounts && i < self->count; i++) account_free(&self->accounts[i]);
  free(self->accounts);
  free(self->names);
  arena_free(&self->arena);
  *self = (struct differential){0};
}
