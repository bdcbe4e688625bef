// Size and address arithmetic that strategies share: nothing here wraps.
#ifndef ALLOCATORS_ARITHMETIC_H_
#define ALLOCATORS_ARITHMETIC_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// As one comparison, which compilers leave alone: of two they make a count of all bits.
static inline bool is_power_of_two(size_t x) { return (x ^ (x - 1)) > x - 1; }

// True, with the sum in *sum, unless it does not fit.
static inline bool add_sizes(size_t a, size_t b, size_t *sum) {
  return !__builtin_add_overflow(a, b, sum);
}

static inline bool multiply_sizes(size_t a, size_t b, size_t *product) {
  return !__builtin_mul_overflow(a, b, product);
}

// The least multiple of `align` (a power of two) that is >= x. False if it does not fit.
static inline bool align_up(size_t x, size_t align, size_t *aligned) {
  size_t sum;
  if (!add_sizes(x, align - 1, &sum)) return false;
  *aligned = sum & ~(align - 1);
  return true;
}

static inline size_t align_down(size_t x, size_t align) { return x & ~(align - 1); }

// Sums for stated bounds, where SIZE_MAX means "more than there is".
static inline size_t add_saturating(size_t a, size_t b) {
  size_t sum;
  return add_sizes(a, b, &sum) ? sum : SIZE_MAX;
}

static inline uintptr_t address_of(const void *pointer) { return (uintptr_t)pointer; }

// Whether [start, start + size) lies in [outer, outer + outer_size). Nothing is dereferenced.
static inline bool range_within(const void *start, size_t size, const void *outer,
                                size_t outer_size) {
  uintptr_t offset = address_of(start) - address_of(outer);
  return address_of(start) >= address_of(outer) && offset <= outer_size &&
         size <= outer_size - offset;
}

#endif
