// Raw logs made by hand become the programs that they mean, and no log, however damaged, does worse
// than a one-line error.
#include "harness/record_convert.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "harness/record_log.h"
#include "harness/record_map.h"

// ## A log by hand

enum { MAX_EVENTS = 64 };

static struct raw_log {
  struct raw_header header;
  struct raw_event events[MAX_EVENTS];
  size_t count;
} raw;

static void start_log(void) {
  memset(&raw, 0, sizeof raw);
  memcpy(raw.header.magic, RAW_MAGIC, 8);
  raw.header.version = RAW_VERSION;
  raw.header.process = 77;
  strcpy(raw.header.program, "sort");
}

static struct raw_event *log_event(enum raw_kind kind, uint64_t address, uint64_t size) {
  CHECK(raw.count < MAX_EVENTS);
  struct raw_event *event = &raw.events[raw.count++];
  *event = (struct raw_event){.kind = (uint8_t)kind, .address = address, .size = size};
  if (kind == RAW_ALLOCATE || kind == RAW_ZEROED) event->align_log2 = 4;
  if (kind == RAW_ZEROED) event->count = 1;
  return event;
}

static void log_resize(uint64_t from, uint64_t to, uint64_t size) {
  log_event(RAW_RESIZE_BEGIN, from, size);
  log_event(RAW_RESIZE_END, to, from);
}

static size_t log_size(void) {
  return offsetof(struct raw_log, events) + raw.count * sizeof *raw.events;
}

static struct program program;
static struct trace_header header;
static struct recording recording;
static struct file_error error;

static bool convert(void) {
  // A copy of the exact size, so that a sanitizer sees each byte too many.
  size_t size = log_size();
  void *copy = malloc(size);
  CHECK(copy);
  memcpy(copy, &raw, size);
  bool done = record_convert(copy, size, "x.raw", &program, &header, &recording, &error);
  free(copy);
  return done;
}

// The log converts to this text (without the heap's line).
static void check_program(const char *wanted) {
  char text[4096] = "";
  if (!convert()) fprintf(stderr, "%s\n", error.text);
  CHECK(program.count > 0);
  struct heap heap = program_heap(&program);
  for (size_t i = 0; i < program_length(&program); i++) {
    char line[PROGRAM_LINE_MAX + 1];
    operation_format(program_at(&program, i), heap.slots, line, PROGRAM_LINE_MAX);
    CHECK(strlen(text) + strlen(line) + 2 < sizeof text);
    strcat(strcat(text, line), "\n");
  }
  if (strcmp(text, wanted) != 0) fprintf(stderr, "want\n%shave\n%s", wanted, text);
  CHECK(strcmp(text, wanted) == 0);
  CHECK(header.records == program.count);
}

static void check_refused(const char *message) {
  bool done = convert();
  if (done || strcmp(error.text, message) != 0)
    fprintf(stderr, "want %s\nhave %s\n", message, done ? "no error" : error.text);
  CHECK(!done && strcmp(error.text, message) == 0);
  CHECK(program.records == NULL && program.count == 0);
}

// ## What logs mean

static void slots_are_used_again(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 10);
  log_event(RAW_ALLOCATE, 0x2000, 20);
  log_event(RAW_RELEASE, 0x1000, 0);
  log_event(RAW_ALLOCATE, 0x3000, 30);
  log_event(RAW_ALLOCATE, 0x1000, 40);
  log_event(RAW_RELEASE, 0x3000, 0);
  check_program("allocate 0 size=10 align=16\n"
                "allocate 1 size=20 align=16\n"
                "release 0\n"
                "allocate 0 size=30 align=16\n"
                "allocate 2 size=40 align=16\n"
                "release 0\n");
  CHECK(header.peak_bytes == 90 && header.peak_blocks == 3 && header.unknown == 0);
  CHECK(header.threads == 1 && recording.process == 77 && strcmp(recording.program, "sort") == 0);
  struct heap heap = program_heap(&program);
  CHECK(heap.source == HEAP_FIXED && heap.slots == 4 && heap.capacity == 1 << 20);
}

static void requests_keep_their_kind(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 0);
  log_event(RAW_ALLOCATE, 0x10000, 5)->align_log2 = 16;
  log_event(RAW_ALLOCATE, 0x2001, 5)->align_log2 = 0;
  log_event(RAW_ZEROED, 0x3000, 8)->count = 16;
  log_event(RAW_ZEROED, 0x4000, 800);
  log_event(RAW_ZEROED, 0x5000, 0)->count = 9;
  check_program("allocate 0 size=1 align=16\n"
                "allocate 1 size=5 align=65536\n"
                "allocate 2 size=5\n"
                "zeroed 3 count=16 size=8 align=16\n"
                "zeroed 4 count=1 size=800 align=16\n"
                "zeroed 5 count=1 size=1 align=16\n");
  CHECK(header.peak_bytes == 1 + 5 + 5 + 128 + 800 + 1);
}

static void resizes_are_one_operation(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 10);
  log_resize(0x1000, 0x1000, 20);      // in place
  log_resize(0x1000, 0x2000, 30);      // moved
  log_event(RAW_ALLOCATE, 0x1000, 1);  // where it was
  log_resize(0x2000, 0, 1 << 30);      // failed: it stays
  log_event(RAW_RELEASE, 0x2000, 0);
  log_resize(0x1000, 0, 0);  // to nothing: a release
  log_event(RAW_RELEASE, 0x1000, 0);
  check_program("allocate 0 size=10 align=16\n"
                "resize 0 size=20 align=16\n"
                "resize 0 size=30 align=16\n"
                "allocate 1 size=1 align=16\n"
                "release 0\n"
                "release 1\n");
  CHECK(header.unknown == 1 && header.peak_bytes == 31 && header.peak_blocks == 2);
}

// Another thread obtains the old address before the resize is known to have ended.
static void resizes_overlap_with_other_threads(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 10);
  log_event(RAW_RESIZE_BEGIN, 0x1000, 50);
  log_event(RAW_ALLOCATE, 0x1000, 7)->thread = 1;
  log_event(RAW_RESIZE_BEGIN, 0x1000, 60)->thread = 1;
  log_event(RAW_RESIZE_END, 0x2000, 0x1000);
  log_event(RAW_RESIZE_END, 0x3000, 0x1000)->thread = 1;
  log_event(RAW_RELEASE, 0x2000, 0)->thread = 1;
  log_event(RAW_RELEASE, 0x3000, 0);
  check_program("allocate 0 size=10 align=16\n"
                "allocate 1 size=7 align=16 thread=1\n"
                "resize 0 size=50 align=16\n"
                "resize 1 size=60 align=16 thread=1\n"
                "release 0 thread=1\n"
                "release 1\n");
  CHECK(header.threads == 2);
}

// A signal handler resizes while its thread does; it returns, or leaves by longjmp.
static void resizes_nest(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 10);
  log_event(RAW_ALLOCATE, 0x2000, 20);
  log_event(RAW_RESIZE_BEGIN, 0x1000, 11);
  log_resize(0x2000, 0x3000, 21);
  log_event(RAW_RESIZE_END, 0x4000, 0x1000);
  log_event(RAW_RESIZE_BEGIN, 0x3000, 22);
  log_event(RAW_RESIZE_BEGIN, 0x4000, 12);  // never ends: its block stays, without a name
  log_event(RAW_RESIZE_END, 0x3000, 0x3000);
  log_event(RAW_ALLOCATE, 0x4000, 3);
  check_program("allocate 0 size=10 align=16\n"
                "allocate 1 size=20 align=16\n"
                "resize 1 size=21 align=16\n"
                "resize 0 size=11 align=16\n"
                "resize 1 size=22 align=16\n"
                "allocate 2 size=3 align=16\n");
  CHECK(header.peak_blocks == 3);
}

static void unknown_addresses_are_counted(void) {
  start_log();
  log_event(RAW_RELEASE, 0x9000, 0);
  log_resize(0x9100, 0x9200, 30);  // becomes an allocation
  log_event(RAW_RELEASE, 0x9200, 0);
  log_resize(0x9300, 0, 30);
  check_program("allocate 0 size=30 align=16\n"
                "release 0\n");
  CHECK(header.unknown == 3);
}

static void heaps_are_roomy(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x100000, 1000000);
  CHECK(convert() && program_heap(&program).capacity == 1 << 22);
  log_resize(0x100000, 0x4000000, 1100000);  // needs room for both
  CHECK(convert() && program_heap(&program).capacity == 1 << 24);
  log_event(RAW_ALLOCATE, 0x40000000, 1)->align_log2 = 30;
  CHECK(convert() && program_heap(&program).capacity == (uint64_t)1 << 33);
  log_event(RAW_ALLOCATE, (uint64_t)1 << 46, (uint64_t)1 << 45);
  // What no heap can hold does not make it larger.
  CHECK(convert() && program_heap(&program).capacity == (uint64_t)1 << 33);
  log_event(RAW_ALLOCATE, (uint64_t)1 << 45, (uint64_t)1 << 35);
  CHECK(convert() && program_heap(&program).capacity == PROGRAM_MAX_CAPACITY);
}

static void threads_beyond_a_record_wrap(void) {
  size_t size = sizeof raw.header + 70000 * sizeof(struct raw_event);
  unsigned char *log = calloc(1, size);
  CHECK(log);
  start_log();
  memcpy(log, &raw.header, sizeof raw.header);
  for (uint32_t i = 0; i < 70000; i++) {
    struct raw_event event = {
        .kind = RAW_ALLOCATE, .address = (i + 1) * (uint64_t)64, .size = 1, .thread = i};
    memcpy(log + sizeof raw.header + i * sizeof event, &event, sizeof event);
  }
  CHECK(record_convert(log, size, "x", &program, &header, &recording, &error));
  CHECK(header.threads == 70000 && program_at(&program, 65537)->thread == 1);
  CHECK(header.peak_blocks == 70000 && program_heap(&program).slots == 1 << 17);
  free(log);
}

// ## Logs that ended early

static void cut_logs_give_what_is_whole(void) {
  start_log();
  for (uint64_t i = 1; i <= 3; i++) log_event(RAW_ALLOCATE, i << 12, i);
  size_t size = log_size();
  for (size_t cut = 0; cut <= size; cut++) {
    void *copy = malloc(cut ? cut : 1);
    CHECK(copy);
    memcpy(copy, &raw, cut);
    CHECK(record_convert(copy, cut, "x", &program, &header, &recording, &error));
    size_t events = cut < sizeof raw.header ? 0 : (cut - sizeof raw.header) / sizeof *raw.events;
    CHECK(program_length(&program) == events);
    free(copy);
  }
  // Killed before the header was written, and in an event: `kind` comes last.
  memset(raw.header.magic, 0, 8);
  check_program("");
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1);
  log_event(RAW_END, 0x2000, 1);
  log_event(RAW_ALLOCATE, 0x3000, 1);
  raw.header.stopped = 28;
  check_program("allocate 0 size=1 align=16\n");
  CHECK(recording.stopped == 28);
}

// ## Logs that no recorder wrote

static void damaged_headers_are_refused(void) {
  start_log();
  raw.header.magic[3] ^= 1;
  check_refused("x.raw: offset 0: this is no raw log of the recorder");
  start_log();
  raw.header.version = 9;
  check_refused("x.raw: offset 8: a raw log of version 9, not 1; record again with the recorder of "
                "this assay");
  start_log();
  memset(raw.header.program, 'p', sizeof raw.header.program);
  check_program("");
  CHECK(strlen(recording.program) == sizeof recording.program - 1);
  CHECK(!record_convert("hello", 5, "x", &program, &header, &recording, &error));
}

static void damaged_events_are_refused(void) {
  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1);
  log_event(RAW_ALLOCATE, 0x1000, 1);
  check_refused("x.raw: offset 120: an address was given out that was live; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1);
  log_event(RAW_ALLOCATE, 0x2000, 1);
  log_resize(0x2000, 0x1000, 5);
  check_refused("x.raw: offset 168: an address was given out that was live; record again");

  start_log();
  log_event(RAW_KINDS, 0x1000, 1);
  check_refused("x.raw: offset 96: an event of no known kind; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0, 1);
  check_refused("x.raw: offset 96: an event without an address; record again");

  start_log();
  log_event(RAW_RELEASE, 0, 1);
  check_refused("x.raw: offset 96: an event without an address; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1008, 1);
  check_refused("x.raw: offset 96: a block that is not aligned as it was asked for; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1)->align_log2 = 255;
  check_refused("x.raw: offset 96: an alignment beyond all addresses; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1000, INT64_MAX);
  check_refused("x.raw: offset 96: a block that does not fit the addresses; record again");

  start_log();
  log_event(RAW_ALLOCATE, (uint64_t)1 << 63, 1);
  check_refused("x.raw: offset 96: a block that does not fit the addresses; record again");

  start_log();
  log_event(RAW_ZEROED, 0x1000, UINT64_MAX / 4)->count = 16;
  check_refused("x.raw: offset 96: a block that does not fit the addresses; record again");

  start_log();
  log_event(RAW_ZEROED, 0x1000, 1)->count = 17;
  check_refused("x.raw: offset 96: a count that is not in 1..16; record again");

  start_log();
  log_event(RAW_RESIZE_END, 0x1000, 0x2000);
  check_refused("x.raw: offset 96: the end of a resize that never began; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1);
  log_resize(0x1000, 0x2000, UINT64_MAX);
  check_refused("x.raw: offset 144: a block that does not fit the addresses; record again");

  start_log();
  log_event(RAW_ALLOCATE, 0x1000, 1)->thread = 1;
  check_refused("x.raw: offset 96: a thread before the one before it; record again");
}

// ## The map

// Against a plain array: addresses that collide and are taken in any order.
static void the_map_keeps_its_word(void) {
  enum { ADDRESSES = 3000 };
  static uint32_t slots[ADDRESSES];  // 0: not in the map
  struct record_map map = {0};
  uint32_t random = 1, slot;
  CHECK(!record_map_take(&map, 1, &slot));
  for (uint32_t round = 1; round <= 200000; round++) {
    random = random * 1664525 + 1013904223;
    uint32_t i = (random >> 8) % ADDRESSES;
    uint64_t address = (i + 1) * (uint64_t)(i % 2 ? 16 : 4096);
    if (i % 2 == 0) address |= (uint64_t)1 << 47;
    if (random >> 31) {
      enum record_map_result wanted = slots[i] ? RECORD_MAP_PRESENT : RECORD_MAP_ADDED;
      CHECK(record_map_add(&map, address, round) == wanted);
      if (!slots[i]) slots[i] = round;
    } else {
      slot = 0;
      CHECK(record_map_take(&map, address, &slot) == (slots[i] != 0));
      CHECK(slot == slots[i]);
      slots[i] = 0;
    }
  }
  record_map_clear(&map);
}

int main(void) {
  slots_are_used_again();
  requests_keep_their_kind();
  resizes_are_one_operation();
  resizes_overlap_with_other_threads();
  resizes_nest();
  unknown_addresses_are_counted();
  heaps_are_roomy();
  threads_beyond_a_record_wrap();
  cut_logs_give_what_is_whole();
  damaged_headers_are_refused();
  damaged_events_are_refused();
  the_map_keeps_its_word();
  program_clear(&program);
  return 0;
}
