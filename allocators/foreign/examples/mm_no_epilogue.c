/*
 * An example with a bug: who extends the heap does not write a new epilogue, and so the last block
 * coalesces with what may lie behind it. All else is mm_classic.c.
 */
#define PUT_EPILOGUE(p) ((void)(p))
#include "mm_classic.c"
