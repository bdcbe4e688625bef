// A shared library that brings an allocator of its own, loaded beside the process's own one.
//
// What the library calls malloc and free is the library's, and nobody else's: the process, its
// sanitizers and its C library keep theirs.
#ifndef ALLOCATORS_FOREIGN_LIBRARY_H_
#define ALLOCATORS_FOREIGN_LIBRARY_H_

#ifndef FOREIGN_PREFIX
#define FOREIGN_PREFIX ""
#endif

// The library's function <prefix><name>, or NULL if it has none. The library is loaded when the
// process starts: one that cannot be loaded ends it there, with exit code 2 and the reason.
//
// Which one is told at compile time: FOREIGN_LIBRARY, a string, its path; FOREIGN_PREFIX, a string,
// what its names begin with ("je_"; none unless told).
void *library_function(const char *name);

// What the system maps from here on lies alike in each process, modulo LIBRARY_GRAIN, and is
// aligned to a page by nobody's luck, but to no more. Until library_unsettle.
enum { LIBRARY_GRAIN = 1 << 21 };
void library_settle(void);
void library_unsettle(void);

#endif
