// semihosting_call (freestanding/board/semihosting.h). The three instructions are the call's mark: none
// may be a compressed one, and all must lie in one page.
  .section .text.semihosting_call, "ax"
  .global semihosting_call
  .type semihosting_call, @function
  .balign 16
semihosting_call:
  .option push
  .option norvc
  slli x0, x0, 0x1f
  ebreak
  srai x0, x0, 7
  .option pop
  ret
