// Every dialect and quirk of other tools' traces, as the program that it means; and no file,
// however damaged, does worse than a one-line error.
#include "harness/import.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"

static struct program program;
static struct trace_header header;
static struct import_account account;
static struct import_settings settings;
static struct file_error error;
static enum program_form form;

static bool read_bytes(const void *bytes, size_t size) {
  // A copy of the exact size, so that a sanitizer sees each byte too many.
  void *copy = malloc(size ? size : 1);
  CHECK(copy);
  memcpy(copy, bytes, size);
  bool done = import_parse(&program, copy, size, "x", &settings, &form, &header, &account, &error);
  free(copy);
  CHECK(done || program.records == NULL);
  CHECK(done || strncmp(error.text, "x: ", 3) == 0);
  return done;
}

// Which program it is, without the heap.
static void expect(const char *text, const char *format, const char *lines) {
  if (!read_bytes(text, strlen(text))) {
    fprintf(stderr, "%s\n", error.text);
    CHECK(false);
  }
  CHECK(strcmp(account.format, format) == 0);
  CHECK(form == FORM_TRACE && header.records == program.count);
  char *all = NULL;
  size_t size;
  FILE *stream = open_memstream(&all, &size);
  CHECK(stream);
  program_print(&program, stream);
  CHECK(fclose(stream) == 0);
  const char *operations = strchr(all, '\n') + 1;
  if (strcmp(operations, lines) != 0) fprintf(stderr, "%s\n", operations);
  CHECK(strcmp(operations, lines) == 0);
  free(all);
}

static void refuse(const char *text, const char *words) {
  if (read_bytes(text, strlen(text))) {
    fprintf(stderr, "read as %s: %s\n", account.format, text);
    CHECK(false);
  }
  if (!strstr(error.text, words)) fprintf(stderr, "%s\n", error.text);
  CHECK(strstr(error.text, words));
}

// ## rep

static void test_rep_dialects(void) {
  static const char *const headers[] = {"20000\n2\n4\n1\n", "1\n2\n4\n0\n", "0\n2\n4\n4072\n",
                                        "20000 2 4 1\n", "\n 20000\r\n2\r\n4\r\n1\r\n"};
  for (unsigned i = 0; i < sizeof headers / sizeof *headers; i++) {
    char text[100];
    snprintf(text, sizeof text, "%sa 0 512\na 1 128\nr 0 640\nf 1\n", headers[i]);
    expect(text, "rep",
           "allocate 0 size=512 align=16\nallocate 1 size=128 align=16\n"
           "resize 0 size=640 align=16\nrelease 1\n");
    CHECK(account.promised == 4 && account.found == 4);
    CHECK(account.promised_ids == 2 && account.found_ids == 2 && !account.open_end);
    CHECK(header.peak_bytes == 768 && header.peak_blocks == 2 && header.threads == 1);
  }
}

static void test_rep_quirks(void) {
  expect("1\n1\n1\n0\na 0 8\nf 0\na 7 9\n", "rep",
         "allocate 0 size=8 align=16\nrelease 0\nallocate 0 size=9 align=16\n");
  CHECK(account.promised == 1 && account.found == 3);  // counts that are wrong
  CHECK(account.promised_ids == 1 && account.found_ids == 8);

  expect("1\n1\n1\n0\nf -1\n", "rep", "");
  CHECK(account.null_releases == 1 && account.unknown_releases == 0);

  expect("1\n1\n1\n0\nr 3 40\nf 3\n", "rep", "allocate 0 size=40 align=16\nrelease 0\n");
  CHECK(account.unknown_resizes == 1);

  expect("1\n1\n3\n0\na 0\nf 0\na 0 0\n", "rep",
         "allocate 0 size=1 align=16\nrelease 0\nallocate 0 size=1 align=16\n");
  CHECK(account.missing_sizes == 1 && account.zero_sizes == 2);

  // Far beyond any heap: data, and no reason to take the heap for that large.
  expect("1\n1\n3\n0\na 0 80000000000000000\nf 0\na 1 10\na 2 72057594037927936\n", "rep",
         "allocate 0 size=80000000000000000 align=16\nrelease 0\nallocate 0 size=10 align=16\n"
         "allocate 1 size=72057594037927936 align=16\n");
  CHECK(account.huge == 2 && header.peak_bytes == 10);
  CHECK(program_heap(&program).capacity == 1 << 20);

  // An id allocated into while live: the former block is never released.
  expect("1\n1\n3\n0\na 0 10\na 0 20\nf 0\n", "rep",
         "allocate 0 size=10 align=16\nallocate 1 size=20 align=16\nrelease 1\n");
  CHECK(account.lost == 1 && header.peak_bytes == 30);

  expect("1\n1\n3\n0\na 0 10\nr 0 0\nf 0\n", "rep", "allocate 0 size=10 align=16\nrelease 0\n");
  CHECK(account.unknown_releases == 1);

  expect("1\n1\n2\n0\n# a comment\na 0 10\r\n\nf 0 \n", "rep",
         "allocate 0 size=10 align=16\nrelease 0\n");
  expect("1\n0\n0\n0\n", "rep", "");
}

static void test_rep_refused(void) {
  refuse("1\n1\n1\n0\na 0 10\nx 0\n", "line 6: no operation");
  refuse("1\n1\n1\n0\na 0 10 7\nf 0\n", "line 5: '7' is more than the line should hold");
  refuse("1\n1\n1\n0\na 0 1e4\nf 0\n", "line 5: the size, '1e4', is no number");
  refuse("1\n1\n1\n0\na 0 -4\nf 0\n", "line 5: the size, '-4', is no number");
  refuse("1\n1\n1\n0\na\nf 0\n", "line 5: the id is missing");
  refuse("1\n1\n1\n0\na -1 4\n", "line 5: an id below 0");
  refuse("1\n1\n1\n0\nf -2\n", "line 5: id -2");
  refuse("1\n1\n1\n0\na 4294967296 4\n", "line 5: id 4294967296 is too large");
  refuse("1\n1\n1\n0\na 0 99999999999999999999\n",
         "line 5: the size, '99999999999999999999', needs");
  // Cut off in a line, or behind one that might be whole.
  refuse("1\n1\n9\n0\na 0 10\nf", "cut off at offset 16, in line 6 (the id is missing)");
  refuse("1\n1\n9\n0\na 0 10\nf 0", "cut off at offset 18, in line 6 (operation 2 of 9)");
  expect("1\n1\n2\n0\na 0 10\nf 0", "rep", "allocate 0 size=10 align=16\nrelease 0\n");
  CHECK(account.open_end);
  settings.partial = true;
  expect("1\n1\n9\n0\na 0 10\nf", "rep", "allocate 0 size=10 align=16\n");
  CHECK(account.cut_line == 6 && account.cut_at == 16 && account.lines == 5);
  settings.partial = false;
}

// ## android

static void test_android(void) {
  expect("202: malloc 0xb4827400 1024\n"
         "202: free 0x0\n"
         "17: calloc 0x100 3 20\n"
         "17: calloc 0x200 100 20\n"
         "17: memalign 0x1000 4096 30\n"
         "17: memalign 0x2000 8 31\n"
         "17: realloc 0x300 0x100 70\n"
         "202: realloc 0x300 0x300 80\n"
         "202: realloc 0x400 0x0 9\n"
         "202: realloc 0x0 0x400 0\n"
         "202: realloc 0x0 0x300 9999999\n"
         "202: malloc 0x0 9999999\n"
         "202: malloc 0x500 0\n"
         "17: free 0xb4827400\n"
         "17: free 0xdead0\n"
         "17: realloc 0x600 0xbeef0 5\n",
         "android",
         "allocate 0 size=1024 align=16\n"
         "zeroed 1 count=3 size=20 align=16 thread=1\n"
         "zeroed 2 count=1 size=2000 align=16 thread=1\n"
         "allocate 3 size=30 align=4096 thread=1\n"
         "allocate 4 size=31 align=16 thread=1\n"
         "resize 1 size=70 align=16 thread=1\n"
         "resize 1 size=80 align=16\n"
         "allocate 5 size=9 align=16\n"
         "release 5\n"
         "allocate 5 size=1 align=16\n"
         "release 0 thread=1\n"
         "allocate 0 size=5 align=16 thread=1\n");
  CHECK(header.threads == 2 && header.unknown == 2);
  CHECK(account.failed == 2 && account.null_releases == 1 && account.zero_sizes == 1);
  CHECK(account.unknown_releases == 1 && account.unknown_resizes == 1);
}

static void test_android_threads_and_times(void) {
  expect("5: malloc 0x10 1 100 120\n5: thread_done 0x0 130\n6: free 0x10 140 150\n"
         "5: malloc 0x10 2 160 170\n5: thread_done 0x0\n",
         "android",
         "allocate 0 size=1 align=16\nrelease 0 thread=1\nallocate 0 size=2 align=16 thread=2\n");
  CHECK(header.threads == 3);
  // More of them than the field can say.
  char *text = malloc(70000 * 24), *at = text;
  CHECK(text);
  for (unsigned i = 0; i < 70000; i++) at += sprintf(at, "%u: malloc 0x%x 1\n", i, 16 * i + 16);
  CHECK(read_bytes(text, (size_t)(at - text)));
  CHECK(header.threads == 70000 && program_length(&program) == 70000);
  CHECK(record_operation(program_at(&program, 65536 + 7)).thread == 7);
  free(text);
}

static void test_addresses_given_out_twice(void) {
  expect("1: malloc 0x10 5\n2: malloc 0x10 6\n", "android",
         "allocate 0 size=5 align=16\nrelease 0 thread=1\nallocate 0 size=6 align=16 thread=1\n");
  CHECK(account.released_unseen == 1);
  expect("1: malloc 0x10 5\n1: malloc 0x20 6\n1: realloc 0x10 0x20 7\n", "android",
         "allocate 0 size=5 align=16\nallocate 1 size=6 align=16\nrelease 0\n"
         "resize 1 size=7 align=16\n");
  CHECK(account.released_unseen == 1);
}

static void test_android_refused(void) {
  refuse("1: mallok 0x10 5\n", "line 1: no call that is known");
  refuse("1: malloc 0x10 5\n1: mallok 0x10 5\n", "line 2: no call that is known");
  refuse("1: malloc 0x10\n1: free 0x10\n", "line 1: the size is missing");
  refuse("1: calloc 0x10 5\n1: free 0x10\n", "line 1: the size is missing");
  refuse("1: realloc 0x10 0x20\n", "line 1: the size is missing");
  refuse("1: malloc 0x10 5\n1: free\n", "line 2: no call");
  refuse("1: free 0x10 100\n", "line 1: the time of its end is missing");
  refuse("1: free 0x1g\n", "line 1: the address, '1g', is no number");
  refuse("1: free 0x12345678123456781\n", "line 1: the address, '12345678123456781', needs");
  refuse("1: free 0x10\nfree 0x10\n", "line 2: the thread, 'free', is no number");
  refuse("1: calloc 0x10 4294967296 4294967296\n", "line 1: 4294967296 times 4294967296");
  refuse("1: memalign 0x10 9223372036854775809 4\n", "line 1: an alignment beyond");
  refuse("1: malloc 0x10 5\n1: malloc 0x2", "cut off at offset 30, in line 2");
  expect("1: calloc 0x0 4294967296 4294967296\n", "android", "");
  CHECK(account.failed == 1);
  expect("1: malloc 0x10 5", "android", "allocate 0 size=5 align=16\n");
  CHECK(account.open_end);
}

static void test_alignment(void) {
  settings.alignment = 8;
  expect("1: malloc 0x10 5\n1: memalign 0x20 16 5\n", "android",
         "allocate 0 size=5 align=8\nallocate 1 size=5 align=16\n");
  settings.alignment = 0;
}

// ## heaptrack

static void test_heaptrack(void) {
  // Interpreted: infos of a size and a stack, of which the youngest block ends.
  expect("v 10500 3\nX sort\nI 1000 3e8\ns 4 main\ns 0 \ni 55 1\nt 1 0\na 20 1\n+ 0\n+ 0\n"
         "a 100 1\n+ 1\nc a\nR 10\n- 0\n- 1\n- 0\n- 0\n# strings: 1\n",
         "heaptrack",
         "allocate 0 size=32 align=16\nallocate 1 size=32 align=16\nallocate 2 size=256 align=16\n"
         "release 1\nrelease 2\nrelease 0\n");
  CHECK(account.unknown_releases == 1 && header.peak_bytes == 320);
  // Raw, and the oldest: pointers.
  expect(
      "v 10100\nx ./a\nm ./a 400000 0 1000\nt 4005 0\n+ 20 1 7f10\n+ 30 1 7f40\n- 7f10\n- 7f99\n",
      "heaptrack", "allocate 0 size=32 align=16\nallocate 1 size=48 align=16\nrelease 0\n");
  CHECK(account.unknown_releases == 1);
  refuse("v 10500 3\na 20 1\n+ 1\n", "line 3: allocation info 1 of 1");
  refuse("v 10500 4\n+ 1\n", "line 1: a file of version 4");
  refuse("v 10500 3\nq 4\n", "line 2: no letter that is known");
  refuse("v 10500 3\na 20 1\n+ 0\n+", "cut off at offset 22, in line 4");
  refuse("v 10500 3\na 20x 1\n", "line 2: the size, '20x', is no number");
}

// ## mtrace

static void test_mtrace(void) {
  expect("= Start\n"
         "@ ./a] b:[0x11a0] + 0x5550 0x64\n"
         "@ ./a:(main+0x2d)[0x11b5] < 0x5550\n"
         "@ ./a:(main+0x2d)[0x11b5] > 0x5560 0x1388\n"
         "+ 0x6660 0\n"
         "@ [0x11b5] ! 0x5560 0xffffffffffff\n"
         "@ [0x11b5] + (nil) 0xffffffffffff\n"
         "@ [0x11d8] - 0x5560\n"
         "@ [0x11d8] - 0x9990\n"
         "= End\n",
         "mtrace",
         "allocate 0 size=100 align=16\nresize 0 size=5000 align=16\nallocate 1 size=1 align=16\n"
         "release 0\n");
  CHECK(account.failed == 2 && account.zero_sizes == 1 && account.unknown_releases == 1);
  expect("@ ./a:[0x11a0] + 0x5550 0x64\n", "mtrace", "allocate 0 size=100 align=16\n");
  refuse("= Start\n< 0x10\n- 0x10\n", "line 3: a resize that began");
  refuse("= Start\n> 0x10 0x1\n", "line 2: the end of a resize that did not begin");
  refuse("= Start\n< 0x10\n", "line 2: a resize begins, and the file is cut off");
  refuse("= Start\n* 0x10\n", "line 2: no call");
  refuse("= Start\n@ ./a:[0x11a0] * 0x10\n", "line 2: no '] '");
  refuse("= Start\n+ 0x10\n", "line 2: the size is missing");
  refuse("= Start\n@ ./a:[0x11", "cut off at offset 19, in line 2");
}

// ## Any bytes

static void test_own_forms_pass(void) {
  CHECK(read_bytes("heap capacity=4096\nreset\n", 25) && form == FORM_TEXT);
  CHECK(strcmp(account.format, "text") == 0);
  CHECK(read_bytes("", 0) && form == FORM_BYTES && program.count == 0);
  static const char zeros[48];
  CHECK(read_bytes(zeros, sizeof zeros) && form == FORM_BYTES && program.count == 3);
  CHECK(read_bytes("1\n2\n3\n", 6) && form == FORM_BYTES);
  CHECK(read_bytes("12: some words\n", 15) && form == FORM_BYTES);
}

// Each sample, cut at each byte and with each byte changed: refused with a line, or a program.
static void test_damage(void) {
  static const char *const samples[] = {
      "1\n2\n4\n0\na 0 512\na 1 128\nr 0 640\nf 1\n",
      "5: malloc 0x10 1 100 120\n5: realloc 0x20 0x10 7\n5: thread_done 0x0\n6: free 0x10\n",
      "v 10500 3\na 20 1\n+ 0\n+ 0\n- 0\n",
      "= Start\n@ a:[0x1] + 0x50 0x64\n@ a:[0x1] < 0x50\n@ a:[0x1] > 0x50 0x13\n",
  };
  for (unsigned i = 0; i < sizeof samples / sizeof *samples; i++) {
    size_t size = strlen(samples[i]);
    for (size_t cut = 0; cut <= size; cut++) read_bytes(samples[i], cut);
    char text[128];
    for (size_t at = 0; at < size; at++)
      for (unsigned c = 0; c < 256; c += c < 128 ? 1 : 37) {
        memcpy(text, samples[i], size);
        text[at] = (char)c;
        settings.partial = c & 1;
        read_bytes(text, size);
      }
  }
  settings.partial = false;
}

int main(void) {
  test_rep_dialects();
  test_rep_quirks();
  test_rep_refused();
  test_android();
  test_android_threads_and_times();
  test_addresses_given_out_twice();
  test_android_refused();
  test_alignment();
  test_heaptrack();
  test_mtrace();
  test_own_forms_pass();
  test_damage();
  program_clear(&program);
  return 0;
}
