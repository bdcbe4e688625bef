// freestanding/board/context.h for ARMv7-M. The words are sp, r4 to r11, lr.
  .syntax unified
  .thumb

  .section .text.context_save, "ax"
  .global context_save
  .type context_save, %function
context_save:
  str sp, [r0], #4
  stmia r0, {r4-r11, lr}
  movs r0, #0
  bx lr

  .section .text.context_resume, "ax"
  .global context_resume
  .type context_resume, %function
context_resume:
  ldr r1, [r0], #4
  mov sp, r1
  ldmia r0, {r4-r11, lr}
  movs r0, #1
  bx lr
