// Writes a program as C source against the vtable.
#ifndef HARNESS_EMIT_C_H_
#define HARNESS_EMIT_C_H_

#include <stdio.h>

#include "allocators/registry.h"
#include "harness/program.h"
#include "harness/property.h"

// A complete C program that carries out the operations and checks each naively (see reproducer.h);
// its first lines say how to build it. What the verdict says goes into a comment.
void emit_c(FILE *to, const struct registry_entry *entry, const struct program *program,
            const struct verdict *verdict);

#endif
