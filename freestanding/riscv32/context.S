// freestanding/board/context.h for RV32 without floating point. The words are sp, s0 to s11, ra.
  .section .text.context_save, "ax"
  .global context_save
  .type context_save, @function
context_save:
  sw sp, 0(a0)
  sw s0, 4(a0)
  sw s1, 8(a0)
  sw s2, 12(a0)
  sw s3, 16(a0)
  sw s4, 20(a0)
  sw s5, 24(a0)
  sw s6, 28(a0)
  sw s7, 32(a0)
  sw s8, 36(a0)
  sw s9, 40(a0)
  sw s10, 44(a0)
  sw s11, 48(a0)
  sw ra, 52(a0)
  li a0, 0
  ret

  .section .text.context_resume, "ax"
  .global context_resume
  .type context_resume, @function
context_resume:
  lw sp, 0(a0)
  lw s0, 4(a0)
  lw s1, 8(a0)
  lw s2, 12(a0)
  lw s3, 16(a0)
  lw s4, 20(a0)
  lw s5, 24(a0)
  lw s6, 28(a0)
  lw s7, 32(a0)
  lw s8, 36(a0)
  lw s9, 40(a0)
  lw s10, 44(a0)
  lw s11, 48(a0)
  lw ra, 52(a0)
  li a0, 1
  ret
