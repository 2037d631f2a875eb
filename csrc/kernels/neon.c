/* SPDX-License-Identifier: BSD-3-Clause
 * NEON of AArch64 (always there): 32 registers of 16 bytes, with FMA. */
#include "../internal.h"

#if defined(__aarch64__)
#define ISA neon
#define TARGET
#define VBYTES 16
#define REGISTERS 32
#define TILES(T) ROWS_14(T, 1) ROWS_14(T, 2) ROWS_9(T, 3) ROWS_6(T, 4)
#define TALLEST {0, 14, 14, 9, 6}
#define WIDEST 4
#include "both_types.h"
#endif
