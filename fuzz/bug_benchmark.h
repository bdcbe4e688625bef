// The historical bug benchmark, for any fuzzer: known defects of allocators behind one C function.
//
// A foreign fuzzer links one object file, which needs nothing but the C library and threads,
//
//   bazel build //fuzz:bug_benchmark.o           ASan and UBSan; link with
//   -fsanitize=address,undefined bazel build //fuzz:bug_benchmark_coverage.o  the same, and
//   SanitizerCoverage's inline 8-bit
//                                                counters, comparisons traced: link with the fuzzer
//   bazel build //fuzz:bug_benchmark_afl.o       without sanitizers, instrumented by AFL++: link
//   with
//                                                afl-clang-fast
//   bazel build //fuzz:bug_benchmark_plain.o     neither: bugs that only a sanitizer sees survive
//
// includes this header, and calls bug_benchmark_run() with the id of a bug and whatever bytes it
// likes. fuzz/examples/random_fuzzer.c is a whole fuzzer in that manner.
//
// ## What an input is
//
// A program: a row of 16-byte records, little-endian. Record 0 describes the heap, each further one
// is one operation on the allocator; harness/program.h says what each byte means. Every byte string
// is a program, and changing one byte changes one operation, so that a fuzzer need not know any of
// this. Those that do may start from corpus/seeds/. More than 64 KiB are rejected.
//
// ## What a kill is
//
// The bug is killed when the process aborts and stderr has a line `ASSERTION FAILED: <property>`
// whose property is among those that the bug expects. Every other property, and an end without such
// a line, is counted apart. (For a memory error that a sanitizer reports the sanitizer ends the
// process, as its options say; set ASAN_OPTIONS=abort_on_error=1 for abort() there as well.) The
// same input has the same outcome each time, programs on several threads aside.
#ifndef FUZZ_BUG_BENCHMARK_H_
#define FUZZ_BUG_BENCHMARK_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct benchmark_bug {
  const char *id;        // "AB-017"; never given to another bug
  const char *name;      // "buddy+order_rounded_down": our strategy, and what is wrong with it
  const char *bug;       // what is wrong, in one line
  const char *reported;  // where such a defect was reported: project and issue, year
  const char *expect;    // property ids that may kill it, separated by spaces
};

// The number of bugs.
size_t bug_benchmark_count(void);
// Bug `index`, below that number. Strings that live as long as the process.
struct benchmark_bug bug_benchmark_at(size_t index);

enum {
  BUG_BENCHMARK_CLEAN = 0,     // it ran, and nothing was wrong
  BUG_BENCHMARK_REJECTED = 1,  // the input is too large: nothing was run
  BUG_BENCHMARK_UNKNOWN = 2,   // no bug or strategy is called so; stderr says it
  BUG_BENCHMARK_NO_MEMORY = 3  // for the benchmark itself; stderr says it
};

// Runs an input on the bug with that id or name or, as control, on the clean strategy of that name,
// on which nothing may be found. A violation does not return. `data` is only read. Not for several
// threads at once. Takes microseconds for most inputs; an operation that does not end is ended, as
// a violation of `hang`, after some seconds of CPU time.
int bug_benchmark_run(const char *id, const uint8_t *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
