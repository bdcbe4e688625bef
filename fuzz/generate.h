// New sizes, alignments and operations for a program under mutation.
//
// Sizes lie where allocators break: small ones, edges of classes, pages and the heap, near
// wrap-around (compare ArcHeap, Yun et al., USENIX Security 2020), and what the allocator has
// answered before.
#ifndef FUZZ_GENERATE_H_
#define FUZZ_GENERATE_H_

#include "fuzz/draft.h"

uint64_t some_size(struct draft *draft);
uint64_t some_align(struct draft *draft);

// A size on or beside an edge: of a class, of pages, or of something that the allocator has
// answered before.
uint64_t some_edge(struct draft *draft);

// Whether operations of that kind have a size in bytes, and an alignment.
bool kind_has_size(enum operation_kind kind);

// An operation of one of draft->kinds for that place, with slots that name something there.
struct operation some_operation(struct draft *draft, size_t index);
// Same, of this kind.
struct operation operation_of_kind(struct draft *draft, enum operation_kind kind, size_t index);

// Inserts such an operation; an OP_CRASH is followed by one that can die, if both fit. Returns how
// many were inserted: 0 if the draft is full.
size_t insert_some_operation(struct draft *draft, size_t index);
// Inserts an OP_CRASH and an operation that can die. False if they do not fit.
bool insert_crash(struct draft *draft, size_t index);

// For a while, operations only of some of the kinds and slots, and few sizes: what all kinds
// together never do often enough, some of them do (Groce et al., "Swarm Testing", ISSTA 2012).
void narrow(struct draft *draft);

#endif
