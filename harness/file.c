#define _GNU_SOURCE
#include "harness/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SHOWN = 240 };

bool file_fail(struct file_error *error, const char *path, const char *format, ...) {
  size_t length = strlen(path);
  bool whole = length <= PATH_SHOWN;
  int start = snprintf(error->text, sizeof error->text, "%s%s: ", whole ? "" : "...",
                       whole ? path : path + length - PATH_SHOWN);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text + start, sizeof error->text - (size_t)start, format, arguments);
  va_end(arguments);
  for (char *c = error->text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
  return false;
}

static const char *kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

static bool read_whole(int descriptor, const char *path, uint64_t limit, unsigned char **bytes,
                       size_t *size, struct file_error *error) {
  struct stat status;
  if (fstat(descriptor, &status) != 0)
    return file_fail(error, path, "cannot be read: %s", strerror(errno));
  if (!S_ISREG(status.st_mode))
    return file_fail(error, path, "is %s; name a regular file", kind_of_file(status.st_mode));
  if ((uint64_t)status.st_size > limit)
    return file_fail(error, path, "has %lld bytes; at most %llu are read",
                     (long long)status.st_size, (unsigned long long)limit);
  // One byte more than expected, to notice a file that grows or that hides its size (as in /proc).
  size_t room = (size_t)status.st_size + 1, filled = 0;
  unsigned char *buffer = malloc(room);
  if (!buffer) return file_fail(error, path, "no memory for its %zu bytes", room - 1);
  while (filled < room) {
    ssize_t got = read(descriptor, buffer + filled, room - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      file_fail(error, path, "cannot be read at offset %zu: %s", filled, strerror(errno));
      free(buffer);
      return false;
    }
    if (got == 0) break;
    filled += (size_t)got;
  }
  if (filled == room) {
    free(buffer);
    return file_fail(error, path, "grows while it is read; copy it first");
  }
  *bytes = buffer;
  *size = filled;
  return true;
}

bool file_read(const char *path, uint64_t limit, unsigned char **bytes, size_t *size,
               struct file_error *error) {
  // Non-blocking: to open a pipe that nobody writes to would wait forever.
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return file_fail(error, path, "cannot be opened: %s", strerror(errno));
  bool done = read_whole(descriptor, path, limit, bytes, size, error);
  close(descriptor);
  return done;
}

// The file that the path leads to, so that a symbolic link stays one. NULL if memory is out.
static char *follow_links(const char *path) {
  char *real = realpath(path, NULL);
  return real ? real : strdup(path);
}

// Opens a file of a name that was free, so that nobody else's file is ever written to, in the
// directory of `path`: a file can be renamed only within one file system.
static int create_temporary(const char *path, char **name) {
  const char *slash = strrchr(path, '/');
  int directory = slash ? (int)(slash + 1 - path) : 0;
  for (unsigned attempt = 0; attempt < 1000; attempt++) {
    if (asprintf(name, "%.*s.assay-%ld-%u.tmp", directory, path, (long)getpid(), attempt) < 0) {
      *name = NULL;
      errno = ENOMEM;
      return -1;
    }
    int descriptor = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor >= 0) return descriptor;
    free(*name);
    *name = NULL;
    if (errno != EEXIST) return -1;
  }
  return -1;
}

bool file_begin(struct new_file *file, const char *path, struct file_error *error) {
  *file = (struct new_file){0};
  struct stat status;
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return file_fail(error, path, "is %s; name a regular file to write",
                     kind_of_file(status.st_mode));
  file->path = follow_links(path);
  int descriptor = file->path ? create_temporary(file->path, &file->temporary) : -1;
  if (descriptor >= 0) file->stream = fdopen(descriptor, "wb");
  if (file->stream) return true;
  file_fail(error, path, "cannot be written: %s", strerror(errno));
  if (descriptor >= 0) close(descriptor);
  file_abandon(file);
  return false;
}

// Some file systems cannot sync and say so; that is no failure to write.
static bool sync_stream(FILE *stream) {
  return fsync(fileno(stream)) == 0 || errno == EINVAL || errno == ENOTSUP;
}

bool file_commit(struct new_file *file, struct file_error *error) {
  bool written = !ferror(file->stream) && fflush(file->stream) == 0 && sync_stream(file->stream);
  int reason = errno ? errno : EIO;
  bool closed = fclose(file->stream) == 0;
  if (written && !closed) reason = errno;
  file->stream = NULL;
  bool done = written && closed;
  if (done && rename(file->temporary, file->path) != 0) {
    reason = errno;
    done = false;
  }
  if (!done)
    file_fail(error, file->path, "cannot be written: %s; what was there is unchanged",
              strerror(reason));
  else {
    free(file->temporary);
    file->temporary = NULL;
  }
  file_abandon(file);
  return done;
}

void file_abandon(struct new_file *file) {
  if (file->stream) fclose(file->stream);
  if (file->temporary) unlink(file->temporary);
  free(file->temporary);
  free(file->path);
  *file = (struct new_file){0};
}
