// assay list
#include <getopt.h>
#include <stdio.h>

#include "harness/assay_cli.h"

static const char help[] =
    "usage: assay list [--planted | --properties | --names]\n\n"
    "Lists the strategies with what they promise.\n\n"
    "  --planted     the planted bugs instead, with the properties that may report them\n"
    "  --properties  the properties that the oracle checks\n"
    "  --names       only the names of the strategies, one a line\n";

static const struct {
  unsigned trait;
  const char *name;
} traits[] = {
    {STRATEGY_RELEASES, "releases"},
    {STRATEGY_RESIZES, "resizes"},
    {STRATEGY_RESETS, "resets"},
    {STRATEGY_ZEROES, "zeroes"},
    {STRATEGY_SIZES, "sizes"},
    {STRATEGY_COALESCES, "coalesces"},
    {STRATEGY_RETURNS_MEMORY, "returns-memory"},
    {STRATEGY_DETECTS_DOUBLE_RELEASE, "detects-double-release"},
    {STRATEGY_DETECTS_FOREIGN_RELEASE, "detects-foreign-release"},
    {STRATEGY_ALLOCATES_CONCURRENTLY, "allocates-concurrently"},
    {STRATEGY_WALKS_BLOCKS, "walks-blocks"},
    {STRATEGY_CONCURRENT, "concurrent"},
    {STRATEGY_MARKS, "marks"},
    {STRATEGY_COLLECTS, "collects"},
    {STRATEGY_PERSISTS, "persists"},
    {STRATEGY_DETECTS_OVERRUN, "detects-overrun"},
    {STRATEGY_FOREIGN, "foreign"},
};

static void print_strategy(const struct strategy *strategy) {
  printf("%-12s %s\n", strategy->name, strategy->summary);
  printf("             traits:");
  for (size_t i = 0; i < sizeof traits / sizeof *traits; i++)
    if (strategy->traits & traits[i].trait) printf(" %s", traits[i].name);
  printf("\n             alignment: %zu to %zu\n", strategy->min_align, strategy->max_align);
  if (!strategy->variants) return;
  printf("             variants:");
  for (const char *const *variant = strategy->variants; *variant; variant++)
    printf(" %s", *variant);
  printf("\n");
}

int command_list(int argc, char **argv) {
  static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                          {"planted", no_argument, NULL, 'p'},
                                          {"properties", no_argument, NULL, 'r'},
                                          {"names", no_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
  int what = 's';
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1; what = c) {
    if (c == 'h') {
      fputs(help, stdout);
      return CLI_CLEAN;
    }
    if (c == '?') return cli_usage("list");
  }
  if (optind < argc) return cli_error("list takes no argument '%s'", argv[optind]);
  if (what == 'r') {
    for (int i = PROPERTY_NONE + 1; i < PROPERTY_COUNT; i++)
      printf("%-24s %s\n", property_id((enum property)i), property_text((enum property)i));
    return CLI_CLEAN;
  }
  for (const struct registry_entry *entry = registry; entry->name; entry++) {
    if (what == 'p' && entry->bug)
      printf("%-40s %s%s%s [%s]\n", entry->name, entry->id ? entry->id : "", entry->id ? ": " : "",
             entry->bug, entry->expect);
    else if (what == 'n' && !entry->bug)
      puts(entry->name);
    else if (what == 's' && !entry->bug)
      print_strategy(entry->strategy);
  }
  return CLI_CLEAN;
}
