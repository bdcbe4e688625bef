#include "harness/preload/start.h"

#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocators/lock.h"
#include "allocators/registry.h"
#include "harness/preload/check.h"
#include "harness/preload/gate.h"
#include "harness/preload/heap.h"
#include "harness/preload/tell.h"
#include "harness/preload/thread.h"

struct preload_settings preload_settings;

static atomic_bool started;
static struct lock starting;
PER_THREAD bool amidst;

// ## Before the constructors
//
// The loader runs the constructors of a preloaded object after those of the libraries, whose own
// allocate. Some tables of strategies are filled by constructors of this object, so they are run
// now; that they run again later changes nothing.

extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static bool constructing;

static void run_constructors(void) {
  typedef void constructor(void);
  uintptr_t base = (uintptr_t)&__ehdr_start, array = 0;
  size_t size = 0;
  for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_INIT_ARRAY) array = entry->d_un.d_ptr;
    if (entry->d_tag == DT_INIT_ARRAYSZ) size = entry->d_un.d_val;
  }
  if (array == 0) return;
  if (array < base) array += base;  // the loader may have made an address of it, or not
  constructing = true;
  for (size_t i = 0; i < size / sizeof(constructor *); i++) ((constructor *const *)array)[i]();
  constructing = false;
}

// ## The source

// Whoever needs memory that outlives the process gets some that does not: what is not opened again
// cannot tell.
static void persist_nothing(struct source *self, const void *start, size_t size) {
  (void)self, (void)start, (void)size;
}

static void *held_nothing(struct source *self, size_t *size) {
  (void)self, (void)size;
  return NULL;
}

static struct source *make_source(unsigned needs) {
  static struct source_pages pages;
  if (!source_pages_init(&pages, 0)) return NULL;
  if (needs & SOURCE_PERSISTS) {
    pages.base.traits |= SOURCE_PERSISTS;
    pages.base.persist = persist_nothing;
    pages.base.held = held_nothing;
  }
  return &pages.base;
}

// ## Start

static _Noreturn void fail(void) { syscall(SYS_exit_group, PRELOAD_CANNOT_RUN), __builtin_trap(); }

static unsigned find_variant(const struct strategy *strategy) {
  const char *name = preload_settings.variant;
  if (name[0] == '\0') return 0;
  for (unsigned i = 0; strategy->variants && strategy->variants[i]; i++)
    if (strcmp(strategy->variants[i], name) == 0) return i;
  preload_tell("%s: it has no variant `%s`; `assay list` shows those that there are",
               strategy->name, name);
  fail();
}

static void make_heap(void) {
  const struct preload_settings *settings = &preload_settings;
  const struct registry_entry *entry = registry_find(settings->strategy);
  if (!entry) {
    preload_tell(
        "ASSAY_STRATEGY: unknown strategy `%s`; `ci/run --list` shows those that there are",
        settings->strategy);
    fail();
  }
  struct source *source = make_source(entry->strategy->needs);
  if (!source) {
    preload_tell("no memory for the heap: is there a limit (ulimit -v), or is --heap too large?");
    fail();
  }
  if (settings->shadow[0]) source = check_start(entry->name, source);
  if (!source) {
    preload_tell("no memory for the shadow model, which reserves 2 TiB of addresses: is there a "
                 "limit (ulimit -v, vm.overcommit_memory=2)?");
    fail();
  }
  if (!heap_start(entry->strategy, find_variant(entry->strategy), source, settings)) {
    preload_tell("%s: the system has no memory for a heap of %zu bytes; ask for less with --heap",
                 settings->strategy, settings->heap);
    fail();
  }
  gate_init(heap_serves_several());
}

bool preload_start(void) {
  if (atomic_load_explicit(&started, memory_order_acquire)) return true;
  if (amidst) return false;
  amidst = true;
  lock_acquire(&starting);
  if (!atomic_load_explicit(&started, memory_order_relaxed)) {
    preload_settings_read(&preload_settings);
    run_constructors();
    make_heap();
    atomic_store_explicit(&started, true, memory_order_release);
  }
  lock_release(&starting);
  amidst = false;
  return true;
}

// ## Forks
//
// A child has one thread and all memory: what others were about would stay undone in it. So they
// are out of the allocator while the process forks.

static void before_fork(void) { gate_close(-1); }
static void after_fork(void) { gate_open(); }

__attribute__((constructor)) static void expect_forks(void) {
  if (constructing) return;  // ahead of time, where registering may allocate
  pthread_atfork(before_fork, after_fork, after_fork);
}
