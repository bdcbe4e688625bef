// The target's own numbers: they outlive who adds to them, and nothing about them ends a target.
#define _GNU_SOURCE  // setenv, mkdtemp
#include "fuzz/counters.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"

static char folder[] = "/tmp/counters_test.XXXXXX", path[64];

// A view on a new file, or on the one that there is.
static struct counting *open_anew(void) {
  static struct counting counting;
  if (counting.file) munmap(counting.file, sizeof *counting.file);
  counting = (struct counting){0};
  counting_open(&counting);
  return &counting;
}

static uint64_t value(const struct counting *self, unsigned row) {
  return self->file->row[row].value;
}

static uint64_t hits(const struct counting *self, uint32_t state) {
  uint64_t found = 0;
  for (int i = 0; i < COUNTERS_STATES; i++)
    if (self->file->state[i].state == state) found += self->file->state[i].hits;
  return found;
}

static void nobody_wants_them(void) {
  unsetenv("ASSAY_COUNTERS");
  struct counting *counting = open_anew();
  CHECK(!counting->file);
  counting_begin(counting);
  counting_add(counting, &(struct run_counts){.operations = 3});
  counting_state(counting, 1);
  counting_violated(counting, &(struct run_counts){.operations = 3});
  setenv("ASSAY_COUNTERS", path, 1);
}

static void what_is_new_is_added(void) {
  unlink(path);
  struct counting *counting = open_anew();
  struct run_counts counts = {.operations = 5, .skipped = 2};
  const enum property last = (enum property)(PROPERTY_COUNT - 1);
  counts.exercised[last] = 7;
  counting_begin(counting);
  counting_add(counting, &counts);
  counting_add(counting, &counts);
  counting_begin(counting);
  counts.operations = 6;
  counts.exercised[PROPERTY_alignment] = 1;
  counting_violated(counting, &counts);
  CHECK(value(counting, COUNTERS_EXECUTIONS) == 2);
  CHECK(value(counting, COUNTERS_OPERATIONS) == 6);
  CHECK(value(counting, COUNTERS_SKIPPED) == 2);
  CHECK(value(counting, COUNTERS_VIOLATIONS) == 1);
  CHECK(value(counting, COUNTERS_FIRST_PROPERTY) == 1);
  CHECK(value(counting, COUNTERS_ROWS - 1) == 7);
  char name[80];
  snprintf(name, sizeof name, "exercised:%s", property_id(last));
  CHECK(strcmp(counting->file->row[COUNTERS_ROWS - 1].name, name) == 0);
  // Who comes later goes on there.
  counting = open_anew();
  counting_begin(counting);
  CHECK(value(counting, COUNTERS_EXECUTIONS) == 3);
}

static void states_count_once_per_program(void) {
  unlink(path);
  struct counting *counting = open_anew();
  for (int program = 0; program < 3; program++) {
    counting_begin(counting);
    for (int i = 0; i < 4; i++) counting_state(counting, 77);
    counting_state(counting, 78 + (uint32_t)program);
  }
  CHECK(hits(counting, 77) == 3);
  CHECK(hits(counting, 78) == 1);
  CHECK(value(counting, COUNTERS_STATES_LOST) == 0);
}

// What there is room for stays; the rest is said to be lost.
static void a_full_table_says_so(void) {
  unlink(path);
  struct counting *counting = open_anew();
  const uint32_t all = 2 * COUNTERS_STATES;
  counting_begin(counting);
  for (uint32_t state = 1; state <= all; state++) counting_state(counting, state);
  uint64_t kept = 0;
  for (int i = 0; i < COUNTERS_STATES; i++) kept += counting->file->state[i].hits;
  CHECK(kept > COUNTERS_STATES * 9 / 10);
  CHECK(kept + value(counting, COUNTERS_STATES_LOST) == all);
}

// As under a fork server: the mapping is inherited, and children die at any moment.
static void killed_children_have_counted(void) {
  unlink(path);
  struct counting *counting = open_anew();
  enum { CHILDREN = 4, PROGRAMS = 1000 };
  pid_t children[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) {
    children[i] = fork();
    CHECK(children[i] >= 0);
    if (children[i] > 0) continue;
    struct run_counts counts = {0};
    for (int program = 0; program < PROGRAMS; program++) {
      counting_begin(counting);
      counting_state(counting, 5);
      counts.operations++;
      counting_add(counting, &counts);
    }
    kill(getpid(), SIGKILL);
  }
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    CHECK(waitpid(children[i], &status, 0) == children[i]);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  CHECK(value(counting, COUNTERS_EXECUTIONS) == CHILDREN * PROGRAMS);
  CHECK(value(counting, COUNTERS_OPERATIONS) == CHILDREN * PROGRAMS);
  CHECK(hits(counting, 5) == CHILDREN * PROGRAMS);
}

static void write_bytes(size_t size) {
  unlink(path);
  int file = open(path, O_WRONLY | O_CREAT, 0600);
  CHECK(file >= 0 && ftruncate(file, (off_t)size) == 0);
  close(file);
}

static void strange_files_are_left_alone(void) {
  write_bytes(100);
  struct stat status;
  CHECK(!open_anew()->file);
  CHECK(stat(path, &status) == 0 && status.st_size == 100);
  // Its maker was killed before it was whole.
  write_bytes(sizeof(struct counters));
  struct counting *counting = open_anew();
  CHECK(counting->file && counting->file->magic == COUNTERS_MAGIC);
  // Of another version of the target.
  counting->file->row[3].name[0] = '?';
  CHECK(!open_anew()->file);
}

static void no_room_is_no_crash(void) {
  unlink(path);
  struct rlimit former;
  CHECK(getrlimit(RLIMIT_FSIZE, &former) == 0);
  signal(SIGXFSZ, SIG_IGN);
  CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, former.rlim_max}) == 0);
  struct counting *counting = open_anew();
  counting_begin(counting);
  CHECK(!counting->file);
  CHECK(setrlimit(RLIMIT_FSIZE, &former) == 0);
  setenv("ASSAY_COUNTERS", "/nowhere/counters", 1);
  CHECK(!open_anew()->file);
}

int main(void) {
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/counters", folder);
  nobody_wants_them();
  what_is_new_is_added();
  states_count_once_per_program();
  a_full_table_says_so();
  killed_children_have_counted();
  strange_files_are_left_alone();
  no_room_is_no_crash();
  unlink(path);
  rmdir(folder);
  return 0;
}
