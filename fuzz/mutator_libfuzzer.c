// The mutator as libFuzzer calls it. https://llvm.org/docs/LibFuzzer.html
#include "fuzz/mutator.h"
#include "fuzz/mutator_choice.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed);

// Now and then bytes are mutated as bytes: what the mutator never thinks of is a program, too.
enum { BYTES_ONE_IN = 32 };

static enum mutator_choice choice;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  choice = mutator_choose();
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  if (choice == MUTATE_BYTES || seed % BYTES_ONE_IN == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  return mutator_mutate(data, size, max_size, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed) {
  if (choice == MUTATE_BYTES) return 0;  // declined: libFuzzer's own mutations cross over, too
  return mutator_cross(first, first_size, second, second_size, out, max_size, seed);
}
