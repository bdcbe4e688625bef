// The mutator as AFL++ calls it, in a shared object named by AFL_CUSTOM_MUTATOR_LIBRARY.
// https://aflplus.plus/docs/custom_mutators/
#include <stdlib.h>
#include <string.h>

#include "fuzz/mutator.h"
#include "fuzz/mutator_choice.h"

struct afl_mutator {
  enum mutator_choice choice;
  uint32_t seed;
  const struct hints *hints;  // that the target fills
  uint8_t *buffer;
  size_t capacity;
};

void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t size, uint8_t **out, uint8_t *other,
                       size_t other_size, size_t max_size);
void afl_custom_deinit(void *data);

void *afl_custom_init(void *afl, unsigned seed) {
  (void)afl;
  struct afl_mutator *self = calloc(1, sizeof *self);
  if (!self) return NULL;
  self->choice = mutator_choose();
  self->seed = seed;
  // The target is started later, and inherits the environment. Nothing depends on hints.
  self->hints = self->choice == MUTATE_OPERATIONS ? hints_share() : NULL;
  if (!self->hints) self->hints = hints_own();
  return self;
}

size_t afl_custom_fuzz(void *data, uint8_t *bytes, size_t size, uint8_t **out, uint8_t *other,
                       size_t other_size, size_t max_size) {
  struct afl_mutator *self = data;
  if (self->choice == MUTATE_BYTES) {
    *out = bytes;
    return 0;  // nothing is run for this: what is left are afl-fuzz's own stages
  }
  if (self->capacity < max_size) {
    uint8_t *grown = realloc(self->buffer, max_size);
    if (!grown) {
      *out = bytes;
      return size;
    }
    self->buffer = grown;
    self->capacity = max_size;
  }
  uint32_t seed = self->seed = self->seed * 1664525u + 1013904223u;
  *out = self->buffer;
  if (size > max_size) size = max_size;
  if (other && other_size && seed >> 30 == 0)
    return mutator_cross(self->hints, bytes, size, other, other_size, self->buffer, max_size, seed);
  memcpy(self->buffer, bytes, size);
  return mutator_mutate(self->hints, self->buffer, size, max_size, seed);
}

void afl_custom_deinit(void *data) {
  struct afl_mutator *self = data;
  free(self->buffer);
  free(self);
}
