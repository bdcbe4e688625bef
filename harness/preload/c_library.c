// The C library's own allocator by the names that nothing stands in front of, for the strategy
// `system`: the linker is told (--wrap) to lead its calls here. Nothing else in this object may
// call malloc or its kin, and what did would not come back to this object either.
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *block);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
int __wrap_posix_memalign(void **to, size_t align, size_t size);
void __wrap_free(void *block);
size_t __wrap_malloc_usable_size(void *block);

void *__wrap_malloc(size_t size) { return __libc_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return __libc_realloc(block, size); }
void __wrap_free(void *block) { __libc_free(block); }

int __wrap_posix_memalign(void **to, size_t align, size_t size) {
  *to = __libc_memalign(align, size);
  return *to ? 0 : ENOMEM;
}

// The only one without another name.
size_t __wrap_malloc_usable_size(void *block) {
  typedef size_t usable_size(void *);
  static usable_size *library;
  usable_size *function = __atomic_load_n(&library, __ATOMIC_RELAXED);
  if (!function) {
    function = (usable_size *)dlsym(RTLD_NEXT, "malloc_usable_size");
    __atomic_store_n(&library, function, __ATOMIC_RELAXED);
  }
  return function(block);
}
