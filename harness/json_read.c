#include "harness/json_read.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 32, NUMBER_MAX = 64 };

struct reader {
  const char *bytes, *at, *end;
  const char *name;
  struct file_error *error;
};

static bool reject(struct reader *self, const char *reason) {
  size_t line = 1;
  for (const char *c = self->bytes; c < self->at; c++) line += *c == '\n';
  return file_fail(self->error, self->name, "line %zu: %s", line, reason);
}

static char peek(struct reader *self) {
  while (self->at < self->end && memchr(" \t\r\n", *self->at, 4)) self->at++;
  return self->at < self->end ? *self->at : '\0';
}

static bool take(struct reader *self, char c) {
  if (peek(self) != c || self->at == self->end) return false;
  self->at++;
  return true;
}

static bool read_text(struct reader *self, const char **text, size_t *length) {
  *text = ++self->at;
  while (self->at < self->end && *self->at != '"') {
    if ((unsigned char)*self->at < ' ') return reject(self, "a control character in a string");
    if (*self->at == '\\' && ++self->at == self->end) break;
    self->at++;
  }
  if (self->at >= self->end) return reject(self, "a string without an end");
  *length = (size_t)(self->at++ - *text);
  return true;
}

static bool read_number(struct reader *self, struct json *json) {
  char text[NUMBER_MAX + 1], *end;
  size_t length = 0;
  json->whole = true;
  for (; self->at < self->end && memchr("+-.0123456789Ee", *self->at, 15); self->at++) {
    unsigned digit = (unsigned)(*self->at - '0');
    if (length == NUMBER_MAX) return reject(self, "a number of too many digits");
    text[length++] = *self->at;
    json->whole = json->whole && digit < 10 &&
                  !__builtin_mul_overflow(json->integer, UINT64_C(10), &json->integer) &&
                  !__builtin_add_overflow(json->integer, (uint64_t)digit, &json->integer);
  }
  text[length] = '\0';
  json->number = strtod(text, &end);
  return (length > 0 && *end == '\0') || reject(self, "a number that is none");
}

static bool read_word(struct reader *self, struct json *json) {
  static const struct {
    const char *word;
    enum json_kind kind;
    bool whole;
  } words[] = {{"null", JSON_NULL, false}, {"true", JSON_BOOL, true}, {"false", JSON_BOOL, false}};
  for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
    size_t length = strlen(words[i].word);
    if ((size_t)(self->end - self->at) < length || memcmp(self->at, words[i].word, length) != 0)
      continue;
    self->at += length;
    json->kind = words[i].kind;
    json->whole = words[i].whole;
    return true;
  }
  return reject(self, "neither a value nor its end");
}

static bool read_value(struct reader *self, struct json *json, unsigned depth);

static bool read_item(struct reader *self, struct json *json, struct json ***link, unsigned depth) {
  struct json *item = calloc(1, sizeof *item);
  if (!item) return reject(self, "no memory for further values");
  **link = item;
  *link = &item->next;
  json->count++;
  if (json->kind == JSON_OBJECT) {
    if (peek(self) != '"') return reject(self, "a member without a name in quotes");
    if (!read_text(self, &item->key, &item->key_length)) return false;
    if (!take(self, ':')) return reject(self, "no ':' behind a member's name");
  }
  return read_value(self, item, depth);
}

static bool read_items(struct reader *self, struct json *json, unsigned depth) {
  char end = json->kind == JSON_OBJECT ? '}' : ']';
  struct json **link = &json->first;
  if (depth == MOST_DEPTH) return reject(self, "nested deeper than 32");
  self->at++;
  if (take(self, end)) return true;
  do
    if (!read_item(self, json, &link, depth + 1)) return false;
  while (take(self, ','));
  return take(self, end) || reject(self, "neither ',' nor the end of an array or object");
}

static bool read_value(struct reader *self, struct json *json, unsigned depth) {
  char c = peek(self);
  if (c == '{' || c == '[') {
    json->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
    return read_items(self, json, depth);
  }
  if (c == '"') {
    json->kind = JSON_TEXT;
    return read_text(self, &json->text, &json->length);
  }
  if (c == '-' || (c >= '0' && c <= '9')) {
    json->kind = JSON_NUMBER;
    return read_number(self, json);
  }
  return read_word(self, json);
}

void json_clear(struct json *json) {
  while (json) {
    struct json *next = json->next;
    json_clear(json->first);
    free(json);
    json = next;
  }
}

bool json_parse(struct json **document, const char *bytes, size_t size, const char *name,
                struct file_error *error) {
  struct reader self = {bytes, bytes, bytes + size, name, error};
  *document = calloc(1, sizeof **document);
  bool read = *document ? read_value(&self, *document, 0) : reject(&self, "no memory to read it");
  if (read) peek(&self);
  if (read && self.at < self.end) read = reject(&self, "more behind the document's end");
  if (read) return true;
  json_clear(*document);
  *document = NULL;
  return false;
}

const struct json *json_member(const struct json *json, const char *name) {
  if (!json || json->kind != JSON_OBJECT) return NULL;
  for (const struct json *item = json->first; item; item = item->next)
    if (item->key_length == strlen(name) && memcmp(item->key, name, item->key_length) == 0)
      return item;
  return NULL;
}
