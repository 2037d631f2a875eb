/* SPDX-License-Identifier: BSD-3-Clause
 * What the compiler assumes of every processor of its architecture: SSE2 on x86-64, 16 registers of 16 bytes, without
 * FMA; elsewhere vectors of 16 bytes, in software where the processor has none. */
#define ISA generic
#define TARGET
#define VBYTES 16
#define REGISTERS 16
/* 12 accumulators; a product waiting for its addition takes a register too. */
#define TILES(T) ROWS_9(T, 1) ROWS_6(T, 2)
#define TALLEST {0, 9, 6}
#define WIDEST 2
#include "both_types.h"
