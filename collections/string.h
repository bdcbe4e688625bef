// A string: well-formed UTF-8 in one block of memory, which grows.
//
// Whatever enters is validated (utf8.h), and whatever is cut is cut between code points, so that
// what is in a string is well-formed at all times. Compare `String` and `str` of Rust's standard
// library, and R. Pike and K. Thompson, "Hello World" (USENIX Winter 1993), for UTF-8 as the only
// form of text in a system.
//
// Sizes and offsets count bytes. A 0 byte is a code point like any other, and none ends the string.
//
// ## Cost
//
// Nothing is allocated until a byte is there. What does not fit asks for room for half as much
// again as there is, and for STRING_LEAST_CAPACITY at least; or for no more than it needs, if that
// is more or the allocator refuses the other. So n pushes copy O(n) bytes; fewer where the strategy
// can resize in place (strategy.h).
//
// ## Texts that are given
//
// `text` is `size` bytes, NULL only if that is 0. It may lie in the string itself, all of it: what
// enters is what was there before the call. Of several errors the one is said that comes first in a
// function's list. RESULT_NO_MEMORY: the allocator refused, or there would be more than PTRDIFF_MAX
// bytes.
#ifndef COLLECTIONS_STRING_H_
#define COLLECTIONS_STRING_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collections/handle.h"
#include "collections/result.h"
#include "collections/utf8.h"

#define STRING_LEAST_CAPACITY ((size_t)16)  // bytes, but for what is made to fit

// Well-formed UTF-8 that is somebody else's: of a string, until that is next changed.
struct text {
  const char *bytes;  // NULL only if size is 0
  size_t size;
};

// Fields are for reading only.
//
//   I1  bytes is NULL if and only if capacity is 0
//   I2  size <= capacity <= PTRDIFF_MAX
//   I3  the first `size` bytes are well-formed UTF-8
struct string {
  struct handle handle;
  char *bytes;
  size_t size;
  size_t capacity;  // bytes of the block
};

extern const char *const string_invariants[];

// An empty string. Allocates nothing.
void string_init(struct string *self, struct handle handle);

// Releases all, and leaves the string as after init.
void string_drop(struct string *self);

// An initialised string of these bytes, with no more room than they need. On failure *self is not
// touched, and owns nothing.
//   RESULT_NOT_UTF8   `*bad`, unless `bad` is NULL, is the offset of the first sequence in `text`
//                     that is not well-formed
//   RESULT_NO_MEMORY
enum result string_from(struct string *self, struct handle handle, const char *text, size_t size,
                        size_t *bad);

// As string_from, of the same bytes and over the same handle.
//   RESULT_NO_MEMORY
enum result string_clone(const struct string *self, struct string *copy);

// ## Changing

// Puts `text` at the end.
//   RESULT_NOT_UTF8   `bad`: see string_from
//   RESULT_NO_MEMORY
enum result string_push(struct string *self, const char *text, size_t size, size_t *bad);

// Puts one code point at the end.
//   RESULT_NOT_UTF8   a surrogate, or above UTF8_LAST_CODE_POINT
//   RESULT_NO_MEMORY
enum result string_push_code_point(struct string *self, uint32_t code_point);

// Takes the last code point away, and says in *code_point, unless that is NULL, which it was.
//   RESULT_NOT_FOUND  the string is empty
enum result string_pop_code_point(struct string *self, uint32_t *code_point);

// Puts `text` in front of what is at offset `at`, or at the end.
//   RESULT_OUT_OF_BOUNDS, RESULT_NO_BOUNDARY   of `at`
//   RESULT_NOT_UTF8                            `bad`: see string_from
//   RESULT_NO_MEMORY
enum result string_insert(struct string *self, size_t at, const char *text, size_t size,
                          size_t *bad);

// Takes the bytes from `from` up to `to` away. The room for them stays.
//   RESULT_OUT_OF_BOUNDS   from <= to <= size does not hold
//   RESULT_NO_BOUNDARY     one of them lies in a code point
enum result string_remove(struct string *self, size_t from, size_t to);

// Takes all away. The room stays.
void string_clear(struct string *self);

// Room for `more` bytes than there are, so that to put them in allocates nothing.
//   RESULT_NO_MEMORY
enum result string_reserve(struct string *self, size_t more);

// Gives back room that is not needed: all but `size`. A strategy that does not resize needs room
// for both blocks meanwhile; of one that does not release either, nothing is to be had, and nothing
// happens.
//   RESULT_NO_MEMORY
enum result string_shrink(struct string *self);

// ## Looking

static inline struct text string_text(const struct string *self) {
  return (struct text){self->bytes, self->size};
}

// The bytes from `from` up to `to`. Errors as string_remove; then *slice is not touched.
enum result string_slice(const struct string *self, size_t from, size_t to, struct text *slice);

// Less than, equal to, or greater than 0 as `a` is before, the same as, or after `b`, by code
// points, which in UTF-8 is by bytes. A text is after all of its beginnings.
int text_compare(struct text a, struct text b);

static inline int string_compare(const struct string *a, const struct string *b) {
  return text_compare(string_text(a), string_text(b));
}

// Where `text` first occurs at `from` or after it, in *at. The empty text occurs everywhere. Takes
// up to size * (bytes of the string) comparisons of bytes, where both repeat themselves.
//   RESULT_OUT_OF_BOUNDS, RESULT_NO_BOUNDARY   of `from`
//   RESULT_NOT_UTF8                            `text` is not well-formed
//   RESULT_NOT_FOUND
enum result string_find(const struct string *self, size_t from, const char *text, size_t size,
                        size_t *at);

// The code point at *offset, which then is the offset of the next one. From 0 on until
// RESULT_NOT_FOUND: all code points. On failure nothing is changed.
//   RESULT_OUT_OF_BOUNDS, RESULT_NO_BOUNDARY   of *offset
//   RESULT_NOT_FOUND                           *offset is the end
enum result string_next(const struct string *self, size_t *offset, uint32_t *code_point);

// The code point that ends at *offset, which then is where it begins. From the size on backwards.
//   RESULT_OUT_OF_BOUNDS, RESULT_NO_BOUNDARY   of *offset
//   RESULT_NOT_FOUND                           *offset is 0
enum result string_previous(const struct string *self, size_t *offset, uint32_t *code_point);

// How many code points there are. O(size).
size_t string_count(const struct string *self);

// The first invariant that does not hold. O(size).
struct broken_invariant string_check(const struct string *self);

#endif
