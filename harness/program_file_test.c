// Programs in files: three forms, every way to be refused, and no file half-written.
#define _GNU_SOURCE
#include "harness/program_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocators/check.h"

static char directory[] = "/tmp/program_file_test.XXXXXX";

static const char *in_directory(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return path;
}

static void write_file(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(in_directory(name), "wb");
  CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static size_t read_back(const char *name, unsigned char *bytes, size_t room) {
  FILE *file = fopen(in_directory(name), "rb");
  CHECK(file);
  size_t size = fread(bytes, 1, room, file);
  CHECK(fclose(file) == 0);
  return size;
}

static unsigned files_in_directory(void) {
  char command[320];
  snprintf(command, sizeof command, "ls -A %s | wc -l", directory);
  FILE *count = popen(command, "r");
  unsigned files = 0;
  CHECK(count && fscanf(count, "%u", &files) == 1 && pclose(count) == 0);
  return files;
}

static void check_text(const char *found, const char *wanted) {
  if (strcmp(found, wanted) != 0) fprintf(stderr, "want %s\nhave %s\n", wanted, found);
  CHECK(strcmp(found, wanted) == 0);
}

static void make_sample(struct program *program) {
  const struct record records[] = {{.size = 4096},
                                   {.code = OP_ALLOCATE, .align = 4, .slot = 3, .size = 100},
                                   {.code = OP_RELEASE, .slot = 3, .thread = 7}};
  for (size_t i = 0; i < sizeof records / sizeof *records; i++)
    CHECK(program_append(program, &records[i]));
}

static const char sample_text[] = "heap source=fixed capacity=4096 page=4096 skew=0 variant=0 "
                                  "slots=64\n"
                                  "allocate 3 size=100 align=16\n"
                                  "release 3 thread=7\n";

// ## Round trips

static void all_forms_come_back(void) {
  struct program program = {0}, loaded = {0};
  struct file_error error;
  make_sample(&program);
  program.tail[0] = 0x55;
  program.tail_size = 1;
  for (int i = FORM_BYTES; i <= FORM_TRACE; i++) {
    enum program_form form = FORM_BYTES, wanted = (enum program_form)i;
    struct trace_header header = {.peak_bytes = 100, .peak_blocks = 1, .unknown = 9, .threads = 2};
    struct trace_header found;
    CHECK(program_save(&program, wanted, &header, in_directory("sample"), &error));
    CHECK(program_load(&loaded, in_directory("sample"), &form, &found, &error));
    CHECK(form == wanted && loaded.count == program.count && found.records == 3);
    CHECK(memcmp(loaded.records, program.records, 3 * sizeof *loaded.records) == 0);
    CHECK(loaded.tail_size == (form == FORM_BYTES));
    if (form == FORM_TRACE) {
      CHECK(found.peak_bytes == 100 && found.peak_blocks == 1);
      CHECK(found.unknown == 9 && found.threads == 2 && found.version == TRACE_VERSION);
    }
  }
  CHECK(files_in_directory() == 1);
  unsigned char bytes[512];
  CHECK(program_save(&program, FORM_TEXT, NULL, in_directory("sample"), &error));
  CHECK(read_back("sample", bytes, sizeof bytes) == sizeof sample_text - 1);
  CHECK(memcmp(bytes, sample_text, sizeof sample_text - 1) == 0);
  CHECK(program_load(&loaded, in_directory("sample"), NULL, NULL, &error));
  program_clear(&loaded);
  program_clear(&program);
}

static void large_traces_come_back(void) {
  struct program program = {0}, loaded = {0};
  struct file_error error;
  for (uint32_t i = 0; i < 5000; i++)
    CHECK(program_append(&program, &(struct record){.slot = i, .size = i * (uint64_t)0x123456789}));
  CHECK(program_save(&program, FORM_TRACE, NULL, in_directory("large"), &error));
  CHECK(program_load(&loaded, in_directory("large"), NULL, NULL, &error));
  CHECK(loaded.count == 5000);
  CHECK(memcmp(loaded.records, program.records, 5000 * sizeof *loaded.records) == 0);
  unlink(in_directory("large"));
  program_clear(&loaded);
  program_clear(&program);
}

// The header is a format that other programs read: its bytes are fixed.
static void traces_have_known_bytes(void) {
  struct program program = {0};
  unsigned char bytes[TRACE_HEADER_SIZE];
  make_sample(&program);
  trace_seal(&program, &(struct trace_header){.peak_bytes = 100, .threads = 2}, bytes);
  static const unsigned char wanted[TRACE_HEADER_SIZE] = {
      'a', 's', 's',  'a',  'y',  't',  'r',      'c',        1,       0,
      0,   0,   0xe2, 0x29, 0x81, 0xbc, [16] = 3, [24] = 100, [48] = 2};
  for (size_t i = 0; i < sizeof bytes; i++) {
    if (bytes[i] != wanted[i]) fprintf(stderr, "byte %zu is %#x\n", i, bytes[i]);
    CHECK(bytes[i] == wanted[i]);
  }
  program_clear(&program);
}

// ## What is which form

static enum program_form form_of(const char *text) {
  struct program program = {0};
  struct file_error error;
  enum program_form form = FORM_BYTES;
  program_parse(&program, text, strlen(text), "x", &form, NULL, &error);
  program_clear(&program);
  return form;
}

static void forms_are_recognised(void) {
  CHECK(form_of("") == FORM_BYTES);
  CHECK(form_of("heap") == FORM_TEXT);
  CHECK(form_of("heaps of bytes") == FORM_BYTES);
  CHECK(form_of("# a comment\n\n \t\r\n#\n  heap\tslots=1") == FORM_TEXT);
  CHECK(form_of("# only a comment") == FORM_BYTES);
  CHECK(form_of("release 3") == FORM_TEXT);
  CHECK(form_of("reset") == FORM_BYTES);
  CHECK(form_of("assa") == FORM_BYTES);
  CHECK(form_of("assay") == FORM_TRACE);
  CHECK(form_of("assaytrc") == FORM_TRACE);
  CHECK(form_of("assaytrd and more") == FORM_BYTES);
  struct program program = {0};
  struct file_error error;
  enum program_form form;
  CHECK(program_parse(&program, "heap\0size", 9, "x", &form, NULL, &error) && form == FORM_BYTES);
  program_clear(&program);
}

// ## Refusals

static void check_refused(const char *text, size_t size, const char *message) {
  struct program program = {0};
  struct file_error error = {""};
  make_sample(&program);
  bool parsed = program_parse(&program, text, size, "in.txt", NULL, NULL, &error);
  check_text(error.text, message);
  CHECK(!parsed && program.count == 0 && program.records == NULL);
}

static void check_text_refused(const char *text, const char *message) {
  check_refused(text, strlen(text), message);
}

static void wrong_texts_are_explained(void) {
  check_text_refused("heap slots=2\n# x\nallocate 1 size=1\nallocate 2 size=1\n",
                     "in.txt: line 4:1: slot 2 is not below the heap's slots=2");
  check_text_refused("heap\nheap\n", "in.txt: line 2:1: a second heap line");
  check_text_refused("\n  release 1\n", "in.txt: line 2:3: the first line must be the heap's: "
                                        "'heap capacity=65536'");
  check_text_refused("heap\nallocate 1 sise=1", "in.txt: line 2:12: unknown field 'sise'");
  check_text_refused("heap\r\nrelease 0\r\nrelease x\r\n", "in.txt: line 3:9: 'x' is not a number");
  check_refused("heap\nuse 1\0\n", 12, "in.txt: line 2:6: a zero byte, which no text holds");
  char longest[1200] = "heap\n";
  memset(longest + 5, 'u', 1100);
  check_text_refused(longest, "in.txt: line 2:1025: the line is longer than 1024 characters");
  longest[5] = '#';  // long comments and blanks do not count
  struct program program = {0};
  struct file_error error;
  CHECK(program_parse(&program, longest, strlen(longest), "x", NULL, NULL, &error));
  CHECK(program.count == 1);
  CHECK(program_parse(&program, "heap slots=1\nrelease_foreign 99", 31, "x", NULL, NULL, &error));
  CHECK(program.count == 2 && program.records[1].slot == 99);
  program_clear(&program);
}

static size_t make_trace(char *bytes) {
  struct program program = {0};
  make_sample(&program);
  trace_seal(&program, NULL, (unsigned char *)bytes);
  program_encode(&program, bytes + TRACE_HEADER_SIZE);
  program_clear(&program);
  return TRACE_HEADER_SIZE + 3 * RECORD_SIZE;
}

static void reseal(char *bytes) {
  struct program program = {0};
  CHECK(program_decode(&program, bytes + TRACE_HEADER_SIZE, 3 * RECORD_SIZE));
  trace_seal(&program, NULL, (unsigned char *)bytes);
  program_clear(&program);
}

static void damaged_traces_are_refused(void) {
  char bytes[TRACE_HEADER_SIZE + 4 * RECORD_SIZE] = {0};
  size_t size = make_trace(bytes);
  struct program program = {0};
  struct file_error error;
  CHECK(program_parse(&program, bytes, size, "x", NULL, NULL, &error) && program.count == 3);

  // Cut anywhere: refused from the fifth byte on.
  for (size_t cut = 0; cut < size; cut++) {
    char *exact = malloc(cut ? cut : 1);
    CHECK(exact);
    memcpy(exact, bytes, cut);
    CHECK(program_parse(&program, exact, cut, "x", NULL, NULL, &error) == (cut < 5));
    free(exact);
  }
  // One changed bit anywhere behind the magic: refused.
  for (size_t bit = 64; bit < 8 * size; bit++) {
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    CHECK(!program_parse(&program, bytes, size, "x", NULL, NULL, &error));
    bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
  }

  check_refused(bytes, 9,
                "in.txt: the trace is cut at offset 9, in its header of 64 bytes; record "
                "or copy it again");
  check_refused(bytes, 100,
                "in.txt: the trace is cut at offset 100: 2 of its 3 records are there; "
                "record or copy it again");
  check_refused(bytes, size + 1,
                "in.txt: offset 112: bytes behind the trace's last record; record "
                "or copy it again");
  check_refused(bytes, size + RECORD_SIZE,
                "in.txt: offset 112: bytes behind the trace's last "
                "record; record or copy it again");
  bytes[8] = 2;
  check_refused(bytes, size,
                "in.txt: offset 8: a trace of version 2, and only version 1 is known; "
                "record it again with this assay");
  reseal(bytes);
  bytes[23] = '\x80';  // 2^63 + 3 records: as bytes this would wrap
  check_refused(bytes, size,
                "in.txt: the trace is cut at offset 112: 3 of its 9223372036854775811 "
                "records are there; record or copy it again");
  reseal(bytes);
  bytes[111] = 1;
  check_refused(bytes, size,
                "in.txt: offset 12: the checksum is 2e86391f, that of the bytes is "
                "59810989: the trace is damaged; record or copy it again");
  program_clear(&program);
}

static void check_load_refused(const char *path, const char *message) {
  struct program program = {0};
  struct file_error error = {""};
  make_sample(&program);
  bool loaded = program_load(&program, path, NULL, NULL, &error);
  check_text(error.text, message);
  CHECK(!loaded && program.records == NULL);
}

static void what_is_no_file_is_refused(void) {
  CHECK(mkfifo(in_directory("pipe"), 0600) == 0);
  char message[512];
  alarm(20);  // none of these may wait or read on and on
  check_load_refused("/tmp", "/tmp: is a directory; name a regular file");
  check_load_refused("/dev/zero", "/dev/zero: is a device; name a regular file");
  check_load_refused("/no/such/file", "/no/such/file: cannot be opened: No such file or directory");
  snprintf(message, sizeof message, "%s: is a pipe; name a regular file", in_directory("pipe"));
  check_load_refused(in_directory("pipe"), message);
  check_load_refused("/proc/self/maps", "/proc/self/maps: grows while it is read; copy it first");
  alarm(0);

  if (geteuid() != 0) {
    write_file("closed", "x", 1);
    CHECK(chmod(in_directory("closed"), 0) == 0);
    snprintf(message, sizeof message, "%s: cannot be opened: Permission denied",
             in_directory("closed"));
    check_load_refused(in_directory("closed"), message);
  }

  write_file("huge", "", 0);
  CHECK(truncate(in_directory("huge"), (off_t)PROGRAM_FILE_MAX + 1) == 0);
  snprintf(message, sizeof message, "%s: has 4294967297 bytes; at most 4294967296 are read",
           in_directory("huge"));
  check_load_refused(in_directory("huge"), message);
  unlink(in_directory("huge"));
}

static void an_empty_file_is_an_empty_program(void) {
  struct program program = {0};
  struct file_error error;
  enum program_form form;
  write_file("empty", "", 0);
  CHECK(program_load(&program, in_directory("empty"), &form, NULL, &error));
  CHECK(form == FORM_BYTES && program.count == 0 && program_encoded_size(&program) == 0);
  program_clear(&program);
}

static void errors_are_one_line(void) {
  struct program program = {0};
  struct file_error error;
  CHECK(!program_load(&program, "a\nb\033", NULL, NULL, &error));
  check_text(error.text, "a?b?: cannot be opened: No such file or directory");
  char path[2000];
  memset(path, 'p', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  CHECK(!program_load(&program, path, NULL, NULL, &error));
  CHECK(strncmp(error.text, "...ppp", 6) == 0);
  CHECK(strstr(error.text, "ppp: cannot be opened: File name too long") != NULL);
}

// ## Saving

static void saving_where_no_file_can_be_is_refused(void) {
  struct program program = {0};
  struct file_error error;
  make_sample(&program);
  CHECK(!program_save(&program, FORM_TEXT, NULL, "/no/such/file", &error));
  check_text(error.text, "/no/such/file: cannot be written: No such file or directory");
  CHECK(!program_save(&program, FORM_TEXT, NULL, "/dev/null", &error));
  check_text(error.text, "/dev/null: is a device; name a regular file to write");
  CHECK(!program_save(&program, FORM_TEXT, NULL, "/tmp", &error));
  check_text(error.text, "/tmp: is a directory; name a regular file to write");
  program_clear(&program);
}

static void a_link_stays_a_link(void) {
  struct program program = {0};
  struct file_error error;
  struct stat status;
  make_sample(&program);
  write_file("target", "old", 3);
  CHECK(symlink("target", in_directory("link")) == 0);
  CHECK(program_save(&program, FORM_TEXT, NULL, in_directory("link"), &error));
  CHECK(lstat(in_directory("link"), &status) == 0 && S_ISLNK(status.st_mode));
  CHECK(stat(in_directory("target"), &status) == 0);
  CHECK(status.st_size == (off_t)sizeof sample_text - 1);
  program_clear(&program);
}

// A limit on the size of files stands for a full disk: writing fails part of the way.
static void a_full_disk_leaves_what_was_there(void) {
  struct program program = {0};
  make_sample(&program);
  for (uint32_t i = 0; i < 5000; i++) CHECK(program_append(&program, &(struct record){.slot = i}));
  write_file("full", "old", 3);
  unsigned before = files_in_directory();
  for (int form = FORM_BYTES; form <= FORM_TRACE; form++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      struct file_error error;
      signal(SIGXFSZ, SIG_IGN);
      CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}) == 0);
      CHECK(!program_save(&program, (enum program_form)form, NULL, in_directory("full"), &error));
      char message[512];
      snprintf(message, sizeof message,
               "%s: cannot be written: File too large; what was there is unchanged",
               in_directory("full"));
      check_text(error.text, message);
      program_clear(&program);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    unsigned char bytes[8];
    CHECK(read_back("full", bytes, sizeof bytes) == 3 && memcmp(bytes, "old", 3) == 0);
    CHECK(files_in_directory() == before);
  }
  program_clear(&program);
}

static void remove_directory(void) {
  char command[320];
  snprintf(command, sizeof command, "rm -rf %s", directory);
  CHECK(system(command) == 0);
}

int main(void) {
  CHECK(mkdtemp(directory));
  all_forms_come_back();
  large_traces_come_back();
  traces_have_known_bytes();
  forms_are_recognised();
  wrong_texts_are_explained();
  damaged_traces_are_refused();
  what_is_no_file_is_refused();
  an_empty_file_is_an_empty_program();
  errors_are_one_line();
  saving_where_no_file_can_be_is_refused();
  a_link_stays_a_link();
  a_full_disk_leaves_what_was_there();
  remove_directory();
  return 0;
}
