/* SPDX-License-Identifier: BSD-3-Clause
 * AVX2 with FMA: 16 registers of 32 bytes. */
#include "../internal.h"

#if defined(__x86_64__)
#define ISA avx2
#define TARGET __attribute__((target("avx2,fma")))
#define VBYTES 32
#define REGISTERS 16
/* 12 accumulators leave room for a row of B and one broadcast. */
#define TILES(T) ROWS_9(T, 1) ROWS_6(T, 2) ROWS_4(T, 3)
#define HALF_TILES(T) FROM_4_TO_6(T, 2) T(4, 3)
#define TALLEST {0, 9, 6, 4}
#define WIDEST 3
#define MM_PREFIX _mm256
#define MM_BLENDV
#include "both_types.h"
#endif
