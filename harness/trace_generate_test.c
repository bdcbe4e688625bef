// What is generated has the distributions of its profile, and a profile that is none is refused.
#include "harness/trace_generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"

static struct program made, again;
static struct trace_header header;
static struct profile profile;
static struct file_error error;

static void parse(const char *text) {
  profile_clear(&profile);
  if (profile_parse(&profile, text, strlen(text), "x", &error)) return;
  fprintf(stderr, "%s\n", error.text);
  CHECK(false);
}

static void refuse(const char *text, const char *words) {
  struct profile none;
  CHECK(!profile_parse(&none, text, strlen(text), "x", &error));
  if (!strstr(error.text, words)) fprintf(stderr, "%s\n", error.text);
  CHECK(strstr(error.text, words) && strncmp(error.text, "x: ", 3) == 0);
}

static void generate(struct program *program, uint64_t operations, uint64_t seed) {
  CHECK(trace_generate(program, &header, &profile, operations, seed, "x", &error));
  CHECK(program_length(program) == operations && header.records == program->count);
}

static void near(double value, double wanted, double within) {
  if (fabs(value - wanted) > within) fprintf(stderr, "%g is not near %g\n", value, wanted);
  CHECK(fabs(value - wanted) <= within);
}

static bool same(const struct program *a, const struct program *b) {
  return a->count == b->count && memcmp(a->records, b->records, a->count * sizeof *a->records) == 0;
}

// ## Every operation has a meaning

static void check_consistent(const struct program *program) {
  struct heap heap = program_heap(program);
  bool *live = calloc(heap.slots, sizeof *live);
  CHECK(live);
  for (size_t i = 0; i < program_length(program); i++) {
    struct operation operation = record_operation(program_at(program, i));
    CHECK(operation.slot < heap.slots);
    bool begins = operation.kind == OP_ALLOCATE || operation.kind == OP_ALLOCATE_ZEROED;
    CHECK(live[operation.slot] == !begins);
    live[operation.slot] = operation.kind != OP_RELEASE;
  }
  free(live);
}

static void test_by_hand(void) {
  struct trace_stats stats;
  parse("{\"sizes\": [[16, 64, 9], [4096, 4096, 1]], \"lifetimes\": [[1, 100, 5], [5000, 9000, 1]],"
        " \"leaked\": 0.01, \"resized\": 0.05, \"zeroed\": 0.1, \"threads\": 4,"
        " \"cross_thread\": 0.2, \"alignments\": [[16, 9], [64, 1]], \"operations\": 777}");
  CHECK(profile.operations == 777);
  generate(&made, 200000, 3);
  CHECK(header.threads == 4);
  check_consistent(&made);
  CHECK(trace_stats(&stats, &made));
  double all = (double)stats.allocations;
  near((double)stats.kinds[OP_RESIZE] / 200000, 0.05, 0.002);
  near((double)stats.kinds[OP_ALLOCATE_ZEROED] / all, 0.1, 0.005);
  near((double)stats.alignments[6] / all, 0.1, 0.005);
  near((double)stats.cross_releases / (double)stats.lived_operations.total, 0.2, 0.005);
  CHECK(trace_size_quantile(&stats, 0) == 16 && trace_size_quantile(&stats, 1) == 4096);
  CHECK(stats.sizes_count == 50);
  near((double)stats.sizes[49].count / all, 0.1, 0.005);
  near((double)trace_size_quantile(&stats, 0.45), 40, 1);
  near((double)buckets_quantile(&stats.lived_operations, 0.6), 72, 3);
  near((double)buckets_quantile(&stats.lived_operations, 0.95), 7900, 400);
  trace_stats_clear(&stats);
}

static void test_seeds(void) {
  parse("{\"sizes\": [[1, 1000, 1]], \"lifetimes\": [[1, 1000, 1]]}");
  generate(&made, 5000, 7);
  generate(&again, 5000, 7);
  CHECK(same(&made, &again));
  generate(&again, 5000, 8);
  CHECK(!same(&made, &again));
  generate(&made, 1, 0);
  // As on any machine: the second number of splitmix64 from 1 on.
  generate(&made, 4, 1);
  struct operation first = record_operation(program_at(&made, 0));
  CHECK(first.kind == OP_ALLOCATE && first.size == 520 && first.align == 16);
}

// ## A trace like another

// Kolmogorov and Smirnov's distance: the most by which the shares up to any number differ.
static double distance(const struct buckets *a, const struct buckets *b) {
  double most = 0, x = 0, y = 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    x += (double)a->counts[i] / (double)a->total;
    y += (double)b->counts[i] / (double)b->total;
    if (fabs(x - y) > most) most = fabs(x - y);
  }
  return most;
}

static struct buckets *sizes_of(const struct trace_stats *stats) {
  struct buckets *buckets = calloc(1, sizeof *buckets);
  CHECK(buckets);
  for (size_t i = 0; i < stats->sizes_count; i++) {
    buckets->counts[bucket_of(stats->sizes[i].size)] += stats->sizes[i].count;
    buckets->total += stats->sizes[i].count;
  }
  return buckets;
}

// The share of an operation's kind.
static double share(const struct trace_stats *stats, enum operation_kind kind) {
  return (double)stats->kinds[kind] / (double)stats->operations;
}

// One that a profile by hand cannot say: small blocks that live for a moment, middle ones that live
// long, large ones that stay; threads of which one does most.
static void make_model(uint64_t seed) {
  struct ranges *lifetimes = profile.lifetimes;
  parse("{\"sizes\": [[8, 8, 30], [24, 24, 20], [40, 63, 10], [700, 900, 20], [5000, 70000, 3]],"
        " \"lifetimes\": [[2, 9, 5], [100, 900, 1]], \"leaked\": 0.002, \"resized\": 0.08,"
        " \"zeroed\": 0.3, \"threads\": 6, \"cross_thread\": 0.15,"
        " \"alignments\": [[16, 30], [32, 2], [4096, 1]]}");
  for (unsigned class = 9; class < 12; class ++)
    lifetimes[class].all[0] = (struct range){4000, 9000, 1};
  for (unsigned class = 12; class < STATS_CLASSES; class ++) profile.leaked[class] = 0.5;
  profile.threads.all[0] = (struct range){0, 0, 1};
  generate(&made, 150000, seed);
}

static void test_like_another(void) {
  for (uint64_t seed = 1; seed <= 3; seed++) {
    struct trace_stats model, like;
    parse("{\"sizes\": [[1, 1, 1]], \"lifetimes\": [[1, 1, 1]]}");
    make_model(seed);
    profile_clear(&profile);
    CHECK(profile_program(&profile, &made, "x", &error) && profile.operations == 150000);
    generate(&again, 150000, seed + 100);
    check_consistent(&again);
    CHECK(!same(&made, &again));
    CHECK(trace_stats(&model, &made) && trace_stats(&like, &again));
    struct buckets *a = sizes_of(&model), *b = sizes_of(&like);
    CHECK(distance(a, b) < 0.01);
    free(a);
    free(b);
    CHECK(distance(&model.lived_operations, &like.lived_operations) < 0.02);
    CHECK(distance(&model.lived_bytes, &like.lived_bytes) < 0.05);
    for (unsigned class = 0; class < STATS_CLASSES; class ++)
      if (model.classes[class].lived.total > 2000)
        CHECK(distance(&model.classes[class].lived, &like.classes[class].lived) < 0.03);
    CHECK(distance(&model.resized_to, &like.resized_to) < 0.02);
    for (unsigned kind = 0; kind < OP_KINDS; kind++)
      near(share(&like, (enum operation_kind)kind), share(&model, (enum operation_kind)kind), 0.01);
    for (unsigned code = 0; code < 16; code++)
      near((double)like.alignments[code] / (double)like.allocations,
           (double)model.alignments[code] / (double)model.allocations, 0.01);
    near((double)like.cross_releases / (double)like.lived_operations.total,
         (double)model.cross_releases / (double)model.lived_operations.total, 0.01);
    near((double)like.threads[0] / 150000, (double)model.threads[0] / 150000, 0.02);
    near((double)like.growing / (double)like.resized_to.total,
         (double)model.growing / (double)model.resized_to.total, 0.1);
    near((double)like.peak_bytes / (double)model.peak_bytes, 1, 0.5);
    trace_stats_clear(&model);
    trace_stats_clear(&like);
  }
}

static void test_refused(void) {
  refuse("{", "line 1: a member without a name");
  refuse("{}", "no sizes in it");
  refuse("[1]", "no sizes in it");
  refuse("{\"sizes\": [[1, 2, 3]]}", "lifetimes: the list is missing");
  refuse("{\"sizes\": [], \"lifetimes\": [[1, 2, 3]]}", "sizes: nothing to draw from");
  refuse("{\"sizes\": [[1, 2, 3]], \"lifetimes\": []}", "lifetimes: nothing to draw from");
  refuse("{\"sizes\": [[1, 2, 0]], \"lifetimes\": [[1, 2, 3]]}", "sizes: nothing to draw from");
  refuse("{\"sizes\": [[1, 2]], \"lifetimes\": [[1, 2, 3]]}", "sizes: not a list of lists of 3");
  refuse("{\"sizes\": [[2, 1, 1]], \"lifetimes\": [[1, 2, 3]]}", "sizes: from 2 to 1");
  refuse("{\"sizes\": [[0, 1, 1]], \"lifetimes\": [[1, 2, 3]]}", "sizes: from 0 to 1");
  refuse("{\"sizes\": [[1.5, 2, 1]], \"lifetimes\": [[1, 2, 3]]}", "sizes: not a whole number");
  refuse("{\"sizes\": [[1, 2, -1]], \"lifetimes\": [[1, 2, 3]]}", "sizes: not a whole number");
  refuse("{\"sizes\": [[1, 2, 18446744073709551615], [1, 2, 1]], \"lifetimes\": [[1, 2, 3]]}",
         "sizes: too much of it");
  refuse("{\"sizes\": [[1, 2, 1]], \"lifetimes\": [[1, 2, 3]], \"leaked\": 2}", "leaked: not a");
  refuse("{\"sizes\": [[1, 2, 1]], \"lifetimes\": [[1, 2, 3]], \"alignments\": [[3, 1]]}",
         "alignments: 3 is no power of two");
  refuse("{\"sizes\": {\"all\": [[1, 2, 1]]}}", "lifetimes: no list by_size");
  refuse("{\"sizes\": [[1, 2, 1]],\n \"a\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
         "line 2: nested");
  refuse("{\"a\": \"b\n", "a control character");
  refuse("{\"a\": \"b\\", "a string without an end");
  refuse("{\"a\": 1-2}", "a number that is none");
  refuse("{\"a\": tru}", "neither a value");
  refuse("{\"a\": [1 2]}", "neither ','");
  refuse("{} {}", "more behind");
  refuse("", "neither a value");
}

int main(void) {
  test_by_hand();
  test_seeds();
  test_like_another();
  test_refused();
  profile_clear(&profile);
  program_clear(&made);
  program_clear(&again);
  return 0;
}
