// Who mutates: the environment variable ASSAY_MUTATOR, for every engine.
//
//   operations  this testbed's mutator, which knows operations; what is meant if nothing is said
//   bytes       the engine's own mutations of bytes, as for any other target: to measure against
#ifndef FUZZ_MUTATOR_CHOICE_H_
#define FUZZ_MUTATOR_CHOICE_H_

enum mutator_choice { MUTATE_OPERATIONS, MUTATE_BYTES };

// What the environment says. Any other value ends the process with a message and exit code 2.
enum mutator_choice mutator_choose(void);

#endif
