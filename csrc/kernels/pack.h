/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Copies of a matrix into panels, and sums of rows. struct kernels (internal.h) has the contracts.
 */

/* v * 0 summed: 0 if every value seen was finite, else NaN. */
INLINE bool NAME(all_finite)(NAME(vec) zeros)
{
    bool finite = true;
    for (int i = 0; i < NAME(VL); i++) {
        finite = finite && zeros[i] == 0;
    }
    return finite;
}

/* Rows that lie contiguous in src. */
INLINE bool NAME(pack_rows)(REAL *dst, int64_t width, const REAL *src, int64_t rows, int64_t columns, int64_t src_row)
{
    NAME(vec) zeros = {0};
    REAL zero = 0;
    for (int64_t r = 0; r < rows; r++, dst += width, src += src_row) {
        int64_t j = 0;
        for (; j + NAME(VL) <= columns; j += NAME(VL)) {
            const NAME(vec) v = *(const NAME(vec) *)(src + j);
            zeros += v * 0;
            *(NAME(vec) *)(dst + j) = v;
        }
        for (; j < columns; j++) {
            zero += src[j] * 0;
            dst[j] = src[j];
        }
        for (; j < width; j++) {
            dst[j] = 0;
        }
    }
    return NAME(all_finite)(zeros) && zero == 0;
}

/* Columns that lie contiguous in src: a transposition, by blocks of 4 x 4 in registers. */
typedef REAL NAME(vec4) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
typedef BITS NAME(ivec4) __attribute__((vector_size(4 * sizeof(REAL))));

INLINE void NAME(transpose4)(REAL *dst, int64_t dst_row, const REAL *src, int64_t src_col, NAME(vec4) *zeros)
{
    const NAME(vec4) a = *(const NAME(vec4) *)src, b = *(const NAME(vec4) *)(src + src_col);
    const NAME(vec4) c = *(const NAME(vec4) *)(src + 2 * src_col), d = *(const NAME(vec4) *)(src + 3 * src_col);
    const NAME(ivec4) low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, front = {0, 1, 4, 5}, back = {2, 3, 6, 7};
    const NAME(vec4) ab0 = __builtin_shuffle(a, b, low), ab1 = __builtin_shuffle(a, b, high);
    const NAME(vec4) cd0 = __builtin_shuffle(c, d, low), cd1 = __builtin_shuffle(c, d, high);
    *(NAME(vec4) *)dst = __builtin_shuffle(ab0, cd0, front);
    *(NAME(vec4) *)(dst + dst_row) = __builtin_shuffle(ab0, cd0, back);
    *(NAME(vec4) *)(dst + 2 * dst_row) = __builtin_shuffle(ab1, cd1, front);
    *(NAME(vec4) *)(dst + 3 * dst_row) = __builtin_shuffle(ab1, cd1, back);
    *zeros += a * 0 + b * 0 + c * 0 + d * 0;
}

INLINE bool NAME(pack_columns)(REAL *dst, int64_t width, const REAL *src, int64_t rows, int64_t columns,
                               int64_t src_row, int64_t src_col)
{
    NAME(vec4) zeros = {0};
    REAL zero = 0;
    int64_t r = 0;
    for (; src_row == 1 && r + 4 <= rows; r += 4) {
        int64_t j = 0;
        for (; j + 4 <= columns; j += 4) {
            NAME(transpose4)(dst + r * width + j, width, src + r + j * src_col, src_col, &zeros);
        }
        for (; j < width; j++) {
            for (int64_t i = r; i < r + 4; i++) {
                const REAL v = j < columns ? src[i + j * src_col] : 0;
                zero += v * 0;
                dst[i * width + j] = v;
            }
        }
    }
    for (; r < rows; r++) {
        for (int64_t j = 0; j < width; j++) {
            const REAL v = j < columns ? src[r * src_row + j * src_col] : 0;
            zero += v * 0;
            dst[r * width + j] = v;
        }
    }
    return zeros[0] + zeros[1] + zeros[2] + zeros[3] + zero == 0;
}

TARGET static bool NAME(pack)(void *dst, int64_t width, const void *src, int64_t rows, int64_t columns,
                              int64_t src_row, int64_t src_col)
{
    return src_col == 1 ? NAME(pack_rows)(dst, width, src, rows, columns, src_row)
                        : NAME(pack_columns)(dst, width, src, rows, columns, src_row, src_col);
}

TARGET static void NAME(add)(int64_t count, const void *src_, void *dst_)
{
    const REAL *src = src_;
    REAL *dst = dst_;
    int64_t i = 0;
    for (; i + NAME(VL) <= count; i += NAME(VL)) {
        *(NAME(vec) *)(dst + i) += *(const NAME(vec) *)(src + i);
    }
    for (; i < count; i++) {
        dst[i] += src[i];
    }
}
