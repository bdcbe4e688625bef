// What a malloc-lab source exports, in whichever dialect of the course it is written.
//
// FOREIGN_MM_INIT is what mm_init returns; FOREIGN_MM_CHECKHEAP the same of mm_checkheap, whose
// parameters differ as well, and which is the source's own where that is not told.
#ifndef ASSAY_MM_H_
#define ASSAY_MM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef FOREIGN_MM_INIT
#define FOREIGN_MM_INIT int
#endif

void *mm_malloc(size_t size);
void mm_free(void *block);
void *mm_realloc(void *block, size_t size);
void *mm_calloc(size_t count, size_t size);

FOREIGN_MM_INIT mm_init(void);

#ifdef FOREIGN_MM_CHECKHEAP
FOREIGN_MM_CHECKHEAP mm_checkheap();
#endif

// Who wrote it. Courses differ in the fields; all of them are here, and nobody reads them.
typedef struct {
  char *teamname, *name1, *id1, *name2, *id2, *name3, *id3, *name4, *id4;
  char *team, *email1, *email2, *email3, *email4;
} team_t;

extern team_t team;

#endif
