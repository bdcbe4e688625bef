// semihosting_call (freestanding/board/semihosting.h) of a processor with Thumb only.
  .syntax unified
  .thumb

  .section .text.semihosting_call, "ax"
  .global semihosting_call
  .type semihosting_call, %function
semihosting_call:
  bkpt 0xAB
  bx lr
