#define _GNU_SOURCE  // MAP_ANONYMOUS
#include "fuzz/apart.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// Of clang's coverage, where it counts in the program itself. The linker names the section's ends.
extern unsigned char __start___sancov_cntrs[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop___sancov_cntrs[] __attribute__((weak, visibility("hidden")));

// What the child leaves for its parent.
struct legacy {
  bool announced;  // a violation
  bool done;       // it came to its own end: an allocator may call exit(0), too
  struct hints hints;
  unsigned char covered[];
};
static struct legacy *legacy;

static size_t counters_size(void) {
  return (size_t)(__stop___sancov_cntrs - __start___sancov_cntrs);
}

// By engines and by this target for what they have told already.
static bool is_told(int code) {
  enum { NOT_RUN = 2, TIMEOUT = 70, OUT_OF_MEMORY = 71, CRASH = 77 };
  return code == NOT_RUN || code == TIMEOUT || code == OUT_OF_MEMORY || code == CRASH;
}

static _Noreturn void give_up(const char *what) {
  fprintf(stderr, "no process for a program: %s: %s\n", what, strerror(errno));
  exit(2);
}

static struct legacy *share_legacy(void) {
  void *shared = mmap(NULL, sizeof *legacy + counters_size(), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) give_up("mmap");
  return shared;
}

static _Noreturn void leave(const struct hints *hints) {
  legacy->hints = *hints;
  if (counters_size() > 0) memcpy(legacy->covered, __start___sancov_cntrs, counters_size());
  legacy->done = true;
  _exit(0);
}

static _Noreturn void tell(const char *strategy, int status) {
  struct verdict verdict = {.property = PROPERTY_crash, .id = "crash", .site = "process"};
  if (WIFSIGNALED(status))
    snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "the process died: %s%s",
             strsignal(WTERMSIG(status)),
             WTERMSIG(status) == SIGKILL ? " (as it is when memory runs out)" : "");
  else
    snprintf(verdict.diagnosis, sizeof verdict.diagnosis, "the process left with exit code %d",
             WEXITSTATUS(status));
  property_violated(&verdict, strategy);
}

// Ends as the child did.
static _Noreturn void follow(const char *strategy, int status) {
  if (WIFEXITED(status) && (legacy->announced || is_told(WEXITSTATUS(status))))
    _exit(WEXITSTATUS(status));
  if (!WIFSIGNALED(status) || !legacy->announced) tell(strategy, status);
  signal(WTERMSIG(status), SIG_DFL);
  raise(WTERMSIG(status));
  _exit(1);
}

// ## The price of a child
//
// Most of it is to copy the tables of the parent's pages, and most of these are an engine's that
// the child never looks at. In pages of 2 MiB there are few of them; what a child writes to is
// split again in that child alone.

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

// A kernel that knows no such request refuses, and all works as well.
static void collapse(uintptr_t start, uintptr_t end) {
  enum { HUGE = 1 << 21, LARGEST = 1 << 30 };  // a sanitizer's shadow is larger, and empty
  start = (start + HUGE - 1) & ~(uintptr_t)(HUGE - 1);
  if (end - start > LARGEST) return;
  for (; start < end && end - start >= HUGE; start += HUGE)
    madvise((void *)start, HUGE, MADV_COLLAPSE);
}

static void use_large_pages(void) {
  enum { WORTHWHILE = 512 };  // kilobytes of a mapping that are there
  FILE *maps = fopen("/proc/self/smaps", "r");
  if (!maps) return;
  char line[256], access[8] = "";
  uintptr_t start = 0, end = 0;
  unsigned long kilobytes;
  while (fgets(line, sizeof line, maps)) {
    uintptr_t from, to;
    char mode[8];
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, mode) == 3) {
      start = from, end = to;
      memcpy(access, mode, sizeof access);
    } else if (sscanf(line, "Rss: %lu", &kilobytes) == 1 && kilobytes >= WORTHWHILE &&
               strcmp(access, "rw-p") == 0) {
      collapse(start, end);
    }
  }
  fclose(maps);
}

// Without what sanitizers do at a fork, which writes to more pages than a program does. There is no
// other thread that could have left their state in the middle of something.
static pid_t fork_cheaply(void) {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
  return _Fork();
#endif
#endif
  return fork();
}

void apart_announced(void) {
  if (legacy) legacy->announced = true;
}

void apart_run(const char *strategy, struct hints *hints, apart_body *body, void *context) {
  if (!legacy) {
    legacy = share_legacy();
    use_large_pages();
  }
  legacy->done = legacy->announced = false;
  fflush(NULL);
  pid_t parent = getpid(), pid = fork_cheaply();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // the engine may give this program up
    if (getppid() != parent) _exit(0);
    body(context);
    leave(hints);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) give_up("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !legacy->done) follow(strategy, status);
  if (counters_size() > 0) memcpy(__start___sancov_cntrs, legacy->covered, counters_size());
  *hints = legacy->hints;
}
