// Registers of a Cortex-M3 (Arm, "ARMv7-M Architecture Reference Manual", B3) and of the LM3S6965
// (Texas Instruments, data sheet) that this world uses.
#ifndef FREESTANDING_CORTEX_M3_REGISTERS_H_
#define FREESTANDING_CORTEX_M3_REGISTERS_H_

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYST_CSR REGISTER(0xE000E010)
#define SYST_RVR REGISTER(0xE000E014)
#define SYST_CVR REGISTER(0xE000E018)
#define SYST_CSR_ENABLE 1u
#define SYST_CSR_TICKINT 2u
#define SYST_CSR_PROCESSOR_CLOCK 4u
#define SYST_BITS 24

#define ICSR REGISTER(0xE000ED04)
#define ICSR_PENDSTSET (1u << 26)
#define ICSR_PENDSVSET (1u << 28)

#define CCR REGISTER(0xE000ED14)
#define CCR_DIV_0_TRP (1u << 4)

#define SHCSR REGISTER(0xE000ED24)
#define SHCSR_MEMFAULTENA (1u << 16)
#define SHCSR_BUSFAULTENA (1u << 17)
#define SHCSR_USGFAULTENA (1u << 18)

#define CFSR REGISTER(0xE000ED28)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define MMFAR REGISTER(0xE000ED34)
#define BFAR REGISTER(0xE000ED38)
#define HFSR REGISTER(0xE000ED2C)

#define MPU_CTRL REGISTER(0xE000ED94)
#define MPU_CTRL_ENABLE 1u
#define MPU_RBAR REGISTER(0xE000ED9C)
#define MPU_RBAR_VALID (1u << 4)
#define MPU_RASR REGISTER(0xE000EDA0)
#define MPU_RASR_ENABLE 1u
#define MPU_RASR_NONE (0u << 24)
#define MPU_RASR_READ_WRITE (1u << 24)
#define MPU_RASR_READ (5u << 24)
#define MPU_RASR_NEVER_EXECUTE (1u << 28)

#define UART0 0x4000C000u
#define UART0_DR REGISTER(UART0)
#define UART0_FR REGISTER(UART0 + 0x18)
#define UART0_FR_TXFF (1u << 5)
#define UART0_CTL REGISTER(UART0 + 0x30)
#define UART0_CTL_UARTEN (1u << 0)
#define UART0_CTL_TXE (1u << 8)

// Numbers of exceptions.
enum {
  EXCEPTION_HARD_FAULT = 3,
  EXCEPTION_MEMORY = 4,
  EXCEPTION_BUS = 5,
  EXCEPTION_USAGE = 6,
  EXCEPTION_PENDSV = 14,
};

#endif
