// The words in which programs for a collection are written (collection.h says how records are read
// for one).
//
//   heap ... verbs=vector          as for allocators, but for the collection's name
//   push SLOT [value=0] [count=1] [small=0] [other=0]
//   fault mask=0x5
//
// Of a verb's fields those stand there that mean something to it. Slots and `other` are instances.
#ifndef HARNESS_PROGRAM_VERBS_H_
#define HARNESS_PROGRAM_VERBS_H_

#include <stdbool.h>
#include <stddef.h>

#include "harness/program.h"

enum { COLLECTION_INSTANCES = 4, COLLECTION_VERBS = 15 };

// Fields of a record that mean something to a verb.
enum collection_field {
  COLLECTION_OTHER = 1u << 0,
  COLLECTION_VALUE = 1u << 1,
  COLLECTION_COUNT = 1u << 2,
  COLLECTION_SMALL = 1u << 3,
};

struct collection_verb {
  const char *name;  // [a-z_]+, and not "fault"
  unsigned fields;   // besides the instance, which all verbs have
};

struct program_verbs {
  const char *name;  // of the collection; [a-z_]+
  const struct collection_verb *verbs;
  size_t count;  // 1 .. COLLECTION_VERBS
};

// The verb of an operation's record, by its index, for who has `count` of them; -1: it is `fault`.
static inline int verb_of(const struct record *record, size_t count) {
  unsigned code = record->code % OP_CODES;
  if (code == OP_FAULT) return -1;
  return (int)((code > OP_FAULT ? code - 1 : code) % count);
}
// The code, without a count, that means a verb.
static inline uint8_t verb_code(unsigned verb) {
  return (uint8_t)(verb >= OP_FAULT ? verb + 1 : verb);
}
static inline const char *verb_name(const struct program_verbs *verbs,
                                    const struct record *record) {
  int verb = verb_of(record, verbs->count);
  return verb < 0 ? "fault" : verbs->verbs[verb].name;
}

// From now on, programs are printed in these words; NULL: in those of allocators, as at first.
void program_speak(const struct program_verbs *verbs);

// Who knows the words of a collection by its name (NULL if there is none), for texts to be read. At
// first nobody does.
typedef const struct program_verbs *find_verbs(const char *name, size_t length);
void program_knows_verbs(find_verbs *find);

#endif
