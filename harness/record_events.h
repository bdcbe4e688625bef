// What an allocator that stands in front of a program's malloc tells the log (record_log.h) of its
// process. The log is opened with the first event, in the directory that the environment names;
// without one nothing is recorded. May be called by several threads and from signal handlers; keeps
// errno.
//
// A block is told to be released before its memory can be given out again, and to be allocated
// after it was given out; a resize is told as both.
#ifndef HARNESS_RECORD_EVENTS_H_
#define HARNESS_RECORD_EVENTS_H_

#include <stddef.h>
#include <stdint.h>

// NULL as a block: there was no event.
void record_allocation(const void *block, size_t size, size_t align);
// `count * size` does not overflow.
void record_zeroed(const void *block, size_t count, size_t size, size_t align);
void record_release(const void *block);

void record_resize_begin(const void *block, size_t size);
// `moved` is NULL if the resize failed, or released the block. `former` is the old address.
void record_resize_end(const void *moved, uint64_t former);

#endif
