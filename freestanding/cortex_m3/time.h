// Time on a Cortex-M3, measured by SysTick: instructions executed, and the watchdog.
#ifndef FREESTANDING_CORTEX_M3_TIME_H_
#define FREESTANDING_CORTEX_M3_TIME_H_

void time_start(void);

// The handler of SysTick's exception.
void time_on_tick(void);

#endif
