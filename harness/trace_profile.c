#include "harness/trace_profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/json_read.h"

struct reading {
  struct profile *profile;
  const struct json *document;
  const char *name;
  struct file_error *error;
};

#define MOST_LIFETIME ((uint64_t)1 << 40)

static bool add_range(struct ranges *ranges, uint64_t low, uint64_t high, uint64_t weight) {
  if (ranges->count == ranges->room) {
    size_t room = ranges->room ? 2 * ranges->room : 16;
    struct range *all = realloc(ranges->all, room * sizeof *all);
    if (!all) return false;
    ranges->all = all;
    ranges->room = room;
  }
  uint64_t until = ranges_total(ranges);
  if (__builtin_add_overflow(until, weight, &until)) return false;
  ranges->all[ranges->count++] = (struct range){low, high, until};
  return true;
}

// ## Lists: [[low, high, weight], ...], or [[value, weight], ...]

struct rule {
  const char *what;
  unsigned numbers;  // 2 or 3
  uint64_t least, most;
  bool power;  // powers of two
};

static bool read_range(struct reading *self, const struct json *item, const struct rule *rule,
                       struct ranges *ranges) {
  uint64_t numbers[3] = {0};
  const struct json *number = item->first;
  if (item->kind != JSON_ARRAY || item->count != rule->numbers)
    return file_fail(self->error, self->name, "%s: not a list of lists of %u numbers", rule->what,
                     rule->numbers);
  for (unsigned i = 0; i < rule->numbers; i++, number = number->next) {
    if (number->kind != JSON_NUMBER || !number->whole)
      return file_fail(self->error, self->name, "%s: not a whole number", rule->what);
    numbers[i] = number->integer;
  }
  uint64_t low = numbers[0], high = numbers[rule->numbers - 2];
  uint64_t weight = numbers[rule->numbers - 1];
  if (low < rule->least || high > rule->most || low > high)
    return file_fail(self->error, self->name,
                     "%s: from %" PRIu64 " to %" PRIu64 " is not within %" PRIu64 "..%" PRIu64,
                     rule->what, low, high, rule->least, rule->most);
  if (rule->power && (low & (low - 1)))
    return file_fail(self->error, self->name, "%s: %" PRIu64 " is no power of two", rule->what,
                     low);
  return weight == 0 || add_range(ranges, low, high, weight) ||
         file_fail(self->error, self->name, "%s: too much of it", rule->what);
}

static bool read_ranges(struct reading *self, const struct json *list, const struct rule *rule,
                        struct ranges *ranges) {
  if (!list || list->kind != JSON_ARRAY)
    return file_fail(self->error, self->name, "%s: the list is missing", rule->what);
  for (const struct json *item = list->first; item; item = item->next)
    if (!read_range(self, item, rule, ranges)) return false;
  return true;
}

static const struct rule size_rule = {"sizes", 3, 1, PROGRAM_MAX_CAPACITY, false};
static const struct rule lifetime_rule = {"lifetimes", 3, 1, MOST_LIFETIME, false};
static const struct rule align_rule = {"alignments", 2, 1, (uint64_t)1 << 32, true};

static bool is_empty(struct reading *self, const struct ranges *ranges, const char *what) {
  return ranges_total(ranges) == 0 &&
         !file_fail(self->error, self->name, "%s: nothing to draw from", what);
}

// ## Numbers

static bool read_number(struct reading *self, const struct json *from, const char *what,
                        uint64_t most, uint64_t *number) {
  const struct json *json = json_member(from, what);
  if (!json) return true;
  if (json->kind != JSON_NUMBER || !json->whole || json->integer > most)
    return file_fail(self->error, self->name, "%s: not a whole number up to %" PRIu64, what, most);
  *number = json->integer;
  return true;
}

static bool read_share(struct reading *self, const char *what, double *share) {
  const struct json *json = json_member(self->document, what);
  if (!json) return true;
  if (json->kind != JSON_NUMBER || !(json->number >= 0 && json->number <= 1))
    return file_fail(self->error, self->name, "%s: not a number from 0 to 1", what);
  *share = json->number;
  return true;
}

static double share_of(uint64_t part, uint64_t whole) {
  return whole ? (double)part / (double)whole : 0;
}

// ## By hand

static bool copy_ranges(struct ranges *to, const struct ranges *from) {
  for (size_t i = 0; i < from->count; i++)
    if (!add_range(to, from->all[i].low, from->all[i].high,
                   from->all[i].until - (i ? from->all[i - 1].until : 0)))
      return false;
  return true;
}

static bool spread(struct reading *self, double leaked) {
  struct profile *profile = self->profile;
  profile->leaked[0] = leaked;
  for (unsigned i = 1; i < STATS_CLASSES; i++) {
    profile->leaked[i] = leaked;
    if (!copy_ranges(&profile->lifetimes[i], &profile->lifetimes[0]))
      return file_fail(self->error, self->name, "no memory for its lifetimes");
  }
  return true;
}

static bool read_by_hand(struct reading *self) {
  struct profile *profile = self->profile;
  const struct json *alignments = json_member(self->document, "alignments");
  uint64_t threads = 1;
  double leaked = 0;
  if (!read_ranges(self, json_member(self->document, "sizes"), &size_rule, &profile->sizes) ||
      !read_ranges(self, json_member(self->document, "lifetimes"), &lifetime_rule,
                   &profile->lifetimes[0]) ||
      !read_share(self, "leaked", &leaked) || !read_share(self, "resized", &profile->resized) ||
      !read_share(self, "zeroed", &profile->zeroed) ||
      !read_share(self, "cross_thread", &profile->cross_thread) ||
      !read_number(self, self->document, "threads", UINT16_MAX, &threads))
    return false;
  if (leaked < 1 && is_empty(self, &profile->lifetimes[0], "lifetimes")) return false;
  // Of all operations, of which about half are releases.
  if (profile->resized > 0.9)
    return file_fail(self->error, self->name, "resized: more than 0.9 of the operations");
  double others = (1 - profile->resized) / (2 - leaked);
  profile->resized = profile->resized / (profile->resized + others);
  profile->growing = -1;
  return (!alignments || read_ranges(self, alignments, &align_rule, &profile->alignments)) &&
         spread(self, leaked) &&
         (add_range(&profile->threads, 0, threads ? threads - 1 : 0, 1) ||
          file_fail(self->error, self->name, "no memory for its threads")) &&
         (copy_ranges(&profile->resized_to, &profile->sizes) ||
          file_fail(self->error, self->name, "no memory for its sizes"));
}

// ## From statistics

static bool read_class(struct reading *self, const struct json *class) {
  uint64_t low = 0, released = 0, leaked = 0;
  if (!read_number(self, class, "low", PROGRAM_MAX_CAPACITY, &low) ||
      !read_number(self, class, "released", UINT32_MAX, &released) ||
      !read_number(self, class, "leaked", UINT32_MAX, &leaked))
    return false;
  unsigned index = size_class_of(low);
  self->profile->leaked[index] = share_of(leaked, leaked + released);
  if (!read_ranges(self, json_member(class, "operations"), &lifetime_rule,
                   &self->profile->lifetimes[index]))
    return false;
  return released == 0 || !is_empty(self, &self->profile->lifetimes[index], "lifetimes");
}

static bool read_classes(struct reading *self, const struct json *lifetimes) {
  const struct json *classes = json_member(lifetimes, "by_size");
  if (!classes || classes->kind != JSON_ARRAY)
    return file_fail(self->error, self->name, "lifetimes: no list by_size, as `assay stats` has");
  // A class of which nothing is known lives for ever.
  for (unsigned i = 0; i < STATS_CLASSES; i++) self->profile->leaked[i] = 1;
  for (const struct json *class = classes->first; class; class = class->next)
    if (!read_class(self, class)) return false;
  return true;
}

static bool read_resizes(struct reading *self, uint64_t allocations) {
  struct profile *profile = self->profile;
  const struct json *resizes = json_member(self->document, "resizes");
  uint64_t count = 0, growing = 0;
  if (!resizes) return true;
  if (!read_number(self, resizes, "count", UINT32_MAX, &count) ||
      !read_number(self, resizes, "growing", UINT32_MAX, &growing) ||
      !read_ranges(self, json_member(resizes, "sizes"), &size_rule, &profile->resized_to))
    return false;
  profile->resized = share_of(count, count + allocations);
  profile->growing = share_of(growing, count);
  return count == 0 || !is_empty(self, &profile->resized_to, "resizes");
}

static bool read_statistics(struct reading *self) {
  static const struct rule thread_rule = {"threads", 2, 0, UINT16_MAX, false};
  static const struct rule piece_rule = {"zeroed_pieces", 2, 1, 16, false};
  struct profile *profile = self->profile;
  const struct json *sizes = json_member(self->document, "sizes");
  const struct json *kinds = json_member(self->document, "kinds");
  const struct json *lifetimes = json_member(self->document, "lifetimes");
  const struct json *threads = json_member(self->document, "threads");
  const struct json *pieces = json_member(self->document, "zeroed_pieces");
  const struct json *alignments = json_member(self->document, "alignments");
  uint64_t zeroed = 0, crossing = 0, released = 0, allocations = 0;
  if (!read_number(self, sizes, "count", UINT32_MAX, &allocations) ||
      !read_number(self, kinds, "zeroed", UINT32_MAX, &zeroed) ||
      !read_number(self, lifetimes, "count", UINT32_MAX, &released) ||
      !read_number(self, threads, "cross_thread_releases", UINT32_MAX, &crossing))
    return false;
  if (!read_ranges(self, json_member(sizes, "all"), &size_rule, &profile->sizes) ||
      !read_classes(self, lifetimes) || !read_resizes(self, allocations) ||
      !read_ranges(self, json_member(threads, "operations"), &thread_rule, &profile->threads) ||
      !read_ranges(self, alignments, &align_rule, &profile->alignments) ||
      !read_ranges(self, pieces, &piece_rule, &profile->pieces))
    return false;
  profile->zeroed = share_of(zeroed, allocations);
  profile->cross_thread = share_of(crossing, released);
  return true;
}

// ## Either

static bool read_document(struct reading *self) {
  const struct json *sizes = json_member(self->document, "sizes");
  if (!sizes)
    return file_fail(self->error, self->name,
                     "no sizes in it; it takes what `assay stats --json` prints, or see `assay "
                     "generate --help`");
  if (!read_number(self, self->document, "operations", UINT32_MAX, &self->profile->operations))
    return false;
  bool read = sizes->kind == JSON_OBJECT ? read_statistics(self) : read_by_hand(self);
  if (!read || is_empty(self, &self->profile->sizes, "sizes")) return false;
  return self->profile->alignments.count > 0 || add_range(&self->profile->alignments, 16, 16, 1) ||
         file_fail(self->error, self->name, "no memory for its alignments");
}

bool profile_parse(struct profile *profile, const char *bytes, size_t size, const char *name,
                   struct file_error *error) {
  struct json *document;
  *profile = (struct profile){0};
  if (!json_parse(&document, bytes, size, name, error)) return false;
  struct reading self = {profile, document, name, error};
  bool read = read_document(&self);
  json_clear(document);
  if (!read) profile_clear(profile);
  return read;
}

bool profile_program(struct profile *profile, const struct program *program, const char *name,
                     struct file_error *error) {
  struct trace_stats stats;
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);
  bool done = trace_stats(&stats, program) && stream;
  if (done) {
    fputc('{', stream);
    trace_stats_print(&stats, stream);
    fputc('}', stream);
  }
  trace_stats_clear(&stats);
  if (stream) done = fclose(stream) == 0 && done;
  if (done)
    done = profile_parse(profile, text, size, name, error);
  else
    file_fail(error, name, "no memory for its statistics");
  free(text);
  return done;
}

void profile_clear(struct profile *profile) {
  struct ranges *const all[] = {&profile->sizes, &profile->resized_to, &profile->pieces,
                                &profile->alignments, &profile->threads};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->all);
  for (unsigned i = 0; i < STATS_CLASSES; i++) free(profile->lifetimes[i].all);
  *profile = (struct profile){0};
}
