/* SPDX-License-Identifier: BSD-3-Clause
 * AVX-512 (F, DQ, BW, VL) with FMA: 32 registers of 64 bytes. */
#include "../internal.h"

#if defined(__x86_64__)
#define ISA avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define VBYTES 64
#define REGISTERS 32
/* 28 accumulators (27, 24) leave room for a row of B and one broadcast. */
#define TILES(T) ROWS_14(T, 1) ROWS_14(T, 2) ROWS_9(T, 3) ROWS_6(T, 4)
#define HALF_TILES(T) FROM_6_TO_14(T, 2) FROM_4_TO_9(T, 3) FROM_4_TO_6(T, 4)
#define TALLEST {0, 14, 14, 9, 6}
#define WIDEST 4
#define PERMUTE
#define MM_PREFIX _mm512
#define MM_SCALEF
#define MM_MASKED
#include "both_types.h"
#endif
