// The system call by hand: pipes that take little, signals in between, ends that are gone.
#define _GNU_SOURCE
#include "collections/writer_descriptor.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"

// Of Linux, on every processor: the libc's errno.h needs headers of the kernel that are not
// installed for every width.
enum { BAD_DESCRIPTOR = 9, WOULD_BLOCK = 11, NO_SPACE = 28, BROKEN_PIPE = 32 };

static struct writer_descriptor out;

static void test_bytes_arrive(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  writer_descriptor_init(&out, ends[1]);
  CHECK(print_text(&out.base, "Hello world! ") == RESULT_OK);
  CHECK(print_signed(&out.base, INT64_MIN) == RESULT_OK);
  char got[64] = {0};
  CHECK(read(ends[0], got, sizeof got) == 33);
  CHECK(strcmp(got, "Hello world! -9223372036854775808") == 0);
  CHECK(out.error == 0 && out.base.taken == 33);
  close(ends[0]);
  close(ends[1]);
}

static void test_errors(void) {
  writer_descriptor_init(&out, -1);
  CHECK(print_char(&out.base, 'x') == RESULT_NOT_WRITTEN);
  CHECK(out.error == BAD_DESCRIPTOR && out.base.taken == 0 && out.base.asked == 1);

  int full = open("/dev/full", O_WRONLY);
  CHECK(full >= 0);
  writer_descriptor_init(&out, full);
  CHECK(print_text(&out.base, "") == RESULT_OK);
  CHECK(print_text(&out.base, "abc") == RESULT_NOT_WRITTEN && out.error == NO_SPACE);
  close(full);

  int ends[2];
  CHECK(pipe(ends) == 0);
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  writer_descriptor_init(&out, ends[1]);
  CHECK(print_text(&out.base, "abc") == RESULT_NOT_WRITTEN && out.error == BROKEN_PIPE);
  close(ends[1]);
}

// A full pipe that does not block takes a part, then nothing.
static void test_short_write(void) {
  int ends[2];
  CHECK(pipe2(ends, O_NONBLOCK) == 0);
  int capacity = fcntl(ends[1], F_GETPIPE_SZ);
  CHECK(capacity > 0);
  size_t size = (size_t)capacity + 5000;
  char *bytes = calloc(size, 1);
  CHECK(bytes != NULL);
  writer_descriptor_init(&out, ends[1]);
  CHECK(print_bytes(&out.base, bytes, size) == RESULT_NOT_WRITTEN);
  CHECK(out.error == WOULD_BLOCK);
  CHECK(out.base.taken == (uint64_t)capacity && out.base.asked == size);
  free(bytes);
  close(ends[0]);
  close(ends[1]);
}

static volatile sig_atomic_t signals;

static void count_signal(int number) {
  (void)number;
  signals++;
}

// Signals come while the writer waits for a slow reader, without SA_RESTART: every byte arrives, in
// order, all the same.
static void test_interrupted(void) {
  enum { SIZE = 400000 };
  int ends[2];
  CHECK(pipe(ends) == 0);
  pid_t reader = fork();
  CHECK(reader >= 0);
  if (reader == 0) {
    close(ends[1]);
    unsigned char got[8192];
    size_t at = 0;
    for (ssize_t n; (n = read(ends[0], got, sizeof got)) > 0; usleep(1000))
      for (ssize_t i = 0; i < n; i++, at++)
        if (got[i] != (unsigned char)(at % 251)) _exit(1);
    _exit(at == SIZE ? 0 : 2);
  }
  close(ends[0]);
  struct sigaction action = {.sa_handler = count_signal};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
  unsigned char *bytes = malloc(SIZE);
  CHECK(bytes != NULL);
  for (size_t i = 0; i < SIZE; i++) bytes[i] = (unsigned char)(i % 251);
  writer_descriptor_init(&out, ends[1]);
  // In pieces that a pipe takes whole or not at all, so that signals find calls that wrote nothing.
  for (size_t at = 0; at < SIZE; at += 4000)
    CHECK(print_bytes(&out.base, bytes + at, 4000) == RESULT_OK);
  CHECK(print_bytes(&out.base, bytes, 0) == RESULT_OK && out.error == 0);
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  free(bytes);
  close(ends[1]);
  int status;
  CHECK(waitpid(reader, &status, 0) == reader);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(signals > 0);
}

int main(void) {
  test_bytes_arrive();
  test_errors();
  test_short_write();
  test_interrupted();
  return 0;
}
