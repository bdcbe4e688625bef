#ifndef FREESTANDING_BOARD_SERVICES_H_
#define FREESTANDING_BOARD_SERVICES_H_

// What a board does once memory is set up: constructors, then the program.
_Noreturn void board_run(void);

#endif
