// Counts of numbers of any size in buckets: each power of two in 32 equal parts, so that a bucket
// is at most 3 % wide, and numbers below 64 have one each. (As in HdrHistogram.)
#ifndef HARNESS_BUCKETS_H_
#define HARNESS_BUCKETS_H_

#include <stdint.h>

enum { BUCKET_BITS = 5, BUCKETS = (64 - BUCKET_BITS + 1) << BUCKET_BITS };

struct buckets {
  uint64_t counts[BUCKETS];
  uint64_t total;
  uint64_t most;  // exactly
};

static inline unsigned bucket_of(uint64_t value) {
  if (value < 2u << BUCKET_BITS) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - BUCKET_BITS;
  return (shift << BUCKET_BITS) + (unsigned)(value >> shift);
}

// The least and the greatest number of a bucket.
static inline uint64_t bucket_low(unsigned bucket) {
  if (bucket < 2u << BUCKET_BITS) return bucket;
  unsigned shift = (bucket >> BUCKET_BITS) - 1;
  return (uint64_t)((bucket & ((1u << BUCKET_BITS) - 1)) + (1u << BUCKET_BITS)) << shift;
}
static inline uint64_t bucket_high(unsigned bucket) {
  if (bucket < 2u << BUCKET_BITS) return bucket;
  return bucket_low(bucket) + (((uint64_t)1 << ((bucket >> BUCKET_BITS) - 1)) - 1);
}

static inline void buckets_add(struct buckets *buckets, uint64_t value) {
  buckets->counts[bucket_of(value)]++;
  buckets->total++;
  if (value > buckets->most) buckets->most = value;
}

#endif
