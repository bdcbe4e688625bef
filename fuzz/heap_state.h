// Abstract states: which heaps count as alike when a campaign asks how much of what there is it has
// seen.
//
// Lines and edges of the allocator's code are soon all covered; that each has run says little of
// the heaps it ran on. What differs between heaps as far as an allocator's decisions go is how many
// blocks live, how the free memory is cut up, what lies beside what, and what was asked last: a bug
// needs one of these to be unusual (the first block of all, the last free span, a hole between two
// blocks, a request refused when little is left). So a state is these few magnitudes, coarsely:
//
//   last operation and whether it was refused        12  kinds that do alike are one
//   live blocks, 0 1 2 4 8 16 32 and more             7
//   free spans, 0 1 2 4 8 and more                    5
//   largest free span of the heap, by powers of 8     5  none, < 1/64, < 1/8, < 7/8, nearly all
//   fragmentation: free memory outside that span      3  none, up to half, more (as in Wilson et
//                                                        al. 1995, section 4)
//   free beside free; blocks without one between      4
//
// Of the 25200 combinations most cannot be: without free spans there is no fragmentation. Some
// hundreds up to three thousand are seen on a strategy, the common ones within seconds and the rare
// ones after hours, which is what estimators of the number of species need (A. Chao, "Estimating
// the population size", 1987; M. Boehme, "STADS", TOSEM 2018): they compare the states that were
// seen in one program alone with those that were seen in two.
//
// All comes from the walk and the shadow model, by the contract alone. What a strategy does not
// show is the same in all of its states. States are seen where the tier walks anyway, so most are
// those of a program's end and of some moments in it, which the program itself decides.
#ifndef FUZZ_HEAP_STATE_H_
#define FUZZ_HEAP_STATE_H_

#include <stdint.h>

#include "harness/oracle.h"

// Grows whenever a state means something else; part of each state's number, so that states of
// different definitions do not mix.
enum { HEAP_STATE_DEFINITION = 1 };

// Not 0.
uint32_t heap_state(const struct heap_view *view);

#endif
