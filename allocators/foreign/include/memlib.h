// The memory that a malloc-lab heap lives in: the interface of the course's memlib.
#ifndef ASSAY_MEMLIB_H_
#define ASSAY_MEMLIB_H_

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

// The old break, from which on there are `bytes` more; or (void *)-1 with ENOMEM, and nothing
// changed. Does not shrink: a negative number fails.
void *mem_sbrk(intptr_t bytes);

void *mem_heap_lo(void);  // the first byte
void *mem_heap_hi(void);  // the last byte
size_t mem_heapsize(void);
size_t mem_pagesize(void);

// For drivers. The heap is there without them.
void mem_init();
void mem_deinit(void);
void mem_reset_brk(void);

// Little-endian values of 0 to 8 bytes.
uint64_t mem_read(const void *at, size_t size);
void mem_write(void *at, uint64_t value, size_t size);
void *mem_memcpy(void *to, const void *from, size_t size);
void *mem_memset(void *at, int byte, size_t size);
void hprobe(void *at, int offset, size_t count);

#ifdef __cplusplus
}
#endif

#endif
