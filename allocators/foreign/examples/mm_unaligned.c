/*
 * An example with a bug: blocks are rounded to words of four bytes instead of eight. All else is
 * mm_classic.c.
 */
#define ROUNDED_TO 4
#include "mm_classic.c"
