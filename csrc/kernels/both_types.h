/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Makes the kernels of one instruction set for both element types. A file kernels/<isa>.c defines, then includes this:
 *
 *   ISA          its name, as chanconv_isa() gives it
 *   TARGET       the function attribute that turns it on (empty for what the compiler assumes anyway)
 *   VBYTES       bytes of a vector
 *   REGISTERS    vector registers, 16 or 32
 *   TILES(T)     T(rows, vectors) for every register tile of the product
 *   TALLEST      {0, rows of the tallest tile one vector wide, two vectors wide, ...}
 *   WIDEST       vectors of the widest tile, at most NV_MAX
 *   HALF_TILES(T)  defined where there are others, of which half of the last vector's columns are there
 *   PERMUTE      defined if any lanes of two vectors can be brought into one by an instruction
 *   MM_PREFIX    of the intrinsic functions, _mm512 or _mm256, where activations are to use them
 *   MM_SCALEF    defined where one of them multiplies by a power of 2
 *   MM_BLENDV    defined where one of them selects by a mask
 *   MM_MASKED    defined where they load and store parts of vectors
 *   SMALL        defined where size counts more than speed: of kernels for certain taps only the most usual
 */
#include <float.h>
#include <math.h>
#include <string.h>

#if defined(MM_PREFIX)
#include <immintrin.h>
#endif

#include "../internal.h"

#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define NAME(stem) CAT(CAT(stem, SUFFIX), ISA)

/* Lists for TILES: every number of rows up to the tallest, so that no row of a tile is ever wasted. */
#define ROWS_4(T, vectors) T(1, vectors) T(2, vectors) T(3, vectors) T(4, vectors)
#define ROWS_6(T, vectors) ROWS_4(T, vectors) T(5, vectors) T(6, vectors)
#define ROWS_9(T, vectors) ROWS_6(T, vectors) T(7, vectors) T(8, vectors) T(9, vectors)
#define ROWS_14(T, vectors) \
    ROWS_9(T, vectors) T(10, vectors) T(11, vectors) T(12, vectors) T(13, vectors) T(14, vectors)

/* Of the others, low ones are not worth their size. */
#define FROM_4_TO_6(T, vectors) T(4, vectors) T(5, vectors) T(6, vectors)
#define FROM_4_TO_9(T, vectors) FROM_4_TO_6(T, vectors) T(7, vectors) T(8, vectors) T(9, vectors)
#define FROM_6_TO_14(T, vectors)                                                                  \
    T(6, vectors) T(7, vectors) T(8, vectors) T(9, vectors) T(10, vectors) T(11, vectors) T(12, vectors) \
    T(13, vectors) T(14, vectors)

/* For loops over registers, whose counts are constants after inlining: without it -O2 keeps the tile in memory. */
#define UNROLL _Pragma("GCC unroll 32")

/* Keeps a loaded vector in its register. Without it GCC makes the load an operand of every use: as many loads as
 * multiplications, each of two lines where the address is not aligned. */
#if defined(__x86_64__)
#define PIN(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define PIN(v) __asm__("" : "+w"(v))
#else
#define PIN(v) ((void)0)
#endif

#define INLINE TARGET __attribute__((always_inline)) static inline

/* Functions and loops that need not be written out for every use, and are where speed counts more than size. */
#if defined(SMALL)
#define SHARED TARGET __attribute__((noinline)) static
#define UNROLL_FAST
#else
#define SHARED INLINE
#define UNROLL_FAST UNROLL
#endif

/* Vectors of an activation that are computed at once; with 16 registers too, though not all fit. */
#if defined(SMALL)
#define STEP 1
#else
#define STEP 4
#endif

/* Lets GCC mix the instructions of vectors that are computed at once, before it gives them registers. Else they come one
 * vector after the other, and so many wait for the ones before them that the processor's queues are full. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(SMALL)
#define INTERLEAVED __attribute__((optimize("schedule-insns", "sched-pressure")))
#else
#define INTERLEAVED
#endif

/* For loops over elements that are left to the compiler's vectoriser, which GCC lets rest at -O2. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(SMALL)
#define LOOPS __attribute__((optimize("O3")))
#else
#define LOOPS
#endif

/* For loops that are best as they are written, as far as measured: on x86-64. GCC would choose addresses of its own, one for
 * every access if need be, in more registers than there are, and an order that the processor finds for itself. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && !defined(SMALL) && defined(__x86_64__)
#define AS_WRITTEN __attribute__((optimize("no-ivopts", "no-schedule-insns2")))
#else
#define AS_WRITTEN
#endif

/* Keeps a number or an address in a register of its own. Not volatile, which would hold up the instructions around it. */
#define PIN_SCALAR(i) __asm__("" : "+r"(i))

/* Makes every test of a bit a test of that one register: else GCC keeps a register, or memory, for each of them. */
#define PIN_BITS(bits) __asm__ volatile("" : "+r"(bits))

#define REAL float
#define SUFFIX f32
#define BITS int32_t
#define IS_F64 0
#include "template.h"
#undef REAL
#undef SUFFIX
#undef BITS
#undef IS_F64

#define REAL double
#define SUFFIX f64
#define BITS int64_t
#define IS_F64 1
#include "template.h"

#undef STORES_PAST

const struct kernels *const CAT(kernels, ISA)[2] = {
    &CAT(CAT(kernels, f32), ISA),
    &CAT(CAT(kernels, f64), ISA),
};
