// assay list
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "harness/applies.h"
#include "harness/assay_cli.h"
#include "harness/collection.h"
#include "harness/json.h"

static const char help[] =
    "usage: assay list [--planted | --properties | --names | --json]\n\n"
    "Lists the strategies with what they promise, and the collections with their verbs.\n\n"
    "  --planted     the planted bugs instead, with the properties that may report them\n"
    "  --properties  the properties that the oracle checks\n"
    "  --names       only the names of the strategies, one a line\n"
    "  --json        all of it, for programs, with the properties that apply to each strategy\n";

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
    {STRATEGY_KEEPS_STATE, "keeps-state"},
    {STRATEGY_C_EDGES, "c-edges"},
    {STRATEGY_PLACED, "placed"},
    {STRATEGY_REFUSALS_LEAVE_TRACES, "refusals-leave-traces"},
    {STRATEGY_COLLECTION, "collection"},
};

static void print_strategy(const struct strategy *strategy) {
  printf("%-12s %s\n", strategy->name, strategy->summary);
  printf("             traits:");
  for (size_t i = 0; i < sizeof traits / sizeof *traits; i++)
    if (strategy->traits & traits[i].trait) printf(" %s", traits[i].name);
  if (strategy->traits & STRATEGY_COLLECTION) {
    printf("\n             verbs:");
    for (size_t i = 0; i < strategy->driver->verb_count; i++)
      printf(" %s", strategy->driver->verbs[i].name);
    printf("\n");
    return;
  }
  printf("\n             alignment: %zu to %zu\n", strategy->min_align, strategy->max_align);
  if (!strategy->variants) return;
  printf("             variants:");
  for (const char *const *variant = strategy->variants; *variant; variant++)
    printf(" %s", *variant);
  printf("\n");
}

static void print_text(const char *name, const char *text) {
  printf("\"%s\": ", name);
  json_print_text(text);
}

// A list of texts that NULL ends; NULL: an empty one.
static void print_texts(const char *name, const char *const *texts) {
  printf(", \"%s\": [", name);
  for (size_t i = 0; texts && texts[i]; i++) {
    if (i > 0) printf(", ");
    json_print_text(texts[i]);
  }
  printf("]");
}

// The first source of a recipe, which is the strategy's own.
static void print_source(const char *recipe) {
  char source[256] = "";
  for (const char *word = recipe; *word; word += strspn(word, " ")) {
    size_t length = strcspn(word, " ");
    if (length > 2 && length < sizeof source && strncmp(word + length - 2, ".c", 2) == 0) {
      memcpy(source, word, length);
      source[length] = 0;
      break;
    }
    word += length;
  }
  print_text("source", source);
}

static void print_strategy_json(const struct registry_entry *entry) {
  const struct strategy *strategy = entry->strategy;
  const char *separator = "";
  printf("{");
  print_text("name", strategy->name);
  printf(", ");
  print_text("summary", strategy->summary);
  printf(", ");
  print_source(entry->recipe);
  printf(", \"min_align\": %zu, \"max_align\": %zu, \"traits\": [", strategy->min_align,
         strategy->max_align);
  for (size_t i = 0; i < sizeof traits / sizeof *traits; i++) {
    if (!(strategy->traits & traits[i].trait)) continue;
    printf("%s\"%s\"", separator, traits[i].name);
    separator = ", ";
  }
  printf("]");
  print_texts("variants", strategy->variants);
  print_texts("invariants", strategy->invariants);
  printf(", \"properties\": [");
  separator = "";
  for (int i = PROPERTY_NONE + 1; i < PROPERTY_COUNT; i++) {
    if (!property_applies((enum property)i, strategy)) continue;
    printf("%s\"%s\"", separator, property_id((enum property)i));
    separator = ", ";
  }
  printf("]}");
}

static void print_planted_json(const struct registry_entry *entry) {
  printf("{");
  print_text("name", entry->name);
  printf(", ");
  print_text("id", entry->id ? entry->id : "");
  printf(", ");
  print_text("bug", entry->bug);
  printf(", ");
  print_text("expect", entry->expect);
  printf("}");
}

static void print_json(void) {
  printf("{\"schema\": 1, \"properties\": [");
  for (int i = PROPERTY_NONE + 1; i < PROPERTY_COUNT; i++) {
    printf("%s{", i > PROPERTY_NONE + 1 ? ",\n " : "\n ");
    print_text("id", property_id((enum property)i));
    printf(", ");
    print_text("text", property_text((enum property)i));
    printf("}");
  }
  for (int planted = 0; planted < 2; planted++) {
    const char *separator = "\n ";
    printf("],\n\"%s\": [", planted ? "planted" : "strategies");
    for (const struct registry_entry *entry = registry; entry->name; entry++) {
      if (!entry->bug != !planted) continue;
      fputs(separator, stdout);
      separator = ",\n ";
      if (planted)
        print_planted_json(entry);
      else
        print_strategy_json(entry);
    }
  }
  printf("]}\n");
}

int command_list(int argc, char **argv) {
  static const struct option options[] = {
      {"help", no_argument, NULL, 'h'},       {"planted", no_argument, NULL, 'p'},
      {"properties", no_argument, NULL, 'r'}, {"names", no_argument, NULL, 'n'},
      {"json", no_argument, NULL, 'j'},       {NULL, 0, NULL, 0}};
  int what = 's';
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1; what = c) {
    if (c == 'h') {
      fputs(help, stdout);
      return CLI_CLEAN;
    }
    if (c == '?') return cli_usage("list");
  }
  if (optind < argc) return cli_error("list takes no argument '%s'", argv[optind]);
  if (what == 'j') {
    print_json();
    return CLI_CLEAN;
  }
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
