// The mutator as libFuzzer calls it. https://llvm.org/docs/LibFuzzer.html
#include "fuzz/mutator.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed);

// Now and then bytes are mutated as bytes: what the mutator never thinks of is a program, too.
enum { BYTES_ONE_IN = 32 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  if (seed % BYTES_ONE_IN == 0) return LLVMFuzzerMutate(data, size, max_size);
  return mutator_mutate(data, size, max_size, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed) {
  return mutator_cross(first, first_size, second, second_size, out, max_size, seed);
}
