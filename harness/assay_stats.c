// assay stats: what traces ask for.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/assay_cli.h"
#include "harness/trace_stats.h"

static const char help[] =
    "usage: assay stats [--json] FILE...\n\n"
    "Tells what each trace asks for: operations, sizes, how long blocks live, how much lives at\n"
    "once, what is left at the end, and which threads release what others allocated. The trace is\n"
    "read, not run, and so needs no strategy. It may be in any form that `assay import` knows.\n\n"
    "  --json    one JSON object a line, with all distributions. `ci/trace_picture` draws them, "
    "and\n"
    "            `assay generate --profile` makes traces of them\n\n"
    "Sizes are as requested. Lifetimes are in operations, from a block's allocation to its "
    "release,\n"
    "and in the bytes allocated meanwhile; they are told to 3 %, sizes exactly.\n";

static enum cli_taken take(void *context, int option, const char *value) {
  (void)context, (void)value;
  if (option != 's' && option != 't') return CLI_NOT_MINE;
  cli_usage("stats");
  return CLI_REFUSED;
}

static double percent(uint64_t part, uint64_t whole) {
  return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_quantiles(const char *title, const uint64_t quantiles[5], const char *unit) {
  printf("  %-11smedian %" PRIu64 ", 90 %% up to %" PRIu64 ", 99 %% up to %" PRIu64
         "; from %" PRIu64 " to %" PRIu64 "%s\n",
         title, quantiles[1], quantiles[2], quantiles[3], quantiles[0], quantiles[4], unit);
}

static const double told[5] = {0, 0.5, 0.9, 0.99, 1};

static void print_lived(const char *title, const struct buckets *buckets, const char *unit) {
  uint64_t quantiles[5];
  if (buckets->total == 0) return;
  for (unsigned i = 0; i < 5; i++) quantiles[i] = buckets_quantile(buckets, told[i]);
  print_quantiles(title, quantiles, unit);
}

static void print_sizes(const struct trace_stats *stats) {
  uint64_t quantiles[5], powers[64] = {0}, most = 0;
  if (stats->allocations == 0) return;
  for (unsigned i = 0; i < 5; i++) quantiles[i] = trace_size_quantile(stats, told[i]);
  print_quantiles("sizes", quantiles, " bytes");
  for (size_t i = 0; i < stats->sizes_count; i++)
    powers[63 - __builtin_clzll(stats->sizes[i].size)] += stats->sizes[i].count;
  for (unsigned i = 0; i < 64; i++) most = powers[i] > most ? powers[i] : most;
  for (unsigned i = 0; i < 64; i++) {
    enum { WIDTH = 40 };
    static const char bar[WIDTH + 1] = "########################################";
    if (powers[i] == 0) continue;
    printf("  %12" PRIu64 "..%-12" PRIu64 "%11" PRIu64 " %5.1f %% %.*s\n", (uint64_t)1 << i,
           (uint64_t)2 * ((uint64_t)1 << i) - 1, powers[i], percent(powers[i], stats->allocations),
           (int)(powers[i] * WIDTH / most), bar);
  }
}

static void print_words(const char *path, const struct trace_stats *stats) {
  const char *separator = "";
  printf("%s: %" PRIu64 " operations (", path, stats->operations);
  for (unsigned i = 0; i < OP_KINDS; i++)
    if (stats->kinds[i]) {
      printf("%s%" PRIu64 " %s", separator, stats->kinds[i],
             operation_name((enum operation_kind)i));
      separator = ", ";
    }
  printf(")\n  peak       %" PRIu64 " bytes at operation %" PRIu64 "; %" PRIu64 " blocks at most\n",
         stats->peak_bytes, stats->peak_operation, stats->peak_blocks);
  printf("  at the end %" PRIu64 " bytes in %" PRIu64 " blocks\n", stats->end_bytes,
         stats->end_blocks);
  printf("  requested  %" PRIu64 " bytes in %" PRIu64 " allocations of %zu different sizes\n",
         stats->requested_bytes, stats->allocations, stats->sizes_count);
  print_sizes(stats);
  print_lived("lifetimes", &stats->lived_operations, " operations");
  print_lived("", &stats->lived_bytes, " bytes allocated meanwhile");
  if (stats->resized_to.total)
    printf("  resizes    %.1f %% to more, %.1f %% to less\n",
           percent(stats->growing, stats->resized_to.total),
           percent(stats->shrinking, stats->resized_to.total));
  if (stats->threads_count > 1)
    printf("  threads    %" PRIu64 "; %" PRIu64 " releases (%.1f %%) and %" PRIu64
           " resizes of what another allocated\n",
           stats->threads_count, stats->cross_releases,
           percent(stats->cross_releases, stats->lived_operations.total), stats->cross_resizes);
  if (stats->beyond)
    printf("  %" PRIu64 " requests are beyond any heap, and in none of the above\n", stats->beyond);
  if (stats->ignored) printf("  %" PRIu64 " releases name nothing that lives\n", stats->ignored);
  if (stats->not_followed)
    printf("  %" PRIu64 " operations may end lives otherwise, and are not followed\n",
           stats->not_followed);
}

static int print_stats(const struct cli_job *job, const char *path, struct program *program,
                       void *context) {
  (void)context;
  struct trace_stats stats;
  bool done = trace_stats(&stats, program);
  if (!done) {
    cli_error("%s: no memory for its statistics", path);
  } else if (job->json) {
    printf("{\"file\": ");
    cli_print_json_text(path);
    printf(", ");
    trace_stats_print(&stats, stdout);
    printf("}\n");
  } else {
    print_words(path, &stats);
  }
  trace_stats_clear(&stats);
  return done ? CLI_CLEAN : CLI_CANNOT_RUN;
}

int command_stats(int argc, char **argv) {
  static const struct option options[] = {{NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"stats", help, "trace", true, options, take};
  struct cli_job job = {.no_strategy = true};
  int result;
  if (!cli_parse(&syntax, &job, NULL, argc, argv, &result)) return result;
  return cli_each_trace(&job, print_stats, NULL);
}
