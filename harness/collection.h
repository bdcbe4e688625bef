// Collections under the oracle: a vector or a hash map judged like a strategy.
//
// A collection is an entry of the registry with the trait STRATEGY_COLLECTION, and a driver, which
// turns operations of a program into calls of the collection and of a model of it, and compares the
// two. The oracle runs the program on a strategy that the heap's variant names, with a guard
// between the two (collection_guard.h): it gives dirty memory between red zones, keeps released
// blocks forbidden for a while, refuses requests as the program says, and knows what has leaked.
//
//   tier      driver's verify         red zones             strategy beneath     refusals at every
//                                                                                request
//   fast      at the end              of what is released   at the end           no
//   full      every 4th operation,    every 4th operation   at the end           one program in 16
//             after a refusal
//   paranoid  after every operation   every operation       after every one      yes
//
// Refusals at every request: the program is run again with each request to the allocator refused in
// turn, alone and together with all that follow; of very many, those that are spread evenly.
//
// A record of a program reads so for a collection (program.h):
//   heap's variant   which clean strategy of the registry, adapters aside, is beneath: modulo how
//                    many there are. What is over is that strategy's variant
//   code, low half   the verb, modulo how many there are, in the order of the other codes than
//                    `fault`: that one refuses the i-th request to the allocator from now on if bit
//                    i of size is set
//   code, high half  arguments' count, less 1
//   align            arguments' small, as the byte is
//   thread           which instance is arguments' other
//   slot             which instance
//   size             arguments' value
#ifndef HARNESS_COLLECTION_H_
#define HARNESS_COLLECTION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocators/strategy.h"
#include "collections/handle.h"
#include "harness/program_verbs.h"

struct oracle;
struct collection_run;

struct collection_arguments {
  void *other;  // instance, of verbs with COLLECTION_OTHER; may be the same one. Else NULL
  uint64_t value;
  unsigned count;  // 1 .. 16
  unsigned small;  // 0 .. 255
};

// What a collection has beside its functions to be judged by. The memory of an instance is the
// driver's, collection and model; models may use the C library's malloc, and must not fail.
struct collection_driver {
  const struct collection_oracle *oracle;  // &collection_oracle
  const char *name;                        // of the collection; [a-z_]+
  const struct collection_verb *verbs;
  size_t verb_count;     // 1 .. COLLECTION_VERBS
  size_t instance_size;  // bytes, aligned to max_align_t and zeroed
  // How many elements it has, for those who make up programs and tell of them. NULL: not known.
  size_t (*length)(const void *instance);
  // Initialises collection and model; allocates nothing through the handle.
  void (*create)(struct collection_run *run, void *instance, struct handle handle);
  void (*apply)(struct collection_run *run, void *instance, unsigned verb,
                const struct collection_arguments *arguments);
  // All of the collection against the model, through the public interface, and X_check.
  void (*verify)(struct collection_run *run, void *instance);
  // Drops the collection, and frees the model.
  void (*destroy)(struct collection_run *run, void *instance);
};

// ## For drivers

// Unless it holds, the run ends with a violation: `failed-op-changed-state` if the operation in
// progress was refused memory, else `model`. The text says what is wrong, without naming the
// operation: "element 3 is 17, the model has 18".
//
//   void collection_expect(struct collection_run *run, bool holds, const char *format, ...)
//
// A macro, as it is asked of every element: what holds makes no text.
#define collection_expect(run, holds, ...)                                                         \
  ((holds) ? collection_held(run) : collection_failed(run, __VA_ARGS__))
void collection_held(struct collection_run *run);
void collection_failed(struct collection_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// A call said RESULT_NO_MEMORY, and the size that it needs can be said in a size_t: `spurious-oom`
// unless the allocator refused something since the operation began. What belongs to no operation,
// such as drop, has nothing to refuse. After it the driver should end the
// operation: what is wrong now shows in verify, which follows.
void collection_refused(struct collection_run *run);
// Requests that its allocator has refused since the operation began. While there are none, how much
// a collection asks for is its own choice.
uint64_t collection_refusals(const struct collection_run *run);
// What X_check returned. Number 0: fine.
void collection_broken(struct collection_run *run, struct broken_invariant broken);

// An index or a length for a collection that has `length` elements: mostly one that there is, at
// times one or two past the end, and the largest ones as they are, so that what a random value asks
// for makes sense. Small values mean what they say.
static inline size_t collection_pick(uint64_t value, size_t length) {
  uint64_t from_top = UINT64_MAX - value;
  if (from_top < 16) return SIZE_MAX - (size_t)from_top;
  return value <= length ? (size_t)value : (size_t)(value % ((uint64_t)length + 2));
}

// Defines `<collection>_strategy`, by which the registry knows it. `its_invariants`: as in struct
// strategy.
#define COLLECTION_STRATEGY(collection, text, its_driver, its_invariants)                          \
  extern const struct strategy collection##_strategy;                                              \
  const struct strategy collection##_strategy = {                                                  \
      .name = #collection,                                                                         \
      .summary = text,                                                                             \
      .traits = STRATEGY_COLLECTION,                                                               \
      .min_align = 1,                                                                              \
      .max_align = 1,                                                                              \
      .invariants = its_invariants,                                                                \
      .driver = its_driver,                                                                        \
  }

// ## For the oracle, which calls it through the driver only: a program without collections has none
// of this

struct collection_oracle {
  bool (*run)(struct oracle *oracle, const struct strategy *collection,
              const struct program *program);
  // oracle_make_room and oracle_heap.
  bool (*make_room)(struct oracle *oracle, const struct strategy *collection,
                    const struct program *program);
  struct heap (*heap)(const struct strategy *collection, const struct program *program);
  // The strategy that the program's collection is over; NULL: the registry has none.
  const struct strategy *(*beneath)(const struct program *program);
};
extern const struct collection_oracle collection_oracle;

// ## For commands

// From now on, programs in texts are read in the words of all collections of the registry, and
// printed in those of this one; an allocator's: in those of allocators.
void collection_speak(const struct strategy *strategy);

#endif
