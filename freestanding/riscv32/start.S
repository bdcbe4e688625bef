// The first instructions, and the handler of all traps.
  .section .start, "ax"
  .global start
start:
  la sp, stack_top
  la t0, on_trap
  csrw mtvec, t0
  la t0, bss_start
  la t1, pool_end
1:
  sw zero, 0(t0)
  addi t0, t0, 4
  bltu t0, t1, 1b
  j board_start

// No trap is returned from: it ends the program, or the guarded body. The stack may be what is broken,
// and so the handler goes on below the guard's.
  .text
  .balign 4
on_trap:
  la t0, guard_context
  lw sp, 0(t0)
  andi sp, sp, -16
  csrr a0, mcause
  csrr a1, mepc
  call trap_take
  la a0, guard_context
  tail context_resume
