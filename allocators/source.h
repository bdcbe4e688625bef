// Memory sources: where an allocator gets raw memory.
//
// A source hands out stretches of memory and takes them back. Strategies know only this interface,
// so that any strategy runs over any source that has the traits it needs. Sources are decorated,
// not special-cased: limit, fault injector and accountant are sources over another source.
//
// The layering of a heap over a page provider is that of Bonwick and Adams, "Magazines and Vmem"
// (USENIX 2001); failing every n-th acquisition in turn is how SQLite tests its out-of-memory
// paths.
//
// Each concrete source has `struct source` as its first member, named `base`, lives where its user
// puts it, and needs no memory of its own besides. None is safe to be used by several threads at
// once.
#ifndef ALLOCATORS_SOURCE_H_
#define ALLOCATORS_SOURCE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source_trait {
  SOURCE_RECLAIMS = 1u << 0,  // released memory can be acquired again, in any order
  SOURCE_ZEROED = 1u << 1,    // memory arrives zeroed, reacquired memory too
  SOURCE_PERSISTS = 1u << 2,  // memory outlives the process: offers persist and held
  SOURCE_PROTECTS = 1u << 3,  // offers protect
  // A stretch begins where the one acquired before it ends, as long as none was released (sbrk).
  // Whoever needs that may take them for one, and give back any part of it that ends where it ends.
  SOURCE_CONTIGUOUS = 1u << 4,
};

struct source {
  const char *name;
  unsigned traits;   // enum source_trait
  size_t page_size;  // bytes, a power of two: sizes are multiples of it, and so are addresses

  // `size` bytes, aligned to page_size, owned by the caller until released. NULL, and nothing
  // changed, if size is 0, no multiple of page_size, or more than there is.
  void *(*acquire)(struct source *self, size_t size);

  // Takes back a stretch exactly as it was acquired. From here on the memory is the source's, which
  // may write to it.
  void (*release)(struct source *self, void *memory, size_t size);

  // The largest size that acquire could grant now, in bytes, a multiple of page_size; SIZE_MAX: not
  // limited beforehand.
  size_t (*available)(const struct source *self);

  // ## Slots that are NULL without their trait

  // A barrier: what was written to [start, start + size) before this call outlives the process
  // before anything does that is written to this source's memory after it. Without a barrier
  // between them, writes may come to last in any order, each aligned word whole.  SOURCE_PERSISTS
  void (*persist)(struct source *self, const void *start, size_t size);

  // What an earlier process acquired and did not release, and its size, where that is one stretch;
  // NULL if there is none. It is to be released like one that was acquired.    SOURCE_PERSISTS
  void *(*held)(struct source *self, size_t *size);

  // Makes whole pages of acquired memory inaccessible, or accessible again with contents that are
  // anything. False, and nothing changed, if the system refuses. A stretch must be accessible when
  // it is released.                                                            SOURCE_PROTECTS
  bool (*protect)(struct source *self, void *start, size_t size, bool accessible);
};

// ## A caller's buffer; a static or stack array is one as well
//
// Hands out the buffer from its low end. What is released last-in first-out can be had again at
// once. A stretch released out of order becomes a hole, which is lost until the stretches above it
// are released. Holes are chained through notes of two words that the source writes into them; a
// hole shorter than that, with no hole beside it, is lost until everything is released.
struct source_buffer {
  struct source base;
  unsigned char *start;
  size_t size;
  size_t used;          // bytes below the break: held, or lost in holes
  size_t held;          // bytes acquired now
  size_t highest_hole;  // where it ends, as an offset from start; 0: no hole
};

// `buffer` may have any address and size; it stays the caller's. page_size is 1.
void source_buffer_init(struct source_buffer *self, void *buffer, size_t size);

// An array with a buffer source over it: `static SOURCE_ARRAY(heap, 4096);`, or on the stack
// without `static`; then source_array_init(&heap) and `&heap.source.base`.
#define SOURCE_ARRAY(name, bytes)                                                                  \
  struct {                                                                                         \
    struct source_buffer source;                                                                   \
    _Alignas(max_align_t) unsigned char array[bytes];                                              \
  } name
#define source_array_init(self)                                                                    \
  source_buffer_init(&(self)->source, (self)->array, sizeof(self)->array)

// ## Pages of anonymous memory from the operating system (mmap)
struct source_pages {
  struct source base;
};

// `page_size` is a power of two, and may be smaller or larger than the machine's: alignment is
// honoured either way. 0 means the machine's. False if it is no power of two. Traits: RECLAIMS,
// ZEROED. A stretch takes whole pages of the machine, so a smaller `page_size` saves no memory.
bool source_pages_init(struct source_pages *self, size_t page_size);

// ## A mapped file
//
// File layout: one header page (magic, version, page size, capacity in pages), a map with one byte
// for each page that says whether it is acquired, then the pages. A file that was closed, or whose
// process died, opens again with the same pages acquired and their contents as they were. (What the
// operating system had not yet written when the machine itself failed is not promised.) The file is
// for one user at a time, for machines of one byte order, and takes its full size on the disk from
// the start: a full disk shows when it is opened, not as SIGBUS later. Traits: RECLAIMS, PERSISTS.
struct source_file {
  struct source base;
  int descriptor;
  unsigned char *mapping;
  size_t mapped_size;
  size_t capacity;   // pages
  bool synchronous;  // persist waits until the disk has it: then a crash of the machine is survived
                     // as well. The user may set it at any time; false after source_file_open
};

// Opens or creates `path` with room for `capacity` pages of `page_size` (a power of two, at least
// the machine's page size; 0 means that). An existing file must have the same page size and at most
// the given capacity, and keeps its own; `capacity` 0 takes whatever it has, and creates nothing.
// On failure returns false with nothing created or changed, and one line in `error` that names the
// file and the reason. A file that somebody else has open, or that is damaged in any way, is
// refused.
bool source_file_open(struct source_file *self, const char *path, size_t page_size, size_t capacity,
                      char *error, size_t error_size);

// Unmaps and closes; what is acquired stays acquired. False if the contents could not be written
// back.
bool source_file_close(struct source_file *self);

// How many pages are acquired.
size_t source_file_pages(const struct source_file *self);

// The address of page `index` (0 .. capacity - 1), or NULL if it is not acquired: how a user finds
// the data again after reopening, at whatever address the file is mapped now.
void *source_file_page(const struct source_file *self, size_t index);

// ## Decorators

// Grants at most `limit` bytes at any time; SIZE_MAX: no limit. What is held from an earlier life
// counts too, and is not there if it is more.
struct source_limit {
  struct source base;
  struct source *inner;
  size_t limit;
  size_t granted;
  const void *held;  // if the inner source holds this one, it is counted already; or NULL
};
void source_limit_init(struct source_limit *self, struct source *inner, size_t limit);

// Refuses acquisitions that would be met otherwise. Bit i of `mask` refuses the i-th acquisition
// from when it was armed, counted from 0; `from` refuses every acquisition from that one on
// (SIZE_MAX: none). Every call of acquire counts as an acquisition; one that the inner source could
// not meet anyway is left to it and is no injected refusal. `available` foresees no fault: what an
// allocator asks for beforehand must not spare it the failure.
struct source_faults {
  struct source base;
  struct source *inner;
  uint64_t mask;
  size_t from;
  size_t acquisitions;  // since armed
  size_t injected;      // refusals since init
  size_t requests;      // acquisitions since init
};
void source_faults_init(struct source_faults *self, struct source *inner);
// Replaces what was armed, and counts from here.
void source_faults_arm(struct source_faults *self, uint64_t mask, size_t from);

// Shadows what is acquired: after destroy it must be back at zero.
//
// Each stretch is held in a table that the caller gives. When the table is full the
// accountant refuses to acquire, and has nothing available, rather than lose count.
struct source_stretch {
  unsigned char *start;
  size_t size;
};
struct source_account {
  struct source base;
  struct source *inner;
  struct source_stretch *stretches;  // ascending by address
  size_t capacity;                   // of the table
  size_t count;
  size_t bytes;    // acquired now
  size_t peak;     // most bytes at any time
  size_t changes;  // stretches that came, and that went, since init
  size_t errors;   // releases that match no acquired stretch; they are not passed on
  bool grows;  // its user needs SOURCE_CONTIGUOUS, and takes stretches that adjoin for one. To be
               // set right after init, where it is so
};
void source_account_init(struct source_account *self, struct source *inner,
                         struct source_stretch *table, size_t capacity);
// The stretch that holds all of [start, start + size), or NULL. O(log count).
const struct source_stretch *source_account_find(const struct source_account *self,
                                                 const void *start, size_t size);

#endif
