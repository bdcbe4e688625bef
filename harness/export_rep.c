#include "harness/export_rep.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const rep_dialect_names[REP_DIALECTS] = {
    [REP_HEAP_SIZE] = "heap_size",
    [REP_IGNORE_RANGES] = "ignore_ranges",
    [REP_MAX_LIVE_BYTES] = "max_live_bytes",
};

enum { USUAL_ALIGN = 16 };

struct block {
  uint64_t id;    // from 1; 0: the slot is empty
  uint64_t size;  // as far as it was met
};

struct writing {
  const struct program *program;
  struct rep_losses *losses;
  struct block *blocks;  // by slot
  uint32_t slots;
  uint64_t live;
  FILE *to;  // NULL: only counts
};

__attribute__((format(printf, 2, 3))) static void write_line(struct writing *self,
                                                             const char *format, ...) {
  self->losses->operations++;
  if (!self->to) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(self->to, format, arguments);
  va_end(arguments);
}

// Requests that no heap meets count as refused: the block, if there is one, stays as it was.
static void count_live(struct writing *self, struct block *block, uint64_t size) {
  if (size > PROGRAM_MAX_CAPACITY) return;
  self->live += size - block->size;
  block->size = size;
  if (self->live > self->losses->max_live_bytes) self->losses->max_live_bytes = self->live;
}

static bool allocate(struct writing *self, const struct operation *operation, struct block *block) {
  uint64_t size;
  if (__builtin_mul_overflow(operation->size, (uint64_t)operation->count, &size)) size = UINT64_MAX;
  self->losses->unnamed += block->id != 0;
  self->losses->zeroed += operation->kind == OP_ALLOCATE_ZEROED;
  self->losses->alignments += operation->align > USUAL_ALIGN;
  *block = (struct block){.id = ++self->losses->ids};
  count_live(self, block, size);
  write_line(self, "a %" PRIu64 " %" PRIu64 "\n", block->id - 1, size);
  return true;
}

// False if the form has no word for it.
static bool write_operation(struct writing *self, const struct operation *operation) {
  struct block *block = &self->blocks[operation->slot & (self->slots - 1)];
  self->losses->threads += operation->thread != 0;
  switch (operation->kind) {
  case OP_ALLOCATE:
  case OP_ALLOCATE_ZEROED:
    return allocate(self, operation, block);
  case OP_RESIZE:
    if (block->id == 0) return allocate(self, operation, block);
    self->losses->alignments += operation->align > USUAL_ALIGN;
    write_line(self, "r %" PRIu64 " %" PRIu64 "\n", block->id - 1, operation->size);
    count_live(self, block, operation->size);
    return true;
  case OP_RELEASE:
    if (block->id == 0) {
      self->losses->skipped++;
      return true;
    }
    write_line(self, "f %" PRIu64 "\n", block->id - 1);
    self->live -= block->size;
    *block = (struct block){0};
    return true;
  case OP_USE:
    self->losses->uses++;
    return true;
  default:
    return false;
  }
}

// The first operation that cannot be said; the program's length if all can.
static size_t write_all(struct writing *self, FILE *to) {
  *self->losses = (struct rep_losses){0};
  memset(self->blocks, 0, self->slots * sizeof *self->blocks);
  self->live = 0;
  self->to = to;
  for (size_t i = 0; i < program_length(self->program); i++) {
    struct operation operation = record_operation(program_at(self->program, i));
    if (!write_operation(self, &operation)) return i;
  }
  return program_length(self->program);
}

static void write_header(const struct rep_losses *counted, enum rep_dialect dialect, uint64_t heap,
                         FILE *to) {
  enum { WEIGHT = 1 };
  uint64_t first = dialect == REP_HEAP_SIZE ? heap : WEIGHT;
  uint64_t last = dialect == REP_HEAP_SIZE       ? WEIGHT
                  : dialect == REP_IGNORE_RANGES ? 0
                                                 : counted->max_live_bytes;
  fprintf(to, "%" PRIu64 "\n%" PRIu64 "\n%" PRIu64 "\n%" PRIu64 "\n", first, counted->ids,
          counted->operations, last);
}

bool export_rep(const struct program *program, enum rep_dialect dialect, FILE *to, const char *name,
                struct rep_losses *losses, struct file_error *error) {
  struct heap heap = program_heap(program);
  struct writing self = {.program = program, .losses = losses, .slots = heap.slots};
  self.blocks = calloc(heap.slots, sizeof *self.blocks);
  if (!self.blocks) return file_fail(error, name, "no memory to export it");
  size_t strange = write_all(&self, NULL);
  bool fits = strange == program_length(program);
  if (fits) {
    write_header(losses, dialect, heap.capacity, to);
    write_all(&self, to);
  } else {
    file_fail(error, name, "operation %zu is %s, which .rep has no word for", strange,
              operation_name(record_operation(program_at(program, strange)).kind));
  }
  free(self.blocks);
  return fits;
}
