#define _GNU_SOURCE
#include "allocators/foreign/pristine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocators/arithmetic.h"

// From here on it is cheaper to have the system drop the pages that were written to than to copy.
enum { LARGE = 1 << 16 };

// ## What no sanitizer sees: between variables lie the gaps that it guards

#ifdef __clang__
#define SEES_GAPS __attribute__((no_sanitize("address", "memory")))
#else
#define SEES_GAPS __attribute__((no_sanitize("address")))
#endif

#if defined(__x86_64__) || defined(__i386__)
static void copy(void *to, const void *from, size_t size) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
#else
SEES_GAPS static void copy(void *to, const void *from, size_t size) {
  volatile unsigned char *out = to;
  const volatile unsigned char *in = from;
  for (size_t i = 0; i < size; i++) out[i] = in[i];
}
#endif

SEES_GAPS static bool is_zero(const void *start, size_t size) {
  const volatile size_t *words = start;
  for (size_t i = 0; i < size / sizeof *words; i++)
    if (words[i] != 0) return false;
  return true;
}

// ## Large stretches: private pages over a file that nobody writes to

// Past the interceptor, which would open the gaps.
static void *map(void *at, size_t size, int flags, int file) {
#ifdef SYS_mmap2
  long address = syscall(SYS_mmap2, at, size, PROT_READ | PROT_WRITE, flags, file, 0L);
#else
  long address = syscall(SYS_mmap, at, size, PROT_READ | PROT_WRITE, flags, file, 0L);
#endif
  return address == -1 ? NULL : (void *)address;
}

// What is zero stays a hole of the file.
static bool fill(int file, const unsigned char *pages, size_t size, size_t page) {
  unsigned char *contents = map(NULL, size, MAP_SHARED, file);
  if (contents == NULL) return false;
  for (size_t at = 0; at < size; at += page)
    if (!is_zero(pages + at, page)) copy(contents + at, pages + at, page);
  munmap(contents, size);
  return true;
}

static bool keep_pages(unsigned char *pages, size_t size, size_t page) {
  int file = memfd_create("pristine", MFD_CLOEXEC);
  if (file < 0) return false;
  bool kept = ftruncate(file, (off_t)size) == 0 && fill(file, pages, size, page) &&
              map(pages, size, MAP_PRIVATE | MAP_FIXED, file) != NULL;
  close(file);
  return kept;
}

// ## Any stretch

static size_t before_pages(const struct pristine *self) {
  return self->pages_size == 0 ? self->size : (size_t)(self->pages - self->start);
}

static size_t behind_pages(const struct pristine *self) {
  return self->size - before_pages(self) - self->pages_size;
}

static size_t copies_size(const struct pristine *self) {
  return before_pages(self) + behind_pages(self);
}

static void choose_pages(struct pristine *self) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t before = (0 - address_of(self->start)) & (page - 1);
  if (self->size < LARGE + 2 * page) return;
  size_t size = align_down(self->size - before, page);
  if (!keep_pages(self->start + before, size, page)) return;
  self->pages = self->start + before;
  self->pages_size = size;
}

bool pristine_keep(struct pristine *self, void *start, size_t size) {
  *self = (struct pristine){.start = start, .size = size};
  choose_pages(self);
  size_t copied = copies_size(self);
  if (copied == 0) return true;
  self->copies = map(NULL, copied, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (self->copies == NULL) return false;
  copy(self->copies, self->start, before_pages(self));
  if (self->pages_size > 0)
    copy(self->copies + before_pages(self), self->pages + self->pages_size, behind_pages(self));
  return true;
}

void pristine_bring_back(const struct pristine *self) {
  copy(self->start, self->copies, before_pages(self));
  if (self->pages_size == 0) return;
  copy(self->pages + self->pages_size, self->copies + before_pages(self), behind_pages(self));
  madvise(self->pages, self->pages_size, MADV_DONTNEED);
}

void pristine_forget(struct pristine *self) {
  if (self->copies != NULL) munmap(self->copies, copies_size(self));
  *self = (struct pristine){0};
}

// ## The foreign object's. The linker has these names if there are such sections

extern unsigned char __start_foreign_data[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_foreign_data[] __attribute__((weak, visibility("hidden")));
extern unsigned char __start_foreign_bss[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_foreign_bss[] __attribute__((weak, visibility("hidden")));

static void keep_section(struct pristine *self, unsigned char *start, unsigned char *stop) {
  if (pristine_keep(self, start, address_of(stop) - address_of(start))) return;
  fputs("no memory to keep the foreign allocator's first state in\n", stderr);
  exit(2);
}

void pristine_begin(void) {
  static struct pristine data, bss;
  static bool kept;
  if (kept) {
    pristine_bring_back(&data);
    pristine_bring_back(&bss);
    return;
  }
  keep_section(&data, __start_foreign_data, __stop_foreign_data);
  keep_section(&bss, __start_foreign_bss, __stop_foreign_bss);
  kept = true;
}
