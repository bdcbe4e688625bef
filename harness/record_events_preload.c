// The log of a recorded process (record_log.h), as its own allocator writes it.
//
// It must not harm the program, so:
// - it needs no memory of its own but one page and a window of the log, and no file descriptor
//   beyond the moment in which a window is opened: programs close descriptors they do not know;
// - its page is wiped on fork, which also notices a child made by the bare system call. A child
//   that shares the memory (vfork) shares the log too: it works on the same heap;
// - it calls no function that is a cancellation point, allocates, or changes errno;
// - a signal handler that allocates while its own thread holds the log leaves its events aside, for
//   that thread to add;
// - if it cannot go on, it says so in one line and only the recording stops.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "harness/record_events.h"
#include "harness/record_log.h"

#define PER_THREAD static _Thread_local __attribute__((tls_model("initial-exec")))

// ## State

// Windows are whole pages of any usual size, and hold whole events. Most processes need only the
// first.
enum { FIRST_WINDOW = 3 << 16, WINDOW = 3 << 20 };
enum { ASIDE = 64, PATH_SIZE = 2048, SPINS = 100, PATIENCE = 5000 };

struct recorder {
  uintptr_t holder;  // of the log: the address of a thread's mark, or 0
  enum { UNOPENED, OPEN, STOPPED } phase;
  uint32_t threads;
  uint64_t identity;  // of the log, never 0
  struct raw_event *at, *end;
  void *window;
  size_t window_size;
  uint64_t file_size;
  unsigned aside_count;
  struct raw_event aside[ASIDE];
  char path[PATH_SIZE];
};
_Static_assert(sizeof(struct recorder) <= 4096, "it must fit a page");

// The page, or NULL until the first event.
static struct recorder *shared;
// Not in the page: children need it too.
static char directory[PATH_SIZE - 64];
static bool disabled;

// Which log this thread has an index in, and the index.
PER_THREAD struct {
  uint64_t identity;
  uint32_t index;
} mark;

// ## Words

static char *add_text(char *to, const char *end, const char *text) {
  while (*text && to < end - 1) *to++ = *text++;
  *to = '\0';
  return to;
}

static char *add_number(char *to, const char *end, uint64_t number) {
  char digits[24], *first = digits + sizeof digits - 1;
  *first = '\0';
  do *--first = (char)('0' + number % 10);
  while (number /= 10);
  return add_text(to, end, first);
}

static void say(const char *path, const char *what, int reason) {
  char line[PATH_SIZE + 256], *at = line;
  const char *end = line + sizeof line, *why = strerrordesc_np(reason);
  at = add_text(at, end, "assay record: ");
  at = add_text(at, end, path);
  at = add_text(at, end, what);
  at = add_text(at, end, why ? why : "unknown error");
  at = add_text(at, end, "; recording of this process stops, the program goes on\n");
  syscall(SYS_write, STDERR_FILENO, line, (size_t)(at - line));
}

// ## The file

static int open_file(const char *path, int flags) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

// Gives the range room on the disk, so that no write to the mapping can fail later. 0 or errno.
static int claim_room(int descriptor, uint64_t offset, size_t size) {
  long result;
  do result = syscall(SYS_fallocate, descriptor, 0, offset, size);
  while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  static const char zeros[4096];
  for (size_t done = 0; done < size;) {
    size_t piece = size - done < sizeof zeros ? size - done : sizeof zeros;
    long written = syscall(SYS_pwrite64, descriptor, zeros, piece, offset + done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : ENOSPC;
    done += (size_t)written;
  }
  return 0;
}

// Moves the window to the file's end. 0 or errno.
static int move_window(struct recorder *self) {
  size_t size = self->file_size == 0 ? FIRST_WINDOW : WINDOW;
  struct rlimit limit;  // to grow a file beyond it would kill the program
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < self->file_size + size) return EFBIG;
  int descriptor = open_file(self->path, O_RDWR);
  if (descriptor < 0) return errno;
  int reason = claim_room(descriptor, self->file_size, size);
  void *window = MAP_FAILED;
  if (reason == 0) {
    window =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, (off_t)self->file_size);
    if (window == MAP_FAILED) reason = errno;
  }
  syscall(SYS_close, descriptor);
  if (reason != 0) return reason;
  madvise(window, size, MADV_DONTFORK);
  // All page faults now, in one go: later each could be interrupted again and again by a fast
  // timer.
  madvise(window, size, MADV_POPULATE_WRITE);
  if (self->window) munmap(self->window, self->window_size);
  self->window = window;
  self->window_size = size;
  self->file_size += size;
  self->at = window;
  self->end = (struct raw_event *)((char *)window + size);
  return 0;
}

// The kernel's own calls: glibc's would leave out the signals that it uses itself.
static void block_signals(uint64_t *former) {
  uint64_t all = UINT64_MAX;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, former, sizeof all);
}

static void restore_signals(const uint64_t *former) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, former, NULL, sizeof *former);
}

// Moves the window on with all signals held back: a fast timer could interrupt every attempt to get
// room, and a handler could leave by longjmp.
static int next_window(struct recorder *self) {
  uint64_t former;
  block_signals(&former);
  int reason = move_window(self);
  restore_signals(&former);
  return reason;
}

static void write_header(struct recorder *self, uint32_t process) {
  struct raw_header *header = self->window;
  char executable[1024];
  long length =
      syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", executable, sizeof executable - 1);
  executable[length > 0 ? length : 0] = '\0';
  const char *slash = strrchr(executable, '/');
  header->version = RAW_VERSION;
  header->process = process;
  add_text(header->program, header->program + sizeof header->program,
           slash ? slash + 1 : "program");
  __atomic_thread_fence(__ATOMIC_RELEASE);
  memcpy(header->magic, RAW_MAGIC, sizeof header->magic);
  self->at += sizeof *header / sizeof *self->at;
}

static void stop(struct recorder *self, int reason) {
  if (__atomic_exchange_n(&self->phase, STOPPED, __ATOMIC_RELAXED) == STOPPED) return;
  // Without the directory recording is over, and this process outlived it.
  if (reason == ENOENT) return;
  say(self->path, ": the log cannot go on: ", reason);
  int descriptor = open_file(self->path, O_WRONLY);
  if (descriptor < 0) return;
  uint32_t stopped = (uint32_t)reason;
  syscall(SYS_pwrite64, descriptor, &stopped, sizeof stopped, offsetof(struct raw_header, stopped));
  syscall(SYS_close, descriptor);
}

static void open_log(struct recorder *self) {
  uint32_t process = (uint32_t)syscall(SYS_getpid);
  int descriptor = -1;
  // A process that executes another program keeps its number: the next file is that program's.
  for (uint32_t number = 0; descriptor < 0; number++) {
    const char *end = self->path + sizeof self->path;
    char *at = add_text(self->path, end, directory);
    at = add_text(at, end, "/");
    at = add_number(at, end, process);
    at = add_text(at, end, ".");
    at = add_number(at, end, number);
    add_text(at, end, ".raw");
    self->identity = ((uint64_t)process << 32 | number) + 1;
    descriptor = open_file(self->path, O_RDWR | O_CREAT | O_EXCL);
    if (descriptor < 0 && errno != EEXIST) break;
  }
  if (descriptor < 0) {
    stop(self, errno);
    return;
  }
  syscall(SYS_close, descriptor);
  int reason = next_window(self);
  if (reason != 0) {
    stop(self, reason);
    return;
  }
  write_header(self, process);
  __atomic_store_n(&self->phase, OPEN, __ATOMIC_RELAXED);
}

// ## The log

static void append(struct recorder *self, const struct raw_event *event) {
  if (self->phase == UNOPENED) open_log(self);
  if (self->phase == OPEN && self->at == self->end) {
    int reason = next_window(self);
    if (reason != 0) stop(self, reason);
  }
  if (self->phase != OPEN) return;
  if (mark.identity != self->identity) {
    mark.identity = self->identity;
    mark.index = self->threads++;
  }
  struct raw_event *at = self->at;
  at->address = event->address;
  at->size = event->size;
  at->thread = mark.index;
  at->count = event->count;
  at->align_log2 = event->align_log2;
  __atomic_store_n(&at->kind, event->kind, __ATOMIC_RELEASE);
  self->at = at + 1;
}

// Adds what handlers left aside while their thread held the log. A handler may still add to it.
static void append_aside(struct recorder *self) {
  unsigned done = 0, count;
  while ((count = __atomic_load_n(&self->aside_count, __ATOMIC_RELAXED)) > 0) {
    for (; done < count && done < ASIDE; done++) append(self, &self->aside[done]);
    if (__atomic_compare_exchange_n(&self->aside_count, &count, 0, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
      return;
  }
}

static void wait_a_moment(struct recorder *self, unsigned attempt) {
  if (attempt < SPINS) return;
  if (attempt < 2 * SPINS) {
    syscall(SYS_sched_yield);
  } else {
    syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = 1000000}, NULL);
    // Its holder is gone: left by longjmp from a handler, or killed as a child that shared the
    // memory.
    if (attempt == PATIENCE) stop(self, EDEADLK);
  }
}

// True: the log is this thread's. False: it already was, and a handler interrupted; or it stopped.
static bool take_log(struct recorder *self) {
  for (unsigned attempt = 0;; attempt++) {
    uintptr_t holder = 0;
    if (__atomic_compare_exchange_n(&self->holder, &holder, (uintptr_t)&mark, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return true;
    if (holder == (uintptr_t)&mark) return false;
    if (__atomic_load_n(&self->phase, __ATOMIC_RELAXED) == STOPPED) return false;
    wait_a_moment(self, attempt);
  }
}

static void leave_aside(struct recorder *self, const struct raw_event *event) {
  unsigned at = __atomic_fetch_add(&self->aside_count, 1, __ATOMIC_RELAXED);
  if (at < ASIDE)
    self->aside[at] = *event;
  else  // no handler does so much: an earlier one left by longjmp, and the log was never given back
    stop(self, EDEADLK);
}

static bool find_directory(void) {
  if (directory[0]) return true;
  static const char name[] = RAW_DIRECTORY_VARIABLE "=";
  if (!environ) return false;  // too early: ask again at the next event
  for (char **variable = environ; *variable; variable++)
    if (strncmp(*variable, name, sizeof name - 1) == 0)
      add_text(directory, directory + sizeof directory, *variable + sizeof name - 1);
  disabled = directory[0] == '\0';
  return !disabled;
}

static struct recorder *make_recorder(void) {
  if (disabled || !find_directory()) return NULL;
  void *page = mmap(NULL, sizeof(struct recorder), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || madvise(page, sizeof(struct recorder), MADV_WIPEONFORK) != 0) {
    disabled = true;
    say(directory, ": cannot record (Linux 4.14 or newer is needed): ", errno);
    return NULL;
  }
  struct recorder *expected = NULL;
  if (__atomic_compare_exchange_n(&shared, &expected, page, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE))
    return page;
  munmap(page, sizeof(struct recorder));
  return expected;
}

static void record(const struct raw_event *event) {
  int former_errno = errno;
  struct recorder *self = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
  if (!self) self = make_recorder();
  if (self && __atomic_load_n(&self->phase, __ATOMIC_RELAXED) != STOPPED) {
    if (take_log(self)) {
      append_aside(self);
      append(self, event);
      append_aside(self);
      __atomic_store_n(&self->holder, 0, __ATOMIC_RELEASE);
    } else {
      leave_aside(self, event);
    }
  }
  errno = former_errno;
}

// ## Events

static uint64_t address_of_block(const void *block) { return (uint64_t)(uintptr_t)block; }

static uint8_t log2_ceiling(size_t x) {
  return (uint8_t)(x <= 1 ? 0 : 64 - __builtin_clzll((unsigned long long)x - 1));
}

void record_allocation(const void *block, size_t size, size_t align) {
  if (!block) return;
  record(&(struct raw_event){.kind = RAW_ALLOCATE,
                             .address = address_of_block(block),
                             .size = size,
                             .align_log2 = log2_ceiling(align)});
}

void record_zeroed(const void *block, size_t count, size_t size, size_t align) {
  if (!block) return;
  bool keep = count >= 1 && count <= RAW_COUNT_MAX;
  record(&(struct raw_event){.kind = RAW_ZEROED,
                             .address = address_of_block(block),
                             .size = keep ? size : count * size,
                             .count = keep ? (uint16_t)count : 1,
                             .align_log2 = log2_ceiling(align)});
}

void record_release(const void *block) {
  if (!block) return;
  record(&(struct raw_event){.kind = RAW_RELEASE, .address = address_of_block(block)});
}

void record_resize_begin(const void *block, size_t size) {
  record(&(struct raw_event){
      .kind = RAW_RESIZE_BEGIN, .address = address_of_block(block), .size = size});
}

void record_resize_end(const void *moved, uint64_t former) {
  record(&(struct raw_event){
      .kind = RAW_RESIZE_END, .address = address_of_block(moved), .size = former});
}
