#include "harness/emit_c.h"

#include <inttypes.h>
#include <string.h>

#include "harness/oracle.h"

// The symbol of a registry entry: `bump+no_bounds` is bump__no_bounds_strategy.
static void print_symbol(FILE *to, const char *name) {
  for (; *name; name++) fputs(*name == '+' ? "__" : (char[]){*name, 0}, to);
  fputs("_strategy", to);
}

static void print_building(FILE *to, const struct registry_entry *entry) {
  fprintf(to, "// Build and run it in the top folder of Assay, as repro.c:\n//   ");
  if (entry->bug) fprintf(to, "bazel build //fuzz:planted_registry &&\n//   ");
  fprintf(to,
          "cc -std=c17 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \\\n"
          "//     -D_GNU_SOURCE -I. -Iallocators repro.c %s",
          entry->recipe);
  fprintf(to, " \\\n//     allocators/source_limit.c allocators/source_faults.c "
              "allocators/source_account.c \\\n//     -o repro && ./repro\n");
}

// What the C program is known not to show.
static void print_limits(FILE *to, const struct heap *heap, const struct verdict *verdict) {
  if (heap->threads > 1)
    fprintf(to, "//\n// The program is for %u threads. Here one thread carries out all of it.\n",
            heap->threads);
  if (verdict->property == PROPERTY_nondeterministic)
    fprintf(to, "//\n// What differs between two heaps, this does not show: it has one.\n");
  if (verdict->property == PROPERTY_failed_op_changed_state)
    fprintf(to, "//\n// What differs only from a run without the requests that were refused, this "
                "does not show.\n");
}

static void print_includes(FILE *to, unsigned traits) {
  fprintf(to, "#include \"harness/reproducer.h\"\n");
  if (traits & (STRATEGY_MARKS | STRATEGY_COLLECTS | STRATEGY_DETECTS_OVERRUN))
    fprintf(to, "#include \"harness/reproducer_lifetimes.h\"\n");
  if (traits & STRATEGY_PERSISTS) fprintf(to, "#include \"harness/reproducer_persistence.h\"\n");
}

static void print_operation(FILE *to, const struct operation *op, uint32_t mask, size_t index,
                            bool dies) {
  uint32_t slot = op->slot & mask;
  char call[160];
  switch (op->kind) {
  case OP_ALLOCATE:
    snprintf(call, sizeof call, "repro_allocate(%" PRIu32 ", %" PRIu64 "u, %" PRIu64 "u);", slot,
             op->size, op->align);
    break;
  case OP_ALLOCATE_ZEROED:
    snprintf(call, sizeof call, "repro_zeroed(%" PRIu32 ", %u, %" PRIu64 "u, %" PRIu64 "u);", slot,
             op->count, op->size, op->align);
    break;
  case OP_RELEASE:
    snprintf(call, sizeof call, "repro_release(%" PRIu32 ");", slot);
    break;
  case OP_RESIZE:
    snprintf(call, sizeof call, "repro_resize(%" PRIu32 ", %" PRIu64 "u, %" PRIu64 "u);", slot,
             op->size, op->align);
    break;
  case OP_USE:
    snprintf(call, sizeof call, "repro_use(%" PRIu32 ");", slot);
    break;
  case OP_RESET:
    snprintf(call, sizeof call, "repro_reset();");
    break;
  case OP_FAULT:
    snprintf(call, sizeof call, "repro_fault(0x%" PRIx64 ");", op->size);
    break;
  case OP_RELEASE_AGAIN:
    snprintf(call, sizeof call, "repro_release_again(%" PRIu32 ");", op->slot);
    break;
  case OP_RELEASE_FOREIGN:
    snprintf(call, sizeof call, "repro_release_foreign(%" PRIu32 ");", op->slot);
    break;
  case OP_MARK:
    snprintf(call, sizeof call, "repro_mark();");
    break;
  case OP_ROLLBACK:
    snprintf(call, sizeof call, "repro_rollback(%" PRIu32 ");", op->slot);
    break;
  case OP_ROOT:
  case OP_UNROOT:
    snprintf(call, sizeof call, "repro_root(%" PRIu32 ", %s);", slot,
             op->kind == OP_ROOT ? "true" : "false");
    break;
  case OP_LINK:
    snprintf(call, sizeof call, "repro_link(%" PRIu32 ", %u, %" PRIu32 ");", slot, op->count - 1,
             (uint32_t)op->size & mask);
    break;
  case OP_COLLECT:
    snprintf(call, sizeof call, "repro_collect(%" PRIu64 "u);", op->size);
    break;
  case OP_OVERRUN:
    snprintf(call, sizeof call, "repro_overrun(%" PRIu32 ");", slot);
    break;
  case OP_REOPEN:
    snprintf(call, sizeof call, "repro_reopen();");
    break;
  case OP_CRASH:
    snprintf(call, sizeof call, "repro_crash(%u, 0x%" PRIx64 "u);", op->count, op->size);
    break;
  case OP_KINDS:
    return;
  }
  if (dies) {
    call[strlen(call) - 1] = 0;  // the semicolon
    char dying[sizeof call + 16];
    snprintf(dying, sizeof dying, "REPRO_DIES(%s);", call);
    fprintf(to, "  %-48s  // %zu\n", dying, index);
  } else {
    fprintf(to, "  %-48s  // %zu\n", call, index);
  }
}

void emit_c(FILE *to, const struct registry_entry *entry, const struct program *program,
            const struct verdict *verdict) {
  const struct strategy *strategy = entry->strategy;
  struct heap heap = oracle_heap(strategy, program);
  bool pages = heap.source == HEAP_PAGES;
  fprintf(to, "// %s: %s\n//   %s\n//\n", entry->name, verdict->id, verdict->diagnosis);
  print_building(to, entry);
  print_limits(to, &heap, verdict);
  print_includes(to, strategy->traits);
  fprintf(to, "\nextern const struct strategy ");
  print_symbol(to, entry->name);
  size_t index = 0, length = program_length(program);
  uint64_t fault = 0;
  for (; index < length; index++) {
    struct operation op = record_operation(program_at(program, index));
    if (op.kind != OP_FAULT || !operation_offered(OP_FAULT, strategy)) break;
    fault = op.size;
  }
  fprintf(to, ";\n\nint main(void) {\n  repro_open(&");
  print_symbol(to, entry->name);
  fprintf(to, ", %zu, %zu, %u, %u, 0x%" PRIx64 ");\n", (size_t)heap.capacity,
          pages ? heap.page_size : 0, pages ? 0 : heap.skew, heap.variant, fault);
  if (index > 0) fprintf(to, "  repro.operation = %zu;\n", index);
  bool dies = false;
  for (; index < length; index++) {
    struct operation op = record_request(program_at(program, index));
    if (!operation_offered(op.kind, strategy)) {
      fprintf(to, "  %-48s  // %zu is not offered\n", "repro.operation++;", index);
      continue;
    }
    print_operation(to, &op, heap.slots - 1, index, dies && operation_can_die(op.kind));
    if (operation_can_die(op.kind)) dies = false;
    if (op.kind == OP_CRASH) dies = true;
  }
  if (strategy->traits & STRATEGY_COLLECTS) fprintf(to, "  repro_collect_all();\n");
  fprintf(to, "  repro_close();\n  return 0;\n}\n");
}
