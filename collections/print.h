// Printing without a libc: writers, and text made of values.
//
// A writer is an end that takes bytes: memory (here), a file descriptor (writer_descriptor.h), the
// serial line of a board, or whatever else a function can hand bytes to. Nothing is buffered and
// nothing allocated: each call has handed its bytes to the end when it returns. The split of
// formatting from where its bytes go is that of Plan 9's print library (Pike, Thompson: print(2))
// and of Zig's std.io.Writer.
//
// ## Failure
//
// An end may take less than all (a short write): then it is offered the rest. Once it takes nothing
// of what it is offered, the writer has failed for good: the end is not called again, and this call
// and every later one says RESULT_NOT_WRITTEN. So a line of many calls needs one look, at the last
// result. What the end has taken stays taken: of all collections' calls, only these leave a part of
// their work behind, and `taken` says how much.
//
// Numbers are formatted with divisions of 32 bits only, so that small machines need no library of
// their compiler for them.
#ifndef COLLECTIONS_PRINT_H_
#define COLLECTIONS_PRINT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collections/result.h"

// The first member, named `base`, of each concrete writer.
struct writer {
  // Takes up to `size` bytes (more than 0) and returns how many, at most `size`; 0: the end takes
  // no more. Before each call `taken` is what it took so far.
  size_t (*take)(struct writer *self, const char *bytes, size_t size);
  uint64_t asked;  // bytes that were to be written so far, those after a failure too
  uint64_t taken;  // of these, what the end has taken; less: the writer has failed
};

// A writer onto an end of your own.
static inline void writer_init(struct writer *self,
                               size_t (*take)(struct writer *, const char *, size_t)) {
  *self = (struct writer){.take = take};
}

// What all calls since init have come to: RESULT_OK or RESULT_NOT_WRITTEN.
static inline enum result writer_result(const struct writer *self) {
  return self->taken == self->asked ? RESULT_OK : RESULT_NOT_WRITTEN;
}

// ## Memory
//
// Takes at most size - 1 bytes: what is in the buffer always ends in a 0 byte. If the text is
// longer it is cut there, which may be inside a code point: then the result says
// RESULT_NOT_WRITTEN, `taken` is the length of what is there, and `asked` the length that it would
// have had.
struct writer_memory {
  struct writer base;
  char *buffer;
  size_t size;
};

// `buffer` stays the caller's. Size 0: `buffer` is not touched, and takes nothing.
void writer_memory_init(struct writer_memory *self, char *buffer, size_t size);

// ## Values. Each returns writer_result()

// Any bytes.
enum result print_bytes(struct writer *writer, const void *bytes, size_t size);

// Up to the 0 byte that ends it; NULL is printed as (null).
enum result print_text(struct writer *writer, const char *text);

enum result print_char(struct writer *writer, char value);

// true or false.
enum result print_bool(struct writer *writer, bool value);

// Decimal. Narrower types are converted without loss.
enum result print_signed(struct writer *writer, int64_t value);
enum result print_unsigned(struct writer *writer, uint64_t value);

// 0x and digits, as few as say it. Of a narrower type that is negative, convert it to the unsigned
// type of its width first: else it has the digits of 64 bits.
enum result print_hexadecimal(struct writer *writer, uint64_t value);

// As print_hexadecimal; NULL is 0x0.
enum result print_pointer(struct writer *writer, const void *value);

// How an integer is laid out. All zero: as print_unsigned.
struct print_layout {
  unsigned width;    // characters, with the sign: the least that it takes
  bool hexadecimal;  // digits of base 16, without 0x
  bool upper;        // these as A-F
  bool plus;         // a sign in front of what is not negative too
  bool zeros;        // filled up with zeros behind the sign; else with blanks
  bool left;         // blanks are behind the number, not in front; `zeros` means nothing then
};

enum result print_integer(struct writer *writer, bool negative, uint64_t magnitude,
                          struct print_layout layout);

// Bytes filled up with blanks to at least `width`, on their right if `left`, else on their left.
enum result print_padded(struct writer *writer, const void *bytes, size_t size, size_t width,
                         bool left);

// ## Collections, element by element

// Prints one element; what it returns is not looked at, as a failure shows in the writer.
typedef enum result print_element(struct writer *writer, const void *element, void *context);

// `count` elements of `size` bytes each from `first` on, between `brackets` (two characters, as
// "[]") and with ", " between them: [1, 2, 3].
enum result print_array(struct writer *writer, const char *brackets, const void *first,
                        size_t count, size_t size, print_element *print, void *context);

// The next element of a collection that is no array, or NULL after the last. The iterator is
// whatever the collection has for that.
typedef const void *print_next(void *iterator);

// The same for what `next` gives.
enum result print_each(struct writer *writer, const char *brackets, print_next *next,
                       void *iterator, print_element *print, void *context);

#endif
