// assay enumerate
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/assay_cli.h"
#include "harness/enumerate.h"
#include "harness/program_file.h"

static const char help[] =
    "usage: assay enumerate --strategy NAME [OPTION...]\n\n"
    "Runs every program of up to N operations over a few sizes and alignments on a small heap\n"
    "under the oracle, shortest first, and states what that covered. A violation is written as a\n"
    "program, and ends the search: it is the smallest. Each length has a line with how many\n"
    "programs were run, and of how many the last operation was refused. Left out, and counted as\n"
    "operations that were not tried at the end of a program, are only those that others stand "
    "for:\n"
    "  renamed    new blocks in another slot than the first free one\n"
    "  skipped    what would be skipped, as its slot is empty or it has nothing to do\n"
    "  idle       a fault that strikes nothing, at the end or right before another one\n"
    "  violating  what begins with a program that violates a property\n\n"
    "  --strategy NAME    one of `assay list`, or a planted bug\n"
    "  --depth N          operations, 1 to 16 (default 5; each more takes about 10 times as long)\n"
    "  --sizes LIST       bytes, up to 8 (default 1,24,100)\n"
    "  --aligns LIST      bytes, up to 8 (default 8,64); resize asks for the first one only, and "
    "for\n"
    "                     blocks that there are\n"
    "  --operations LIST  of allocate, zeroed, release, resize, use, reset, release_again,\n"
    "                     release_foreign, mark, rollback, root, unroot, link, collect, overrun\n"
    "                     and reopen; those not offered are left out; or `all`\n"
    "                     (default allocate,release,resize)\n"
    "  --faults           refusals of the next acquisition from the source among the operations\n"
    "  --slots K          blocks at a time, 1 to 8 (default 3; 8 where none can be released)\n"
    "  --capacity BYTES   of the heap (default: the least that gives two of the largest "
    "blocks)\n"
    "  --page BYTES       of heaps of pages (default 256)\n"
    "  --variant N        of the strategy (default 0)\n"
    "  --tier TIER        fast, full or paranoid (default), which walks around every operation\n"
    "  --budget SECONDS   of CPU time, after which the search ends as it stands\n"
    "  --findings N       go on until N violations with different signatures are found (default "
    "1)\n"
    "  --output FOLDER    for programs that violate a property (default: this one)\n"
    "  --json             the summary as a JSON object\n";

struct request {
  struct enumeration enumeration;
  uint64_t depth, slots, capacity, page, variant, budget, findings;
  const char *output;
};

// ## The command line

static bool take_values(const char *option, const char *text, uint64_t *values, unsigned *count) {
  for (*count = 0; *text;) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    bool whole = *text >= '0' && *text <= '9' && errno == 0 && (*end == 0 || *end == ',');
    if (!whole || *count == ENUMERATE_VALUES) break;
    values[(*count)++] = value;
    if (*end == 0) return true;
    text = end + 1;
  }
  cli_error("%s takes up to %d numbers with commas between them", option, ENUMERATE_VALUES);
  return false;
}

static bool take_operation(struct alphabet *alphabet, const char *name) {
  bool all = strcmp(name, "all") == 0;
  for (int kind = 0; kind < OP_KINDS; kind++) {
    bool possible = kind != OP_CRASH && kind != OP_FAULT;
    bool wanted = all || strcmp(name, operation_name((enum operation_kind)kind)) == 0;
    if (possible && wanted) alphabet->kinds[kind] = true;
    if (possible && wanted && !all) return true;
  }
  if (!all) cli_error("--operations: there is no '%s' to enumerate; see --help", name);
  return all;
}

static bool take_operations(struct alphabet *alphabet, const char *text) {
  bool faults = alphabet->kinds[OP_FAULT];
  memset(alphabet->kinds, 0, sizeof alphabet->kinds);
  alphabet->kinds[OP_FAULT] = faults;
  char *list = strdup(text), *rest = list;
  if (!list) abort();
  bool good = true;
  for (char *name; good && (name = strsep(&rest, ","));) good = take_operation(alphabet, name);
  free(list);
  return good;
}

static enum cli_taken take(void *context, int option, const char *value) {
  struct request *request = context;
  struct alphabet *alphabet = &request->enumeration.alphabet;
  bool good = true;
  switch (option) {
  case 'd':
    good = cli_number("--depth", value, 1, ENUMERATE_DEPTH, &request->depth);
    break;
  case 'z':
    good = take_values("--sizes", value, alphabet->sizes, &alphabet->sizes_count);
    break;
  case 'a':
    good = take_values("--aligns", value, alphabet->aligns, &alphabet->aligns_count);
    break;
  case 'p':
    good = take_operations(alphabet, value);
    break;
  case 'f':
    alphabet->kinds[OP_FAULT] = true;
    break;
  case 'k':
    good = cli_number("--slots", value, 1, ENUMERATE_SLOTS, &request->slots);
    break;
  case 'c':
    good = cli_number("--capacity", value, 1, 1 << 20, &request->capacity);
    break;
  case 'g':
    good = cli_number("--page", value, 64, 65536, &request->page);
    break;
  case 'v':
    good = cli_number("--variant", value, 0, 255, &request->variant);
    break;
  case 'b':
    good = cli_number("--budget", value, 1, 1000000, &request->budget);
    break;
  case 'n':
    good = cli_number("--findings", value, 1, ENUMERATE_FINDINGS, &request->findings);
    break;
  case 'o':
    request->output = value;
    break;
  default:
    return CLI_NOT_MINE;
  }
  return good ? CLI_TAKEN : CLI_REFUSED;
}

// ## What was found, and what was covered

static bool save_finding(const struct request *request, const struct registry_entry *entry,
                         const struct enumeration_finding *finding, char *path, size_t size) {
  char id[VERDICT_ID_SIZE];
  snprintf(id, sizeof id, "%s", finding->verdict.id);
  for (char *c = id; *c; c++)
    if (*c == ':') *c = '-';
  snprintf(path, size, "%s/%s-%s-%08" PRIx32 ".txt", request->output, entry->name, id,
           verdict_signature(&finding->verdict, entry->name));
  struct program program = {.records = (struct record *)(uintptr_t)finding->records,
                            .count = finding->length + 1};
  struct file_error error;
  if (program_save(&program, FORM_TEXT, NULL, path, &error)) return true;
  cli_error("%s", error.text);
  return false;
}

static uint64_t programs_of(const struct enumeration *enumeration) {
  uint64_t sum = 0;
  for (unsigned i = 1; i <= enumeration->depth; i++) sum += enumeration->depths[i].programs;
  return sum;
}

static void print_values(const uint64_t *values, unsigned count, const char *separator) {
  for (unsigned i = 0; i < count; i++) printf("%s%" PRIu64, i ? separator : "", values[i]);
}

static void print_kinds(const struct enumeration *enumeration, bool offered, const char *quote) {
  const char *separator = "";
  for (int i = 0; i < OP_KINDS; i++) {
    enum operation_kind kind = (enum operation_kind)i;
    if (!enumeration->alphabet.kinds[kind] ||
        operation_offered(kind, enumeration->strategy) != offered)
      continue;
    printf("%s%s%s%s", separator, quote, operation_name(kind), quote);
    separator = ", ";
  }
}

static bool lacks_some(const struct enumeration *enumeration) {
  for (int kind = 0; kind < OP_KINDS; kind++)
    if (enumeration->alphabet.kinds[kind] &&
        !operation_offered((enum operation_kind)kind, enumeration->strategy))
      return true;
  return false;
}

static void print_text(const struct request *request, const struct registry_entry *entry,
                       const struct heap *heap) {
  const struct enumeration *enumeration = &request->enumeration;
  const struct alphabet *alphabet = &enumeration->alphabet;
  printf("%s, heap source=%s capacity=%" PRIu64, entry->name,
         heap->source == HEAP_FIXED ? "fixed" : "pages", heap->capacity);
  if (heap->source == HEAP_PAGES) printf(" page=%zu", heap->page_size);
  printf(" variant=%u\noperations: ", heap->variant);
  print_kinds(enumeration, true, "");
  if (lacks_some(enumeration)) {
    printf(" (not offered: ");
    print_kinds(enumeration, false, "");
    printf(")");
  }
  printf("\nsizes: ");
  print_values(alphabet->sizes, alphabet->sizes_count, ", ");
  printf("; alignments: ");
  print_values(alphabet->aligns, alphabet->aligns_count, ", ");
  printf("; resize to alignment %" PRIu64 " only; at most %u blocks at a time\n\n",
         alphabet->aligns[0], alphabet->slots);
  printf("operations      programs       refused       renamed       skipped       idle  "
         "violating\n");
  for (unsigned i = 1; i <= enumeration->depth; i++) {
    const struct depth_counts *depth = &enumeration->depths[i];
    printf("%10u %13" PRIu64 " %13" PRIu64 " %13" PRIu64 " %13" PRIu64 " %10" PRIu64 " %10" PRIu64
           "%s\n",
           i, depth->programs, depth->refused, depth->pruned[PRUNED_RENAMED],
           depth->pruned[PRUNED_SKIPPED], depth->pruned[PRUNED_IDLE],
           depth->pruned[PRUNED_VIOLATING], i <= enumeration->complete ? "" : "  not all");
  }
  printf("\nproperties exercised:");
  for (int i = PROPERTY_NONE + 1; i < PROPERTY_COUNT; i++)
    if (enumeration->counts.exercised[i])
      printf(" %s %" PRIu64, property_id((enum property)i), enumeration->counts.exercised[i]);
  uint64_t programs = programs_of(enumeration);
  printf("\n%" PRIu64 " programs in %.1f s of CPU, %.2f us each\n", programs, enumeration->seconds,
         programs ? enumeration->seconds * 1e6 / (double)programs : 0);
  if (enumeration->complete < enumeration->depth)
    printf("%s: complete up to %u operations%s\n",
           enumeration->interrupted ? "interrupted" : "stopped", enumeration->complete,
           enumeration->findings_count ? ", but for what begins with a violation" : "");
  else
    printf("complete: every program of up to %u operations%s\n", enumeration->depth,
           enumeration->findings_count ? ", but for those that begin with a violation" : "");
}

static void print_json(const struct request *request, const struct registry_entry *entry,
                       const struct heap *heap) {
  const struct enumeration *enumeration = &request->enumeration;
  const struct alphabet *alphabet = &enumeration->alphabet;
  printf("{\"strategy\": ");
  cli_print_json_text(entry->name);
  printf(", \"verdict\": ");
  cli_print_json_text(enumeration->findings_count ? enumeration->findings[0].verdict.id : "clean");
  printf(", \"heap\": {\"source\": \"%s\", \"capacity\": %" PRIu64
         ", \"page\": %zu, \"variant\": %u}",
         heap->source == HEAP_FIXED ? "fixed" : "pages", heap->capacity, heap->page_size,
         heap->variant);
  printf(", \"operations\": [");
  print_kinds(enumeration, true, "\"");
  printf("], \"not_offered\": [");
  print_kinds(enumeration, false, "\"");
  printf("], \"sizes\": [");
  print_values(alphabet->sizes, alphabet->sizes_count, ", ");
  printf("], \"aligns\": [");
  print_values(alphabet->aligns, alphabet->aligns_count, ", ");
  printf("], \"slots\": %u, \"depth\": %u, \"complete\": %u, \"interrupted\": %s, \"lengths\": [",
         alphabet->slots, enumeration->depth, enumeration->complete,
         enumeration->interrupted ? "true" : "false");
  for (unsigned i = 1; i <= enumeration->depth; i++) {
    const struct depth_counts *depth = &enumeration->depths[i];
    printf("%s{\"operations\": %u, \"programs\": %" PRIu64 ", \"refused\": %" PRIu64
           ", \"renamed\": %" PRIu64 ", \"skipped\": %" PRIu64 ", \"idle\": %" PRIu64
           ", \"violating\": %" PRIu64 "}",
           i > 1 ? ", " : "", i, depth->programs, depth->refused, depth->pruned[PRUNED_RENAMED],
           depth->pruned[PRUNED_SKIPPED], depth->pruned[PRUNED_IDLE],
           depth->pruned[PRUNED_VIOLATING]);
  }
  printf("], \"exercised\": {");
  const char *separator = "";
  for (int i = PROPERTY_NONE + 1; i < PROPERTY_COUNT; i++) {
    if (!enumeration->counts.exercised[i]) continue;
    printf("%s\"%s\": %" PRIu64, separator, property_id((enum property)i),
           enumeration->counts.exercised[i]);
    separator = ", ";
  }
  printf("}, \"programs\": %" PRIu64 ", \"violations\": %" PRIu64 ", \"seconds\": %.3f}\n",
         programs_of(enumeration), enumeration->violations, enumeration->seconds);
}

static int report_findings(const struct request *request, const struct cli_job *job) {
  int result = CLI_CLEAN;
  for (unsigned i = 0; i < request->enumeration.findings_count; i++) {
    const struct enumeration_finding *finding = &request->enumeration.findings[i];
    char path[512];
    if (!save_finding(request, job->entry, finding, path, sizeof path)) return CLI_CANNOT_RUN;
    result = CLI_FINDING;
    if (job->json) {
      struct program program = {.records = (struct record *)(uintptr_t)finding->records,
                                .count = finding->length + 1};
      cli_print_json(path, job->entry, &program,
                     &(struct isolated_run){.verdict = finding->verdict});
    } else {
      printf("%s: %s: %s\n", path, finding->verdict.id, finding->verdict.diagnosis);
    }
  }
  return result;
}

static int run(struct request *request, const struct cli_job *job) {
  struct enumeration *enumeration = &request->enumeration;
  struct alphabet *alphabet = &enumeration->alphabet;
  const struct strategy *strategy = job->entry->strategy;
  if (strategy->traits & STRATEGY_KEEPS_STATE)
    return cli_error(
        "%s: keeps state, so that each program needs a process of its own; enumerate runs "
        "them all in one",
        job->entry->name);
  enumeration->strategy = strategy;
  enumeration->tier = job->tier;
  enumeration->depth = (unsigned)request->depth;
  enumeration->findings_max = (unsigned)request->findings;
  enumeration->budget = (double)request->budget;
  bool releases = operation_offered(OP_RELEASE, strategy) && alphabet->kinds[OP_RELEASE];
  alphabet->slots = (unsigned)(request->slots ? request->slots : releases ? 3 : ENUMERATE_SLOTS);
  alphabet->heap =
      (struct heap){.source = strategy->needs & SOURCE_RECLAIMS ? HEAP_PAGES : HEAP_FIXED,
                    .page_size = (size_t)request->page,
                    .capacity = request->capacity,
                    .variant = (unsigned)request->variant,
                    .slots = ENUMERATE_SLOTS,
                    .threads = 1};
  if (!request->capacity) alphabet->heap.capacity = enumerate_smallest_heap(strategy, alphabet);
  struct record record = heap_record(&alphabet->heap);
  struct heap heap = oracle_heap(strategy, &(struct program){.records = &record, .count = 1});
  if (heap.variant != request->variant)
    return cli_error("--variant: %s has no variant %" PRIu64 "; `assay list` shows them",
                     job->entry->name, request->variant);
  bool terminal = isatty(STDERR_FILENO);
  enumeration->progress = terminal ? dup(STDERR_FILENO) : -1;
  bool done = enumerate(enumeration);
  if (terminal) fputs("\r\033[K", stderr);
  if (!done && errno == ENOSPC)
    return cli_error("%s does not live on a heap of %" PRIu64 " bytes; say --capacity BYTES",
                     job->entry->name, heap.capacity);
  if (!done) return cli_error("could not be run: %s", strerror(errno));
  if (!programs_of(enumeration) && !enumeration->findings_count && !enumeration->interrupted)
    return cli_error("no program can be made of these operations on %s; say --operations LIST",
                     job->entry->name);
  (job->json ? print_json : print_text)(request, job->entry, &heap);
  return report_findings(request, job);
}

int command_enumerate(int argc, char **argv) {
  static const struct option options[] = {{"depth", required_argument, NULL, 'd'},
                                          {"sizes", required_argument, NULL, 'z'},
                                          {"aligns", required_argument, NULL, 'a'},
                                          {"operations", required_argument, NULL, 'p'},
                                          {"faults", no_argument, NULL, 'f'},
                                          {"slots", required_argument, NULL, 'k'},
                                          {"capacity", required_argument, NULL, 'c'},
                                          {"page", required_argument, NULL, 'g'},
                                          {"variant", required_argument, NULL, 'v'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {"findings", required_argument, NULL, 'n'},
                                          {"output", required_argument, NULL, 'o'},
                                          {NULL, 0, NULL, 0}};
  static const struct cli_syntax syntax = {"enumerate", help, NULL, false, options, take};
  static struct request request = {
      .enumeration
          .alphabet = {.kinds = {[OP_ALLOCATE] = true, [OP_RELEASE] = true, [OP_RESIZE] = true},
                       .sizes = {1, 24, 100},
                       .aligns = {8, 64},
                       .sizes_count = 3,
                       .aligns_count = 2},
      .depth = 5,
      .page = 256,
      .findings = 1,
      .output = "."};
  struct cli_job job = {.tier = TIER_PARANOID, .allocators_only = true};
  int result;
  if (!cli_parse(&syntax, &job, &request, argc, argv, &result)) return result;
  return run(&request, &job);
}
