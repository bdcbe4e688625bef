// Packed traces: what unpacks, what is damaged, what is cut off, and what would fill all memory.
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "allocators/check.h"
#include "harness/import.h"
#include "harness/import_inflate.h"

static const char trace[] = "202: malloc 0xb4827400 1024\n202: free 0xb4827400\n";
enum { TRACE = sizeof trace - 1, ROOM = 1 << 20 };

static unsigned char packed[ROOM];
static size_t packed_size;

static struct program program;
static struct import_account account;
static struct import_settings settings;
static struct file_error error;

// ## Packing

// As gzip, or bare.
static size_t deflate_bytes(unsigned char *to, const void *bytes, size_t size, bool gzip) {
  z_stream stream = {0};
  CHECK(deflateInit2(&stream, 6, Z_DEFLATED, gzip ? 31 : -15, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  WRITTEN(&stream, sizeof stream);
  stream.next_in = (Bytef *)bytes;
  stream.avail_in = (uInt)size;
  stream.next_out = to;
  stream.avail_out = ROOM / 2;
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  WRITTEN(&stream, sizeof stream);
  size_t used = ROOM / 2 - stream.avail_out;
  WRITTEN(to, used);
  deflateEnd(&stream);
  return used;
}

static void pack_zstd(const void *bytes, size_t size) {
  packed_size = ZSTD_compress(packed, sizeof packed, bytes, size, 3);
  CHECK(!ZSTD_isError(packed_size));
  WRITTEN(packed, packed_size);
}

static unsigned char *put(unsigned char *at, unsigned size, size_t value) {
  for (unsigned i = 0; i < size; i++) *at++ = (unsigned char)(value >> (8 * i));
  return at;
}

// What the local header and the directory have in common, from the version on.
static unsigned char *put_entry(unsigned char *at, unsigned method, size_t crc, size_t size,
                                size_t whole, size_t name) {
  at = put(at, 2, 20);
  at = put(at, 2, 0);
  at = put(at, 2, method);
  at = put(at, 4, 0);
  at = put(at, 4, crc);
  at = put(at, 4, size);
  at = put(at, 4, whole);
  at = put(at, 2, name);
  return put(at, 2, 0);
}

// A zip of one file, and a folder.
static void pack_zip(const void *bytes, size_t size, unsigned method) {
  static unsigned char data[ROOM];
  size_t length = size, crc = crc32(0, bytes, (uInt)size);
  if (method == 8)
    length = deflate_bytes(data, bytes, size, false);
  else
    memcpy(data, bytes, size);
  unsigned char *at = packed;
  memcpy(at, "PK\3\4", 4);
  at = put_entry(at + 4, method, crc, length, size, 5);
  memcpy(at, "a.txt", 5);
  memcpy(at + 5, data, length);
  at += 5 + length;
  size_t directory = (size_t)(at - packed);
  for (unsigned i = 0; i < 2; i++) {
    memcpy(at, "PK\1\2", 4);
    at = put(at + 4, 2, 20);
    at = i ? put_entry(at, method, crc, length, size, 5) : put_entry(at, 0, 0, 0, 0, 2);
    memset(at, 0, 14);
    memcpy(at + 14, i ? "a.txt" : "d/", i ? 5 : 2);
    at += 14 + (i ? 5 : 2);
  }
  size_t end = (size_t)(at - packed);
  memcpy(at, "PK\5\6", 4);
  at = put(at + 4, 4, 0);
  at = put(at, 2, 2);
  at = put(at, 2, 2);
  at = put(at, 4, end - directory);
  at = put(at, 4, directory);
  at = put(at, 2, 7);
  memcpy(at, "comment", 7);
  packed_size = (size_t)(at + 7 - packed);
}

static void pack(enum import_container container, const void *bytes, size_t size) {
  if (container == CONTAINER_ZSTD)
    pack_zstd(bytes, size);
  else if (container == CONTAINER_GZIP)
    packed_size = deflate_bytes(packed, bytes, size, true);
  else
    pack_zip(bytes, size, 8);
}

// ## Reading

static bool read_packed(size_t size) {
  void *copy = malloc(size ? size : 1);
  CHECK(copy);
  memcpy(copy, packed, size);
  bool done = import_parse(&program, copy, size, "x", &settings, NULL, NULL, &account, &error);
  free(copy);
  CHECK(done || (program.records == NULL && strncmp(error.text, "x: ", 3) == 0));
  return done;
}

static void refuse(const char *words) {
  CHECK(!read_packed(packed_size));
  if (!strstr(error.text, words)) fprintf(stderr, "%s\n", error.text);
  CHECK(strstr(error.text, words));
}

static void expect_trace(const char *container) {
  if (!read_packed(packed_size)) fprintf(stderr, "%s\n", error.text);
  CHECK(program_length(&program) == 2 && strcmp(account.format, "android") == 0);
  CHECK(strcmp(account.container, container) == 0);
}

static const char *const names[CONTAINERS] = {"zip", "gzip", "zstd"};

static void test_whole(void) {
  for (unsigned i = 0; i < CONTAINERS; i++) {
    pack((enum import_container)i, trace, TRACE);
    expect_trace(names[i]);
  }
  pack_zip(trace, TRACE, 0);
  expect_trace("zip");
  // One stream behind the other.
  size_t half = deflate_bytes(packed, trace, 28, true);
  packed_size = half + deflate_bytes(packed + half, trace + 28, TRACE - 28, true);
  expect_trace("gzip");
}

// More than the buffer first has room for, and as much as it may hold at most.
static void test_sizes(void) {
  enum { LINES = 8000, LINE = 21 };
  char *text = malloc(LINES * LINE + 1);
  CHECK(text);
  for (unsigned i = 0; i < LINES; i++)
    CHECK(sprintf(text + i * LINE, "1: malloc 0x%x 1\n", 0x100000 + 16 * i) == LINE);
  for (unsigned i = 0; i < CONTAINERS; i++) {
    pack((enum import_container)i, text, LINES * LINE);
    settings.most_bytes = 0;
    CHECK(read_packed(packed_size) && program_length(&program) == LINES);
    settings.most_bytes = LINES * LINE;
    CHECK(read_packed(packed_size) || strstr(error.text, "unpacks to more than"));
    settings.most_bytes = LINES * LINE + 1;
    CHECK(read_packed(packed_size) && program_length(&program) == LINES);
    settings.most_bytes = LINES * LINE / 2;
    CHECK(!read_packed(packed_size) && strstr(error.text, "unpacks to"));
  }
  settings.most_bytes = 0;
  free(text);
}

// A few kilobytes that unpack to 8 MiB: no more is ever unpacked than may be.
static void test_bombs(void) {
  enum { SIZE = 8 << 20 };
  char *zeros = calloc(1, SIZE);
  CHECK(zeros);
  settings.most_bytes = 1 << 20;
  for (unsigned i = 0; i < CONTAINERS; i++) {
    pack((enum import_container)i, zeros, SIZE);
    CHECK(packed_size < SIZE / 500);
    refuse("it unpacks to");
  }
  // A zip that lies about its size.
  pack(CONTAINER_ZIP, zeros, SIZE);
  unsigned char *entry = packed;
  while (memcmp(entry, "PK\1\2", 4) != 0 || entry[46] != 'a') entry++;
  put(entry + 24, 4, 100);
  refuse("it unpacks to more than 1048576 bytes");
  settings.most_bytes = 0;
  free(zeros);
}

static void test_damage(void) {
  for (unsigned i = 0; i < CONTAINERS; i++) {
    pack((enum import_container)i, trace, TRACE);
    size_t whole = packed_size;
    for (size_t cut = 30; cut < whole; cut++) {
      // A zip may lack its comment, or a part of it; nothing else may be missing.
      bool comment = i == CONTAINER_ZIP && cut >= whole - 7;
      CHECK(read_packed(cut) == comment);
      if (i != CONTAINER_ZIP) CHECK(strstr(error.text, "cut off at offset"));
    }
    unsigned char former[1024];
    CHECK(whole < sizeof former);
    memcpy(former, packed, whole);
    for (size_t at = 0; at < whole; at++)
      for (unsigned bit = at % 4; bit < 8; bit += 4) {
        packed[at] ^= (unsigned char)(1u << bit);
        settings.partial = at & 4;
        read_packed(whole);
        packed[at] = former[at];
      }
    settings.partial = false;
  }
  pack(CONTAINER_GZIP, trace, TRACE);
  packed[packed_size - 8] ^= 1;  // the checksum
  refuse("the packed data is damaged: incorrect data check");
  pack(CONTAINER_ZIP, trace, TRACE);
  packed[14] ^= 1;  // of the local header, which is not read
  expect_trace("zip");
}

static void test_partial(void) {
  static char text[64 * TRACE];
  for (unsigned i = 0; i < 64; i++) memcpy(text + i * TRACE, trace, TRACE);
  settings.partial = true;
  pack(CONTAINER_GZIP, text, sizeof text);
  CHECK(read_packed(packed_size - 12) && program_length(&program) > 0);
  CHECK(program_length(&program) < 128 && account.cut_at > 0);
  settings.partial = false;
}

static void test_unfit_zips(void) {
  pack_zip(trace, TRACE, 8);
  size_t end = packed_size - 7 - 22;
  packed[end + 10] = 0;
  refuse("the zip holds 0 files");
  pack_zip(trace, TRACE, 8);
  unsigned char *folder = packed;
  while (memcmp(folder, "PK\1\2", 4) != 0) folder++;
  folder[47] = 'x';
  refuse("the zip holds 2 files");
  pack_zip(trace, TRACE, 8);
  unsigned char *entry = folder + 48;
  entry[8] = 1;
  refuse("encrypted");
  entry[8] = 0;
  entry[10] = 12;
  refuse("packs by method 12");
  entry[10] = 8;
  put(entry + 24, 4, 0xffffffff);
  refuse("zip64");
  pack_zip("no trace", 8, 8);
  refuse("no trace that is known");
}

// Seeds for //fuzz:import_packed_libfuzzer.
static void write_seeds(const char *folder) {
  for (unsigned i = 0; i < CONTAINERS; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    pack((enum import_container)i, trace, TRACE);
    FILE *file = fopen(path, "wb");
    CHECK(file);
    CHECK(fwrite(packed, 1, packed_size, file) == packed_size && fclose(file) == 0);
  }
}

// With a folder: writes samples there, and tests nothing.
int main(int argc, char **argv) {
  if (argc > 1) {
    write_seeds(argv[1]);
    return 0;
  }
  test_whole();
  test_sizes();
  test_bombs();
  test_damage();
  test_partial();
  test_unfit_zips();
  program_clear(&program);
  return 0;
}
