// The statistics of a trace as JSON. Generators read it back as a profile.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/trace_stats.h"

enum { EXACT = 1024, TOP = 32, THREADS_TOLD = 1024 };

static const double parts[] = {0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};
enum { PARTS = sizeof parts / sizeof *parts };

// ## Lists: "name": [[...], ...], each piece on the same line

struct list {
  FILE *to;
  const char *separator;
};

static struct list begin_list(FILE *to, const char *name) {
  fprintf(to, "\"%s\": [", name);
  return (struct list){to, ""};
}

static void add_pair(struct list *list, uint64_t a, uint64_t b) {
  fprintf(list->to, "%s[%" PRIu64 ", %" PRIu64 "]", list->separator, a, b);
  list->separator = ", ";
}

static void add_range(struct list *list, uint64_t low, uint64_t high, uint64_t count) {
  if (count == 0) return;
  fprintf(list->to, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", list->separator, low, high, count);
  list->separator = ", ";
}

static void print_buckets(FILE *to, const char *name, const struct buckets *buckets) {
  struct list list = begin_list(to, name);
  for (unsigned i = 0; i < BUCKETS; i++)
    add_range(&list, bucket_low(i), bucket_high(i), buckets->counts[i]);
  fputc(']', to);
}

// By powers of two: for people and pictures.
static void print_log2(FILE *to, const struct buckets *buckets) {
  struct list list = begin_list(to, "log2");
  uint64_t counts[64] = {0};
  for (unsigned i = 0; i < BUCKETS; i++) {
    uint64_t low = bucket_low(i);
    counts[low ? 63 - __builtin_clzll(low) : 0] += buckets->counts[i];
  }
  for (unsigned i = 0; i < 64; i++)
    add_range(&list, i ? (uint64_t)1 << i : 0, ((uint64_t)1 << i) * 2 - 1, counts[i]);
  fputc(']', to);
}

static void print_quantiles(FILE *to, const struct buckets *buckets) {
  fprintf(to, "\"quantiles\": {");
  for (unsigned i = 0; i < PARTS; i++)
    fprintf(to, "%s\"%g\": %" PRIu64, i ? ", " : "", parts[i], buckets_quantile(buckets, parts[i]));
  fputc('}', to);
}

// ## Sizes

static int by_count(const void *a, const void *b) {
  const struct size_count *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return (x->size > y->size) - (x->size < y->size);
}

// The most frequent exactly, the others in buckets: enough to draw sizes from.
static void print_all_sizes(const struct trace_stats *stats, const struct size_count *ranked,
                            struct buckets *rest, FILE *to) {
  struct list list = begin_list(to, "all");
  size_t exact = stats->sizes_count < EXACT ? stats->sizes_count : EXACT;
  for (size_t i = 0; i < exact; i++)
    add_range(&list, ranked[i].size, ranked[i].size, ranked[i].count);
  for (size_t i = exact; i < stats->sizes_count; i++)
    rest->counts[bucket_of(ranked[i].size)] += ranked[i].count;
  for (unsigned i = 0; i < BUCKETS; i++)
    add_range(&list, bucket_low(i), bucket_high(i), rest->counts[i]);
  fputc(']', to);
}

static void print_sizes(const struct trace_stats *stats, FILE *to) {
  struct size_count *ranked = malloc((stats->sizes_count + 1) * sizeof *ranked);
  struct buckets *buckets = calloc(2, sizeof *buckets);
  if (!ranked || !buckets) abort();
  uint64_t total = 0;
  for (size_t i = 0; i < stats->sizes_count; i++) {
    ranked[i] = stats->sizes[i];
    buckets[0].counts[bucket_of(ranked[i].size)] += ranked[i].count;
    total += ranked[i].size * ranked[i].count;
  }
  qsort(ranked, stats->sizes_count, sizeof *ranked, by_count);
  fprintf(to,
          "\"sizes\": {\"count\": %" PRIu64 ", \"distinct\": %zu, \"bytes\": %" PRIu64
          ", \"quantiles\": {",
          stats->allocations, stats->sizes_count, total);
  for (unsigned i = 0; i < PARTS; i++)
    fprintf(to, "%s\"%g\": %" PRIu64, i ? ", " : "", parts[i],
            trace_size_quantile(stats, parts[i]));
  fprintf(to, "}, ");
  print_log2(to, &buckets[0]);
  fprintf(to, ", ");
  struct list list = begin_list(to, "top");
  for (size_t i = 0; i < stats->sizes_count && i < TOP; i++)
    add_pair(&list, ranked[i].size, ranked[i].count);
  fprintf(to, "], ");
  print_all_sizes(stats, ranked, &buckets[1], to);
  fputc('}', to);
  free(ranked);
  free(buckets);
}

// ## Lifetimes

static void print_lifetimes(const struct trace_stats *stats, FILE *to) {
  fprintf(to, "\"lifetimes\": {\"count\": %" PRIu64 ", \"operations\": {",
          stats->lived_operations.total);
  print_quantiles(to, &stats->lived_operations);
  fprintf(to, ", ");
  print_log2(to, &stats->lived_operations);
  fprintf(to, "}, \"bytes\": {");
  print_quantiles(to, &stats->lived_bytes);
  fprintf(to, ", ");
  print_log2(to, &stats->lived_bytes);
  fprintf(to, "}, \"by_size\": [");
  const char *separator = "";
  for (unsigned i = 0; i < STATS_CLASSES; i++) {
    const struct size_class *class = &stats->classes[i];
    if (class->leaked + class->lived.total == 0) continue;
    fprintf(to,
            "%s{\"low\": %" PRIu64 ", \"high\": %" PRIu64 ", \"released\": %" PRIu64
            ", \"leaked\": %" PRIu64 ", ",
            separator, (uint64_t)1 << i, ((uint64_t)2 << i) - 1, class->lived.total, class->leaked);
    print_buckets(to, "operations", &class->lived);
    fputc('}', to);
    separator = ", ";
  }
  fprintf(to, "]}");
}

// ## Threads

static void print_threads(const struct trace_stats *stats, FILE *to) {
  struct size_count *all = malloc((size_t)(stats->threads_count + 1) * sizeof *all);
  if (!all) abort();
  size_t count = 0;
  for (size_t i = 0; i < STATS_THREADS; i++)
    if (stats->threads[i]) all[count++] = (struct size_count){i, stats->threads[i]};
  qsort(all, count, sizeof *all, by_count);
  fprintf(to,
          "\"threads\": {\"count\": %" PRIu64 ", \"cross_thread_releases\": %" PRIu64
          ", \"cross_thread_resizes\": %" PRIu64 ", ",
          stats->threads_count, stats->cross_releases, stats->cross_resizes);
  struct list list = begin_list(to, "operations");
  for (size_t i = 0; i < count && i < THREADS_TOLD; i++) add_pair(&list, all[i].size, all[i].count);
  fprintf(to, "]}");
  free(all);
}

// ## All

static void print_kinds(const struct trace_stats *stats, FILE *to) {
  const char *separator = "";
  fprintf(to, "\"kinds\": {");
  for (unsigned i = 0; i < OP_KINDS; i++)
    if (stats->kinds[i]) {
      fprintf(to, "%s\"%s\": %" PRIu64, separator, operation_name((enum operation_kind)i),
              stats->kinds[i]);
      separator = ", ";
    }
  fputc('}', to);
}

static void print_requests(const struct trace_stats *stats, FILE *to) {
  struct list list = begin_list(to, "alignments");
  for (unsigned code = 0; code < 256; code++)
    if (stats->alignments[code])
      add_pair(&list, align_decode((uint8_t)code), stats->alignments[code]);
  fprintf(to, "], ");
  list = begin_list(to, "zeroed_pieces");
  for (unsigned i = 0; i < STATS_COUNTS; i++)
    if (stats->counts[i]) add_pair(&list, i, stats->counts[i]);
  fprintf(to,
          "], \"resizes\": {\"count\": %" PRIu64 ", \"growing\": %" PRIu64
          ", \"shrinking\": %" PRIu64 ", ",
          stats->resized_to.total, stats->growing, stats->shrinking);
  print_buckets(to, "sizes", &stats->resized_to);
  fputc('}', to);
}

static void print_live(const struct trace_stats *stats, FILE *to) {
  fprintf(to,
          "\"peak\": {\"bytes\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"operation\": %" PRIu64
          "}, \"end\": {\"bytes\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"unnamed\": %" PRIu64
          "}, \"live\": [",
          stats->peak_bytes, stats->peak_blocks, stats->peak_operation, stats->end_bytes,
          stats->end_blocks, stats->unnamed_blocks);
  for (size_t i = 0; i < stats->samples; i++) {
    uint64_t end = (i + 1) * stats->sample_length;
    fprintf(to, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", i ? ", " : "",
            end < stats->operations ? end : stats->operations, stats->live[i].bytes,
            stats->live[i].blocks);
  }
  fputc(']', to);
}

void trace_stats_print(const struct trace_stats *stats, FILE *to) {
  fprintf(to, "\"schema\": 1, \"operations\": %" PRIu64 ", ", stats->operations);
  print_kinds(stats, to);
  fprintf(to,
          ", \"ignored\": %" PRIu64 ", \"beyond_any_heap\": %" PRIu64 ", \"not_followed\": %" PRIu64
          ", \"requested_bytes\": %" PRIu64 ", ",
          stats->ignored, stats->beyond, stats->not_followed, stats->requested_bytes);
  print_live(stats, to);
  fprintf(to, ", ");
  print_sizes(stats, to);
  fprintf(to, ", ");
  print_requests(stats, to);
  fprintf(to, ", ");
  print_lifetimes(stats, to);
  fprintf(to, ", ");
  print_threads(stats, to);
}
