// Whole files: read with a limit, replaced whole or not at all, and errors of one line.
#ifndef HARNESS_FILE_H_
#define HARNESS_FILE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// A line of text for people: the file, what is wrong and where in it, and the cure if there is one.
struct file_error {
  char text[512];
};

// Sets the error to `PATH: message`. Never more than one line, whatever bytes the path or the
// message hold; a very long path keeps its end. Returns false, so that it can end a function.
bool file_fail(struct file_error *error, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Reads a regular file of at most `limit` bytes into fresh memory of the C library (never NULL,
// also if the file is empty). False with the error, and nothing to give back, if the path is not a
// regular file (pipes and devices are not even waited for), is larger, cannot be read, or memory is
// out.
bool file_read(const char *path, uint64_t limit, unsigned char **bytes, size_t *size,
               struct file_error *error);

// A file in the making. Until it is committed only a temporary file beside `path` exists.
struct new_file {
  FILE *stream;  // to be written; write errors need no check before the commit
  char *path;
  char *temporary;
};

// False with the error, and nothing to undo, if no file can be made there.
bool file_begin(struct new_file *file, const char *path, struct file_error *error);
// Brings all that was written to the disk, then under its name. On false with the error the name
// holds what it held before, and the temporary file is gone.
bool file_commit(struct new_file *file, struct file_error *error);
// Instead of a commit.
void file_abandon(struct new_file *file);

#endif
