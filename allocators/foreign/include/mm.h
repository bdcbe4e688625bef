// What a malloc-lab source exports, in whichever dialect of the course it is written.
//
// FOREIGN_MM_INIT_BOOL chooses the newer one (bool mm_init, bool mm_checkheap),
// FOREIGN_MM_INIT_VOID an mm_init without result. FOREIGN_MM_UNDECLARED leaves both to the source.
#ifndef ASSAY_MM_H_
#define ASSAY_MM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

void *mm_malloc(size_t size);
void mm_free(void *block);
void *mm_realloc(void *block, size_t size);
void *mm_calloc(size_t count, size_t size);

#if defined(FOREIGN_MM_UNDECLARED)
#elif defined(FOREIGN_MM_INIT_BOOL)
bool mm_init(void);
bool mm_checkheap(int line);
#elif defined(FOREIGN_MM_INIT_VOID)
void mm_init(void);
void mm_checkheap(int verbose);
#else
int mm_init(void);
void mm_checkheap(int verbose);
#endif

// Who wrote it. Courses differ in the fields; all of them are here, and nobody reads them.
typedef struct {
  char *teamname, *name1, *id1, *name2, *id2, *name3, *id3, *name4, *id4;
  char *team, *email1, *email2, *email3, *email4;
} team_t;

extern team_t team;

#endif
