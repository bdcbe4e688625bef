// The smallest fuzzer that can be pointed at the bug benchmark: random bytes, a mutation now and
// then.
//
//   random_fuzzer                 lists the bugs
//   random_fuzzer BUG SEED RUNS   runs inputs until the bug is killed, RUNS of them at most
//
// The inputs run in a child, so that its end can be told. Exit codes: 0 it survived, 1 it was
// killed, 2 could not run.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/bug_benchmark.h"

enum { LARGEST_INPUT = 1024 };

// xorshift64 (Marsaglia 2003).
static uint64_t state;

static uint64_t random_number(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// Sparse bytes: small numbers are common in programs.
static uint8_t random_byte(void) {
  uint64_t number = random_number();
  return number % 4 ? 0 : (uint8_t)(number >> 8);
}

static int list_bugs(void) {
  for (size_t i = 0; i < bug_benchmark_count(); i++) {
    struct benchmark_bug bug = bug_benchmark_at(i);
    printf("%s\t%s\t%s\n", bug.id, bug.name, bug.expect);
  }
  return 0;
}

// Counts the inputs in *executed before it runs each.
static void fuzz(const char *bug, unsigned long runs, volatile unsigned long *executed) {
  static uint8_t input[LARGEST_INPUT];
  size_t size = 0;
  while (*executed < runs) {
    if (random_number() % 8 == 0) {
      size = random_number() % LARGEST_INPUT;
      for (size_t i = 0; i < size; i++) input[i] = random_byte();
    } else if (size > 0) {
      for (int i = 0; i < 3; i++) input[random_number() % size] = random_byte();
    }
    ++*executed;
    if (bug_benchmark_run(bug, input, size) >= BUG_BENCHMARK_UNKNOWN) exit(2);
  }
}

int main(int argc, char **argv) {
  if (argc == 1) return list_bugs();
  if (argc != 4) {
    fprintf(stderr, "usage: %s [BUG SEED RUNS]\n", argv[0]);
    return 2;
  }
  state = strtoul(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
  unsigned long *executed =
      mmap(NULL, sizeof *executed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t child = executed == MAP_FAILED ? -1 : fork();
  if (child < 0) {
    perror(argv[0]);
    return 2;
  }
  if (child == 0) {
    fuzz(argv[1], strtoul(argv[3], NULL, 10), executed);
    exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) return 2;
  int killed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  printf("%s %s after %lu executions\n", argv[1], killed ? "was killed" : "survived", *executed);
  return killed;
}
