// The mutator as libFuzzer calls it. https://llvm.org/docs/LibFuzzer.html
#include <stdbool.h>

#include "fuzz/mutator.h"
#include "fuzz/mutator_choice.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed);

static bool bytes_only(void) {
  static bool known, answer;
  if (!known) answer = mutator_choose() == MUTATE_BYTES;
  known = true;
  return answer;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  // Not even now and then where operations are mutated: libFuzzer puts addresses that it saw
  // compared into inputs, and the same seed would lead elsewhere each time.
  if (bytes_only()) return LLVMFuzzerMutate(data, size, max_size);
  return mutator_mutate(hints_own(), data, size, max_size, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_size, const uint8_t *second,
                                 size_t second_size, uint8_t *out, size_t max_size, unsigned seed) {
  if (bytes_only()) return 0;  // declined: libFuzzer's own mutations cross over, too
  return mutator_cross(hints_own(), first, first_size, second, second_size, out, max_size, seed);
}
