// A program that asks all of its malloc that real ones ask: `demanding PART...` exits with 0 if
// each part was served right, and says what was not otherwise. Built without any part of the
// testbed's allocators: what it runs on is for the preloaded object to say.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"

// The compiler must not leave calls out.
static void *volatile sink;

static unsigned next(unsigned *state) { return *state = *state * 1664525u + 1013904223u; }

static void fill(unsigned char *block, size_t size, unsigned key) {
  for (size_t i = 0; i < size; i++) block[i] = (unsigned char)(key + i * 7);
}

static void demand_filled(const unsigned char *block, size_t size, unsigned key) {
  for (size_t i = 0; i < size; i++) CHECK(block[i] == (unsigned char)(key + i * 7));
}

static bool is_aligned(const void *block, size_t align) { return (uintptr_t)block % align == 0; }

// ## Edges of C and POSIX

static void try_zero(void) {
  void *a = malloc(0), *b = malloc(0), *c = calloc(0, 8), *d = realloc(NULL, 0);
  CHECK(a && b && c && d && a != b && a != c && b != c && a != d && b != d);
  free(a), free(b), free(c), free(d), free(NULL);
  CHECK(malloc_usable_size(NULL) == 0);
  CHECK(realloc(malloc(10), 0) == NULL);
}

static void try_refusals(void) {
  volatile size_t most = SIZE_MAX;
  errno = 0;
  CHECK(malloc(most) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(malloc(most / 2) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(calloc(most / 2, 4) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(reallocarray(NULL, most / 2, 4) == NULL && errno == ENOMEM);
  unsigned char *block = malloc(100);
  fill(block, 100, 1);
  errno = 0;
  CHECK(realloc(block, most / 2) == NULL && errno == ENOMEM);
  demand_filled(block, 100, 1);
  errno = 77;
  free(block);
  CHECK(errno == 77);
  void *to = block;
  CHECK(posix_memalign(&to, 24, 8) == EINVAL && posix_memalign(&to, 4, 8) == EINVAL);
  CHECK(posix_memalign(&to, 16, most / 2) == ENOMEM && to == block);
}

static void try_alignments(void) {
  for (size_t align = 8; align <= (size_t)1 << 21; align *= 2)
    for (size_t size = 1; size <= 5000; size = 3 * size + 1) {
      void *block;
      CHECK(posix_memalign(&block, align, size) == 0 && is_aligned(block, align));
      CHECK(malloc_usable_size(block) >= size);
      fill(block, size, (unsigned)size);
      void *other = aligned_alloc(align, size), *third = memalign(align, size);
      CHECK(other && third && is_aligned(other, align) && is_aligned(third, align));
      fill(other, size, 9), fill(third, size, 5);
      demand_filled(block, size, (unsigned)size);
      block = realloc(block, 2 * size);
      demand_filled(block, size, (unsigned)size);
      free(other), free(block), free(third);
    }
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void *a = valloc(10), *b = pvalloc(10);
  CHECK(is_aligned(a, page) && is_aligned(b, page) && malloc_usable_size(b) >= page);
  free(a), free(b);
}

static void try_sizes(void) {
  for (size_t size = 1; size < 3000000; size = size * 5 / 4 + 1) {
    unsigned char *block = malloc(size), *zeroed = calloc(size, 1);
    CHECK(block && zeroed && is_aligned(block, 16) && is_aligned(zeroed, 16));
    for (size_t i = 0; i < size; i++) CHECK(zeroed[i] == 0);
    fill(block, size, 3), fill(zeroed, size, 4);
    size_t usable = malloc_usable_size(block);
    CHECK(usable >= size);
    memset(block + size, 0xee, usable - size);
    block = realloc(block, size + 1000);
    demand_filled(block, size, 3), demand_filled(zeroed, size, 4);
    block = realloc(block, size / 2 + 1);
    demand_filled(block, size / 2 + 1, 3);
    free(zeroed), free(block);
  }
}

static void try_reports(void) {
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1);
  CHECK(malloc_trim(0) == 0 || malloc_trim(0) == 1);
  struct mallinfo2 info = mallinfo2();
  CHECK(info.uordblks <= info.arena + info.hblkhd);
}

static void part_edges(void) {
  try_zero();
  try_refusals();
  try_alignments();
  try_sizes();
  try_reports();
}

// ## Threads that release each other's blocks, and end

enum { THREADS = 6, ROUNDS = 4000, SHELF = 512 };
static _Atomic(unsigned char *) shelf[SHELF];
static pthread_key_t key;

static void release_late(void *block) {
  demand_filled(block, 333, 7);
  free(block);
  free(malloc(50));
}

static void *churn(void *argument) {
  unsigned state = (unsigned)(uintptr_t)argument;
  unsigned char *mine = malloc(333);
  fill(mine, 333, 7);
  pthread_setspecific(key, mine);
  for (unsigned i = 0; i < ROUNDS; i++) {
    unsigned place = next(&state) >> 8, size = next(&state) >> 20;
    if (size % 64 == 0) size *= 16;
    size += sizeof(unsigned);
    unsigned char *block = size % 3 ? malloc(size) : calloc(1, size);
    if (size % 5 == 0) block = realloc(block, size *= 2);
    fill(block, size, size);
    memcpy(block, &size, sizeof size);
    unsigned char *other = atomic_exchange(&shelf[place % SHELF], block);
    if (!other) continue;
    unsigned its;
    memcpy(&its, other, sizeof its);
    demand_filled(other + sizeof its, its - sizeof its, its + 7 * (unsigned)sizeof its);
    free(other);
  }
  return NULL;
}

static void clear_shelf(void) {
  for (unsigned i = 0; i < SHELF; i++) free(atomic_exchange(&shelf[i], NULL));
}

static void start(pthread_t threads[THREADS], void *run(void *)) {
  for (uintptr_t i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
}

static void join(pthread_t threads[THREADS]) {
  for (unsigned i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static void part_threads(void) {
  pthread_t threads[THREADS];
  CHECK(pthread_key_create(&key, release_late) == 0);
  for (unsigned round = 0; round < 3; round++) {
    start(threads, churn);
    join(threads);
  }
  clear_shelf();
}

// ## Forks while other threads are inside the allocator

static atomic_bool enough;

static void *hammer(void *argument) {
  unsigned state = (unsigned)(uintptr_t)argument;
  while (!enough) {
    void *blocks[16];
    for (unsigned i = 0; i < 16; i++) blocks[i] = malloc(1 + (next(&state) >> 22));
    for (unsigned i = 0; i < 16; i++) free(blocks[i]);
  }
  return NULL;
}

static void work_as_child(void) {
  alarm(20);  // a lock that nobody will release is an error, and not a test that hangs
  for (size_t i = 1; i < 300; i++) {
    void *block = malloc(i * 17);
    CHECK(block);
    sink = block = realloc(block, i * 40);
    CHECK(block);
    free(block);
  }
}

static void wait_for(pid_t child) {
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *handled;
static void before(void) { handled = malloc(100); }
static void after(void) { free(handled); }

static void part_forks(void) {
  pthread_t threads[THREADS];
  CHECK(pthread_atfork(before, after, after) == 0);
  start(threads, hammer);
  for (unsigned i = 0; i < 40; i++) {
    pid_t child = fork();
    if (child == 0) {
      work_as_child();
      pid_t grandchild = i % 8 == 0 ? fork() : -1;
      if (grandchild == 0) work_as_child();
      if (grandchild > 0) wait_for(grandchild);
      _exit(0);
    }
    wait_for(child);
  }
  enough = true;
  join(threads);
}

// ## Children that share the memory for a while, and children that are other programs

static void part_spawns(void) {
  for (unsigned i = 0; i < 10; i++) {
    char *arguments[] = {"true", NULL};
    pid_t child;
    sink = malloc(1000 + i);
    CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
    wait_for(child);
    CHECK(system("exit 0") == 0);
    FILE *pipe = popen("echo through", "r");
    char line[32] = "";
    CHECK(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "through\n") == 0);
    CHECK(pclose(pipe) == 0);
    child = vfork();
    if (child == 0) _exit(0);
    wait_for(child);
    free(sink);
  }
}

// ## Handlers that allocate. C forbids it, and programs do it

static volatile sig_atomic_t handled_signals;

static void handle(int number) {
  (void)number;
  int former = errno;
  unsigned char *block = malloc(100);
  CHECK(block);
  fill(block, 100, 2);
  block = realloc(block, 200);
  demand_filled(block, 100, 2);
  free(block);
  handled_signals++;
  errno = former;
}

static void part_signals(void) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  struct itimerval timer = {{0, 200}, {0, 200}};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
  unsigned state = 5;
  for (unsigned i = 0; i < 20000 || handled_signals < 100; i++) {
    size_t size = 1 + (next(&state) >> 22);
    unsigned char *block = malloc(size);
    fill(block, size, i);
    block = realloc(block, size + 100);
    demand_filled(block, size, i);
    free(block);
  }
  timer = (struct itimerval){0};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

// ## No descriptor is left, and the last words are spoken

static void speak_last(void) {
  unsigned char *block = malloc(500);
  fill(block, 500, 1);
  demand_filled(block, 500, 1);
  free(block);
}

static void part_descriptors(void) {
  CHECK(atexit(speak_last) == 0);
  for (int i = 3; i < 256; i++) close(i);
  try_sizes();
  pid_t child = fork();
  if (child == 0) {
    work_as_child();
    exit(0);
  }
  wait_for(child);
}

static void part_libraries(void) {
  for (unsigned i = 0; i < 20; i++) {
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library && dlsym(library, "cos") && !dlsym(library, "no_such_name"));
    CHECK(dlerror() != NULL && dlclose(library) == 0);
    CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL);
  }
}

// ## What must be noticed

static void part_double_release(void) {
  unsigned char *block = malloc(100), *other = malloc(100);
  free(block);
  sink = block;
  free(sink);
  free(other);
}

static void part_foreign_release(void) {
  static _Alignas(64) unsigned char no_block[256];
  sink = malloc(10);
  sink = no_block + 64;
  free(sink);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } parts[] = {
      {"edges", part_edges},
      {"threads", part_threads},
      {"forks", part_forks},
      {"spawns", part_spawns},
      {"signals", part_signals},
      {"libraries", part_libraries},
      {"descriptors", part_descriptors},
      {"double-release", part_double_release},
      {"foreign-release", part_foreign_release},
  };
  for (int i = 1; i < argc; i++) {
    bool known = false;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
      if (strcmp(argv[i], parts[p].name) == 0) known = true, parts[p].run();
    CHECK(known);
  }
  return 0;
}
