/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A vector times a matrix, a few rows of the matrix at a time: for dense layers of one image, whose kernel is read once.
 * struct row_sums (internal.h) is the contract.
 */

/* Vectors of a cache line. */
enum { NAME(LINE_VECTORS) = VBYTES < CACHE_LINE ? CACHE_LINE / VBYTES : 1 };

/* `rows` rows of the matrix, and columns j to the end of a line. */
INLINE void NAME(add_rows_of_line)(const struct row_sums *s, const REAL *x, const REAL *b, int64_t j, const int rows)
{
    REAL *sums = (REAL *)s->sums + j;
    NAME(vec) acc[NAME(LINE_VECTORS)];
    UNROLL for (int v = 0; v < NAME(LINE_VECTORS); v++) {
        acc[v] = s->first ? (NAME(vec)){0} : NAME(load)(sums + v * NAME(VL));
    }
    UNROLL for (int r = 0; r < rows; r++) {
        const REAL *row = b + r * s->b_row + j;
        __builtin_prefetch(row + s->ahead);
        UNROLL for (int v = 0; v < NAME(LINE_VECTORS); v++) {
            acc[v] += x[r] * NAME(load)(row + v * NAME(VL));
        }
    }
    UNROLL for (int v = 0; v < NAME(LINE_VECTORS); v++) {
        NAME(store)(sums + v * NAME(VL), acc[v]);
    }
}

INLINE void NAME(add_rows_of)(const struct row_sums *s, const REAL *x, const REAL *b, const int rows)
{
    int64_t j = 0;
    for (; j + NAME(LINE_VECTORS) * NAME(VL) <= s->columns; j += NAME(LINE_VECTORS) * NAME(VL)) {
        NAME(add_rows_of_line)(s, x, b, j, rows);
    }
    for (; j < s->columns; j += NAME(VL)) {
        const int64_t count = min64(s->columns - j, NAME(VL));
        REAL *sums = (REAL *)s->sums + j;
        NAME(vec) acc = s->first ? (NAME(vec)){0} : NAME(load_part)(sums, count, (NAME(vec)){0});
        UNROLL for (int r = 0; r < rows; r++) {
            acc += x[r] * NAME(load_part)(b + r * s->b_row + j, count, (NAME(vec)){0});
        }
        NAME(store_part)(sums, count, acc);
    }
}

LOOPS TARGET static void NAME(add_rows)(const struct row_sums *s)
{
    if (s->rows == DENSE_ROWS) {
        NAME(add_rows_of)(s, s->x, s->b, DENSE_ROWS);
        return;
    }
    struct row_sums one = *s;
    for (int64_t r = 0; r < s->rows; r++, one.first = false) {
        NAME(add_rows_of)(&one, (const REAL *)s->x + r, (const REAL *)s->b + r * s->b_row, 1);
    }
}
