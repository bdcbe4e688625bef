// Where the kernel starts a program, and calls that can be left. System V ABI for x86-64, 3.2 and
// 3.4: what a callee preserves, and what is on the first stack.
  .section .note.GNU-stack,"",@progbits

  .section .text._start,"ax",@progbits
  .globl _start
  .type _start, @function
_start:
  xor %ebp, %ebp
  mov %rsp, %rdi  // the number of arguments, and the arguments
  and $-16, %rsp
  call linux_start
  ud2
  .size _start, . - _start

  .section .text.context,"ax",@progbits
  .globl context_call
  .type context_call, @function
context_call:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  sub $8, %rsp
  mov %rsp, (%rdi)
  mov %rdx, %rdi
  call *%rsi
  mov $1, %eax
.Lback:
  add $8, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .size context_call, . - context_call

  .globl context_leave
  .type context_leave, @function
context_leave:
  mov %rdi, %rsp
  xor %eax, %eax
  jmp .Lback
  .size context_leave, . - context_leave

  // Where a handler would return to the kernel; none does.
  .globl signal_return
  .type signal_return, @function
signal_return:
  ud2
  .size signal_return, . - signal_return
