/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The product for few columns: the reduction lies across the vector, and lanes are added up at the end. With columns
 * across it, as in gemm.h, most lanes would be empty. struct kernels (internal.h) has the contract.
 */

#define LANES (VBYTES / (IS_F64 ? 8 : 4))

/* *sum = the lanes of v added up to 4. */
INLINE void NAME(fold)(NAME(vec) v, NAME(vec4) *sum)
{
#if LANES == 16
    const NAME(vec8) half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                            __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    *sum = __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif LANES == 8
    *sum = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#elif LANES == 4
    *sum = v;
#else
    *sum = (NAME(vec4)){v[0], v[1], 0, 0};
#endif
}
#undef LANES

/* sums[i] = the lanes of v[i] added up, for 4 vectors of 4. */
INLINE void NAME(fold4)(const NAME(vec4) v[4], REAL *sums)
{
    const NAME(vec4) a = v[0], b = v[1], c = v[2], d = v[3];
    const NAME(vec4) ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const NAME(vec4) cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(NAME(vec4) *)sums = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/* VL steps at a for each row. Of a last vector that begins earlier, so as not to read on, only the lanes of `mask`. */
INLINE void NAME(dot_step)(const REAL *a, int64_t a_row, const REAL *b, const NAME(ivec) *mask, NAME(vec) *acc,
                           const int rows, const int columns)
{
    NAME(vec) w[DOT_COLUMNS];
    UNROLL for (int k = 0; k < columns; k++) {
        NAME(vec) v = *(const NAME(vec) *)(b + k * NAME(VL));
        PIN(v);
        w[k] = v;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        NAME(vec) v = *(const NAME(vec) *)(a + i * a_row);
        if (mask) {
            v = (NAME(vec))((NAME(ivec))v & *mask);
        }
        PIN(v);
        UNROLL for (int k = 0; k < columns; k++) {
            acc[i * columns + k] += v * w[k];
        }
    }
}

/* Adds sums[0 .. rows * columns) and a bias to C, or puts them there. */
INLINE void NAME(dot_rows)(const struct tile *t, const REAL *sums, int rows, const int columns)
{
    const int64_t c_row = t->c_row;
    const REAL *bias = t->bias;
    REAL *c = t->c;
    for (int i = 0; i < rows; i++, c += c_row) {
        UNROLL for (int k = 0; k < columns; k++) {
            const REAL sum = sums[i * columns + k] + (bias ? bias[k] : 0);
            c[k] = t->accumulate ? c[k] + sum : sum;
        }
    }
}

/* Puts them there where the rows of C follow each other: 4 at a time, whose bias is that of the columns in turn. */
INLINE void NAME(dot_run)(const struct tile *t, const REAL *sums, int count, const int columns)
{
    REAL *c = t->c, bias[DOT_COLUMNS];
    UNROLL for (int k = 0; k < columns; k++) {
        bias[k] = t->bias ? ((const REAL *)t->bias)[k] : (REAL)-0.0; /* which changes nothing, not even -0 */
    }
#define BIAS(i) bias[(i) % columns]
    UNROLL for (int i = 0; i < DOT_SUMS; i += 4) {
        const NAME(vec4) more = {BIAS(i), BIAS(i + 1), BIAS(i + 2), BIAS(i + 3)};
        const NAME(vec4) sum = *(const NAME(vec4) *)(sums + i) + more;
        if (i + 4 > count) {
            UNROLL for (int j = 0; j < 3; j++) {
                if (i + j < count) {
                    c[i + j] = sum[j];
                }
            }
            return;
        }
        *(NAME(vec4) *)(c + i) = sum;
    }
#undef BIAS
}

INLINE void NAME(dot_put)(const struct tile *t, const REAL *sums, int rows, const int columns)
{
    if (t->c_row == columns && !t->accumulate) {
        NAME(dot_run)(t, sums, rows * columns, columns);
    } else {
        NAME(dot_rows)(t, sums, rows, columns);
    }
}

/* Stores the lanes of acc[0 .. rows * columns), added up; zeros follow up to a multiple of 4. One function for all tiles,
 * as every one would be several times as long with it. */
TARGET static __attribute__((noinline)) void NAME(dot_store)(const struct tile *t, const NAME(vec) *acc, int rows,
                                                             int columns)
{
    _Alignas(CACHE_LINE) REAL sums[DOT_SUMS];
    for (int i = 0; i < rows * columns; i += 4) {
        NAME(vec4) part[4];
        UNROLL for (int j = 0; j < 4; j++) {
            NAME(fold)(acc[i + j], &part[j]);
        }
        NAME(fold4)(part, sums + i);
    }
    if (columns == 1) {
        NAME(dot_put)(t, sums, rows, 1);
    } else if (columns == 2) {
        NAME(dot_put)(t, sums, rows, 2);
    } else if (columns == 3) {
        NAME(dot_put)(t, sums, rows, 3);
    } else {
        NAME(dot_put)(t, sums, rows, 4);
    }
}

INLINE void NAME(dot)(const struct tile *t, const int rows, const int columns)
{
    const int64_t a_row = t->a_row, tail = t->length % NAME(VL), whole = t->length - tail;
    NAME(vec) acc[DOT_SUMS];
    NAME(ivec) mask;
    UNROLL for (int i = 0; i < NAME(VL); i++) {
        mask[i] = i;
    }
    mask = mask >= (BITS)(NAME(VL) - tail);
    UNROLL for (int i = 0; i < rows * columns; i++) {
        acc[i] = (NAME(vec)){0};
    }
    for (int64_t s = 0; s < t->segments; s++) {
        const REAL *a = (const REAL *)t->a + t->segment[s].a;
        const REAL *b = (const REAL *)t->b + t->segment[s].b;
        for (int64_t p = 0; p < whole; p += NAME(VL), a += NAME(VL), b += columns * NAME(VL)) {
            NAME(dot_step)(a, a_row, b, NULL, acc, rows, columns);
        }
        if (tail) {
            a += tail - NAME(VL);
            PIN_SCALAR(a);
            NAME(dot_step)(a, a_row, b, &mask, acc, rows, columns);
        }
    }
    _Alignas(CACHE_LINE) NAME(vec) copy[DOT_SUMS]; /* acc would else be in memory */
    UNROLL for (int i = 0; i < (rows * columns + 3) / 4 * 4; i++) {
        copy[i] = i < rows * columns ? acc[i] : (NAME(vec)){0};
    }
    NAME(dot_store)(t, copy, rows, columns);
}

/* D(rows, columns) for every number of rows up to the tallest. */
#if defined(SMALL)
#define DOTS(D) ROWS_4(D, 1) ROWS_3(D, 2) D(1, 3) D(2, 3) D(1, 4) D(2, 4)
#define TALLEST_DOT {0, 4, 3, 2, 2}
#elif REGISTERS == 32
#define DOTS(D) ROWS_14(D, 1) ROWS_12(D, 2) ROWS_8(D, 3) ROWS_6(D, 4)
#define TALLEST_DOT {0, 14, 12, 8, 6}
#else
#define DOTS(D) ROWS_9(D, 1) ROWS_6(D, 2) ROWS_4(D, 3) ROWS_3(D, 4)
#define TALLEST_DOT {0, 9, 6, 4, 3}
#endif
#define ROWS_3(D, columns) D(1, columns) D(2, columns) D(3, columns)
#define ROWS_8(D, columns) ROWS_6(D, columns) D(7, columns) D(8, columns)
#define ROWS_12(D, columns) ROWS_9(D, columns) D(10, columns) D(11, columns) D(12, columns)

#define DEFINE_DOT(rows, columns)                                        \
    TARGET static void NAME(dot_##rows##x##columns)(const struct tile *t) \
    {                                                                    \
        NAME(dot)(t, rows, columns);                                     \
    }
DOTS(DEFINE_DOT)
#define TABLE_DOT(rows, columns) [columns][rows] = NAME(dot_##rows##x##columns),
static tile_fn *const NAME(dots)[DOT_COLUMNS + 1][MR_MAX + 1] = {DOTS(TABLE_DOT)};

#undef TABLE_DOT
#undef DEFINE_DOT
#undef ROWS_12
#undef ROWS_8
#undef ROWS_3
#undef DOTS
