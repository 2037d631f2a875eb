/* SPDX-License-Identifier: BSD-3-Clause
 * What the compiler assumes of every processor of its architecture: SSE2 on x86-64, 16 registers of 16 bytes, without
 * FMA; elsewhere vectors of 16 bytes, in software where the processor has none.
 *
 * Where nearly every processor has one of the other instruction sets, this one is kept small instead of fast: it is a third
 * of the library otherwise. */
#if defined(__x86_64__) || defined(__aarch64__)
#define SMALL
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif
#endif

#define ISA generic
#define TARGET
#define VBYTES 16
#define REGISTERS 16
/* 12 accumulators; a product waiting for its addition takes a register too. */
#if defined(SMALL)
#define TILES(T) ROWS_4(T, 1) ROWS_4(T, 2)
#define TALLEST {0, 4, 4}
#else
#define TILES(T) ROWS_9(T, 1) ROWS_6(T, 2)
#define TALLEST {0, 9, 6}
#endif
#define WIDEST 2
#include "both_types.h"
