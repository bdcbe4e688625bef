// main() of a fuzz target where libFuzzer does not bring one: replays the files it is given or,
// under AFL++ and without files, runs the persistent loop. Options (`-runs=4`) are ignored, so that
// command lines made for libFuzzer work.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef ENGINE_LIBFUZZER

enum { EXIT_CLEAN = 0, EXIT_COULD_NOT_RUN = 2 };

// Far above what any engine makes; a larger file is a mistake, not an input.
static const size_t largest_input = (size_t)1 << 24;

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

// libFuzzer's, which a custom mutator may call. Nothing is mutated here.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) {
  (void)data, (void)max_size;
  return size;
}

// Hands the target a heap copy of exactly the input's size, so that a sanitizer sees an overread.
static void run_copy(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy) {
    fprintf(stderr, "assay: out of memory for an input of %zu bytes\n", size);
    exit(EXIT_COULD_NOT_RUN);
  }
  if (size) memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

static _Noreturn void cannot_read(const char *path, const char *why) {
  fprintf(stderr, "assay: %s: %s\n", path, why);
  exit(EXIT_COULD_NOT_RUN);
}

// The whole file, whatever kind it is: a pipe does not know its size.
static uint8_t *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) cannot_read(path, strerror(errno));
  uint8_t *data = NULL;
  size_t used = 0, capacity = 0;
  do {
    if (used == capacity) {
      capacity = capacity ? 2 * capacity : 4096;
      if (capacity > 2 * largest_input) cannot_read(path, "too large to be an input");
      uint8_t *grown = realloc(data, capacity);
      if (!grown) cannot_read(path, "too large for the memory there is");
      data = grown;
    }
    used += fread(data + used, 1, capacity - used, file);
  } while (!ferror(file) && !feof(file));
  if (ferror(file)) cannot_read(path, strerror(errno));
  fclose(file);
  *size = used;
  return data;
}

static void replay(const char *path) {
  size_t size;
  uint8_t *data = read_file(path, &size);
  fprintf(stderr, "Running: %s (%zu bytes)\n", path, size);
  run_copy(data, size);
  free(data);
}

#ifdef ENGINE_AFL
// In the expansion of AFL++'s macros, which is not ours to mend.
#pragma clang diagnostic ignored "-Wconversion"
__AFL_FUZZ_INIT();

// One process for many inputs, which arrive in shared memory.
static void persistent_loop(void) {
  __AFL_INIT();
  const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
  while (__AFL_LOOP(100000)) run_copy(data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
}
#endif

int main(int argc, char **argv) {
  if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);
  int files = 0;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] == '-') continue;
    replay(argv[i]);
    files++;
  }
  if (files) return EXIT_CLEAN;
#ifdef ENGINE_AFL
  persistent_loop();
  return EXIT_CLEAN;
#else
  fprintf(stderr, "usage: %s FILE...   (replays each file)\n", argv[0]);
  return EXIT_COULD_NOT_RUN;
#endif
}

#endif
