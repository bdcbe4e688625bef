// The memory of C reproducers: a range of addresses of its own, of which one buffer is handed out,
// at once or piece by piece, or pages, first fit with a gap of one page behind each stretch.
//
// All that is not handed out, from 64 bytes below the heap to 64 bytes behind the highest place
// that was ever handed out, holds a byte that must not change, and is poisoned under ASan. Fresh
// memory is dirty.
#ifndef HARNESS_REPRODUCER_MEMORY_H_
#define HARNESS_REPRODUCER_MEMORY_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __has_feature  // clang's; gcc says it by a macro of its own
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#include "allocators/source.h"

enum {
  REPRO_DIRT = 0xA5,
  REPRO_OUTSIDE = 0x5C,
  REPRO_CANARY = 64,
  REPRO_GUARD = 1 << 16,
  REPRO_ALIGN = 1 << 21
};

// The heap begins where it did when the finding was made, REPRO_ALIGN behind this, if that is free.
#if UINTPTR_MAX == UINT32_MAX
#define REPRO_PLACE NULL
#elif defined(__SANITIZE_ADDRESS__)
#define REPRO_PLACE ((void *)(0x200800000000 - REPRO_ALIGN))
#else
#define REPRO_PLACE ((void *)(0x800000000 - REPRO_ALIGN))
#endif

struct repro_memory {
  struct source base;
  unsigned char *mapping;
  size_t mapping_size;
  unsigned char *start;  // of the addresses; the buffer is `skew` bytes above
  size_t size;           // of the addresses; behind them is a guard
  size_t capacity, skew;
  unsigned char *top;  // end of what was made ready so far
  bool *used;          // of each page: handed out, or a gap behind what is; NULL: one buffer
  size_t pages;
  bool taken;                                       // the buffer is out
  size_t held;                                      // of a buffer that grows: bytes that are out
  bool exhausted;                                   // refused for want of addresses
  size_t adopted;                                   // bytes held from an earlier life of the buffer
  void (*barrier)(const void *start, size_t size);  // told of barriers; NULL: nobody
};

// The reproducer itself cannot go on: this shows nothing about the allocator.
__attribute__((noreturn)) static inline void repro_give_up(const char *what) {
  printf("cannot run: %s\n", what);
  exit(2);
}

// Makes all addresses below `end` ready: as memory that is not handed out.
static inline void repro_make_ready(struct repro_memory *self, unsigned char *end) {
  if (end <= self->top) return;
  memset(self->top, REPRO_OUTSIDE, (size_t)(end - self->top));
  ASAN_POISON_MEMORY_REGION(self->top, (size_t)(end - self->top));
  self->top = end;
}

// The first of `count` pages in a row that are not used, or self->pages.
static inline size_t repro_first_fit(const struct repro_memory *self, size_t count) {
  size_t run = 0;
  for (size_t page = 0; page < self->pages; page++) {
    run = self->used[page] ? 0 : run + 1;
    if (run == count) return page + 1 - count;
  }
  return self->pages;
}

static inline void repro_mark_pages(struct repro_memory *self, const unsigned char *memory,
                                    size_t size, bool used) {
  size_t page_size = self->base.page_size, first = (size_t)(memory - self->start) / page_size;
  for (size_t i = 0; i <= size / page_size; i++) self->used[first + i] = used;
}

static inline void *repro_acquire(struct source *source, size_t size) {
  struct repro_memory *self = (struct repro_memory *)source;
  if (size == 0 || size % source->page_size != 0) return NULL;
  unsigned char *memory = self->start + self->skew;
  if (!self->used) {
    self->exhausted |= self->taken;
    if (self->taken || size > self->capacity) return NULL;
    self->taken = true;
  } else {
    size_t page = repro_first_fit(self, size / source->page_size + 1);
    self->exhausted |= page == self->pages;
    if (page == self->pages) return NULL;
    memory += page * source->page_size;
    repro_mark_pages(self, memory, size, true);
  }
  repro_make_ready(self, memory + size + REPRO_CANARY);
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
  memset(memory, REPRO_DIRT, size);
  return memory;
}

static inline void repro_give_back(struct source *source, void *memory, size_t size) {
  struct repro_memory *self = (struct repro_memory *)source;
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
  memset(memory, REPRO_OUTSIDE, size);
  ASAN_POISON_MEMORY_REGION(memory, size);
  self->taken = false;
  self->adopted = 0;
  if (self->used) repro_mark_pages(self, memory, size, false);
}

static inline size_t repro_available(const struct source *source) {
  const struct repro_memory *self = (const struct repro_memory *)source;
  return self->used ? self->size / 2 : self->taken ? 0 : self->capacity;
}

static inline void *repro_acquire_more(struct source *source, size_t size) {
  struct repro_memory *self = (struct repro_memory *)source;
  if (size == 0 || size > self->capacity - self->held) return NULL;
  unsigned char *memory = self->start + self->held;
  self->held += size;
  repro_make_ready(self, memory + size + REPRO_CANARY);
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
  memset(memory, REPRO_DIRT, size);
  return memory;
}

static inline void repro_give_back_end(struct source *source, void *memory, size_t size) {
  struct repro_memory *self = (struct repro_memory *)source;
  repro_give_back(source, memory, size);
  self->held -= size;
}

static inline size_t repro_room(const struct source *source) {
  const struct repro_memory *self = (const struct repro_memory *)source;
  return self->capacity - self->held;
}

static inline void repro_persist(struct source *source, const void *start, size_t size) {
  const struct repro_memory *self = (const struct repro_memory *)source;
  if (self->barrier) self->barrier(start, size);
}

static inline void *repro_held(struct source *source, size_t *size) {
  const struct repro_memory *self = (const struct repro_memory *)source;
  *size = self->adopted;
  return self->adopted ? self->start + self->skew : NULL;
}

// `page_size` 0: one buffer of `capacity` bytes, `skew` bytes off alignment.
static inline void repro_memory_open(struct repro_memory *self, size_t capacity, size_t page_size,
                                     size_t skew) {
  *self = (struct repro_memory){.capacity = capacity, .skew = skew};
  size_t room = capacity < 1u << 20 ? 1u << 20 : capacity;
  self->size = 4 * room + 3 * (size_t)REPRO_ALIGN;
  self->mapping_size = self->size + 2 * (size_t)REPRO_ALIGN;
  enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
  self->mapping = mmap(REPRO_PLACE, self->mapping_size, PROT_NONE,
                       FLAGS | (REPRO_PLACE ? MAP_FIXED_NOREPLACE : 0), -1, 0);
  if (self->mapping == MAP_FAILED)
    self->mapping = mmap(NULL, self->mapping_size, PROT_NONE, FLAGS, -1, 0);
  if (self->mapping == MAP_FAILED) repro_give_up("no addresses for the heap");
  self->start =
      self->mapping + (REPRO_ALIGN - (uintptr_t)self->mapping % REPRO_ALIGN) % REPRO_ALIGN;
  if (self->start - self->mapping < REPRO_GUARD) self->start += REPRO_ALIGN;
  if (mprotect(self->start - REPRO_GUARD, self->size + REPRO_GUARD, PROT_READ | PROT_WRITE) != 0)
    repro_give_up("no memory for the heap");
  self->top = self->start - REPRO_CANARY;
  self->base = (struct source){.name = "reproducer",
                               .traits = page_size ? SOURCE_RECLAIMS : SOURCE_PERSISTS,
                               .page_size = page_size ? page_size : 1,
                               .acquire = repro_acquire,
                               .release = repro_give_back,
                               .available = repro_available};
  if (page_size) {
    self->pages = self->size / page_size;
    self->used = calloc(self->pages, sizeof *self->used);
    if (!self->used) repro_give_up("no memory for the table of pages");
  } else {
    self->base.persist = repro_persist;
    self->base.held = repro_held;
  }
}

// From now on the buffer is had piece by piece, as by sbrk.
static inline void repro_memory_grows(struct repro_memory *self) {
  self->base = (struct source){.name = "reproducer",
                               .traits = SOURCE_CONTIGUOUS,
                               .page_size = 1,
                               .acquire = repro_acquire_more,
                               .release = repro_give_back_end,
                               .available = repro_room};
}

static inline void repro_memory_close(struct repro_memory *self) {
  ASAN_UNPOISON_MEMORY_REGION(self->start - REPRO_GUARD, self->size + REPRO_GUARD);
  munmap(self->mapping, self->mapping_size);
  free(self->used);
}

// The first byte outside of what is handed out, which is the `count` stretches in ascending order,
// that changed; or NULL.
static inline const unsigned char *repro_outside_damage(const struct repro_memory *self,
                                                        const struct source_stretch *stretches,
                                                        size_t count) {
  unsigned char *at = self->start - REPRO_CANARY;
  for (size_t i = 0; i <= count; i++) {
    unsigned char *end = i < count ? stretches[i].start : self->top;
    size_t size = end > at ? (size_t)(end - at) : 0;
    ASAN_UNPOISON_MEMORY_REGION(at, size);
    bool intact =
        size == 0 || (*at == REPRO_OUTSIDE && (size == 1 || memcmp(at, at + 1, size - 1) == 0));
    while (!intact && *at == REPRO_OUTSIDE) at++;
    if (!intact) return at;
    ASAN_POISON_MEMORY_REGION(at, size);
    if (i < count) at = stretches[i].start + stretches[i].size;
  }
  return NULL;
}

#endif
