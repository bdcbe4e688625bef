#define _GNU_SOURCE
#include "harness/record_collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/record_convert.h"

enum { MAX_NUMBERED = 10000 };

// A raw log, seen where it lies: it may be far larger than the trace that it becomes.
struct mapping {
  void *bytes;  // NULL if empty
  size_t size;
};

static bool map_file(const char *path, struct mapping *mapping, struct file_error *error) {
  struct stat status;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  *mapping = (struct mapping){0};
  bool done = descriptor >= 0 && fstat(descriptor, &status) == 0;
  if (done && status.st_size > 0) {
    mapping->size = (size_t)status.st_size;
    mapping->bytes = mmap(NULL, mapping->size, PROT_READ, MAP_SHARED, descriptor, 0);
    done = mapping->bytes != MAP_FAILED;
  }
  if (!done) file_fail(error, path, "cannot be read: %s", strerror(errno));
  if (descriptor >= 0) close(descriptor);
  return done;
}

static void unmap_file(const struct mapping *mapping) {
  if (mapping->bytes) munmap(mapping->bytes, mapping->size);
}

// ## Names

// What may go into a file name without quoting.
static void make_plain(char *name) {
  for (char *c = name; *c; c++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-", *c)) *c = '_';
  if (*name == '.' || *name == '-') *name = '_';
}

// A name that no file has. NULL with the error if there is none.
static char *choose_name(const char *to, const struct recording *recording,
                         struct file_error *error) {
  char *path = NULL, number[16] = "";
  for (unsigned n = 2; n < MAX_NUMBERED; n++) {
    if (asprintf(&path, "%s/%s.%" PRIu32 "%s.trace", to, recording->program, recording->process,
                 number) < 0) {
      file_fail(error, to, "no memory for a file name");
      return NULL;
    }
    if (access(path, F_OK) != 0) return path;
    free(path);
    snprintf(number, sizeof number, ".%u", n);
  }
  file_fail(error, to, "has %d traces of %s.%" PRIu32 " already; use another --out", MAX_NUMBERED,
            recording->program, recording->process);
  return NULL;
}

// ## Reports

static const char *plural(uint64_t count) { return count == 1 ? "" : "s"; }

static void report_trace(FILE *report, const char *path, const struct program *program,
                         const struct trace_header *header, const struct recording *recording) {
  size_t length = program_length(program);
  fprintf(report,
          "%s: %s, %zu operation%s, %" PRIu64 " thread%s, peak %" PRIu64 " bytes in %" PRIu64
          " block%s, %" PRIu64 " unknown address%s",
          path, recording->program, length, plural(length), header->threads,
          plural(header->threads), header->peak_bytes, header->peak_blocks,
          plural(header->peak_blocks), header->unknown, header->unknown == 1 ? "" : "es");
  if (recording->stopped)
    fprintf(report, "; incomplete, for recording stopped early: %s",
            strerror((int)recording->stopped));
  fputc('\n', report);
}

// ## One log, all logs

static bool collect_one(const char *path, const char *to, FILE *report, size_t *traces,
                        struct file_error *error) {
  struct mapping log;
  if (!map_file(path, &log, error)) return false;
  struct program program = {0};
  struct trace_header header;
  struct recording recording;
  bool done = record_convert(log.bytes, log.size, path, &program, &header, &recording, error);
  unmap_file(&log);
  if (done && recording.program[0]) {
    make_plain(recording.program);
    char *trace = choose_name(to, &recording, error);
    done = trace && program_save(&program, FORM_TRACE, &header, trace, error);
    if (done) {
      report_trace(report, trace, &program, &header, &recording);
      ++*traces;
    }
    free(trace);
  }
  program_clear(&program);
  return done;
}

static int is_raw_log(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length > 4 && strcmp(entry->d_name + length - 4, ".raw") == 0;
}

bool record_collect(const char *from, const char *to, FILE *report, size_t *traces) {
  struct dirent **entries;
  struct file_error error;
  *traces = 0;
  int count = scandir(from, &entries, is_raw_log, versionsort);
  if (count < 0) {
    file_fail(&error, from, "cannot be read: %s", strerror(errno));
    fprintf(report, "assay: %s\n", error.text);
    return false;
  }
  bool all = true;
  for (int i = 0; i < count; i++) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", from, entries[i]->d_name) < 0) abort();
    if (!collect_one(path, to, report, traces, &error)) {
      fprintf(report, "assay: %s\n", error.text);
      all = false;
    }
    unlink(path);  // at once, for the room on the disk
    free(path);
    free(entries[i]);
  }
  free(entries);
  return all;
}
