// The mapped file in bad health: each refusal is one line that names the file, and changes nothing.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "allocators/address_space.h"
#include "allocators/scratch.h"
#include "allocators/source.h"

// A page size that every machine can map.
enum { PAGE = 65536, CAPACITY = 5 };

// A healthy file with two pages acquired.
static void make_file(const char *path) {
  struct source_file file;
  char error[1024];
  CHECK(source_file_open(&file, path, PAGE, CAPACITY, error, sizeof error));
  CHECK(file.base.acquire(&file.base, 2 * PAGE) != NULL);
  CHECK(source_file_close(&file));
}

static void check_refusal(const char *path, size_t page_size, size_t capacity, const char *reason) {
  struct source_file file;
  char error[1024] = "";
  struct stat before = {0}, after = {0};
  int existed = stat(path, &before);
  CHECK(!source_file_open(&file, path, page_size, capacity, error, sizeof error));
  if (strncmp(error, path, strlen(path)) != 0 || strstr(error, reason) == NULL ||
      strchr(error, '\n') != NULL) {
    fprintf(stderr, "expected: %s: %s\nreceived: %s\n", path, reason, error);
    exit(1);
  }
  CHECK(stat(path, &after) == existed);
  CHECK(before.st_size == after.st_size && before.st_ino == after.st_ino);
  CHECK(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
        before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

// Opens a file of which `size` bytes at `offset` were replaced.
static void check_damage(const char *path, size_t offset, const void *bytes, size_t size,
                         const char *reason) {
  unlink(path);
  make_file(path);
  int descriptor = open(path, O_WRONLY);
  CHECK(pwrite(descriptor, bytes, size, (off_t)offset) == (ssize_t)size);
  CHECK(close(descriptor) == 0);
  check_refusal(path, PAGE, 0, reason);
}

static void check_capacity(const char *path, uint64_t capacity, const char *reason) {
  check_damage(path, 24, &capacity, sizeof capacity, reason);
}

static void test_arguments(const char *path) {
  check_refusal(path, 3 * PAGE, 1, "no power of two");
  check_refusal(path, 512, 1, "no power of two of at least");
  check_refusal(path, PAGE, 0, "No such file");
  check_refusal(path, PAGE, SIZE_MAX, "no file has room");
  check_refusal(path, PAGE, SIZE_MAX / PAGE, "no file has room");
  check_refusal(path, SIZE_MAX / 2 + 1, 1, "no file has room");
  make_file(path);
  check_refusal(path, 2 * PAGE, CAPACITY, "offset 16: page size 65536, expected 131072");
  check_refusal(path, PAGE, CAPACITY - 1, "offset 24: capacity of 5 pages, expected at most 4");
}

static void test_header(const char *path) {
  check_damage(path, 0, "a", 1, "offset 0: no memory file, the magic is wrong");
  check_damage(path, 7, "", 1, "the magic is wrong");
  check_damage(path, 8, "\2", 1, "offset 8: version 2, expected 1");
  check_damage(path, 11, "\1", 1, "version 16777217");
  check_damage(path, 12, "\1", 1, "offset 12: reserved field is 1");
  check_damage(path, 16, "\1", 1, "offset 16: page size 65537");
  check_damage(path, 16, "\0\0\0\0\0\0\0\0", 8, "offset 16: page size 0");
  check_damage(path, 16, "\0\0\0\0\0\0\0\x80", 8, "offset 16: page size 9223372036854775808");
  check_capacity(path, 0, "offset 24: impossible capacity of 0 pages");
  check_capacity(path, UINT64_MAX, "impossible capacity of 18446744073709551615 pages");
  check_capacity(path, UINT64_MAX / PAGE, "impossible capacity");
  check_capacity(path, UINT64_MAX / PAGE + 1, "impossible capacity");
}

// A file of another size than its header says.
static void test_size(const char *path) {
  make_file(path);
  struct stat status;
  CHECK(stat(path, &status) == 0);
  off_t whole = status.st_size;
  CHECK((size_t)whole == (2 + CAPACITY) * PAGE);
  const off_t sizes[] = {0, 1, 8, 31, 32, PAGE - 1, PAGE, PAGE + 4, 2 * PAGE, whole / 2, whole - 1};
  for (size_t i = sizeof sizes / sizeof *sizes; i-- > 0;) {
    char reason[64];
    CHECK(truncate(path, sizes[i]) == 0);
    snprintf(reason, sizeof reason, "offset %jd: truncated", (intmax_t)sizes[i]);
    check_refusal(path, PAGE, CAPACITY, reason);
  }
  unlink(path);
  make_file(path);
  CHECK(truncate(path, whole + 1) == 0);
  check_refusal(path, PAGE, CAPACITY, "offset 458752: 1 bytes too many");
}

static void test_page_map(const char *path) {
  check_damage(path, PAGE, "\2", 1, "offset 65536: page map byte is 2, neither 0 nor 1");
  check_damage(path, PAGE + CAPACITY - 1, "\xff", 1, "offset 65540: page map byte is 255");
  for (int bit = 1; bit < 8; bit++) {
    unsigned char byte = (unsigned char)(1 << bit | 1);
    check_damage(path, PAGE + 1, &byte, 1, "offset 65537: page map byte is");
  }
}

// A copy with holes opens, and has room for everything from then on.
static void test_sparse_copy(const char *path) {
  make_file(path);
  int descriptor = open(path, O_RDWR);
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(descriptor, punch, 2 * PAGE, CAPACITY * PAGE) == 0) {
    struct source_file file;
    struct stat status;
    char error[1024];
    CHECK(source_file_open(&file, path, PAGE, 0, error, sizeof error));
    CHECK(fstat(descriptor, &status) == 0);
    CHECK(status.st_blocks * 512 >= status.st_size);
    CHECK(source_file_close(&file));
  }
  close(descriptor);
}

static void test_not_a_file(const char *path) {
  CHECK(mkdir(path, 0700) == 0);
  check_refusal(path, PAGE, CAPACITY, "Is a directory");
  CHECK(rmdir(path) == 0);
  CHECK(mkfifo(path, 0600) == 0);
  check_refusal(path, PAGE, CAPACITY, "is no regular file");
  CHECK(unlink(path) == 0);
  check_refusal("/dev/null", PAGE, CAPACITY, "is no regular file");
  check_refusal("", PAGE, CAPACITY, "cannot be created");

  char long_path[8192];
  memset(long_path, 'x', sizeof long_path);
  long_path[300] = '\0';  // one name
  check_refusal(long_path, PAGE, CAPACITY, "File name too long");

  // A dangling link is somebody's, and is not replaced.
  CHECK(symlink("nowhere", path) == 0);
  check_refusal(path, PAGE, CAPACITY, "File exists");
}

static void test_missing_directory(const char *path) {
  char below[600];
  snprintf(below, sizeof below, "%s/heap", path);
  check_refusal(below, PAGE, CAPACITY, "No such file");
  make_file(path);
  check_refusal(below, PAGE, CAPACITY, "Not a directory");
}

// `body` in a child, for what must not befall the other tests.
static void in_child(void (*body)(const char *path), const char *path) {
  fflush(NULL);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    body(path);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void open_without_permission(const char *path) {
  // Permissions do not bind the superuser. Where nobody else can be had, there is no test.
  if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return;
  check_refusal(path, PAGE, CAPACITY, "Permission denied");
}

static void test_unwritable(const char *path) {
  char *slash = strrchr(path, '/');
  char directory[600];
  snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
  CHECK(chmod(directory, 0555) == 0);
  in_child(open_without_permission, path);
  CHECK(chmod(directory, 0755) == 0);
  make_file(path);
  CHECK(chmod(path, 0444) == 0);
  in_child(open_without_permission, path);
}

// ## Claims that no disk can meet
//
// Nothing must be filled up for them. Should that fail, the limit keeps the test from doing it.

static void limit_file_size(rlim_t most) {
  const struct rlimit limit = {most, most};
  CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void create_an_exabyte(const char *path) {
  limit_file_size(1 << 20);
  check_refusal(path, PAGE, SIZE_MAX >> 20, "No space left");
}

static void open_hostile_claim(const char *path) {
  limit_file_size(1 << 20);
  check_refusal(path, PAGE, CAPACITY, "capacity of 33554432 pages, expected at most 5");
  check_refusal(path, PAGE, 0, "No space left");
}

static void test_claims(const char *path) {
  if (!WIDE_WORDS) {  // no addresses could say it
    check_capacity(path, (uint64_t)1 << 25, "impossible capacity of 33554432 pages");
    return;
  }
  in_child(create_an_exabyte, path);

  // A hostile file may even be as long as it says.
  const uint64_t claim = (uint64_t)1 << 25;
  struct statvfs disk;
  struct stat status;
  check_capacity(path, claim, "truncated, expected");
  CHECK(statvfs(path, &disk) == 0);
  if (disk.f_bavail * disk.f_frsize > claim * PAGE ||
      truncate(path, (off_t)(PAGE + claim + claim * PAGE)) != 0)
    return;
  in_child(open_hostile_claim, path);
  CHECK(stat(path, &status) == 0 && status.st_blocks * 512 <= (2 + CAPACITY) * PAGE);
}

static void open_on_full_disk(const char *path) {
  limit_file_size(4 * PAGE);
  check_refusal(path, PAGE, CAPACITY, "no room for 458752 bytes: File too large");
}

// Too few addresses left to map the file: what was created for it must go again.
static void open_without_addresses(const char *path) {
  rlim_t most = address_space() + ((rlim_t)16 << 20);
  const struct rlimit limit = {most, most};
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  check_refusal(path, PAGE, 512, "cannot be mapped");
}

static void test_few_addresses(const char *path) { in_child(open_without_addresses, path); }

static void test_full_disk(const char *path) { in_child(open_on_full_disk, path); }

static void open_second(const char *path) {
  check_refusal(path, PAGE, CAPACITY, "is in use: somebody else has it open");
}

static void test_second_user(const char *path) {
  struct source_file file;
  char error[1024];
  CHECK(source_file_open(&file, path, PAGE, CAPACITY, error, sizeof error));
  open_second(path);            // in this process
  in_child(open_second, path);  // and in another
  CHECK(source_file_close(&file));
  CHECK(source_file_open(&file, path, PAGE, CAPACITY, error, sizeof error));
  CHECK(source_file_close(&file));
}

static void test_short_error_text(const char *path) {
  struct source_file file;
  char error[8];
  memset(error, 'x', sizeof error);
  CHECK(!source_file_open(&file, path, PAGE, 0, error, sizeof error));
  CHECK(strlen(error) == 7 && strncmp(error, path, 7) == 0);
  CHECK(!source_file_open(&file, path, PAGE, 0, NULL, 0));
}

int main(void) {
  void (*const tests[])(const char *) = {test_arguments,         test_header,      test_size,
                                         test_page_map,          test_sparse_copy, test_not_a_file,
                                         test_missing_directory, test_unwritable,  test_full_disk,
                                         test_few_addresses,     test_claims,      test_second_user,
                                         test_short_error_text};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    struct scratch scratch;
    scratch_make(&scratch);
    tests[i](scratch.path);
    CHECK(scratch_count(&scratch) <= 1);
    scratch_remove(&scratch);
  }
  return 0;
}
