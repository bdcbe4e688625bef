// A program: a finite sequence of operations on one allocator, in its one in-memory form.
//
// In bytes a program is a row of 16-byte records, little-endian, so that one changed byte changes
// one operation and records can be moved, copied and dropped without re-syncing. Record 0 sets up
// the heap, each further one is an operation. Every byte string is a program, and encoding a
// decoded program gives the same bytes: each field keeps its raw value, and only the accessors
// below interpret it. A missing record 0 counts as all zero; up to 15 bytes behind the last whole
// record are kept and mean nothing.
//
//   byte      0      1      2..3    4..7   8..15
//   heap      source page   layout  skew   capacity
//   operation code   align  thread  slot   size
//
// The low half of a code is the kind of operation, the high half a count. The heap's holds the
// number of threads there.
#ifndef HARNESS_PROGRAM_H_
#define HARNESS_PROGRAM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORD_SIZE = 16 };

struct record {
  uint8_t code;
  uint8_t align;
  uint16_t thread;
  uint32_t slot;
  uint64_t size;
};

struct program {
  struct record *records;
  size_t count;     // records, the heap's included
  size_t capacity;  // records that fit; 0: `records` is not the program's own
  uint8_t tail[RECORD_SIZE - 1];
  uint8_t tail_size;
};

// ## The heap

enum heap_source {
  HEAP_FIXED,  // one buffer of `capacity` bytes, `skew` bytes off alignment
  HEAP_PAGES,  // pages of `page_size`, at most `capacity` bytes at a time, reclaimed
  HEAP_SOURCES
};

struct heap {
  enum heap_source source;
  size_t page_size;   // bytes, 64 .. 65536; HEAP_PAGES only
  uint64_t capacity;  // bytes, 1 .. PROGRAM_MAX_CAPACITY; raw 0: 64 KiB; a larger raw value counts
                      // modulo 1 MiB, so that random bytes are mostly a heap that is worth trying
  unsigned skew;      // bytes, 0 .. 63; HEAP_FIXED only
  bool grows;  // HEAP_FIXED: had piece by piece, as by sbrk. The strategy's need, and never in
               // a record
  unsigned variant;  // of the strategy, to be taken modulo how many it has
  uint32_t slots;    // a power of two, 1 .. 2^24; an operation's slot counts modulo this
  unsigned
      threads;  // 1, 2, 4 or 8 that carry out the operations; an operation's counts modulo this
};

#define PROGRAM_MAX_CAPACITY ((uint64_t)1 << 36)

struct heap program_heap(const struct program *program);
// The record that means `heap`. Fields out of range are brought into it.
struct record heap_record(const struct heap *heap);

// ## Operations
//
// A slot names the block that was last allocated into it. A block whose slot is allocated into
// again stays live without a name until the end, or until reset. An operation whose slot names
// nothing, or that the strategy does not offer, is skipped.
enum operation_kind {
  OP_ALLOCATE,         // slot := allocate(size, align)
  OP_ALLOCATE_ZEROED,  // slot := allocate_zeroed(count, size, align)
  OP_RELEASE,          // release slot
  OP_RESIZE,           // slot := resize(slot, size, align); an empty slot allocates
  OP_USE,              // write all of slot's usable size
  OP_RESET,            // reset
  OP_FAULT,            // bit i of size: the i-th acquisition from the source from now on fails
  OP_RELEASE_AGAIN,    // release an address once more; only with the trait that detects it
  OP_RELEASE_FOREIGN,  // release an address outside the heap; only with the trait that detects it
  OP_MARK,             // push a mark
  OP_ROLLBACK,         // roll back to one of the marks, which drops those pushed later
  OP_ROOT,             // collectors: slot's block is a root. Persistent heaps: it is the root
  OP_LINK,             // slot's block refers to the block of slot `size`, if that names one
  OP_COLLECT,          // collect: precisely if size is 0, else with words that size makes up
  OP_OVERRUN,  // write past slot's block and release it; only with the trait that detects it
  OP_REOPEN,   // close the heap, and open it at another address
  // These share the code of one above, and differ from it by a count that is not 0.
  OP_UNROOT,  // OP_ROOT undone
  OP_CRASH,   // the next operation dies at its count-th barrier, and bits of size say which of the
              // words written since the last one have come to last
  OP_KINDS
};
enum { OP_CODES = OP_REOPEN + 1 };  // kinds with a code of their own: all that half a byte can say

struct operation {
  enum operation_kind kind;
  unsigned count;   // 1 .. 16. OP_ALLOCATE_ZEROED: of elements; OP_LINK: which reference of the
                    // block; OP_CRASH: which barrier, up to 15; else 1
  unsigned thread;  // 0 .. 65535
  uint32_t slot;    // raw; index with `& (heap.slots - 1)`
  uint64_t size;    // bytes
  uint64_t align;   // bytes; may be 0 or no power of two: such requests must be refused
};

// The record that means `operation`. An alignment that no record can say becomes the next larger
// power of two; see program_align.
struct record operation_record(const struct operation *operation);

// The alignments that a record can say: 0, 2^n, and 3 * 2^n (which is none). Codes 0..63 are 2^n,
// 64 is 0, 65..126 are 3 * 2^n, the rest are small powers of two again, so that a random byte is
// mostly an alignment that can be met.
enum { ALIGN_ZERO = 64, ALIGN_THREES = 65, ALIGN_SMALL = 127, ALIGN_SMALL_COUNT = 17 };

static inline uint64_t align_decode(uint8_t code) {
  if (code < ALIGN_ZERO) return (uint64_t)1 << code;
  if (code == ALIGN_ZERO) return 0;
  if (code < ALIGN_SMALL) return (uint64_t)3 << (code - ALIGN_THREES);
  return (uint64_t)1 << ((code - ALIGN_SMALL) % ALIGN_SMALL_COUNT);
}
uint8_t align_encode(uint64_t align);

static inline enum operation_kind record_kind(const struct record *record) {
  enum operation_kind kind = (enum operation_kind)(record->code & (OP_CODES - 1));
  if (record->code < OP_CODES) return kind;
  return kind == OP_ROOT ? OP_UNROOT : kind == OP_REOPEN ? OP_CRASH : kind;
}

static inline unsigned record_count(const struct record *record) {
  unsigned high = record->code / OP_CODES;
  switch (record_kind(record)) {
  case OP_ALLOCATE_ZEROED:
  case OP_LINK:
    return high + 1;
  case OP_CRASH:
    return high;
  default:
    return 1;
  }
}

void operation_narrow(struct operation *operation);

static inline struct operation record_operation(const struct record *record) {
  return (struct operation){
      .kind = record_kind(record),
      .count = record_count(record),
      .thread = record->thread,
      .slot = record->slot,
      .size = record->size,
      .align = align_decode(record->align),
  };
}

// The operation as this machine can carry it out. Where a size_t has fewer bits than a record's
// size, a request that it cannot say becomes one that is as far from wrapping, for the machine's
// own sizes; if it is far from that, the largest. So the same bytes mean something on every
// machine.
static inline struct operation record_request(const struct record *record) {
  struct operation operation = record_operation(record);
  if (sizeof(size_t) < sizeof(uint64_t)) operation_narrow(&operation);
  return operation;
}

const char *operation_name(enum operation_kind kind);

// What the slot of an operation is: nothing, a slot of the heap, or any number, to choose by.
enum slot_use { SLOT_MEANINGLESS, SLOT_NAMES, SLOT_CHOOSES };
enum slot_use operation_slot_use(enum operation_kind kind);
static inline bool operation_takes_slot(enum operation_kind kind) {
  return operation_slot_use(kind) == SLOT_NAMES;
}

// How many operations (records without the heap's).
static inline size_t program_length(const struct program *program) {
  return program->count > 0 ? program->count - 1 : 0;
}
static inline const struct record *program_at(const struct program *program, size_t index) {
  return &program->records[index + 1];
}

// ## Making and unmaking. All memory of a program is the C library's; 0-initialised is a valid
// program.

// Replaces the program. False, and an empty program, if memory is out.
bool program_decode(struct program *program, const void *bytes, size_t size);
// Same, but into storage that the caller keeps alive and that holds at least size / 16 records: no
// allocation, for fuzzing loops. The program must not be cleared.
void program_decode_into(struct program *program, struct record *storage, const void *bytes,
                         size_t size);

size_t program_encoded_size(const struct program *program);
void program_encode(const struct program *program, void *bytes);

bool program_copy(struct program *to, const struct program *from);
// Appends a record (the first one appended is the heap's). False if memory is out.
bool program_append(struct program *program, const struct record *record);
void program_clear(struct program *program);

#endif
