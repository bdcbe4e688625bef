// The statistics of programs by hand, each figure.
#include "harness/trace_stats.h"

#include <stdlib.h>
#include <string.h>

#include "allocators/check.h"
#include "harness/program_file.h"

static struct program program;
static struct trace_stats stats;

static void read_text(const char *text) {
  struct file_error error;
  CHECK(text_parse(&program, text, strlen(text), "x", &error));
  trace_stats_clear(&stats);
  CHECK(trace_stats(&stats, &program));
}

static void test_buckets(void) {
  unsigned last = 0;
  for (uint64_t value = 0; value < 5000; value++) {
    unsigned bucket = bucket_of(value);
    CHECK(bucket == last || bucket == last + 1);
    CHECK(bucket_low(bucket) <= value && value <= bucket_high(bucket));
    last = bucket;
  }
  for (unsigned bit = 6; bit < 64; bit++) {
    uint64_t value = (uint64_t)1 << bit;
    CHECK(bucket_of(value) == bucket_of(value - 1) + 1 && bucket_low(bucket_of(value)) == value);
    CHECK(bucket_high(bucket_of(value)) - value < value / 32 + 1);
  }
  CHECK(bucket_of(UINT64_MAX) == BUCKETS - 1 && bucket_high(BUCKETS - 1) == UINT64_MAX);
}

static void test_figures(void) {
  read_text("heap capacity=65536 slots=8\n"
            "allocate 0 size=100 align=16\n"            // 0
            "allocate 1 size=200 align=32 thread=1\n"   // 1
            "zeroed 2 count=3 size=50 align=16\n"       // 2
            "resize 0 size=300 align=16\n"              // 3
            "release 1 thread=2\n"                      // 4
            "resize 0 size=10 thread=1\n"               // 5
            "release 0\n"                               // 6
            "release 0\n"                               // 7: nothing
            "allocate 3 size=100 align=16 thread=9\n"   // 8
            "allocate 3 size=5000 align=16 thread=9\n"  // 9: the former loses its name
            "resize 4 size=7 align=16\n"                // 10: allocates
            "allocate 5 size=80000000000000000\n");     // 11: no heap has it
  CHECK(stats.operations == 12 && stats.kinds[OP_ALLOCATE] == 5 && stats.kinds[OP_RESIZE] == 3);
  CHECK(stats.allocations == 6 && stats.beyond == 1 && stats.ignored == 1);
  CHECK(stats.requested_bytes == 100 + 200 + 150 + 200 + 100 + 5000 + 7);
  CHECK(stats.peak_bytes == 150 + 100 + 5000 + 7 && stats.peak_operation == 10);
  CHECK(stats.peak_blocks == 4 && stats.end_blocks == 4 && stats.unnamed_blocks == 1);
  CHECK(stats.end_bytes == 150 + 100 + 5000 + 7);
  CHECK(stats.sizes_count == 5);
  CHECK(stats.sizes[1].size == 100 && stats.sizes[1].count == 2 && stats.sizes[4].size == 5000);
  CHECK(stats.counts[3] == 1 && stats.alignments[4] == 5 && stats.alignments[5] == 1);
  CHECK(stats.growing == 1 && stats.shrinking == 1 && stats.resized_to.total == 2);
  CHECK(stats.lived_operations.counts[bucket_of(3)] == 1);
  CHECK(stats.lived_operations.counts[bucket_of(6)] == 1);
  CHECK(stats.lived_operations.total == 2 && stats.lived_bytes.total == 2);
  CHECK(stats.lived_bytes.counts[bucket_of(200 + 150 + 200)] == 1);
  CHECK(stats.classes[6].lived.total == 1 && stats.classes[6].leaked == 1);
  CHECK(stats.classes[7].lived.total == 1 && stats.classes[7].leaked == 1);
  CHECK(stats.classes[12].leaked == 1 && stats.classes[2].leaked == 1);
  CHECK(stats.threads_count == 4 && stats.threads[9] == 2 && stats.threads[0] == 7);
  CHECK(stats.cross_releases == 1 && stats.cross_resizes == 1);
  CHECK(stats.samples == 12 && stats.live[1].bytes == 300 && stats.live[6].blocks == 1);
  CHECK(trace_size_quantile(&stats, 0) == 7 && trace_size_quantile(&stats, 1) == 5000);
  CHECK(trace_size_quantile(&stats, 0.5) == 100);
  CHECK(buckets_quantile(&stats.lived_operations, 0.5) == 3);
  CHECK(stats.lived_bytes.most == 650 && buckets_quantile(&stats.lived_bytes, 1) == 650);
}

static void test_reset(void) {
  read_text("heap capacity=65536 slots=8\nallocate 0 size=100\nreset\nallocate 1 size=30\n"
            "release 0\nrollback 0\n");
  CHECK(stats.end_bytes == 30 && stats.end_blocks == 1 && stats.peak_bytes == 100);
  CHECK(stats.ignored == 1 && stats.not_followed == 1);
}

static void test_empty(void) {
  read_text("heap capacity=65536\n");
  CHECK(stats.operations == 0 && stats.samples == 0 && trace_size_quantile(&stats, 0.5) == 0);
  char *text = NULL;
  size_t size;
  FILE *stream = open_memstream(&text, &size);
  CHECK(stream);
  trace_stats_print(&stats, stream);
  CHECK(fclose(stream) == 0);
  CHECK(strstr(text, "\"live\": []") && strstr(text, "\"by_size\": []"));
  free(text);
}

// More sizes than stand at their place.
static void test_many_sizes(void) {
  program_clear(&program);
  struct heap heap = {.capacity = 1 << 20, .slots = 1, .page_size = 4096};
  struct record record = heap_record(&heap);
  CHECK(program_append(&program, &record));
  for (unsigned i = 0; i < 20000; i++) {
    struct operation operation = {
        .kind = i % 2 ? OP_RELEASE : OP_ALLOCATE, .count = 1, .size = 1 + 7 * (i / 4), .align = 8};
    record = operation_record(&operation);
    CHECK(program_append(&program, &record));
  }
  trace_stats_clear(&stats);
  CHECK(trace_stats(&stats, &program) && stats.sizes_count == 5000);
  for (unsigned i = 0; i < 5000; i++)
    CHECK(stats.sizes[i].size == 1 + 7 * i && stats.sizes[i].count == 2);
  CHECK(stats.samples == 500 && stats.sample_length == 40);
}

int main(void) {
  test_buckets();
  test_figures();
  test_reset();
  test_empty();
  test_many_sizes();
  trace_stats_clear(&stats);
  program_clear(&program);
  return 0;
}
