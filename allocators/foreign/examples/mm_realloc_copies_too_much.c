/*
 * An example with a bug: realloc copies as many bytes as are asked for, although the old block may
 * have had fewer. All else is mm_classic.c.
 */
#define mm_realloc correct_realloc
#include "mm_classic.c"
#undef mm_realloc

void *mm_realloc(void *ptr, size_t size) {
  void *moved;

  if (ptr == NULL) return mm_malloc(size);
  if (size == 0) {
    mm_free(ptr);
    return NULL;
  }
  if ((moved = mm_malloc(size)) == NULL) return NULL;
  memcpy(moved, ptr, size);
  mm_free(ptr);
  return moved;
}
