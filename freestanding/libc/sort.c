#include <stdlib.h>

static void swap(unsigned char *a, unsigned char *b, size_t size) {
  for (; size > 0; size--, a++, b++) {
    unsigned char byte = *a;
    *a = *b;
    *b = byte;
  }
}

// Heapsort (J. W. J. Williams, CACM 1964): no memory, no recursion, and no bad case.
static void sift_down(unsigned char *first, size_t root, size_t count, size_t size,
                      int (*compare)(const void *, const void *)) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && compare(first + child * size, first + (child + 1) * size) < 0) child++;
    if (compare(first + root * size, first + child * size) >= 0) return;
    swap(first + root * size, first + child * size, size);
  }
}

void qsort(void *first, size_t count, size_t size, int (*compare)(const void *, const void *)) {
  unsigned char *bytes = first;
  for (size_t i = count / 2; i-- > 0;) sift_down(bytes, i, count, size, compare);
  for (size_t end = count; end > 1;) {
    swap(bytes, bytes + --end * size, size);
    sift_down(bytes, 0, end, size, compare);
  }
}
