// JSON documents (RFC 8259) as trees.
#ifndef HARNESS_JSON_READ_H_
#define HARNESS_JSON_READ_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/file.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json {
  enum json_kind kind;
  bool whole;        // a number that is an integer of 64 bits, or `true`
  uint64_t integer;  // if so
  double number;     // of any number
  const char *text;  // as it stands in the document, escapes included; not ended by 0
  size_t length;     // of the text
  const char *key;   // of a member, likewise
  size_t key_length;
  struct json *first, *next;  // what it holds, and what stands behind it
  size_t count;               // how many it holds
};

// False with an error that names line and reason, if it is no document, is nested deeper than 32,
// or memory is out. The tree refers to `bytes`. To be cleared if true.
bool json_parse(struct json **document, const char *bytes, size_t size, const char *name,
                struct file_error *error);
void json_clear(struct json *document);

// The member of that name; NULL if there is none, or `json` is NULL or no object.
const struct json *json_member(const struct json *json, const char *name);

#endif
