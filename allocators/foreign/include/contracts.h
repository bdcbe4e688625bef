// Contracts of the course's C0 tradition: checked where DEBUG is defined, else no code.
#ifndef ASSAY_CONTRACTS_H_
#define ASSAY_CONTRACTS_H_

#include <assert.h>
#include <stdio.h>

#ifdef DEBUG
#define CONTRACT_CHECK(...) assert((__VA_ARGS__))
#define CONTRACT_PRINT(...) ((void)printf(__VA_ARGS__))
#else
#define CONTRACT_CHECK(...) ((void)sizeof(__VA_ARGS__))
#define CONTRACT_PRINT(...) ((void)sizeof(__VA_ARGS__))
#endif

#ifndef ASSERT
#define ASSERT(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef REQUIRES
#define REQUIRES(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef ENSURES
#define ENSURES(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef dbg_assert
#define dbg_assert(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef dbg_requires
#define dbg_requires(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef dbg_ensures
#define dbg_ensures(...) CONTRACT_CHECK(__VA_ARGS__)
#endif
#ifndef dbg_printf
#define dbg_printf(...) CONTRACT_PRINT(__VA_ARGS__)
#endif

#endif
