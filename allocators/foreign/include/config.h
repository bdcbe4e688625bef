// Figures of the course that a malloc-lab source may ask for.
#ifndef ASSAY_CONFIG_H_
#define ASSAY_CONFIG_H_

#ifndef ALIGNMENT
#ifdef FOREIGN_ALIGN
#define ALIGNMENT FOREIGN_ALIGN
#else
#define ALIGNMENT (2 * (int)sizeof(void *))
#endif
#endif

#ifndef MAX_HEAP
#ifdef FOREIGN_LIMIT
#define MAX_HEAP FOREIGN_LIMIT
#else
#define MAX_HEAP (20 * (1 << 20))
#endif
#endif
#define MAX_DENSE_HEAP MAX_HEAP

// How the course weighs utilisation against throughput.
#define UTIL_WEIGHT .60

#endif
