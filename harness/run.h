// One run of the oracle: what its parts share. Private to oracle.c and the files named below.
#ifndef HARNESS_RUN_H_
#define HARNESS_RUN_H_

#include "allocators/arithmetic.h"
#include "harness/oracle.h"
#include "harness/watch.h"

enum pass {
  PASS_FIRST,
  PASS_ELSEWHERE,        // at other addresses, with other dirt
  PASS_WITHOUT_REFUSED,  // what was refused is left out
  PASS_AGAIN,            // the very same: does a difference show all the same?
  PASS_REFUSING,         // collections: some requests are refused
};

// Where a pass was not like the first one.
struct difference {
  bool found;
  bool at_end;   // in the walk
  size_t index;  // else in the answer of this operation
  intptr_t answer;
};

// How often the source was called.
struct traffic {
  size_t changes, requests;
};

struct run {
  struct oracle *oracle;
  const struct strategy *strategy;
  const struct program *program;
  struct heap heap;
  struct allocator *allocator;
  struct source_limit limit;
  struct source_account account;
  struct source_faults faults;
  struct operation operation;  // the one in progress
  size_t index;                // of it
  size_t alone;                // operations before this one need no other thread
  const char *phase;         // instead of an operation: "create", "destroy" ...; NULL: an operation
  struct fresh_heap *fresh;  // this heap after create; NULL: not known
  uint64_t fresh_walk;       // hash of the walk after create
  uint64_t walked;           // hash of the walk after the operation before; 0: none was made
  uint64_t last_walk;        // hash of the walk after the last operation of the first pass; 0: the
                             // allocator could not be created
  size_t fresh_bytes;        // acquired after create
  size_t claimed;            // footprints of all blocks allocated since there was none; not
                             // kept up once it is more than the heap
  size_t forgone;       // of these, of blocks that may be there still, although nobody has them
  uint64_t calls;       // into the allocator; not those that something else is judged by
  size_t returns_seen;  // changes of the account when returns were verified last
  bool releases_again;  // the program has OP_RELEASE_AGAIN
  long credit;          // for walks
  long walk_cost;       // of the last one
  enum pass pass;
  bool noted;                    // answers are, as other passes follow
  size_t left_out;               // operations that can be, so far
  bool leaving_out;              // PASS_WITHOUT_REFUSED: some were, by now
  struct traffic traffic;        // before the operation in progress
  struct difference difference;  // of PASS_WITHOUT_REFUSED
  bool refused;                  // the operation in progress was
  bool without_effect;   // it was, or was detected as a misuse: it must have changed nothing
  enum property misuse;  // that a call is on purpose: it violates this to act on it at all
  intptr_t guilty;       // what a violation would show in, from the heap's start
  size_t guilty_size;
  unsigned errors;  // that Valgrind had reported when the allocator was called
  struct step step;
  bool shows;              // walks, to those who want to see them
  struct heap_view view;   // the part of it that is about the operation
  size_t marks_count;      // that can be rolled back to
  unsigned crash_barrier;  // at which the next operation dies; 0: it lives
  uint64_t crash_mask;
  // Of collections.
  const char *verb;    // of the operation in progress; NULL: no collection is judged
  const char *acting;  // the strategy beneath, while it and not the collection is called
  const char *note;    // on the pass, for its violations; NULL: none
  const struct source_faults *told_faults;  // of its requests, instead of `faults`; else NULL
};

// What a walk saw.
struct inspection {
  uint64_t hash;  // of all spans, but of stretches that are free from end to end
  size_t blocks;  // SPAN_BLOCK
};

// NULL: none. Signals and sanitizers know no context, and there is one oracle in the process.
extern struct run *run_in_progress;
// From now on, what they report while the allocator runs is a violation of the run in progress.
void run_watch(void);

// Calls into the allocator are bracketed by these. leave() checks what can only be told afterwards.
void run_enter(struct run *run);
void run_leave(struct run *run);

// The sources of the run over the one at the bottom, as for a heap that begins: what is returned is
// the allocator's.
struct source *run_open_sources(struct run *run, struct source *bottom);

// ## A heap's life (oracle.c)

// Room for heaps and programs like these, as oracle_make_room.
bool run_prepare(struct oracle *oracle, const struct heap *heap, size_t length);
// The heap, as far as the strategy can live on it.
struct heap run_fit_heap(const struct strategy *strategy, struct heap heap);
struct source *run_open_heap(struct run *run);
// run->allocator may be NULL afterwards, rightly.
void run_create(struct run *run, struct source *source);
void run_destroy(struct run *run);
// The allocator and its memory are dropped.
void run_abandon_heap(struct run *run);
// Whether a program is run once more, as its tier says; and whether, at other addresses, the
// strategy must answer as before.
bool run_once_more(const struct oracle *oracle, const struct program *program);
bool run_goes_elsewhere(const struct strategy *strategy);

// Ends the run with a violation; the text says what is wrong, without naming the operation.
_Noreturn void run_violated(struct run *run, enum property property, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Before that: the bytes in which it shows.
static inline void run_blame(struct run *run, const void *start, size_t size) {
  run->guilty = arena_offset(&run->oracle->arena, start);
  run->guilty_size = size;
}
// What people call a live block: "slot 5 at 0x140..0x1c0".
enum { BLOCK_NAME_SIZE = 96 };
const char *run_name_block(const struct run *run, const struct shadow_block *block,
                           char name[BLOCK_NAME_SIZE]);
// The live block at an address, or NULL. Linear, and right even if blocks are wrong.
const struct shadow_block *run_block_at(const struct run *run, const void *address);
// Same, for `invariant:<strategy>.I<number>`.
_Noreturn void run_broken_invariant(struct run *run, const struct broken_invariant *broken);

// A check is made that can fail (oracle.h): call it where the check is made, and before it fails.
static inline void run_exercise(struct run *run, enum property property) {
  run->oracle->counts.exercised[property]++;
}
// What every call into the allocator judges, of those that were made since the last time.
void run_count_calls(struct run *run);

// What the stated bound allows an allocator for itself: whole pages.
static inline size_t run_overhead(const struct run *run) {
  size_t overhead;
  return align_up(run->strategy->overhead, run->heap.page_size, &overhead) ? overhead : SIZE_MAX;
}

// Whether the bound promises that these footprints, all together, can be had.
static inline bool run_promised(const struct run *run, size_t footprints) {
  return add_saturating(run_overhead(run), footprints) <= run->heap.capacity;
}

// The operation in progress is over: walks that follow show what it left, if anybody looks.
static inline void run_over(struct run *run) {
  if (!run->shows || run->step.skipped) return;
  run->view = (struct heap_view){.operation = run->operation.kind, .refused = run->refused};
}

static inline bool run_at_least(const struct run *run, enum tier tier) {
  return run->oracle->settings.tier >= tier;
}

// Whether there is no need to walk around the operation in progress: it was done in a program that
// ends with it. What begins so differs in a further pass at its end, if at all.
static inline bool run_judged(const struct run *run) {
  size_t judged = run->oracle->settings.judged;
  return run->index < judged || (run->pass != PASS_FIRST && judged > 0);
}

// ## Passes (passes.c)

// Before run->operation: false if the pass leaves it out.
bool pass_begins(struct run *run);
// After it: notes what became of it, or compares that with the first pass.
void pass_ends(struct run *run);
// The same for the hash of the last walk; 0: there is no allocator.
void pass_walk(struct run *run, uint64_t walk);
// Ends the run with run->difference as a violation.
_Noreturn void pass_differs(struct run *run);

// ## Operations (operations.c)

// Carries out run->operation.
void operation_execute(struct run *run);
// Verifies the content of a live block, as deep as the tier says.
void block_verify(struct run *run, const struct shadow_block *block);
// Releases a live block after verifying it.
void block_release(struct run *run, struct shadow_block *block);
// The offset of a byte of [0, size) at `start` that is not the pattern's, of a block that had
// `written` bytes when its payload was written; PAYLOAD_INTACT if there is none. As deep as the
// tier says.
size_t run_verify_payload(const struct run *run, const void *start, size_t size, size_t written,
                          uint64_t key);
// Whether the contract says that a request must be refused.
bool run_must_refuse(const struct run *run, uint64_t count, uint64_t size, uint64_t align);
// The alignment that a block has that was asked for with this one.
size_t run_align(const struct run *run, uint64_t align);
// Books a new extent of a block. It may keep up to its footprint from others, on either side:
// memory there serves the block even where nobody asked for it.
void run_claim(struct run *run, const void *block, size_t size, size_t align);
// Notes which block the step in progress is about.
void run_note_block(struct run *run, const void *address, size_t size);
// Verifies all live blocks, and leaves them to the allocator: before a call that ends them all.
void blocks_abandon(struct run *run);

// ## Lifetimes that end by other means than release (lifetimes.c), and persistence (persistence.c).
// Each carries out run->operation.
void operation_mark(struct run *run);
void operation_rollback(struct run *run);
void operation_root(struct run *run);
void operation_link(struct run *run);
void operation_collect(struct run *run);
void operation_overrun(struct run *run);
void operation_reopen(struct run *run);
void operation_crash(struct run *run);
// Collects precisely, with no roots at all.
void collect_everything(struct run *run);
// A block is released or resized: no rollback to a mark that it is older than brings back what was.
void marks_forget_walks(struct run *run, uint32_t serial);
static inline void block_changes(struct run *run, uint32_t serial) {
  if (run->marks_count > 0) marks_forget_walks(run, serial);
}
// Brackets of an operation that may have been chosen to die: what it leaves must open.
void crash_begin(struct run *run);
void crash_end(struct run *run);

// What is true of every address that a request returned: it is aligned, and inside what the source
// gave.
void address_verify(struct run *run, const void *address, size_t size, size_t align);

// Walks the allocator and compares with what is live; and its own check.
struct inspection inspect(struct run *run);
// The hash of a walk, begun with 1, with one more span.
uint64_t span_hash(uint64_t hash, intptr_t offset, size_t size, enum span_kind kind);
// Same, right after a call that a walk preceded: if it contradicts now, the call violated `blame`.
struct inspection inspect_after(struct run *run, enum property blame);
// Whether the walk leaves a block what it has beyond the bytes that were asked for.
void verify_usable(struct run *run, const struct shadow_block *block, size_t asked);
// Same, when enough credit for it has been saved up. True if it was done.
bool inspect_in_turn(struct run *run);
// Whether a walk that there is a reason for may be made: as often as one in turn, which waits then.
bool inspect_affordable(const struct run *run);
// The largest size that a heap can give, by trying.
size_t find_largest(struct run *run, bool (*can)(struct run *run, size_t size));
// Whether the run's allocator, which has no blocks, gives this much. Judges nothing.
bool could_have(struct run *run, size_t size);
// Whether the largest block of a fresh heap can be had, and not one byte more; else `property`.
void verify_largest(struct run *run, enum property property);
void verify_canaries(struct run *run);
// Whether the source has back all that came after create, where that is promised and no block is
// live; else `property`.
void verify_returned(struct run *run, enum property property);
// Whether all that went back to the source went back as it came.
void verify_returns(struct run *run);

#endif
