// Where the kernel starts a program, and calls that can be left. Procedure Call Standard for the Arm
// 64-bit Architecture, 6: what a callee preserves.
  .section .note.GNU-stack,"",%progbits

  .section .text._start,"ax",%progbits
  .globl _start
  .type _start, %function
_start:
  mov x29, #0
  mov x30, #0
  mov x0, sp  // the number of arguments, and the arguments
  bl linux_start
  brk #0
  .size _start, . - _start

  .section .text.context,"ax",%progbits
  .globl context_call
  .type context_call, %function
context_call:
  stp x29, x30, [sp, #-160]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x3, sp
  str x3, [x0]
  mov x0, x2
  blr x1
  mov w0, #1
.Lback:
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x29, x30, [sp], #160
  ret
  .size context_call, . - context_call

  .globl context_leave
  .type context_leave, %function
context_leave:
  mov sp, x0
  mov w0, #0
  b .Lback
  .size context_leave, . - context_leave

  // Where a handler would return to the kernel; none does.
  .globl signal_return
  .type signal_return, %function
signal_return:
  brk #0
  .size signal_return, . - signal_return
