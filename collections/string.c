#include "collections/string.h"

#include "allocators/arithmetic.h"

const char *const string_invariants[] = {
    "bytes is NULL if and only if capacity is 0",
    "size is at most capacity, and that at most PTRDIFF_MAX",
    "the bytes are well-formed UTF-8",
    NULL,
};

// ## Where a text may be cut

static enum result cut(const struct string *self, size_t offset) {
  if (offset > self->size) return RESULT_OUT_OF_BOUNDS;
  return utf8_is_boundary(self->bytes, self->size, offset) ? RESULT_OK : RESULT_NO_BOUNDARY;
}

static enum result cut_range(const struct string *self, size_t from, size_t to) {
  if (from > to || to > self->size) return RESULT_OUT_OF_BOUNDS;
  enum result result = cut(self, from);
  return result == RESULT_OK ? cut(self, to) : result;
}

static enum result validate(const char *text, size_t size, size_t *bad) {
  size_t valid = utf8_validate(text, size);
  if (valid == size) return RESULT_OK;
  if (bad) *bad = valid;
  return RESULT_NOT_UTF8;
}

// ## The block

static enum result change_capacity(struct string *self, size_t capacity) {
  char *bytes = handle_resize(self->handle, self->bytes, self->size, capacity, 1);
  if (!bytes) return RESULT_NO_MEMORY;
  self->bytes = bytes;
  self->capacity = capacity;
  return RESULT_OK;
}

enum result string_reserve(struct string *self, size_t more) {
  size_t needed;
  if (!add_sizes(self->size, more, &needed) || needed > PTRDIFF_MAX) return RESULT_NO_MEMORY;
  return needed <= self->capacity ? RESULT_OK : change_capacity(self, needed);
}

// As string_reserve, but with a view to pushes to come.
static enum result grow(struct string *self, size_t more) {
  if (more <= self->capacity - self->size) return RESULT_OK;
  size_t ample = self->capacity + self->capacity / 2;
  if (ample < STRING_LEAST_CAPACITY) ample = STRING_LEAST_CAPACITY;
  bool serves = ample <= PTRDIFF_MAX && ample - self->size > more;
  if (serves && change_capacity(self, ample) == RESULT_OK) return RESULT_OK;
  return string_reserve(self, more);
}

enum result string_shrink(struct string *self) {
  unsigned traits = self->handle.strategy->traits;
  if (self->size == self->capacity) return RESULT_OK;
  if (self->size > 0)
    return traits & (STRATEGY_RELEASES | STRATEGY_RESIZES) ? change_capacity(self, self->size)
                                                           : RESULT_OK;
  if (traits & STRATEGY_RELEASES) string_drop(self);
  return RESULT_OK;
}

// ## From nothing and to nothing

void string_init(struct string *self, struct handle handle) {
  *self = (struct string){.handle = handle};
}

void string_drop(struct string *self) {
  handle_release(self->handle, self->bytes);
  string_init(self, self->handle);
}

enum result string_from(struct string *self, struct handle handle, const char *text, size_t size,
                        size_t *bad) {
  struct string made;
  string_init(&made, handle);
  enum result result = validate(text, size, bad);
  if (result == RESULT_OK) result = string_reserve(&made, size);
  if (result != RESULT_OK) return result;
  if (size > 0) memcpy(made.bytes, text, size);
  made.size = size;
  *self = made;
  return RESULT_OK;
}

enum result string_clone(const struct string *self, struct string *copy) {
  return string_from(copy, self->handle, self->bytes, self->size, NULL);
}

// ## Changing

// Copies `size` bytes that were at offset `start` of the string to `to`, after all from `at` on
// were moved up by `gap`: what the gap tore apart is in two pieces.
static void copy_own(const struct string *self, char *to, size_t start, size_t size, size_t at,
                     size_t gap) {
  size_t below = start >= at ? 0 : at - start < size ? at - start : size;
  if (below > 0) memcpy(to, self->bytes + start, below);
  if (below < size) memcpy(to + below, self->bytes + start + below + gap, size - below);
}

enum result string_insert(struct string *self, size_t at, const char *text, size_t size,
                          size_t *bad) {
  enum result result = cut(self, at);
  if (result == RESULT_OK) result = validate(text, size, bad);
  if (result != RESULT_OK || size == 0) return result;
  bool own = range_within(text, size, self->bytes, self->size);
  size_t start = own ? (size_t)(text - self->bytes) : 0;
  result = grow(self, size);
  if (result != RESULT_OK) return result;
  char *gap = self->bytes + at;
  memmove(gap + size, gap, self->size - at);
  if (own)
    copy_own(self, gap, start, size, at, size);
  else
    memcpy(gap, text, size);
  self->size += size;
  return RESULT_OK;
}

enum result string_push(struct string *self, const char *text, size_t size, size_t *bad) {
  return string_insert(self, self->size, text, size, bad);
}

enum result string_push_code_point(struct string *self, uint32_t code_point) {
  char text[UTF8_LONGEST];
  unsigned size = utf8_encode(code_point, text);
  return size == 0 ? RESULT_NOT_UTF8 : string_push(self, text, size, NULL);
}

enum result string_pop_code_point(struct string *self, uint32_t *code_point) {
  size_t start = self->size;
  uint32_t last;
  enum result result = string_previous(self, &start, &last);
  if (result != RESULT_OK) return result;
  self->size = start;
  if (code_point) *code_point = last;
  return RESULT_OK;
}

enum result string_remove(struct string *self, size_t from, size_t to) {
  enum result result = cut_range(self, from, to);
  if (result != RESULT_OK || from == to) return result;
  memmove(self->bytes + from, self->bytes + to, self->size - to);
  self->size -= to - from;
  return RESULT_OK;
}

void string_clear(struct string *self) { self->size = 0; }

// ## Looking

enum result string_slice(const struct string *self, size_t from, size_t to, struct text *slice) {
  enum result result = cut_range(self, from, to);
  if (result != RESULT_OK) return result;
  *slice = (struct text){self->bytes ? self->bytes + from : NULL, to - from};
  return RESULT_OK;
}

int text_compare(struct text a, struct text b) {
  size_t common = a.size < b.size ? a.size : b.size;
  int order = common == 0 ? 0 : memcmp(a.bytes, b.bytes, common);
  return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

// Well-formed in well-formed text is only found where code points begin.
enum result string_find(const struct string *self, size_t from, const char *text, size_t size,
                        size_t *at) {
  enum result result = cut(self, from);
  if (result == RESULT_OK) result = validate(text, size, NULL);
  if (result != RESULT_OK) return result;
  size_t offset = from;
  while (size <= self->size - offset && size > 0 && memcmp(self->bytes + offset, text, size) != 0)
    offset++;
  if (size > self->size - offset) return RESULT_NOT_FOUND;
  *at = offset;
  return RESULT_OK;
}

enum result string_next(const struct string *self, size_t *offset, uint32_t *code_point) {
  enum result result = cut(self, *offset);
  if (result != RESULT_OK) return result;
  if (*offset == self->size) return RESULT_NOT_FOUND;
  *offset += utf8_decode(self->bytes + *offset, self->size - *offset, code_point);
  return RESULT_OK;
}

enum result string_previous(const struct string *self, size_t *offset, uint32_t *code_point) {
  enum result result = cut(self, *offset);
  if (result != RESULT_OK) return result;
  if (*offset == 0) return RESULT_NOT_FOUND;
  size_t start = *offset - 1;
  while (!utf8_is_boundary(self->bytes, self->size, start)) start--;
  utf8_decode(self->bytes + start, *offset - start, code_point);
  *offset = start;
  return RESULT_OK;
}

size_t string_count(const struct string *self) {
  size_t count = 0;
  for (size_t offset = 0; offset < self->size; offset++)
    if (utf8_is_boundary(self->bytes, self->size, offset)) count++;
  return count;
}

struct broken_invariant string_check(const struct string *self) {
  if ((self->bytes == NULL) != (self->capacity == 0)) return (struct broken_invariant){1, NULL};
  if (self->size > self->capacity || self->capacity > PTRDIFF_MAX)
    return (struct broken_invariant){2, self->bytes};
  size_t valid = utf8_validate(self->bytes, self->size);
  if (valid != self->size) return (struct broken_invariant){3, self->bytes + valid};
  return (struct broken_invariant){0};
}
