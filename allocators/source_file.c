// A mapped file as a memory source: a heap that outlives its process.
//
//   offset 0     page_size                        pages_offset
//   | header     | map: a byte for each page, 0   | page 0 | page 1 | ...
//   |            | free, 1 acquired; then zeros   |        |        |
//
// Whatever a file says is checked before it is believed, and before any of it is mapped.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "allocators/arithmetic.h"
#include "allocators/source.h"

struct header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;  // 0
  uint64_t page_size;
  uint64_t capacity;  // pages
};

static const char MAGIC[8] = {'A', 'S', 'S', 'A', 'Y', 'M', 'E', 'M'};
enum { VERSION = 1 };

// Where things are in a file; follows from page size and capacity alone.
struct layout {
  size_t page_size;
  size_t capacity;
  size_t pages_offset;
  size_t file_size;
};

// Where to say what is wrong.
struct complaint {
  const char *path;
  char *text;
  size_t size;
};

// Puts down "path: reason" and returns false, so that a refusal is one statement.
__attribute__((format(printf, 2, 3))) static bool refuse(const struct complaint *complaint,
                                                         const char *format, ...) {
  char reason[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  snprintf(complaint->text, complaint->size, "%s: %s", complaint->path, reason);
  return false;
}

static size_t machine_page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// ## The layout

// False if no file can be that large.
static bool lay_out(size_t page_size, size_t capacity, struct layout *layout) {
  size_t map_size, pages_size;
  *layout = (struct layout){.page_size = page_size, .capacity = capacity};
  return align_up(capacity, page_size, &map_size) &&
         add_sizes(page_size, map_size, &layout->pages_offset) &&
         multiply_sizes(capacity, page_size, &pages_size) &&
         add_sizes(layout->pages_offset, pages_size, &layout->file_size) &&
         layout->file_size <= PTRDIFF_MAX && (off_t)layout->file_size > 0 &&
         (uintmax_t)(off_t)layout->file_size == layout->file_size;
}

static unsigned char *map_of(const struct source_file *self) {
  return self->mapping + self->base.page_size;
}

static unsigned char *first_page(const struct source_file *self) {
  return self->mapping + self->mapped_size - self->capacity * self->base.page_size;
}

// ## Acquiring and releasing: first fit over the page map

// The first of `pages` free pages in a row; capacity if there are not so many.
static size_t find_run(const struct source_file *self, size_t pages) {
  const unsigned char *map = map_of(self);
  size_t run = 0;
  for (size_t i = 0; i < self->capacity; i++) {
    run = map[i] == 0 ? run + 1 : 0;
    if (run == pages) return i + 1 - pages;
  }
  return self->capacity;
}

static void *acquire_from_file(struct source *base, size_t size) {
  struct source_file *self = (struct source_file *)base;
  if (size == 0 || size % base->page_size != 0) return NULL;
  size_t pages = size / base->page_size;
  size_t first = find_run(self, pages);
  if (first == self->capacity) return NULL;
  memset(map_of(self) + first, 1, pages);
  return first_page(self) + first * base->page_size;
}

// The map outlives the process, so a release that cannot be right leaves it alone.
static void release_to_file(struct source *base, void *memory, size_t size) {
  struct source_file *self = (struct source_file *)base;
  if (!range_within(memory, size, first_page(self), self->capacity * base->page_size)) return;
  size_t offset = address_of(memory) - address_of(first_page(self));
  if (offset % base->page_size != 0 || size % base->page_size != 0) return;
  memset(map_of(self) + offset / base->page_size, 0, size / base->page_size);
}

static size_t available_in_file(const struct source *base) {
  const struct source_file *self = (const struct source_file *)base;
  const unsigned char *map = map_of(self);
  size_t run = 0;
  size_t longest = 0;
  for (size_t i = 0; i < self->capacity; i++) {
    run = map[i] == 0 ? run + 1 : 0;
    if (run > longest) longest = run;
  }
  return longest * base->page_size;
}

// Other processes see each write at once, and so does whoever opens the file after this process
// has died; only a failing machine makes it necessary to wait for the disk.
static void persist_in_file(struct source *base, const void *start, size_t size) {
  struct source_file *self = (struct source_file *)base;
  if (!self->synchronous || size == 0) return;
  size_t first = align_down(address_of(start) - address_of(self->mapping), base->page_size);
  size_t end = address_of(start) + size - address_of(self->mapping);
  msync(self->mapping + first, end - first, MS_SYNC);
}

static void *held_in_file(struct source *base, size_t *size) {
  struct source_file *self = (struct source_file *)base;
  const unsigned char *map = map_of(self);
  size_t first = 0;
  while (first < self->capacity && map[first] == 0) first++;
  size_t end = first;
  while (end < self->capacity && map[end] != 0) end++;
  if (first == end) return NULL;
  *size = (end - first) * base->page_size;
  return first_page(self) + first * base->page_size;
}

size_t source_file_pages(const struct source_file *self) {
  const unsigned char *map = map_of(self);
  size_t pages = 0;
  for (size_t i = 0; i < self->capacity; i++) pages += map[i] != 0;
  return pages;
}

void *source_file_page(const struct source_file *self, size_t index) {
  if (index >= self->capacity || map_of(self)[index] == 0) return NULL;
  return first_page(self) + index * self->base.page_size;
}

// ## Opening

static bool lock(int descriptor, const struct complaint *complaint) {
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return refuse(complaint, "is in use: somebody else has it open");
  return refuse(complaint, "cannot be locked: %s", strerror(errno));
}

// Whether the disk has what the file still lacks. Only a forecast, but without it the attempt alone
// could fill the disk: a hostile file can claim any size without taking it.
static bool disk_has_room(int descriptor, size_t size) {
  struct stat file;
  struct statvfs disk;
  if (fstat(descriptor, &file) != 0 || fstatvfs(descriptor, &disk) != 0) return true;
  uintmax_t taken = (uintmax_t)file.st_blocks * 512;
  return taken >= size || (size - taken) / disk.f_frsize <= disk.f_bavail;
}

// Gives every byte of the file its place on the disk. Contents do not change.
static bool reserve(int descriptor, size_t size, const struct complaint *complaint) {
  int failure = disk_has_room(descriptor, size) ? 0 : ENOSPC;
  while (failure == 0 || failure == EINTR) {
    failure = posix_fallocate(descriptor, 0, (off_t)size);
    if (failure == 0) return true;
  }
  return refuse(complaint, "no room for %zu bytes: %s", size, strerror(failure));
}

static bool write_header(int descriptor, const struct layout *layout,
                         const struct complaint *complaint) {
  struct header header = {
      .version = VERSION, .page_size = layout->page_size, .capacity = layout->capacity};
  memcpy(header.magic, MAGIC, sizeof MAGIC);
  if (pwrite(descriptor, &header, sizeof header, 0) != (ssize_t)sizeof header)
    return refuse(complaint, "cannot be written: %s", strerror(errno));
  return true;
}

// A new file is made under another name and linked to its own when it is complete and locked:
// nobody ever sees half of it, and nobody's file is overwritten. Returns its descriptor, or -1.
static int create_file(const struct layout *layout, const struct complaint *complaint) {
  char temporary[PATH_MAX];
  int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", complaint->path);
  if (length < 0 || (size_t)length >= sizeof temporary) {
    refuse(complaint, "cannot be created: %s", strerror(ENAMETOOLONG));
    return -1;
  }
  int descriptor = mkostemp(temporary, O_CLOEXEC);
  if (descriptor < 0) {
    refuse(complaint, "cannot be created: %s", strerror(errno));
    return -1;
  }
  bool complete = lock(descriptor, complaint) &&
                  reserve(descriptor, layout->file_size, complaint) &&
                  write_header(descriptor, layout, complaint);
  if (complete && link(temporary, complaint->path) != 0)
    complete = refuse(complaint, "cannot be created: %s", strerror(errno));
  unlink(temporary);
  if (complete) return descriptor;
  close(descriptor);
  return -1;
}

// Whether the header of an existing file is in order and fits the request; then *layout is its own.
static bool read_header(int descriptor, size_t page_size, size_t most, struct layout *layout,
                        const struct complaint *complaint) {
  struct stat status;
  if (fstat(descriptor, &status) != 0)
    return refuse(complaint, "cannot be examined: %s", strerror(errno));
  if (!S_ISREG(status.st_mode)) return refuse(complaint, "is no regular file");
  uintmax_t size = (uintmax_t)status.st_size;

  struct header header;
  if (size < sizeof header)
    return refuse(complaint, "offset %ju: truncated, the header has %zu bytes", size,
                  sizeof header);
  if (pread(descriptor, &header, sizeof header, 0) != (ssize_t)sizeof header)
    return refuse(complaint, "cannot be read: %s", strerror(errno));
  if (memcmp(header.magic, MAGIC, sizeof MAGIC) != 0)
    return refuse(complaint, "offset %zu: no memory file, the magic is wrong",
                  offsetof(struct header, magic));
  if (header.version != VERSION)
    return refuse(complaint, "offset %zu: version %ju, expected %d",
                  offsetof(struct header, version), (uintmax_t)header.version, VERSION);
  if (header.reserved != 0)
    return refuse(complaint, "offset %zu: reserved field is %ju, expected 0",
                  offsetof(struct header, reserved), (uintmax_t)header.reserved);
  if (header.page_size != page_size)
    return refuse(complaint, "offset %zu: page size %ju, expected %zu",
                  offsetof(struct header, page_size), (uintmax_t)header.page_size, page_size);
  if (header.capacity == 0 || header.capacity > SIZE_MAX ||
      !lay_out(page_size, (size_t)header.capacity, layout))
    return refuse(complaint, "offset %zu: impossible capacity of %ju pages",
                  offsetof(struct header, capacity), (uintmax_t)header.capacity);
  if (most != 0 && layout->capacity > most)
    return refuse(complaint, "offset %zu: capacity of %zu pages, expected at most %zu",
                  offsetof(struct header, capacity), layout->capacity, most);
  if (size < layout->file_size)
    return refuse(complaint, "offset %ju: truncated, expected %zu bytes", size, layout->file_size);
  if (size > layout->file_size)
    return refuse(complaint, "offset %zu: %ju bytes too many", layout->file_size,
                  size - layout->file_size);
  return true;
}

static bool read_map(int descriptor, const struct layout *layout,
                     const struct complaint *complaint) {
  unsigned char bytes[4096];
  for (size_t done = 0; done < layout->capacity;) {
    size_t left = layout->capacity - done;
    ssize_t count = pread(descriptor, bytes, left < sizeof bytes ? left : sizeof bytes,
                          (off_t)(layout->page_size + done));
    if (count <= 0)
      return refuse(complaint, "offset %zu: cannot be read: %s", layout->page_size + done,
                    count == 0 ? "truncated" : strerror(errno));
    for (size_t i = 0; i < (size_t)count; i++)
      if (bytes[i] > 1)
        return refuse(complaint, "offset %zu: page map byte is %d, neither 0 nor 1",
                      layout->page_size + done + i, bytes[i]);
    done += (size_t)count;
  }
  return true;
}

// Maps the file at a multiple of its page size, which may be larger than the machine's: a stretch
// of addresses is reserved first, and the file is then mapped over the part of it that is aligned.
static unsigned char *map_file(int descriptor, const struct layout *layout,
                               const struct complaint *complaint) {
  size_t slack = layout->page_size - machine_page_size();
  size_t reserved;
  if (!add_sizes(layout->file_size, slack, &reserved)) {
    refuse(complaint, "cannot be mapped: %s", strerror(ENOMEM));
    return NULL;
  }
  unsigned char *addresses =
      mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED) {
    refuse(complaint, "cannot be mapped: %s", strerror(errno));
    return NULL;
  }
  size_t head = (0 - address_of(addresses)) & (layout->page_size - 1);
  size_t tail = slack - head;
  unsigned char *mapping = mmap(addresses + head, layout->file_size, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_FIXED, descriptor, 0);
  if (mapping == MAP_FAILED) {
    refuse(complaint, "cannot be mapped: %s", strerror(errno));
    munmap(addresses, reserved);
    return NULL;
  }
  // Should the system refuse, unreadable addresses stay reserved, which costs no memory.
  if (head != 0) munmap(addresses, head);
  if (tail != 0) munmap(mapping + layout->file_size, tail);
  return mapping;
}

// An existing file, examined and locked, or a new one. Returns its descriptor, or -1.
static int open_file(size_t page_size, size_t capacity, struct layout *layout, bool *created,
                     const struct complaint *complaint) {
  *created = false;
  // O_NONBLOCK: a pipe or device by that name is refused below, and must not make us wait here.
  int descriptor = open(complaint->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor >= 0) {
    // Locked first, for what is examined must hold still. Room is made last: only then is the
    // size known to be right. (A sparse copy of a file has holes, which would be SIGBUS in
    // waiting.)
    if (lock(descriptor, complaint) &&
        read_header(descriptor, page_size, capacity, layout, complaint) &&
        read_map(descriptor, layout, complaint) &&
        reserve(descriptor, layout->file_size, complaint))
      return descriptor;
    close(descriptor);
    return -1;
  }
  if (errno != ENOENT || capacity == 0) {
    refuse(complaint, "cannot be opened: %s", strerror(errno));
    return -1;
  }
  if (!lay_out(page_size, capacity, layout)) {
    refuse(complaint, "cannot be created: no file has room for %zu pages of %zu bytes", capacity,
           page_size);
    return -1;
  }
  descriptor = create_file(layout, complaint);
  *created = descriptor >= 0;
  return descriptor;
}

bool source_file_open(struct source_file *self, const char *path, size_t page_size, size_t capacity,
                      char *error, size_t error_size) {
  const struct complaint complaint = {path, error, error_size};
  *self = (struct source_file){.descriptor = -1};
  if (page_size == 0) page_size = machine_page_size();
  if (!is_power_of_two(page_size) || page_size < machine_page_size())
    return refuse(&complaint, "page size %zu is no power of two of at least %zu", page_size,
                  machine_page_size());

  struct layout layout;
  bool created;
  int descriptor = open_file(page_size, capacity, &layout, &created, &complaint);
  if (descriptor < 0) return false;
  unsigned char *mapping = map_file(descriptor, &layout, &complaint);
  if (mapping == NULL) {
    if (created) unlink(path);
    close(descriptor);
    return false;
  }
  *self = (struct source_file){
      .base = {.name = "file",
               .traits = SOURCE_RECLAIMS | SOURCE_PERSISTS,
               .page_size = page_size,
               .acquire = acquire_from_file,
               .release = release_to_file,
               .available = available_in_file,
               .persist = persist_in_file,
               .held = held_in_file},
      .descriptor = descriptor,
      .mapping = mapping,
      .mapped_size = layout.file_size,
      .capacity = layout.capacity,
  };
  return true;
}

bool source_file_close(struct source_file *self) {
  bool written = msync(self->mapping, self->mapped_size, MS_SYNC) == 0;
  bool unmapped = munmap(self->mapping, self->mapped_size) == 0;
  bool closed = close(self->descriptor) == 0;
  *self = (struct source_file){.descriptor = -1};
  return written && unmapped && closed;
}
